import type { Presence, PresenceListener } from '../core/ports.js'
import { PresenceRooms } from '../core/presence-rooms.js'

/** What the hubs of one process share: who is in which room. */
export class MemoryPresenceStore extends PresenceRooms {
  readonly #nodes = new Set<MemoryPresence>()

  attach (node: MemoryPresence): void { this.#nodes.add(node) }

  /** The connections of a hub that ends have left before; without hubs, nobody is anywhere. */
  detach (node: MemoryPresence, listener: PresenceListener): void {
    this.#nodes.delete(node)
    if (this.#nodes.size === 0) this.clear()
    this.changeAll((room) => { room.unwatch(listener) })
  }
}

/** Presence for one hub on a MemoryPresenceStore. */
export class MemoryPresence implements Presence {
  readonly #store: MemoryPresenceStore
  readonly #listener: PresenceListener

  constructor (store: MemoryPresenceStore, listener: PresenceListener) {
    this.#store = store
    this.#listener = listener
    store.attach(this)
  }

  async enter (room: string, user: string, connectionId: string): Promise<void> {
    this.#store.begin(room, (room) => { room.enter(user, connectionId) })
  }

  async leave (room: string, user: string, connectionId: string): Promise<void> {
    this.#store.change(room, (room) => { room.leave(user, connectionId) })
  }

  async list (room: string): Promise<ReadonlyArray<{ user: string, connections: number }>> {
    return this.#store.peek(room)?.list(this.#listener) ?? []
  }

  async setState (room: string, user: string, key: string, ttl: number): Promise<void> {
    const end = this.#store.now + ttl
    this.#store.change(room, (room) => {
      if (ttl > 0) room.setState(user, key, end)
      else room.endState(user, key)
    })
  }

  async states (room: string): Promise<ReadonlyArray<{ user: string, key: string }>> {
    return this.#store.peek(room)?.states(this.#listener, this.#store.now) ?? []
  }

  async watch (room: string): Promise<void> {
    this.#store.begin(room, (room) => { room.watch(this.#listener) })
  }

  async unwatch (room: string): Promise<void> {
    this.#store.change(room, (room) => { room.unwatch(this.#listener) })
  }

  async close (): Promise<void> {
    this.#store.detach(this, this.#listener)
  }
}
