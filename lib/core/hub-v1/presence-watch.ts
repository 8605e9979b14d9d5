import type { HubCodec } from '../../protocol/codec.js'
import type { Frame } from '../../protocol/frame.js'
import type { Presence, PresenceDiff } from '../ports.js'
import type { Endpoint } from './endpoint.js'

interface Watched {
  readonly endpoints: Set<Endpoint>
  /** Until the port tells of changes. */
  readonly begun: Promise<void>
}

/** Who is told of changes in which room. */
export class PresenceWatch {
  readonly #presence: Presence
  readonly #onError: (error: unknown) => void
  readonly #rooms = new Map<string, Watched>()
  /** Rooms of which an endpoint was not told, because its socket was blocked: it gets a whole list in their place. */
  readonly #stale = new Map<Endpoint, Set<string>>()

  constructor (presence: Presence, onError: (error: unknown) => void) {
    this.#presence = presence
    this.#onError = onError
  }

  /** Rooms that are watched. */
  get size (): number { return this.#rooms.size }

  /** @throws what the port throws (as a rejection) */
  async watch (endpoint: Endpoint, room: string): Promise<void> {
    let watched = this.#rooms.get(room)
    if (watched === undefined) this.#rooms.set(room, watched = { endpoints: new Set(), begun: this.#presence.watch(room) })
    watched.endpoints.add(endpoint)
    ;(endpoint.watching ??= new Set()).add(room)
    try {
      await watched.begun
    } catch (error) {
      // Whoever asks next tries again.
      if (this.#rooms.get(room) === watched) {
        this.#rooms.delete(room)
        for (const other of watched.endpoints) other.watching?.delete(room)
      }
      throw error
    }
  }

  unwatch (endpoint: Endpoint, room: string): void {
    endpoint.watching?.delete(room)
    this.#stale.get(endpoint)?.delete(room)
    const watched = this.#rooms.get(room)
    if (watched?.endpoints.delete(endpoint) !== true || watched.endpoints.size > 0) return
    this.#rooms.delete(room)
    this.#presence.unwatch(room).catch(this.#onError)
  }

  unwatchAll (endpoint: Endpoint): void {
    for (const room of endpoint.watching ?? []) this.unwatch(endpoint, room)
    this.#stale.delete(endpoint)
  }

  onPresence (room: string, { joined, left, states }: PresenceDiff): void {
    // Encoded once for each codec: a change of a large room is large, and goes to many.
    const frames = new Map<HubCodec, Frame>()
    for (const endpoint of this.#rooms.get(room)?.endpoints ?? []) {
      const { codec, connection } = endpoint
      if (connection.blocked || this.#stale.get(endpoint)?.has(room) === true) {
        this.#tellLater(endpoint, room)
        continue
      }
      let frame = frames.get(codec)
      if (frame === undefined) frames.set(codec, frame = codec.encode({ op: 'presence', room, joined: [...joined], left: [...left], states: [...states] }))
      connection.control(frame)
    }
  }

  /** Who is in a room, and what they are doing. */
  async list (room: string): Promise<{ users: Array<{ user: string, connections: number }>, states: Array<{ user: string, key: string }> }> {
    const [users, states] = await Promise.all([this.#presence.list(room), this.#presence.states(room)])
    return { users: [...users], states: [...states] }
  }

  onWritable (endpoint: Endpoint): void {
    for (const room of this.#stale.get(endpoint) ?? []) this.#tellAll(endpoint, room)
  }

  #tellLater (endpoint: Endpoint, room: string): void {
    const rooms = this.#stale.get(endpoint)
    if (rooms === undefined) this.#stale.set(endpoint, new Set([room]))
    else rooms.add(room)
    if (!endpoint.connection.blocked) this.#tellAll(endpoint, room)
  }

  /** It stays stale until a list is there: should it not come, the next change asks again. One that came meanwhile has asked, too. */
  #tellAll (endpoint: Endpoint, room: string): void {
    this.list(room).then(({ users, states }) => {
      if (endpoint.watching?.has(room) !== true) return
      this.#stale.get(endpoint)?.delete(room)
      endpoint.send({ op: 'presence', room, users, states: states.map((state) => ({ ...state, active: true })) })
    }, this.#onError)
  }
}
