import { MalformedMessage, type HubCodec } from '../../protocol/codec.js'
import { disconnects } from '../../protocol/disconnect.js'
import type { Frame } from '../../protocol/frame.js'
import { wireErrors } from '../../protocol/hub-v1/errors.js'
import type { ClientMessage, RequestId, ServerMessage } from '../../protocol/hub-v1/schema.js'
import { checkClientMessage, type MessageProblem } from '../../protocol/hub-v1/validate.js'
import type { HubConnection } from '../connection.js'
import type { Cursor } from '../recovery.js'
import { Timeout, within } from '../timing-wheel.js'
import type { StreamPosition } from '../types.js'
import type { HubV1 } from './hub-v1.js'
import { OfflineDelivery } from './offline-delivery.js'
import type { Answer, Session } from './session.js'

/** Milliseconds after which a peer that says nothing counts as one that has nothing to resume. */
const FIRST_MESSAGE_MS = 1_000
const NOWHERE = new Map<string, StreamPosition>()

/** What came out of looking at a message. */
type Read = { readonly message: ClientMessage } | { readonly problem: MessageProblem, readonly isNotUtf8?: boolean }

/** A room as its members are told of it. */
interface RoomFacts extends StreamPosition {
  readonly name: string
  readonly policy: { readonly mode: 'log' | 'cache' }
}

/** What a peer is told beside where the room is. */
interface JoinAnswer {
  readonly id?: RequestId | undefined
  readonly head?: number
  readonly recovered?: boolean | undefined
}

/** The server's end of hub.v1 on one connection: what its peer is told, and what becomes of what the peer says. */
export class Endpoint {
  readonly connection: HubConnection
  readonly codec: HubCodec
  readonly session: Session
  /** Cursors that wait until the socket takes more. */
  parked: Set<Cursor> | null = null
  /** Rooms of whose presence it is told. */
  watching: Set<string> | null = null
  /** null for a connection without a user, or where nothing is kept for users. */
  readonly offline: OfflineDelivery | null
  readonly #hub: HubV1
  /** What the peer still had when it connected; null before its first message. */
  #positions: Map<string, StreamPosition> | null = null
  /** Whether they are those of a `resume` whose turn is still to come. */
  #isResuming = false
  /** Who waits for the socket. */
  #waiting: Array<() => void> | null = null
  /** Whether a `resume` with rooms has had its turn. */
  #hasResumed = false
  #onFirst: (() => void) | null = null
  /** Messages in a row that were none of hub.v1. */
  #violations = 0

  constructor (hub: HubV1, connection: HubConnection, codec: HubCodec) {
    this.#hub = hub
    this.connection = connection
    this.codec = codec
    this.session = hub.sessions.begin(this, connection.user)
    this.offline = hub.offline !== null && connection.user !== null ? new OfflineDelivery(hub.offline, this, connection.user, hub.wheel) : null
  }

  /** The kind of WebSocket message that the peer may send. */
  get kind (): 'text' | 'binary' { return this.codec.isBinary ? 'binary' : 'text' }

  /**
   * Says hello. Resolves when the peer has said what it still has, or says nothing, or has left.
   */
  async begin (): Promise<void> {
    const { connection, session } = this
    const { id, user, expiresAt } = connection
    this.send({ op: 'hello', version: 1, connection: id, user, session: this.#hub.sessions.token(session), ...expiresAt === null ? {} : { expiresAt }, ...this.#hub.terms })
    await new Promise<void>((resolve) => {
      const timeout = new Timeout(this.#hub.wheel, resolve)
      timeout.start(FIRST_MESSAGE_MS)
      this.#onFirst = () => {
        timeout.cancel()
        resolve()
      }
    })
    this.#positions ??= NOWHERE
    this.#onFirst = null
  }

  /** Resolves when what was kept for the user is with the socket, or takes too long. */
  async deliverKept (): Promise<void> {
    if (this.offline !== null && this.connection.live) await within(this.#hub.wheel, this.#hub.patience, this.offline.deliver())
  }

  /* ---- what the peer is told ---- */

  /** @param inOrder whether it has to stay behind what is queued */
  send (message: ServerMessage, inOrder = false): void { this.connection.control(this.codec.encode(message), inOrder) }

  answer (answer: Answer, inOrder = false): void {
    if (answer.op === 'reply') this.connection.control(this.codec.reply(answer.id, answer.payload), inOrder)
    else this.send(answer, inOrder)
  }

  /** @param offset from which on it gets everything */
  joined (room: RoomFacts, offset: number, answer: JoinAnswer): void { this.send(joinedMessage(room, offset, answer), true) }

  /** The log goes on in another epoch. @param frames that the others have been told with */
  turned (room: RoomFacts, frames: Map<HubCodec, Frame>): void {
    let frame = frames.get(this.codec)
    if (frame === undefined) frames.set(this.codec, frame = this.codec.encode(joinedMessage(room, room.offset, { recovered: true })))
    this.connection.control(frame, true)
  }

  left (room: string, id?: RequestId): void {
    this.#hub.presence.unwatch(this, room)
    this.send({ op: 'left', room, ...asId(id) }, true)
  }

  gap ({ name, epoch, offset }: RoomFacts, since: StreamPosition): void { this.send({ op: 'gap', room: name, since, epoch, offset }, true) }

  goodbye (reconnectIn: number): void { this.send({ op: 'goodbye', reconnectIn }) }

  /** The frame in place of a publication that the peer does not get. */
  skip (room: string, offset: number): Frame { return this.codec.encode({ op: 'skip', room, offset }) }

  /* ---- what the connection calls ---- */

  /** Looks at a message when it comes, before those that wait. @returns whether that was all */
  intercept (bytes: Buffer): boolean {
    if (this.#positions === null) this.#first(bytes)
    if (!this.codec.isPing(bytes)) return false
    this.connection.control(this.codec.pong)
    return true
  }

  /** A message over the rate: it is not acted upon, but answered. */
  onLimited (bytes: Buffer): void {
    this.error({ code: wireErrors.rateLimited, message: 'too many messages', ...asId(idOf(this.#read(bytes))) })
  }

  /** The socket has taken what it was given last. */
  onDrain (): void {
    if (!this.connection.blocked) this.#hub.onWritable(this)
    this.#wake()
  }

  /** Reading and writing are over. */
  end (): void {
    this.#onFirst?.()
    this.#wake()
    this.offline?.end()
    this.#hub.onEnd(this)
  }

  /** It has ended, and nothing that it sent is left to be handled. */
  done (): void { this.#hub.sessions.end(this.session) }

  /** Its turn has come: handles one message. */
  handle (bytes: Buffer): unknown {
    const read = this.#read(bytes)
    if ('problem' in read) return this.#violation(read)
    this.#violations = 0
    return this.#hub.request(this, read.message)
  }

  /* ---- for the hub ---- */

  /** Resolves when the socket, which is blocked, has taken what it was given, be it that there is more, or has gone. */
  async progress (): Promise<void> {
    await new Promise<void>((resolve) => { (this.#waiting ??= []).push(resolve) })
  }

  /** The position in a room that the peer has named when it connected, and that nothing has been made of. */
  position (room: string): StreamPosition | undefined { return this.#positions?.get(room) }

  /** The peer is told of the room: the position has been used. */
  dropPosition (room: string): void { this.#positions?.delete(room) }

  /**
   * The rooms of a `resume` that are to be joined, with the positions to go on from: of the first message, those that onConnect has
   * not joined. One that came later was not looked at before its turn, and has all of them.
   * @returns null when the connection has had its rooms
   */
  takePositions (rooms: Record<string, StreamPosition>): Array<[room: string, since: StreamPosition]> | null {
    if (this.#hasResumed) return null
    this.#hasResumed = true
    if (!this.#isResuming) return Object.entries(rooms)
    this.#isResuming = false
    const left = [...this.#positions ?? NOWHERE]
    this.#positions = NOWHERE
    return left
  }

  /** The client has come back over another connection: this one is a leftover. */
  supersede (): void { this.connection.disconnect(disconnects.replaced) }

  error (error: Omit<ServerMessage<'error'>, 'op'>): void { this.send({ op: 'error', ...error }) }

  #wake (): void {
    const waiting = this.#waiting
    this.#waiting = null
    for (const go of waiting ?? []) go()
  }

  #first (bytes: Buffer): void {
    const read = this.#read(bytes)
    const rooms = 'message' in read && read.message.op === 'resume' ? read.message.rooms : undefined
    this.#positions = rooms === undefined ? NOWHERE : new Map(Object.entries(rooms))
    this.#isResuming = this.#positions.size > 0
    this.#onFirst?.()
  }

  #read (bytes: Buffer): Read {
    try {
      return checkClientMessage(this.codec.decode(bytes))
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error
      return { problem: { code: wireErrors.malformed, message: error.message }, isNotUtf8: error.isUtf8Problem }
    }
  }

  #violation ({ problem, isNotUtf8 = false }: Extract<Read, { problem: MessageProblem }>): void {
    if (isNotUtf8) {
      this.connection.disconnect(disconnects.invalidPayload)
      return
    }
    this.error(problem)
    const { violations } = this.#hub
    if (violations > 0 && ++this.#violations >= violations) this.connection.onFlood('too many invalid messages')
  }
}

function idOf (read: Read): RequestId | undefined { return 'message' in read ? read.message.id : read.problem.id }

function joinedMessage ({ name, epoch, offset: current, policy }: RoomFacts, offset: number, { id, head = current, recovered }: JoinAnswer): ServerMessage<'joined'> {
  const answer = { ...recovered === undefined ? {} : { recovered }, ...policy.mode === 'cache' ? { cache: true } : {} }
  return { op: 'joined', room: name, epoch, offset, head, ...answer, ...asId(id) }
}

function asId (id: RequestId | undefined): { id?: RequestId } { return id === undefined ? {} : { id } }
