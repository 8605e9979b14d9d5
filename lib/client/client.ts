import type { ClientMessage, ServerMessage } from '../protocol/hub-v1/schema.js'
import { Acks } from './acks.js'
import { Emitter } from './emitter.js'
import { HubError, isLoss } from './errors.js'
import { settingsOf, type Settings } from './options.js'
import { Outbox } from './outbox.js'
import { reportUncaught } from './platform.js'
import { Refresher } from './refresher.js'
import { resumeMessage } from './resume.js'
import { Room } from './room.js'
import { Supervisor } from './supervisor.js'
import type { ClientEvents, ClientOptions, ClientRoom, ClientState, EmitArguments, EventMap, EventReply, HubClient } from './types.js'

/** Recovery that does not come any further for this long will not, on this connection. */
const RECOVERY_TIMEOUT_MS = 30_000

/**
 * Makes a client of a hub. It connects with `open()`.
 * @throws TypeError for options that can not be
 */
export function createClient<Events extends EventMap = EventMap> (options: ClientOptions): HubClient<Events> {
  return new Client<Events>(settingsOf(options))
}

class Client<Events extends EventMap> implements HubClient<Events> {
  readonly #settings: Settings
  readonly #supervisor: Supervisor
  readonly #outbox: Outbox
  readonly #acks: Acks
  readonly #refresher: Refresher
  readonly #events: Emitter<ClientEvents>
  readonly #rooms = new Map<string, Room>()
  /** For `resume`: of the last connection whose `resume` the server has answered. */
  #session: string | null = null
  /** Of the present connection. */
  #nextSession: string | null = null
  /** Of the present connection; 0: there is none. */
  #resumeId = 0
  /** Rooms that `resume` asked for, and that are not where they are to be, with the steps that they had taken; null once the server has answered, and all are. */
  #recovering: Map<Room, number> | null = null
  #isResumed = false
  #recoveryTimer: unknown

  constructor (settings: Settings) {
    this.#settings = settings
    const { clock, codec, requestTimeout, outbox } = settings
    this.#events = new Emitter((error, name) => {
      // A listener of errors that fails would be told of its own failure for ever.
      if (name === 'error') reportUncaught(error)
      else this.#failed(error)
    })
    this.#supervisor = new Supervisor(settings, {
      onOpen: () => { this.#resume() },
      onData: (data) => { this.#read(data) },
      onLost: () => { this.#lost() },
      onClosed: (reason) => { this.#closed(reason) },
      onState: (state) => { this.#events.emit('state', state) },
      ping: () => { this.#send({ op: 'ping' }) }
    })
    this.#outbox = new Outbox({ clock, requestTimeout, encode: (message) => codec.encode(message), send: (data) => { this.#supervisor.send(data) } }, outbox)
    this.#acks = new Acks(clock, (ids) => { this.#send({ op: 'ack', ids }) }, () => this.#outbox.maxBytes)
    this.#refresher = new Refresher(clock, () => { this.#renew().catch((error: unknown) => { if (!isLoss(error)) this.#failed(error) }) })
  }

  /* ---- for the application ---- */

  get state (): ClientState { return this.#supervisor.state }

  open (): void {
    if (this.state.is === 'closed') this.#outbox.start()
    this.#supervisor.open()
  }

  close (): void { this.#supervisor.close() }

  reconnect (): void {
    if (this.state.is === 'closed') this.open()
    else this.#supervisor.reconnect()
  }

  room (name: string): ClientRoom { return this.#room(name) }

  async emit<Name extends keyof Events & string> (event: Name, ...[data]: EmitArguments<Events, Name>): Promise<EventReply<Events[Name]>> {
    return await this.#outbox.request(data === undefined ? { op: 'event', event } : { op: 'event', event, data }, true) as EventReply<Events[Name]>
  }

  ack (ids: string | readonly string[]): void { this.#acks.done(typeof ids === 'string' ? [ids] : ids) }

  async refresh (data?: unknown): Promise<{ expiresAt: number | null }> {
    const connection = this.#resumeId
    const answer = await this.#outbox.request(data === undefined ? { op: 'refresh' } : { op: 'refresh', data }, false) as { expiresAt: number | null }
    if (connection === this.#resumeId) this.#schedule(answer.expiresAt)
    return answer
  }

  on<Name extends keyof ClientEvents> (name: Name, fn: (...args: ClientEvents[Name]) => unknown): () => void {
    return this.#events.on(name, fn)
  }

  /* ---- the life of a connection ---- */

  #resume (): void {
    this.#isResumed = false
    this.#nextSession = null
    this.#resumeId = this.#outbox.nextId()
    const { message, resumed, others } = resumeMessage(this.#rooms.values(), this.#session, this.#outbox.maxBytes, this.#resumeId)
    this.#outbox.opened()
    this.#recovering = new Map(resumed.map((room) => [room, room.steps]))
    for (const room of resumed) room.resume()
    this.#send(message)
    for (const room of others) this.#join(room)
  }

  #join (room: Room): void {
    room.sendJoin()
    this.#recovering?.set(room, room.steps)
  }

  /** The server has answered `resume`. @param session whether it still knows what has been done */
  #resumed (session: boolean): void {
    this.#isResumed = true
    // Only now it has taken over what the old session had done.
    this.#session = this.#nextSession
    this.#outbox.ready(session)
    this.#watchRecovery()
    this.#progress()
  }

  /** After each message: all rooms may be there. Those that are busy anyway do not keep it from ending. */
  #progress (): void {
    if (this.#recovering === null) return
    let isFurther = false
    for (const [room, steps] of this.#recovering) {
      if (room.recovering && room.steps === steps) continue
      isFurther = true
      if (room.recovering) this.#recovering.set(room, room.steps)
      else this.#recovering.delete(room)
    }
    if (isFurther) this.#watchRecovery()
    if (!this.#isResumed || this.#recovering.size > 0) return
    this.#recovering = null
    this.#settings.clock.clearTimeout(this.#recoveryTimer)
    this.#supervisor.recovered()
  }

  #watchRecovery (): void {
    const { clock } = this.#settings
    clock.clearTimeout(this.#recoveryTimer)
    this.#recoveryTimer = clock.setTimeout(() => { this.#supervisor.abandon('recovery stands still') }, RECOVERY_TIMEOUT_MS)
  }

  #lost (): void {
    this.#settings.clock.clearTimeout(this.#recoveryTimer)
    this.#refresher.stop()
    this.#resumeId = 0
    this.#recovering = null
    this.#outbox.lost()
    this.#acks.lost()
    for (const room of this.#rooms.values()) room.onLost()
  }

  #closed (reason: string): void {
    this.#outbox.close(reason)
    for (const room of this.#rooms.values()) room.onClosed(new HubError('closed', reason, { room: room.name }))
  }

  async #renew (): Promise<void> {
    const connection = this.#resumeId
    try {
      const token = await this.#settings.token?.()
      if (connection === this.#resumeId) await this.refresh(token)
    } catch (error) {
      // The next connection has asked for its own.
      if (connection === this.#resumeId) throw error
    }
  }

  #schedule (expiresAt: number | null | undefined): void {
    if (this.#settings.token !== undefined) this.#refresher.schedule(expiresAt)
  }

  /* ---- messages ---- */

  /** What waits for nothing. */
  #send (message: ClientMessage): void {
    this.#outbox.spend()
    this.#supervisor.send(this.#settings.codec.encode(message))
  }

  #read (data: unknown): void {
    this.#supervisor.heard()
    try {
      this.#dispatch(this.#settings.codec.decode(data) as ServerMessage)
    } catch (cause) {
      this.#failed(new HubError('unreadable', 'a message of the server can not be read', { cause }))
    }
  }

  /** An `op` that is not known is ignored: it is one of a later version. */
  #dispatch (message: ServerMessage): void {
    switch (message.op) {
      case 'hello': this.#onHello(message); return
      case 'goodbye': this.#onGoodbye(message); return
      case 'error': this.#onError(message); return
      case 'pong': return
    }
    switch (message.op) {
      case 'reply': this.#onReply(message); break
      case 'direct': this.#onDirect(message).catch((error: unknown) => { this.#failed(error) }); break
      case 'joined': this.#onJoined(message); break
      case 'left': this.#onLeft(message); break
      case 'message': this.#rooms.get(message.room)?.onMessage(message); break
      case 'skip': this.#rooms.get(message.room)?.onSkip(message); break
      case 'gap': this.#rooms.get(message.room)?.onGap(message); break
      case 'presence': this.#rooms.get(message.room)?.onPresence(message); break
    }
    this.#progress()
  }

  #onHello (message: ServerMessage<'hello'>): void {
    this.#nextSession = message.session
    this.#outbox.limits(message.limits)
    this.#schedule(message.expiresAt)
    if (this.#recovering !== null) this.#watchRecovery()
    this.#supervisor.hello(message)
  }

  #onGoodbye ({ reconnectIn }: ServerMessage<'goodbye'>): void {
    this.#supervisor.goodbye(reconnectIn)
    this.#events.emit('goodbye', { reconnectIn })
  }

  #onReply ({ id, data }: ServerMessage<'reply'>): void {
    if (id === this.#resumeId) this.#resumed((data as { session: boolean }).session)
    else this.#outbox.resolve(id, data)
  }

  async #onDirect ({ data, ack }: ServerMessage<'direct'>): Promise<void> {
    if (ack !== undefined && !this.#acks.begin(ack)) return
    const isDone = await this.#events.emit('direct', data, { ack })
    if (ack === undefined) return
    if (!isDone) this.#acks.failed(ack)
    else if (!this.#settings.manualAck) this.#acks.done([ack])
  }

  #onJoined (message: ServerMessage<'joined'>): void {
    const room = this.#room(message.room)
    room.onJoined(message)
    if (message.id !== undefined) this.#outbox.resolve(message.id, undefined)
    // What the server joins while it reads `resume` is to be caught up, too.
    if (room.recovering && this.#recovering?.has(room) === false) this.#recovering.set(room, 0)
  }

  #onLeft (message: ServerMessage<'left'>): void {
    this.#rooms.get(message.room)?.onLeft(message)
    if (message.id !== undefined) this.#outbox.resolve(message.id, undefined)
  }

  #onError ({ code, message, id, room: name, path }: ServerMessage<'error'>): void {
    const error = new HubError(code, message, { path, room: name })
    const room = name === undefined ? undefined : this.#rooms.get(name)
    if (room?.resuming === true && (id === undefined || id === this.#resumeId)) {
      room.onRefused(error)
    } else if (id === this.#resumeId) {
      // The server does not take this `resume`: its rooms are asked for one by one.
      this.#failed(error)
      for (const room of this.#recovering?.keys() ?? []) if (room.resuming) room.sendJoin()
      this.#resumed(false)
    } else if (id === undefined ? room?.resumed !== true : !this.#outbox.reject(id, error)) {
      // Of a room that was in `resume`, and has been left or asked for otherwise since, it is no news.
      this.#failed(error)
    }
  }

  #room (name: string): Room {
    let room = this.#rooms.get(name)
    if (room === undefined) {
      const { clock, random, backoff } = this.#settings
      const client = this
      room = new Room(name, {
        clock,
        random,
        backoff,
        get connected () { return client.#supervisor.connected },
        get closed () { return client.state.is === 'closed' },
        nextId: () => this.#outbox.nextId(),
        request: (message, keep, id) => this.#outbox.request(message, keep, id),
        entered: (room) => { this.#events.emit('joined', room) },
        failed: (error) => { this.#failed(error) },
        progressed: () => { this.#progress() }
      })
      this.#rooms.set(name, room)
    }
    return room
  }

  /** What no promise tells. */
  #failed (error: unknown): void {
    if (this.#events.has('error')) this.#events.emit('error', error)
    else reportUncaught(error)
  }
}
