import type { Presence } from '../core/ports.js'

/** Presence of the hubs of one process: room, user, ids of the user's connections. */
export class MemoryPresence implements Presence {
  readonly #rooms = new Map<string, Map<string, Set<string>>>()

  async enter (room: string, user: string, connectionId: string): Promise<void> {
    let users = this.#rooms.get(room)
    if (users === undefined) this.#rooms.set(room, users = new Map())
    const own = users.get(user)
    if (own === undefined) users.set(user, new Set([connectionId]))
    else own.add(connectionId)
  }

  async leave (room: string, user: string, connectionId: string): Promise<void> {
    const users = this.#rooms.get(room)
    const own = users?.get(user)
    if (users === undefined || own === undefined) return
    own.delete(connectionId)
    if (own.size === 0) users.delete(user)
    if (users.size === 0) this.#rooms.delete(room)
  }

  async list (room: string): Promise<ReadonlyArray<{ user: string, connections: number }>> {
    return [...this.#rooms.get(room) ?? []].map(([user, own]) => ({ user, connections: own.size }))
  }

  async close (): Promise<void> {
    this.#rooms.clear()
  }
}
