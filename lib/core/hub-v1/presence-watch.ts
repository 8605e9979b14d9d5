import type { Presence, PresenceDiff } from '../ports.js'
import type { Endpoint } from './endpoint.js'

/** Who is told of changes in which room. */
export class PresenceWatch {
  readonly #presence: Presence
  readonly #onError: (error: unknown) => void
  readonly #watchers = new Map<string, Set<Endpoint>>()
  /** Rooms of which an endpoint was not told, because its socket was blocked: it gets a whole list when it is not. */
  readonly #stale = new Map<Endpoint, Set<string>>()

  constructor (presence: Presence, onError: (error: unknown) => void) {
    this.#presence = presence
    this.#onError = onError
  }

  /** @throws what the port throws (as a rejection) */
  async watch (endpoint: Endpoint, room: string): Promise<void> {
    (endpoint.watching ??= new Set()).add(room)
    const watchers = this.#watchers.get(room)
    if (watchers !== undefined) {
      watchers.add(endpoint)
      return
    }
    this.#watchers.set(room, new Set([endpoint]))
    try {
      await this.#presence.watch(room)
    } catch (error) {
      // Whoever asks next tries again.
      for (const watcher of this.#watchers.get(room) ?? []) watcher.watching?.delete(room)
      this.#watchers.delete(room)
      throw error
    }
  }

  unwatch (endpoint: Endpoint, room: string): void {
    endpoint.watching?.delete(room)
    this.#stale.get(endpoint)?.delete(room)
    const watchers = this.#watchers.get(room)
    if (watchers?.delete(endpoint) !== true || watchers.size > 0) return
    this.#watchers.delete(room)
    this.#presence.unwatch(room).catch(this.#onError)
  }

  unwatchAll (endpoint: Endpoint): void {
    for (const room of endpoint.watching ?? []) this.unwatch(endpoint, room)
    this.#stale.delete(endpoint)
  }

  onPresence (room: string, { joined, left, states }: PresenceDiff): void {
    for (const endpoint of this.#watchers.get(room) ?? []) {
      if (!endpoint.connection.blocked) {
        endpoint.send({ op: 'presence', room, joined: [...joined], left: [...left], states: [...states] })
      } else if (this.#stale.has(endpoint)) {
        this.#stale.get(endpoint)?.add(room)
      } else {
        this.#stale.set(endpoint, new Set([room]))
      }
    }
  }

  /** Who is in a room, and what they are doing. */
  async list (room: string): Promise<{ users: Array<{ user: string, connections: number }>, states: Array<{ user: string, key: string }> }> {
    const [users, states] = await Promise.all([this.#presence.list(room), this.#presence.states(room)])
    return { users: [...users], states: [...states] }
  }

  onWritable (endpoint: Endpoint): void {
    const rooms = this.#stale.get(endpoint)
    if (rooms === undefined) return
    this.#stale.delete(endpoint)
    for (const room of rooms) {
      this.list(room).then(({ users, states }) => {
        if (this.#watchers.get(room)?.has(endpoint) !== true) return
        endpoint.send({ op: 'presence', room, users, states: states.map((state) => ({ ...state, active: true })) })
      }, this.#onError)
    }
  }
}
