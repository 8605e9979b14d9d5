import type { Clock, Timer } from './ports.js'
import { PresenceRoom } from './presence-room.js'

/** Milliseconds after which the event loop looks at sockets and timers before the next room is told of. */
const SLICE_MS = 5
/** Rooms whose listeners are told before the time is looked at. */
const AT_ONCE = 16

/** Rooms whose listeners are told what has changed: of each room once per interval at most. */
export class PresenceRooms {
  readonly #clock: Clock
  readonly #interval: number
  readonly #rooms = new Map<string, PresenceRoom>()
  /** Names of rooms that have something to tell, or a state that will end. */
  readonly #pending = new Set<string>()
  /** Runs while a room is pending. */
  #timer: Timer | null = null
  /** Those of them of whom the listeners are still to be told for this interval. */
  #names: Iterator<string> | null = null

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
    // Still at it: what has changed since then is told with it, or in the next interval.
    if (this.#names !== null) return
    this.#names = [...this.#pending].values()
    this.#tellSome()
  }

  #tellSome (): void {
    const end = this.#clock.monotonic() + SLICE_MS
    do {
      if (!this.#tell(this.#names as Iterator<string>)) {
        this.#names = null
        return
      }
    } while (this.#clock.monotonic() < end)
    this.#clock.defer(() => { this.#tellSome() })
  }

  /** @returns whether there may be more */
  #tell (names: Iterator<string>): boolean {
    const tell: Array<() => void> = []
    let next = names.next()
    for (let i = 1; next.done !== true; i++) {
      const name = next.value
      this.change(name, (room) => {
        room.expire(this.now)
        for (const { listener, diff } of room.take()) tell.push(() => { listener.onPresence(name, diff) })
      })
      if (i === AT_ONCE) break
      next = names.next()
    }
    // A listener may change rooms: that is told the next time.
    for (const fn of tell) fn()
    return next.done !== true
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
