import { Batch } from './batch.js'
import type { Clock } from './ports.js'

/** Something that has collected output during this turn. */
export interface Flushable { flush (): void }

/** Writes what a turn of the event loop has collected: each connection once, at the end of the turn. */
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

  /** Flushes it at the end of this turn. The caller marks each one once per turn. */
  mark (flushable: Flushable): void {
    if (this.#dirty.length === 0) this.#clock.defer(this.#run)
    this.#dirty.push(flushable)
  }

  #flushAll (): void {
    const dirty = this.#dirty
    this.#dirty = []
    // What the turn has sent is not kept for the next.
    this.#root = Batch.root()
    for (const flushable of dirty) {
      try {
        flushable.flush()
      } catch (error) {
        this.#onError(error)
      }
    }
  }
}
