import { randomUUID } from 'node:crypto'
import { FST_HUB_CLOSED, FST_HUB_HANDLER_TIMEOUT } from '../errors.js'
import { ABNORMAL, disconnects, type Ending } from '../protocol/disconnect.js'
import { rawCodec, type Codec } from '../protocol/codec.js'
import type { Frame } from '../protocol/frame.js'
import { checkCloseCode, checkData, checkExpiry, checkName, checkSendOptions, toExpiry, toKick, toReason } from './arguments.js'
import type { ConnectionHost, ConnectionInfo } from './connection-host.js'
import { ConnectionDeadlines, type DeadlineListener } from './deadlines.js'
import { detached } from './detached.js'
import { disconnectFor } from './failure.js'
import type { Endpoint } from './hub-v1/endpoint.js'
import { Inbound, type InboundHost, type InboundShared } from './inbound.js'
import { InboundMessage } from './message.js'
import { Outbound, SENT, type OutboundHost, type OutboundShared } from './outbound.js'
import { toPayload } from './payload.js'
import { EVERYONE, type DirectoryEntry, type FanOut, type Transport, type TransportListener } from './ports.js'
import { DISCONNECT, queueKey } from './send-queue.js'
import { isThenable } from './thenable.js'
import type { Connection, DisconnectInfo, HubConnectionData, KickOptions, Overflow, SendOptions, SendResult, StreamPosition } from './types.js'

const NO_ROOMS: ReadonlySet<string> = new Set()

/**
 * One accepted socket and its state machine. Users see it as Connection; the other methods are for the hub, the
 * transport, and the parts below.
 */
export class HubConnection implements Connection, DirectoryEntry, TransportListener, InboundHost, OutboundHost, DeadlineListener {
  readonly id = detached(randomUUID())
  readonly user: string | null
  readonly device: string | null
  readonly ip: string | null
  readonly subprotocol: string | null
  readonly connectedAt: number
  readonly slot: { release (): void }
  /** How what is sent to it looks on the wire. */
  codec: Codec = rawCodec
  /** Its end of hub.v1; null for a raw connection. */
  endpoint: Endpoint | null = null
  /** Whether hub.get finds it: from just before onConnect. */
  registered = false
  /** Its place in the directory's order of logins; 0 until the directory has answered. */
  fence = 0
  /** Rooms that it is in; made by Rooms with the first. */
  roomSet: Set<string> | null = null
  readonly #host: ConnectionHost
  readonly #transport: Transport
  readonly #outbound: Outbound
  readonly #inbound: Inbound
  readonly #deadlines: ConnectionDeadlines
  #state: Connection['state'] = 'connecting'
  /** Made when somebody looks. */
  #data: HubConnectionData | null
  /** The peer owes us a pong. */
  #pinged = false
  /** How it ends, once this server or a protocol error has decided it. */
  #ending: DisconnectInfo | null = null

  constructor (host: ConnectionHost, transport: Transport, info: ConnectionInfo) {
    this.#host = host
    this.#transport = transport
    const { user, device, data } = info.identity
    this.user = user === undefined ? null : detached(user)
    this.device = device === undefined ? null : detached(device)
    this.#data = data ?? null
    this.ip = info.ip === null ? null : detached(info.ip)
    this.subprotocol = info.subprotocol
    this.slot = info.slot
    this.#outbound = new Outbound(this)
    this.#inbound = new Inbound(this)
    this.connectedAt = host.clock.now()
    this.#deadlines = new ConnectionDeadlines(host, this, toExpiry(info.identity.expiresAt) ?? null)
  }

  get data (): HubConnectionData { return (this.#data ??= {}) }
  set data (data: HubConnectionData) { this.#data = checkData(data) }

  get nodeId (): string { return this.#host.nodeId }
  get state (): Connection['state'] {
    // The peer's Close, or the loss of the socket, has been seen, and the end of the socket has not.
    return this.#state !== 'closed' && !this.#transport.writable ? 'closing' : this.#state
  }

  get lastSeen (): number {
    const { clock } = this.#host
    return clock.now() - (clock.monotonic() - this.#deadlines.lastSeen)
  }

  get expiresAt (): number | null { return this.#deadlines.expiresAt }
  get rooms (): ReadonlySet<string> { return this.roomSet ?? NO_ROOMS }
  get queued (): { messages: number, bytes: number } { return { messages: this.#outbound.queuedMessages, bytes: this.#outbound.queuedBytes } }
  /** Bytes of hub.v1's own messages that wait for the socket. */
  get pinnedBytes (): number { return this.#outbound.pinnedBytes }

  /** Whether it still takes messages and rooms: neither side has begun to close. */
  get live (): boolean { return (this.#state === 'open' || this.#state === 'connecting') && this.#transport.writable }

  /** For logs and for JSON: who it is, and nothing of the hub's or the application's own. */
  toJSON (): Pick<Connection, 'id' | 'user' | 'device' | 'ip' | 'subprotocol' | 'state'> {
    const { id, user, device, ip, subprotocol, state } = this
    return { id, user, device, ip, subprotocol, state }
  }

  /* ---- what users call ---- */

  send (data: unknown, options?: SendOptions): SendResult {
    if (!this.live) return 'closed'
    const key = queueKey(EVERYONE, checkSendOptions(options))
    const frame = this.codec.direct(toPayload(data))
    // A toJSON of the application may have ended it.
    if (!this.live) return 'closed'
    const result = this.#push(frame, options?.overflow, key, false)
    if (result === SENT) return 'sent'
    return result >= 0 ? 'queued' : 'rejected'
  }

  join (room: string): Promise<StreamPosition> {
    const joined = new Promise<StreamPosition>((resolve, reject) => {
      this.#join(room).then(resolve, (error: Error) => {
        // A join that nobody waits for, of a peer that has just left, must not end the process as an unhandled rejection.
        if (error instanceof FST_HUB_CLOSED) joined.catch(() => {})
        reject(error)
      })
    })
    return joined
  }

  async leave (room: string): Promise<void> {
    if (this.#host.rooms.leave(this, checkName('room', room))) this.endpoint?.left(room)
  }

  refresh (expiresAt: Date | number | null): boolean {
    const time = checkExpiry(expiresAt)
    if (!this.live || this.expire()) return false
    this.#deadlines.expireAt(time)
    return !this.expire()
  }

  close (code: number = disconnects.normal.code, reason: string = ''): void {
    checkCloseCode(code)
    this.#beginClose(code, toReason(reason))
  }

  async kick (reason?: string, options?: KickOptions): Promise<boolean> {
    return await this.#host.kick(this, toKick(reason, options))
  }

  terminate (): void {
    if (this.#state === 'closed') return
    // The peer's Close came first: its code stands.
    if (this.#transport.writable) this.#decide(ABNORMAL, '', 'server')
    this.#inbound.stop()
    this.#transport.terminate()
  }

  /* ---- what the hub calls ---- */

  /** Runs onConnect, and handles messages once it has succeeded. */
  begin (onConnect: () => unknown): void {
    const opened = (): void => { if (this.#state === 'connecting') this.#state = 'open' }
    this.#inbound.begin(() => {
      const result = onConnect()
      return isThenable(result) ? Promise.resolve(result).then(opened) : opened()
    })
  }

  /**
   * Ends it for a reason of ours: what the peer sent and has not been handled is dropped.
   * @returns whether this ended it, or it was ending already
   */
  disconnect ({ code, reason }: Ending): boolean {
    this.#inbound.stop()
    return this.#beginClose(code, reason)
  }

  /** Ends it if its credentials have expired. @returns whether they have */
  expire (): boolean {
    if (!this.#deadlines.expired) return false
    this.disconnect(disconnects.expired)
    return true
  }

  /** Sends a frame that others may get, too, and counts what became of it. */
  deliver (frame: Frame, overflow: Overflow | undefined, key: string | null, counts: FanOut): void {
    if (!this.live) return
    const result = this.#push(frame, overflow, key, true)
    if (result === SENT) {
      counts.sent++
    } else if (result >= 0) {
      counts.queued++
      counts.dropped += result
    } else {
      counts.rejected++
    }
  }

  /** Sends a message of hub.v1 itself, ahead of what is queued, or in order with it: no policy drops it, and only its bytes are bounded. */
  control (frame: Frame, inOrder = false): void {
    if (this.live && !this.#outbound.control(this.#encoded(frame), inOrder)) this.cutOff()
  }

  /** Sends a frame if the socket takes it now. @returns false when it does not: nothing has happened */
  offer (frame: Frame): boolean { return this.#outbound.offer(this.#encoded(frame), true) }

  /** Whether something waits for the socket. */
  get blocked (): boolean { return this.#transport.blocked }

  /** Its peer speaks hub.v1. Before `attach`. */
  speak (codec: Codec, endpoint: Endpoint): void {
    this.codec = codec
    this.endpoint = endpoint
  }

  /** Begins to read and to write for it. */
  attach (): void {
    this.#transport.attach(this)
    this.#deadlines.start()
  }

  /** Whether its client is there, which it is asked: the upgrade may have been read long after it was given up. */
  async isThere (): Promise<boolean> { return await this.#deadlines.isKnown() && this.live }

  /** Nothing that the peer sends is looked at any more: it goes on and on with what it may not. */
  onFlood (reason: string = disconnects.policy.reason): void {
    this.#transport.ignore()
    this.disconnect({ code: disconnects.policy.code, reason })
  }

  /** Does not wait for a handler that is running. */
  abandon (): void { this.#inbound.abandon() }

  /** Calls back when no handler runs and no message waits. */
  whenIdle (fn: () => void): void { this.#inbound.whenIdle(fn) }

  /* ---- TransportListener ---- */

  onMessage (data: Buffer, isBinary: boolean, headroom: number): void {
    const { settings, counters } = this.#host
    const now = this.#deadlines.heard()
    this.#inbound.spend(data.length, now)
    if (this.#ending !== null) return
    const kind = this.endpoint === null ? settings.messages : this.endpoint.kind
    if (kind !== 'any' && kind !== (isBinary ? 'binary' : 'text')) {
      this.disconnect(disconnects.unsupportedData)
    } else if (this.#inbound.take(now)) {
      counters.received++
      if (this.endpoint?.intercept(data) !== true) this.#inbound.receive(new InboundMessage(data, isBinary, headroom))
    } else {
      this.endpoint?.onLimited(data)
    }
  }

  onControl (kind: 'ping' | 'pong', data: Buffer): void {
    const now = this.#deadlines.heard()
    if (this.#ending !== null) return
    // What it was asked for costs a peer nothing.
    if (kind === 'pong' && this.#pinged) this.#pinged = false
    else if (this.#inbound.take(now) && kind === 'ping') this.#outbound.pong(data)
  }

  onDrain (): void {
    this.#outbound.drained()
    this.endpoint?.onDrain()
  }

  onError (error: Error, code: number): void {
    this.#decide(code, error.message, 'server')
    this.#host.onPeerError(error, this)
    this.#deadlines.closing()
  }

  onClose (code: number, reason: string): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#outbound.end()
    // Complete messages that came before the end are still handled, unless we ended it.
    this.#inbound.seal()
    this.#deadlines.ended()
    this.endpoint?.end()
    this.#host.onEnd(this, this.#ending ?? { code, reason, initiator: code === ABNORMAL ? 'network' : 'peer' })
  }

  /* ---- InboundHost ---- */

  get inboundShared (): InboundShared { return this.#host }

  handle (message: InboundMessage): unknown {
    // Whenever it came: what waited behind a slow handler, or comes before the deadline's tick, is not acted upon either.
    return this.expire() ? undefined : this.#host.handleMessage(this, message)
  }

  onFailure (error: unknown): void {
    // A handler that stumbled over the end of its own connection has not failed, and a peer must not fill the log.
    if (error instanceof FST_HUB_CLOSED && !this.live) return
    this.#host.report(error, this)
    this.disconnect(disconnectFor(error))
  }

  onBusy (busy: boolean): void { this.#deadlines.busy(busy) }

  pause (): void { this.#transport.pause() }

  resume (): void {
    this.#deadlines.readAgain()
    this.#transport.resume()
  }

  onThrottled (wait: number): void { this.#deadlines.throttled(wait) }

  /* ---- OutboundHost ---- */

  get transport (): Transport { return this.#transport }
  get outboundShared (): OutboundShared { return this.#host.outbound }

  onBlocked (blocked: boolean): void { this.#deadlines.writing(blocked) }
  onOverflow (policy: Overflow, dropped: number): void { this.#host.onOverflow(this, policy, dropped) }

  /** A slow reader: a Close frame could not overtake what blocks the socket. */
  cutOff (): void {
    this.#decide(disconnects.slowReader.code, disconnects.slowReader.reason, 'server')
    this.#inbound.stop()
    this.#outbound.end()
    this.#transport.terminate()
  }

  /* ---- DeadlineListener ---- */

  get reading (): boolean { return !this.#inbound.paused }

  onSilence (now: number): boolean {
    if (!this.#host.mayPing(now)) return false
    this.#inbound.rest(now)
    this.ask()
    return true
  }

  ask (): void {
    this.#pinged = true
    this.#outbound.ping()
  }

  onCredentialsExpired (): void { this.disconnect(disconnects.expired) }

  onExpiry (): void {
    this.disconnect(disconnects.heartbeat)
    // It has not answered for the whole timeout: there is no point in waiting for its Close frame.
    this.#transport.terminate()
  }

  onHandlerTimeout (): void {
    this.#inbound.abandon()
    this.onFailure(new FST_HUB_HANDLER_TIMEOUT(String(this.#host.settings.deadlines.handler)))
  }

  onWriteTimeout (): void { this.cutOff() }
  onCloseTimeout (): void { this.#transport.terminate() }
  onReadAgain (): void { this.#inbound.unthrottle() }

  async #join (room: string): Promise<StreamPosition> {
    return await this.#host.rooms.join(this, checkName('room', room))
  }

  #push (frame: Frame, policy: Overflow | undefined, key: string | null, shared: boolean): number {
    const result = this.#outbound.push(this.#encoded(frame), policy ?? this.#host.settings.overflow, key, shared)
    if (result === DISCONNECT) this.cutOff()
    return result
  }

  #encoded (frame: Frame): Frame {
    return this.#transport.deflate ? this.#host.outbound.compression.apply(frame) : frame
  }

  /** The first decision about the end wins. @returns whether it was this one */
  #decide (code: number, reason: string, initiator: DisconnectInfo['initiator']): boolean {
    if (this.#ending !== null || this.#state === 'closed') return false
    this.#ending = { code, reason, initiator }
    this.#state = 'closing'
    return true
  }

  #beginClose (code: number, reason: string): boolean {
    // onConnect has not let it in: nothing that it sent may be handled, not even when it has left before it was told.
    if (this.#inbound.held) this.#inbound.stop()
    // The peer's Close, or the loss of the socket, came first: its code stands.
    if (!this.#transport.writable || !this.#decide(code, reason, 'server')) return false
    this.#inbound.seal()
    this.#deadlines.closing()
    this.#outbound.close(code, reason)
    return true
  }
}
