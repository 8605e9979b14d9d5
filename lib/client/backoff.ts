/** Shortest delay: a random number near 0 must not make a loop of tries. All others begin there: cut off there, they would come as one. */
const FLOOR_MS = 100

export interface BackoffOptions {
  /** Milliseconds: ceiling of the first delay. Default 1000. */
  min?: number
  /** Milliseconds: no delay is longer. Default 30000. */
  max?: number
  /** What each ceiling is multiplied by to get the next. Default 2. */
  factor?: number
}

/**
 * Delays with full jitter: the n-th one, from 0, is anything between 100 ms and `min * factor ^ n`, and at most `max`. Clients that
 * lost their connections in one moment so come back evenly spread up to the ceiling.
 */
export class Backoff {
  readonly #min: number
  readonly #max: number
  readonly #factor: number
  readonly #random: () => number
  #n = 0

  constructor ({ min, max, factor }: Required<BackoffOptions>, random: () => number) {
    this.#min = min
    this.#max = max
    this.#factor = factor
    this.#random = random
  }

  /** Milliseconds until the next try. */
  next (): number {
    const ceiling = Math.max(FLOOR_MS, Math.min(this.#max, this.#min * this.#factor ** this.#n++))
    return Math.round(FLOOR_MS + this.#random() * (ceiling - FLOOR_MS))
  }

  /** The next delay is a first one again. */
  reset (): void { this.#n = 0 }
}
