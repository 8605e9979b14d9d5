import type { Clock } from '../core/ports.js'
import type { StreamPosition } from '../core/types.js'

/** Milliseconds that a Redis which fails may lack of what it has confirmed: a second of its append-only file, or what a replica is behind. */
const KEEP_MS = 10_000

interface Recent {
  readonly known: StreamPosition
  /** Monotonic milliseconds. */
  at: number
}

/**
 * Where rooms stood when this node knew it last, of rooms in which it has no members: it has left them, or only publishes. As long as
 * Redis may lose it, this node has to say so, for others to be told.
 */
export class RecentPositions {
  readonly #clock: Clock
  /** Oldest first. */
  readonly #rooms = new Map<string, Recent>()

  constructor (clock: Clock) {
    this.#clock = clock
  }

  /** What is heard last need not be the furthest: an answer may come behind what the bus has brought since. */
  note (room: string, position: StreamPosition): void {
    const before = this.get(room)
    this.#rooms.delete(room)
    this.#rooms.set(room, { known: before !== null && isBefore(position, before) ? before : position, at: this.#clock.monotonic() })
  }

  get (room: string): StreamPosition | null { return this.#rooms.get(room)?.known ?? null }

  /** Whoever has members in it knows better. */
  forget (room: string): void { this.#rooms.delete(room) }

  /** Redis is there again: it has to be told all of it, whenever that was known. @returns the rooms */
  renew (): string[] {
    const now = this.#clock.monotonic()
    for (const recent of this.#rooms.values()) recent.at = now
    return [...this.#rooms.keys()]
  }

  /** What is old is safe with Redis: while that is there. @param untold rooms of which that is not known */
  sweep (untold: ReadonlySet<string>): void {
    const before = this.#clock.monotonic() - KEEP_MS
    for (const [room, { at }] of this.#rooms) {
      if (at > before) return
      if (!untold.has(room)) this.#rooms.delete(room)
    }
  }
}

/** Later epochs are greater. */
function isBefore (a: StreamPosition, b: StreamPosition): boolean { return a.epoch < b.epoch || (a.epoch === b.epoch && a.offset < b.offset) }
