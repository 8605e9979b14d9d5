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
    const dirty = this.#dirty
    // What is marked from now on belongs to the next turn.
    this.#dirty = []
    // What the turn has sent is not kept for the next.
    this.#root = Batch.root()
    const end = this.#clock.monotonic() + SLICE_MS
    for (let i = 0; i < dirty.length; i++) {
      if (i % LOOK_EVERY === LOOK_EVERY - 1 && this.#clock.monotonic() >= end) return this.#goOnLater(dirty, i)
      try {
        (dirty[i] as Flushable).flush()
      } catch (error) {
        this.#onError(error)
      }
    }
  }

  /** What is left comes before what has been marked meanwhile. */
  #goOnLater (dirty: readonly Flushable[], from: number): void {
    if (this.#dirty.length === 0) this.#clock.defer(this.#run)
    this.#dirty = [...dirty.slice(from), ...this.#dirty]
  }
}
