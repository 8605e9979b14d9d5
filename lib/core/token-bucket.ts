/** Milliseconds: what may be saved up by not being seen is bounded. */
const MOST_CREDIT = 60_000

/** A token bucket: `rate` tokens per second, at most `capacity` of them at once. Starts full. */
export class TokenBucket {
  /** More than the capacity after a `credit`, as long as it lasts. */
  #tokens: number
  #last: number

  constructor (capacity: number, now: number) {
    this.#tokens = capacity
    this.#last = now
  }

  /**
   * Takes tokens, or none when there are too few.
   * @param now milliseconds of a monotonic clock
   */
  take (tokens: number, rate: number, capacity: number, now: number): boolean {
    this.#refill(rate, capacity, now)
    if (this.#tokens < tokens) return false
    this.#tokens -= tokens
    return true
  }

  /**
   * The last `ms` were no pause of those who take tokens: they could not be seen. What they may have taken meanwhile is there on
   * top of the capacity, and goes again as it came.
   */
  credit (ms: number, rate: number, capacity: number, now: number): void {
    this.#refill(rate, capacity, now - ms)
    this.#tokens = Math.min(capacity + MOST_CREDIT * rate / 1000, this.#tokens + ms * rate / 1000)
    this.#last = now
  }

  /**
   * Takes tokens even when there are too few: what is missing is a debt.
   * @returns milliseconds until the debt is paid off; 0 when there is none
   */
  spend (tokens: number, rate: number, capacity: number, now: number): number {
    this.take(0, rate, capacity, now)
    this.#tokens -= tokens
    return this.#tokens >= 0 ? 0 : Math.ceil(-this.#tokens * 1000 / rate)
  }

  /** Whether it is as good as new. */
  full (rate: number, capacity: number, now: number): boolean { return this.take(0, rate, capacity, now) && this.#tokens === capacity }

  #refill (rate: number, capacity: number, now: number): void {
    const change = Math.max(0, now - this.#last) * rate / 1000
    this.#tokens = this.#tokens > capacity ? Math.max(capacity, this.#tokens - change) : Math.min(capacity, this.#tokens + change)
    this.#last = now
  }
}

/**
 * A rate per key, `rate` a second with a burst of one second's worth (at least 1). Keys that were silent for as long as
 * a bucket needs to fill up are forgotten: two generations of maps make that free of timers and scans.
 */
export class KeyedRate {
  readonly #rate: number
  readonly #capacity: number
  readonly #generationMs: number
  #young = new Map<string, TokenBucket>()
  #old = new Map<string, TokenBucket>()
  #rotateAt = 0

  /** @param rate per second and key; 0 is no limit */
  constructor (rate: number) {
    this.#rate = rate
    this.#capacity = Math.max(1, rate)
    this.#generationMs = rate > 0 ? Math.ceil(1000 * this.#capacity / rate) : 0
  }

  /** Keys that are remembered. */
  get size (): number { return this.#young.size + this.#old.size }

  /** Whether one more is allowed now. */
  take (key: string, now: number): boolean {
    if (this.#rate === 0) return true
    if (now >= this.#rotateAt) {
      this.#old = now >= this.#rotateAt + this.#generationMs ? new Map() : this.#young
      this.#young = new Map()
      this.#rotateAt = now + this.#generationMs
    }
    let bucket = this.#young.get(key)
    if (bucket === undefined) {
      bucket = this.#old.get(key) ?? new TokenBucket(this.#capacity, now)
      this.#old.delete(key)
      this.#young.set(key, bucket)
    }
    return bucket.take(1, this.#rate, this.#capacity, now)
  }
}
