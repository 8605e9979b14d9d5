import { FST_HUB_BROKER_UNAVAILABLE, FST_HUB_CLOSED } from '../errors.js'
import type { HubCodec } from '../protocol/codec.js'
import type { Frame } from '../protocol/frame.js'
import type { RequestId } from '../protocol/hub-v1/schema.js'
import type { HubConnection } from './connection.js'
import { disconnectFor } from './failure.js'
import { fanOut, noFanOut } from './fan-out.js'
import { LogQuestions, type LogAnswer } from './log-questions.js'
import type { Broker, Clock, FanOut, HistoryPolicy, HistoryPolicyOf, Presence, Publication } from './ports.js'
import { Cursor, Recovery, samePosition, type RecoveringRoom, type RecoveryListener } from './recovery.js'
import type { StreamPosition } from './types.js'

/** How often the log is asked again, when the answer is of another epoch than the room. */
const TRIES = 2

/** A room while it has members, or is about to. */
interface RoomState extends RecoveringRoom {
  readonly policy: HistoryPolicy
  /** Those that get each publication when it comes. */
  readonly members: Set<HubConnection>
  /** Those that still get older ones, from the log; null where nobody does. */
  behind: Map<HubConnection, Cursor> | null
  /** Joins under way. A connection that leaves meanwhile is taken out, and does not enter. */
  readonly joining: Map<HubConnection, Promise<StreamPosition>>
  subscription: Promise<StreamPosition> | null
  epoch: string
  offset: number
}

/** What a hub.v1 peer asks for with a join. */
export interface JoinRequest {
  readonly since?: StreamPosition | undefined
  readonly id?: RequestId | undefined
}

/** What Rooms is made of. */
export interface RoomsConfig {
  readonly clock: Clock
  readonly broker: Broker
  readonly presence: Presence
  readonly policyOf: HistoryPolicyOf
  /** Gets failures that nobody waits for. */
  readonly onError: (error: unknown, connection: HubConnection | null) => void
}

/** Recoveries, ever. */
export interface RecoveryCounters { recovered: number, unrecovered: number, behind: number, gaps: number }

/** Who is in which room on this node, and which rooms this node listens to. */
export class Rooms implements RecoveryListener {
  readonly counters: RecoveryCounters = { recovered: 0, unrecovered: 0, behind: 0, gaps: 0 }
  readonly #rooms = new Map<string, RoomState>()
  readonly #config: RoomsConfig
  readonly #questions: LogQuestions
  readonly #recovery: Recovery

  /** While it is away, thousands may come and go. */
  readonly #onPresenceFailure = (error: unknown): void => { if (!(error instanceof FST_HUB_BROKER_UNAVAILABLE)) this.#config.onError(error, null) }

  constructor (config: RoomsConfig) {
    this.#config = config
    this.#questions = new LogQuestions(config.broker, config.clock, config.policyOf)
    this.#recovery = new Recovery(config.clock, this.#questions, this)
  }

  /** Rooms with a member. */
  get size (): number {
    let size = 0
    for (const room of this.#rooms.values()) if (membersOf(room) > 0) size++
    return size
  }

  /** Members of a room. */
  count (name: string): number {
    const room = this.#rooms.get(name)
    return room === undefined ? 0 : membersOf(room)
  }

  * members (name: string): IterableIterator<HubConnection> {
    const room = this.#rooms.get(name)
    if (room === undefined) return
    yield * room.members
    if (room.behind !== null) yield * room.behind.keys()
  }

  /**
   * Enters a room. A hub.v1 peer is told; the publications since the position that it asks for, or has named when it
   * connected, come first.
   * @param request of a peer of hub.v1: it is always answered
   * @throws FST_HUB_CLOSED, and what the broker throws
   */
  async join (connection: HubConnection, name: string, request?: JoinRequest): Promise<StreamPosition> {
    if (!connection.live) throw new FST_HUB_CLOSED()
    // It does not trust what it has, or would not ask from a position.
    if (request?.since !== undefined && connection.rooms.has(name)) this.#takeOut(connection, name)
    const room = this.#ensure(name)
    if (isIn(room, connection)) {
      if (request !== undefined) connection.endpoint?.joined(room, room.behind?.get(connection)?.offset ?? room.offset, request)
      return positionOf(room)
    }
    const underWay = room.joining.get(connection)
    if (underWay !== undefined) {
      const position = { ...await underWay }
      // From its own position, if it is in at all: whether it may be was not asked.
      if (request?.since !== undefined && connection.rooms.has(name)) return await this.join(connection, name, request)
      if (request !== undefined && isIn(room, connection)) connection.endpoint?.joined(room, room.behind?.get(connection)?.offset ?? room.offset, request)
      return position
    }
    const isWanted = (): boolean => room.joining.get(connection) === join
    const join: Promise<StreamPosition> = this.#subscribe(room)
      .then(async () => isWanted() ? await this.#enter(room, connection, request ?? {}, isWanted) : positionOf(room))
      .then((position) => {
        if (!connection.live) throw new FST_HUB_CLOSED()
        return position
      })
      .finally(() => {
        if (isWanted()) {
          room.joining.delete(connection)
          // It started over from another position, and has not arrived.
          if (!isIn(room, connection) && connection.live && this.leave(connection, name)) connection.endpoint?.left(name)
        }
        this.#releaseIfEmpty(room)
      })
    room.joining.set(connection, join)
    return await join
  }

  /** The join that is under way, if one is. */
  joining (connection: HubConnection, name: string): Promise<StreamPosition> | undefined {
    return this.#rooms.get(name)?.joining.get(connection)
  }

  /** Leaves a room. @returns whether it was in it */
  leave (connection: HubConnection, name: string): boolean {
    this.#remove(connection, name)
    return connection.roomSet?.delete(name) === true
  }

  /** For the end of a connection: it still tells which rooms it was in. */
  leaveAll (connection: HubConnection): void {
    for (const name of connection.rooms) this.#remove(connection, name)
  }

  /** A broker's publications for one room: fans them out to its members. */
  deliver (name: string, publications: readonly Publication[]): FanOut {
    const counts = noFanOut()
    const room = this.#rooms.get(name)
    if (room === undefined) return counts
    for (const publication of publications) {
      const { offset } = publication
      if (offset > 0) {
        room.offset = offset
        // It waits for them in the log.
        for (const { id, live } of room.behind?.keys() ?? []) if (live && publication.options.except?.has(id) !== true) counts.queued++
      }
      const onBehind = room.policy.size > 0 ? (connection: HubConnection) => { this.#fallBehind(room, connection, offset - 1) } : null
      fanOut(name, room.members, publication, counts, onBehind)
      if (offset === 0 && room.behind !== null) fanOut(name, room.behind.keys(), publication, counts, null)
    }
    this.#recovery.onPublications(name)
    return counts
  }

  /** This node has lost publications of a room: who can be told is. Those that are behind find it out from the log. */
  gap (name: string, from: StreamPosition, to: StreamPosition): void {
    const room = this.#rooms.get(name)
    if (room === undefined) return
    room.epoch = to.epoch
    room.offset = to.offset
    for (const { endpoint } of room.members) this.#tellGap(room, endpoint, from)
    this.#recovery.onPublications(name)
  }

  /** The log goes on in another epoch. Whoever keeps a position is told: it has had all of it that there is. */
  turn (name: string, epoch: string): void {
    const room = this.#rooms.get(name)
    if (room === undefined) return
    const before = room.epoch
    room.epoch = epoch
    const frames = new Map<HubCodec, Frame>()
    for (const { endpoint } of room.members) endpoint?.turned(room, frames)
    for (const cursor of room.behind?.values() ?? []) {
      if (cursor.epoch !== before) continue
      cursor.epoch = epoch
      cursor.endpoint.joined(room, cursor.offset, { recovered: true })
    }
    this.#recovery.onPublications(name)
  }

  /* ---- RecoveryListener ---- */

  onCaughtUp (cursor: Cursor): void {
    const room = cursor.room as RoomState
    this.#endCursor(room, cursor)
    room.members.add(cursor.connection)
  }

  onLost (cursor: Cursor): void {
    const room = cursor.room as RoomState
    this.#tellGap(room, cursor.endpoint, { epoch: cursor.epoch, offset: cursor.offset })
    this.onCaughtUp(cursor)
  }

  onFailure ({ connection }: Cursor, error: unknown): void {
    if (!(error instanceof FST_HUB_BROKER_UNAVAILABLE)) this.#config.onError(error, connection)
    // It comes back, and asks again from where it is.
    connection.disconnect(disconnectFor(error))
  }

  #tellGap (room: RoomState, endpoint: HubConnection['endpoint'], since: StreamPosition): void {
    if (endpoint === null) return
    this.counters.gaps++
    endpoint.gap(room, since)
  }

  #ensure (name: string): RoomState {
    let room = this.#rooms.get(name)
    if (room === undefined) {
      room = { name, policy: this.#config.policyOf(name), members: new Set(), behind: null, joining: new Map(), subscription: null, epoch: '', offset: 0 }
      this.#rooms.set(name, room)
    }
    return room
  }

  async #subscribe (room: RoomState): Promise<void> {
    room.subscription ??= this.#config.broker.subscribe(room.name).then((position) => {
      // Once: publications, or a gap, may have come since.
      room.epoch = position.epoch
      room.offset = Math.max(room.offset, position.offset)
      return position
    })
    try {
      await room.subscription
    } catch (error) {
      // The next join tries again.
      room.subscription = null
      throw error
    }
  }

  /** @returns the position from which on it gets everything */
  async #enter (room: RoomState, connection: HubConnection, { since: asked, id }: JoinRequest, isWanted: () => boolean): Promise<StreamPosition> {
    const { endpoint } = connection
    if (!connection.live) return positionOf(room)
    if (endpoint === null) return this.#enterLive(room, connection)
    const since = asked ?? endpoint.position(room.name)
    const isAsked = since !== undefined
    const { size, mode } = room.policy
    // Another node may have heard more than this one; and of another epoch the broker knows what it is.
    const isAhead = isAsked && since.epoch === room.epoch && since.offset > room.offset
    const isElsewhere = isAhead || (isAsked && since.epoch !== room.epoch)
    if ((size === 0 && !isElsewhere) || (!isAsked && mode === 'log') || (isAsked && samePosition(since, room))) {
      endpoint.dropPosition(room.name)
      return this.#enterTold(room, connection, { id, recovered: isAsked ? samePosition(since, room) : undefined })
    }
    let { publications, recovered, position } = await this.#ask(room, since)
    // Of a cache the latest counts, whatever was there before.
    if (!recovered && mode === 'cache') ({ publications, position } = await this.#ask(room, undefined))
    if (!isWanted() || !connection.live) return positionOf(room)
    endpoint.dropPosition(room.name)
    // The log was lost while it was asked.
    const isSame = position.epoch === room.epoch
    // It is ahead of this node: all that it has not had is still to come, behind some that it has.
    if (isSame && isAhead && since.offset >= room.offset && since.offset <= position.offset && !(recovered && size > 0)) return this.#enterTold(room, connection, { id, recovered: true })
    // Without history, what has come while it was asked would be missed.
    const answer = { id, recovered: isAsked ? recovered && isSame && (size > 0 || since.offset >= room.offset) : undefined }
    if (!isSame || size === 0 || (!recovered && mode === 'log')) return this.#enterTold(room, connection, answer)
    const [first] = publications
    const offset = mode === 'log' && isAsked ? since.offset : first === undefined ? position.offset : first.offset - 1
    if (answer.recovered === true) this.counters.recovered++
    else if (isAsked) this.counters.unrecovered++
    endpoint.joined(room, offset, { ...answer, head: Math.max(position.offset, room.offset) })
    // Also with nothing missed: the node may have heard less than the log has.
    this.#enterBehind(room, connection, new Cursor(connection, endpoint, room, offset, publications))
    return { epoch: room.epoch, offset }
  }

  /** What the broker has behind a position: in the epoch in which the room is now, if that is one of its log. */
  async #ask (room: RoomState, since: StreamPosition | undefined): Promise<LogAnswer> {
    let answer = await this.#questions.ask(room, since)
    // The room has turned since, or is about to.
    for (let i = 0; i < TRIES && answer.position.epoch !== room.epoch; i++) answer = await this.#questions.ask(room, since)
    return answer
  }

  #enterTold (room: RoomState, connection: HubConnection, answer: { id: RequestId | undefined, recovered: boolean | undefined }): StreamPosition {
    if (answer.recovered === true) this.counters.recovered++
    else if (answer.recovered === false) this.counters.unrecovered++
    connection.endpoint?.joined(room, room.offset, answer)
    return this.#enterLive(room, connection)
  }

  #enterLive (room: RoomState, connection: HubConnection): StreamPosition {
    room.members.add(connection)
    this.#entered(room, connection)
    return positionOf(room)
  }

  #enterBehind (room: RoomState, connection: HubConnection, cursor: Cursor): void {
    (room.behind ??= new Map()).set(connection, cursor)
    this.#entered(room, connection)
    this.#recovery.go(cursor)
  }

  #entered (room: RoomState, connection: HubConnection): void {
    (connection.roomSet ??= new Set()).add(room.name)
    if (connection.user !== null) this.#config.presence.enter(room.name, connection.user, connection.id).catch(this.#onPresenceFailure)
  }

  /** Its socket does not take a publication that the log has: it gets it from there when it does. */
  #fallBehind (room: RoomState, connection: HubConnection, offset: number): void {
    if (connection.endpoint === null) return
    this.counters.behind++
    room.members.delete(connection)
    const cursor = new Cursor(connection, connection.endpoint, room, offset)
    ;(room.behind ??= new Map()).set(connection, cursor)
    ;(connection.endpoint.parked ??= new Set()).add(cursor)
  }

  /** The socket of a connection takes more. */
  resume (connection: HubConnection): void {
    const parked = connection.endpoint?.parked
    if (parked === undefined || parked === null) return
    for (const cursor of parked) this.#recovery.go(cursor)
    parked.clear()
  }

  #endCursor (room: RoomState, cursor: Cursor): void {
    this.#recovery.end(cursor)
    room.behind?.delete(cursor.connection)
    if (room.behind?.size !== 0) return
    room.behind = null
    this.#recovery.forget(room.name)
  }

  /** It goes out of a room that it has been told it is in. */
  #remove (connection: HubConnection, name: string): void {
    this.#takeOut(connection, name)
    if (connection.user !== null && connection.rooms.has(name)) {
      this.#config.presence.leave(name, connection.user, connection.id).catch(this.#onPresenceFailure)
    }
  }

  /** It gets nothing of the room any more, be it that it comes back in a moment. */
  #takeOut (connection: HubConnection, name: string): void {
    const room = this.#rooms.get(name)
    if (room === undefined) return
    room.joining.delete(connection)
    const cursor = room.behind?.get(connection)
    if (cursor !== undefined) this.#endCursor(room, cursor)
    room.members.delete(connection)
    this.#releaseIfEmpty(room)
  }

  #releaseIfEmpty (room: RoomState): void {
    if (membersOf(room) > 0 || room.joining.size > 0 || this.#rooms.get(room.name) !== room) return
    this.#rooms.delete(room.name)
    this.#config.broker.unsubscribe(room.name).catch((error: unknown) => { this.#config.onError(error, null) })
  }
}

function membersOf ({ members, behind }: RoomState): number { return members.size + (behind?.size ?? 0) }

function isIn ({ members, behind }: RoomState, connection: HubConnection): boolean { return members.has(connection) || behind?.has(connection) === true }

function positionOf ({ epoch, offset }: RoomState): StreamPosition { return { epoch, offset } }
