import { FST_HUB_CLOSED } from '../errors.js'
import type { HubConnection } from './connection.js'
import { fanOut } from './fan-out.js'
import { type Broker, type FanOut, type Presence, type Publication } from './ports.js'
import type { StreamPosition } from './types.js'

/** A room while it has members, or is about to. */
interface RoomState {
  readonly name: string
  readonly members: Set<HubConnection>
  /** Joins under way. A connection that leaves meanwhile is taken out, and does not enter. */
  readonly joining: Map<HubConnection, Promise<StreamPosition>>
  subscription: Promise<StreamPosition> | null
  /** Empty until the broker has answered. */
  epoch: string
  /** Of the last publication here; publications may come before the broker's answer. */
  offset: number
}

const NOBODY: ReadonlySet<HubConnection> = new Set()

/** Who is in which room on this node, and which rooms this node listens to. */
export class Rooms {
  readonly #rooms = new Map<string, RoomState>()
  readonly #broker: Broker
  readonly #presence: Presence
  readonly #onError: (error: unknown) => void

  /** @param onError gets failures of the broker and of presence that nobody waits for */
  constructor (broker: Broker, presence: Presence, onError: (error: unknown) => void) {
    this.#broker = broker
    this.#presence = presence
    this.#onError = onError
  }

  /** Rooms with a member. */
  get size (): number {
    let size = 0
    for (const room of this.#rooms.values()) if (room.members.size > 0) size++
    return size
  }

  members (name: string): ReadonlySet<HubConnection> {
    return this.#rooms.get(name)?.members ?? NOBODY
  }

  /** @throws FST_HUB_CLOSED, and what the broker throws */
  async join (connection: HubConnection, name: string): Promise<StreamPosition> {
    if (!connection.live) throw new FST_HUB_CLOSED()
    const room = this.#ensure(name)
    if (room.members.has(connection)) return positionOf(room)
    const underWay = room.joining.get(connection)
    if (underWay !== undefined) return { ...await underWay }
    const join = this.#subscribe(room).then(() => {
      if (room.joining.get(connection) === join) this.#enter(room, connection)
      if (!connection.live) throw new FST_HUB_CLOSED()
      return positionOf(room)
    }).finally(() => {
      if (room.joining.get(connection) === join) room.joining.delete(connection)
      this.#releaseIfEmpty(room)
    })
    room.joining.set(connection, join)
    return await join
  }

  leave (connection: HubConnection, name: string): void {
    this.#remove(connection, name)
    connection.roomSet?.delete(name)
  }

  /** For the end of a connection: it still tells which rooms it was in. */
  leaveAll (connection: HubConnection): void {
    for (const name of connection.rooms) this.#remove(connection, name)
  }

  /** A broker's publications for one room: fans them out to its members. */
  deliver (name: string, publications: readonly Publication[]): FanOut {
    const counts: FanOut = { sent: 0, queued: 0, dropped: 0, rejected: 0 }
    const room = this.#rooms.get(name)
    if (room === undefined) return counts
    for (const publication of publications) {
      if (publication.offset > 0) room.offset = publication.offset
      fanOut(name, room.members, publication, counts)
    }
    return counts
  }

  #ensure (name: string): RoomState {
    let room = this.#rooms.get(name)
    if (room === undefined) {
      room = { name, members: new Set(), joining: new Map(), subscription: null, epoch: '', offset: 0 }
      this.#rooms.set(name, room)
    }
    return room
  }

  async #subscribe (room: RoomState): Promise<void> {
    room.subscription ??= this.#broker.subscribe(room.name)
    try {
      const { epoch, offset } = await room.subscription
      room.epoch = epoch
      room.offset = Math.max(room.offset, offset)
    } catch (error) {
      // The next join tries again.
      room.subscription = null
      throw error
    }
  }

  #enter (room: RoomState, connection: HubConnection): void {
    if (!connection.live) return
    room.members.add(connection);
    (connection.roomSet ??= new Set()).add(room.name)
    if (connection.user !== null) this.#presence.enter(room.name, connection.user, connection.id).catch(this.#onError)
  }

  #remove (connection: HubConnection, name: string): void {
    const room = this.#rooms.get(name)
    if (room === undefined) return
    room.joining.delete(connection)
    if (room.members.delete(connection) && connection.user !== null) {
      this.#presence.leave(name, connection.user, connection.id).catch(this.#onError)
    }
    this.#releaseIfEmpty(room)
  }

  #releaseIfEmpty (room: RoomState): void {
    if (room.members.size > 0 || room.joining.size > 0 || this.#rooms.get(room.name) !== room) return
    this.#rooms.delete(room.name)
    this.#broker.unsubscribe(room.name).catch(this.#onError)
  }
}

function positionOf ({ epoch, offset }: RoomState): StreamPosition { return { epoch, offset } }
