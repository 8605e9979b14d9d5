import type { Clock, Presence, PresenceListener, Timer } from '../core/ports.js'
import { PresenceRoom } from './presence-room.js'

/** What the hubs of one process share: who is in which room. */
export class MemoryPresenceStore {
  readonly #clock: Clock
  readonly #interval: number
  readonly #rooms = new Map<string, PresenceRoom>()
  /** Names of rooms that have something to tell, or a state that will end. */
  readonly #pending = new Set<string>()
  readonly #nodes = new Set<MemoryPresence>()
  /** Runs while a room is pending. */
  #timer: Timer | null = null

  /** @param interval milliseconds between two diffs of a room; a state that is over is noticed no later than this */
  constructor (clock: Clock, interval: number) {
    this.#clock = clock
    this.#interval = interval
  }

  /** Rooms that have a member, or are watched. */
  get rooms (): number { return this.#rooms.size }

  get now (): number { return this.#clock.monotonic() }

  attach (node: MemoryPresence): void { this.#nodes.add(node) }

  /** The connections of a hub that ends have left before; without hubs, nobody is anywhere. */
  detach (node: MemoryPresence, listener: PresenceListener): void {
    this.#nodes.delete(node)
    if (this.#nodes.size === 0) {
      this.#rooms.clear()
      this.#pending.clear()
    }
    for (const name of [...this.#rooms.keys()]) this.change(name, (room) => { room.unwatch(listener) })
    this.#settle()
  }

  peek (name: string): PresenceRoom | undefined { return this.#rooms.get(name) }

  /** Changes a room, if there is one. */
  change (name: string, step: (room: PresenceRoom) => void): void {
    const room = this.#rooms.get(name)
    if (room === undefined) return
    step(room)
    if (room.empty) this.#rooms.delete(name)
    if (room.pending) this.#pending.add(name)
    else this.#pending.delete(name)
    this.#settle()
  }

  /** Begins a room unless it is there, and changes it. */
  begin (name: string, step: (room: PresenceRoom) => void): void {
    if (!this.#rooms.has(name)) this.#rooms.set(name, new PresenceRoom())
    this.change(name, step)
  }

  #tick (): void {
    const tell: Array<() => void> = []
    for (const name of [...this.#pending]) {
      this.change(name, (room) => {
        room.expire(this.now)
        for (const { listener, diff } of room.take()) tell.push(() => { listener.onPresence(name, diff) })
      })
    }
    // A listener may change rooms: that is told the next time.
    for (const fn of tell) fn()
  }

  #settle (): void {
    if (this.#pending.size > 0) {
      this.#timer ??= this.#clock.every(this.#interval, () => { this.#tick() })
    } else {
      this.#timer?.cancel()
      this.#timer = null
    }
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
