import { Batch } from './batch.js'
import type { Clock } from './ports.js'

/** Something that has collected output during this turn. */
export interface Flushable { flush (): void }

/** Milliseconds of flushing after which the event loop looks at sockets and timers before it goes on. */
const SLICE_MS = 5
/** Flushes between two looks at the clock. */
const LOOK_EVERY = 64

/**
 * Writes what a turn of the event loop has collected: each connection once, at the end of the turn. A fan-out that takes
 * long is flushed in slices, so that heartbeats and reading go on; the connections whose turn has not come collect on.
 */
export class Flusher {
  readonly #clock: Clock
  readonly #onError: (error: unknown) => void
  readonly #run = (): void => { this.#flushAll() }
  #dirty: Flushable[] = []
  /** The first of them that has not been flushed. */
  #next = 0
  #root = Batch.root()

  /** @param onError gets what a flush throws; the other flushes of the turn still run */
  constructor (clock: Clock, onError: (error: unknown) => void) {
    this.#clock = clock
    this.#onError = onError
  }

  /** Where the batches of this turn begin. */
  get root (): Batch { return this.#root }

  /** Flushes it at the end of this turn. The caller marks each one again only when it has been flushed. */
  mark (flushable: Flushable): void {
    if (this.#dirty.length === 0) this.#clock.defer(this.#run)
    this.#dirty.push(flushable)
  }

  #flushAll (): void {
    // What the turn has sent is not kept for the next.
    this.#root = Batch.root()
    // What is marked from now on belongs to the next turn.
    const last = this.#dirty.length
    const end = this.#clock.monotonic() + SLICE_MS
    for (let looks = 1; this.#next < last; looks++) {
      if (looks % LOOK_EVERY === 0 && this.#clock.monotonic() >= end) break
      try {
        (this.#dirty[this.#next++] as Flushable).flush()
      } catch (error) {
        this.#onError(error)
      }
    }
    // Where fan-outs never end, the list does not either: those flushed leave it when they are the greater part.
    if (this.#next * 2 >= this.#dirty.length) {
      this.#dirty = this.#dirty.slice(this.#next)
      this.#next = 0
    }
    if (this.#dirty.length > 0) this.#clock.defer(this.#run)
  }
}
