import type { Clock, Timer } from './ports.js'
import { PresenceRoom } from './presence-room.js'

/** Rooms whose listeners are told what has changed: of each room once per interval at most. */
export class PresenceRooms {
  readonly #clock: Clock
  readonly #interval: number
  readonly #rooms = new Map<string, PresenceRoom>()
  /** Names of rooms that have something to tell, or a state that will end. */
  readonly #pending = new Set<string>()
  /** Runs while a room is pending. */
  #timer: Timer | null = null

  /** @param interval milliseconds between two diffs of a room; a state that is over is noticed no later than this */
  constructor (clock: Clock, interval: number) {
    this.#clock = clock
    this.#interval = interval
  }

  /** Rooms that have a member, or are watched. */
  get rooms (): number { return this.#rooms.size }

  /** Monotonic milliseconds: when states end is told by them. */
  get now (): number { return this.#clock.monotonic() }

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

  /** Changes every room. */
  changeAll (step: (room: PresenceRoom) => void): void {
    for (const name of [...this.#rooms.keys()]) this.change(name, step)
  }

  /** Forgets who is in a room, and who watches it: nothing is told of that. */
  forget (name: string): void {
    this.#rooms.delete(name)
    this.#pending.delete(name)
    this.#settle()
  }

  /** Forgets all rooms. */
  clear (): void {
    this.#rooms.clear()
    this.#pending.clear()
    this.#settle()
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
