import type { RequestId, ServerMessage } from '../protocol/hub-v1/schema.js'
import { Backoff, type BackoffOptions } from './backoff.js'
import { Emitter } from './emitter.js'
import { HubError, isLoss } from './errors.js'
import type { RequestMessage } from './outbox.js'
import type { ClientClock } from './platform.js'
import type { ClientRoom, PresenceList, RoomEvents, StreamPosition } from './types.js'

/** Refusals that time may heal: a room that was joined, or watched, before is asked for again. */
const TRANSIENT: readonly string[] = ['unavailable', 'rate_limited', 'internal', 'timeout']

export interface RoomHost {
  readonly clock: ClientClock
  readonly random: () => number
  readonly backoff: Required<BackoffOptions>
  /** Whether there is a socket, and `resume` has been sent. */
  readonly connected: boolean
  readonly closed: boolean
  nextId (): number
  /** @param id of `nextId()`, where it has to be known before the answer */
  request (message: RequestMessage, keep: boolean, id?: number): Promise<unknown>
  /** The server has put us into it by itself. */
  entered (room: Room): void
  failed (error: unknown): void
  /** A room is not waited for any longer. */
  progressed (): void
}

interface Deferred {
  readonly promise: Promise<StreamPosition>
  readonly resolve: (position: StreamPosition) => void
  readonly reject: (error: unknown) => void
  /** As it was before: what it is again, should the join fail. */
  readonly before: { readonly position: StreamPosition | null, readonly wanted: boolean }
}

/** What this client knows of one room: whether to be in it, how far it has come, who listens. */
export class Room implements ClientRoom {
  readonly name: string
  readonly #host: RoomHost
  readonly #events: Emitter<RoomEvents>
  readonly #retry: Backoff
  /** `resuming` and `joining`: asked for on this connection, by `resume` or by `join`. */
  #status: 'out' | 'resuming' | 'joining' | 'in' = 'out'
  #wanted = false
  #position: StreamPosition | null = null
  /** The offset up to which publications were missed, and follow. */
  #head = 0
  /** Whether offsets may jump: the log has the latest publication only. */
  #cache = false
  #watched = false
  #join: Deferred | null = null
  /** Of the latest `join`: an answer to an older one is not what counts. */
  #joinId = 0
  /** Whether the server has us in the room, as far as it has told. */
  #isInside = false
  #isResumed = false
  /** `leave` messages that the server has not answered: what it says of the room until then is of before. */
  readonly #leaving = new Set<RequestId>()
  /** Counts how often it was left: what was asked before is over. */
  #stays = 0
  #retryTimer: unknown
  /** Grows with each message that brings it further. */
  #steps = 0

  constructor (name: string, host: RoomHost) {
    this.name = name
    this.#host = host
    this.#events = new Emitter((error) => { host.failed(error) })
    this.#retry = new Backoff(host.backoff, host.random)
  }

  /* ---- for the application ---- */

  get position (): StreamPosition | null { return this.#position === null ? null : { ...this.#position } }

  get joined (): boolean { return this.#status === 'in' }

  on<Name extends keyof RoomEvents> (name: Name, fn: (...args: RoomEvents[Name]) => unknown): () => void {
    return this.#events.on(name, fn)
  }

  async join ({ since }: { since?: StreamPosition } = {}): Promise<StreamPosition> {
    if (this.#host.closed) throw new HubError('closed', 'the client is closed', { room: this.name })
    if (since === undefined && this.#status === 'in' && this.#position !== null) return { ...this.#position }
    if (since === undefined && this.#join !== null) return this.#join.promise
    const join = this.#join ??= deferred({ position: this.#position, wanted: this.#wanted })
    this.#wanted = true
    if (since !== undefined) this.#position = { ...since }
    // The server may have been asked for the room as it is now: what was published after `since` is asked for as well.
    if (this.#host.connected && (this.#status === 'out' || since !== undefined)) this.sendJoin()
    return join.promise
  }

  async leave (): Promise<void> {
    const known = (this.#status !== 'out' || this.#isInside) && this.#host.connected
    this.#end()
    this.#position = null
    this.#watched = false
    this.#rejectJoin(new HubError('left', 'the room was left before it had been joined', { room: this.name }))
    const left = known ? this.#sendLeave() : undefined
    this.#host.progressed()
    await left
  }

  async publish (data: unknown): Promise<Partial<StreamPosition>> {
    const message: RequestMessage = data === undefined ? { op: 'publish', room: this.name } : { op: 'publish', room: this.name, data }
    return await this.#host.request(message, true) as Partial<StreamPosition>
  }

  async presence ({ watch }: { watch?: boolean } = {}): Promise<PresenceList> {
    const message: RequestMessage = watch === undefined ? { op: 'presence', room: this.name } : { op: 'presence', room: this.name, watch }
    const stays = this.#stays
    const list = await this.#host.request(message, true) as PresenceList
    if (watch !== undefined && stays === this.#stays) this.#watched = watch
    return list
  }

  /* ---- for the client ---- */

  get wanted (): boolean { return this.#wanted }

  /** Whether it is on its way to where the room is. */
  get recovering (): boolean {
    return this.resuming || this.#status === 'joining' || (this.#status === 'in' && (this.#position?.offset ?? 0) < this.#head)
  }

  /** Whether somebody waits for a `join`. */
  get asked (): boolean { return this.#join !== null }

  get steps (): number { return this.#steps }

  /** Whether `resume` has asked for it, and the answer is still to come. */
  get resuming (): boolean { return this.#status === 'resuming' }

  /** Whether it was in the `resume` of this connection. */
  get resumed (): boolean { return this.#isResumed }

  /** It is in the `resume` of this connection. */
  resume (): void {
    this.#status = 'resuming'
    this.#isResumed = true
  }

  /** Asks for it, on this connection. */
  sendJoin (): void {
    this.#host.clock.clearTimeout(this.#retryTimer)
    this.#status = 'joining'
    const id = this.#joinId = this.#host.nextId()
    const message: RequestMessage = this.#position === null ? { op: 'join', room: this.name } : { op: 'join', room: this.name, since: this.#position }
    this.#host.request(message, false, id).catch((error: HubError) => {
      // Without a connection, the next one asks.
      if (id === this.#joinId && this.#status === 'joining' && !isLoss(error)) this.onRefused(error)
    })
  }

  onJoined ({ epoch, offset, head, recovered, cache = false, id }: ServerMessage<'joined'>): void {
    this.#isInside = true
    // The answer to the latest `join` comes after those to each `leave` before it, be it that they were refused.
    if (this.#leaving.size > 0 && (id === undefined || id !== this.#joinId)) return
    if (!this.#wanted && id !== undefined) {
      // The answer to a `join` that was given up meanwhile.
      this.#sendLeave().catch((error: unknown) => { this.#host.failed(error) })
      return
    }
    const before = this.#position
    // The answer to the latest `join`, or to `resume`, follows, and knows of the position: what is behind that is the word of another epoch.
    const isAnswer = recovered !== undefined && (before === null || offset <= before.offset || cache || !recovered)
    if (before !== null && ((this.#status === 'joining' && id !== this.#joinId) || (this.#status === 'resuming' && !isAnswer))) return
    const isUnasked = !this.#wanted
    const isSame = before?.epoch === epoch
    // The log of before goes on in another epoch, or is the same: what came before is not to come again.
    const isRepeat = before !== null && offset <= before.offset && (isSame ? recovered !== false : recovered === true)
    if (this.joined && isRepeat && !isSame && id === undefined) {
      this.#position = { epoch, offset: before.offset }
      return
    }
    this.#wanted = true
    this.#status = 'in'
    this.#steps++
    this.#cache = cache
    this.#head = head
    this.#retry.reset()
    this.#host.clock.clearTimeout(this.#retryTimer)
    this.#position = { epoch, offset: isRepeat ? before.offset : offset }
    const position = { ...this.#position }
    this.#join?.resolve(position)
    this.#join = null
    // Before 'joined' of the room itself, for its listeners to be there in time. They may leave it, or close the client.
    if (isUnasked) this.#host.entered(this)
    if (!this.joined) return
    this.#events.emit('joined', { position, recovered })
    if (!this.joined) return
    // Nobody asked for what lies between, and nobody will send it.
    if (recovered === false || (before !== null && !isRepeat && !cache)) this.#tellGap(before)
    if (this.#watched && this.joined) this.#watchAgain()
  }

  /** Without an id, it is the server's will. */
  onLeft ({ id }: ServerMessage<'left'>): void {
    this.#isInside = false
    if (id !== undefined) this.#leaving.delete(id)
    if (id !== undefined || !this.#wanted) return
    // The answer to what was asked follows.
    if (this.resuming || this.#status === 'joining') return
    this.#end()
    this.#events.emit('left')
  }

  onMessage ({ offset, data }: ServerMessage<'message'>): void {
    if (this.#status !== 'in') return
    if (offset !== undefined && !this.#advance(offset)) return
    this.#events.emit('message', data, { offset })
  }

  onSkip ({ offset }: ServerMessage<'skip'>): void {
    if (this.#status === 'in') this.#advance(offset)
  }

  onGap ({ since, epoch, offset }: ServerMessage<'gap'>): void {
    const last = this.#position
    // A node that has heard less than the one before may lose what came from there.
    const isSame = last?.epoch === epoch
    if (this.#status !== 'in' || (isSame && offset <= last.offset)) return
    this.#position = { epoch, offset }
    this.#head = 0
    this.#tellGap(isSame ? last : since)
  }

  onPresence ({ op: _, room: __, ...change }: ServerMessage<'presence'>): void {
    if (this.#status === 'in') this.#events.emit('presence', change)
  }

  /** The server did not let us in. */
  onRefused (error: HubError): void {
    this.#status = 'out'
    const isAsked = this.#join !== null
    // Before that it was joined, or waited to be.
    const isExpected = !isAsked || this.#join?.before.wanted === true
    if (this.#join !== null) this.#position = this.#join.before.position
    this.#rejectJoin(error)
    if (isAsked && this.#isInside) {
      // The server still has us in it: from where we were, once more.
      this.sendJoin()
    } else if (isExpected && TRANSIENT.includes(error.code)) {
      this.#retryTimer = this.#host.clock.setTimeout(() => { this.sendJoin() }, this.#retry.next())
    } else {
      this.#end()
      if (this.#isInside) this.#sendLeave().catch((error: unknown) => { this.#host.failed(error) })
    }
    if (!isAsked) {
      if (this.#events.has('error')) this.#events.emit('error', error)
      else this.#host.failed(error)
    }
    this.#host.progressed()
  }

  /** The connection has ended. */
  onLost (): void {
    this.#host.clock.clearTimeout(this.#retryTimer)
    this.#leaving.clear()
    this.#isInside = this.#isResumed = false
    this.#status = 'out'
  }

  /** Nothing is to be expected any more. The place in the room is kept, should the client be opened again. */
  onClosed (error: HubError): void {
    if (this.#join !== null) {
      this.#position = this.#join.before.position
      this.#wanted = this.#join.before.wanted
    }
    this.#rejectJoin(error)
  }

  /** @returns whether it is a publication that was not there before */
  #advance (offset: number): boolean {
    const last = this.#position
    if (last === null || offset <= last.offset) return false
    this.#position = { epoch: last.epoch, offset }
    this.#steps++
    // The server has promised each offset: what is between was lost on the way.
    if (offset > last.offset + 1 && !this.#cache) this.#events.emit('gap', { since: last, position: { epoch: last.epoch, offset: offset - 1 } })
    // A listener may have left the room, or closed the client.
    return this.joined
  }

  #tellGap (since: StreamPosition | null): void {
    if (this.#position !== null) this.#events.emit('gap', { since, position: { ...this.#position } })
  }

  /** It was watched on the last connection. The list stands in for the changes that nobody told. */
  #watchAgain (): void {
    const stays = this.#stays
    this.#host.request({ op: 'presence', room: this.name, watch: true }, false).then((list) => {
      const { users, states } = list as PresenceList
      if (stays === this.#stays) this.#events.emit('presence', { users, states: states.map((state) => ({ ...state, active: true })) })
    }).catch((error: HubError) => {
      if (stays !== this.#stays || isLoss(error)) return
      this.#host.failed(error)
      if (!TRANSIENT.includes(error.code) || !this.joined) return
      this.#retryTimer = this.#host.clock.setTimeout(() => { if (this.#watched) this.#watchAgain() }, this.#retry.next())
    })
  }

  async #sendLeave (): Promise<void> {
    const id = this.#host.nextId()
    this.#isInside = false
    this.#leaving.add(id)
    try {
      await this.#host.request({ op: 'leave', room: this.name }, false, id)
    } catch (error) {
      // The end of the connection has done it.
      if (isLoss(error)) return
      this.#leaving.delete(id)
      throw error
    }
  }

  #end (): void {
    this.#host.clock.clearTimeout(this.#retryTimer)
    this.#wanted = false
    this.#status = 'out'
    this.#joinId = 0
    this.#stays++
  }

  #rejectJoin (error: HubError): void {
    this.#join?.reject(error)
    this.#join = null
  }
}

function deferred (before: Deferred['before']): Deferred {
  let resolve: Deferred['resolve'] = () => {}
  let reject: Deferred['reject'] = () => {}
  const promise = new Promise<StreamPosition>((_resolve, _reject) => { resolve = _resolve; reject = _reject })
  return { promise, resolve, reject, before }
}
