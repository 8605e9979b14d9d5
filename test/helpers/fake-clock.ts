import type { Clock, Timer } from '../../lib/core/ports.js'

interface Interval { readonly every: number, due: number, readonly fn: () => void }

/** A Clock that stands still until the test moves it. One `turn` stands for the end of one turn of the event loop. */
export class FakeClock implements Clock {
  #monotonic: number
  #epoch: number
  readonly #intervals = new Set<Interval>()
  #deferred: Array<() => void> = []

  /** @param start monotonic milliseconds; no multiple of a tick, so that rounding shows */
  constructor (start = 1_034, epoch = 1_700_000_000_000) {
    this.#monotonic = start
    this.#epoch = epoch - start
  }

  /** Timers that run. */
  get timers (): number { return this.#intervals.size }

  now (): number { return this.#epoch + this.#monotonic }

  monotonic (): number { return this.#monotonic }

  every (ms: number, fn: () => void): Timer {
    const interval = { every: ms, due: this.#monotonic + ms, fn }
    this.#intervals.add(interval)
    return { cancel: () => { this.#intervals.delete(interval) } }
  }

  defer (fn: () => void): void { this.#deferred.push(fn) }

  /** Somebody sets the machine's clock. */
  setWallClock (ms: number): void { this.#epoch = ms - this.#monotonic }

  /** Runs what has been deferred so far, and nothing else. What that defers waits for the next turn. */
  turn (): void {
    const deferred = this.#deferred
    this.#deferred = []
    for (const fn of deferred) fn()
  }

  /** Lets time pass: timers run when they are due, in order, each followed by a turn. */
  advance (ms: number): void {
    const end = this.#monotonic + ms
    this.turn()
    for (;;) {
      let next: Interval | undefined
      for (const interval of this.#intervals) if (interval.due <= end && (next === undefined || interval.due < next.due)) next = interval
      if (next === undefined) break
      this.#monotonic = Math.max(this.#monotonic, next.due)
      next.due += next.every
      next.fn()
      this.turn()
    }
    this.#monotonic = end
  }

  /** The process stands still: time passes at once, and each timer that is overdue runs once. */
  stall (ms: number): void {
    this.#monotonic += ms
    for (const interval of [...this.#intervals]) {
      if (interval.due > this.#monotonic) continue
      interval.due = this.#monotonic + interval.every
      interval.fn()
    }
    this.turn()
  }
}

/** Lets every promise that can settle do so. */
export async function settled (): Promise<void> {
  await new Promise<void>((resolve) => { setImmediate(resolve) })
}
