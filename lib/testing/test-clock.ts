import { describe } from '../core/describe.js'
import type { Clock, Timer } from '../core/ports.js'
import { FST_HUB_INVALID_ARGUMENT } from '../errors.js'

interface Interval { readonly every: number, due: number, readonly fn: () => void }

/** What a turn defers runs in the next one. Two that answer each other for ever must not keep `settle` from ending. */
const MAX_TURNS = 1_000

/**
 * The option `clock` of a hub under test: its time stands still until the test moves it. Turns of the event loop go on by
 * themselves, so a message is sent and answered without the clock being touched; only what waits for a time waits.
 */
export class TestClock implements Clock {
  #monotonic: number
  #epoch: number
  readonly #intervals = new Set<Interval>()
  #deferred: Array<() => void> = []
  #immediate: NodeJS.Immediate | undefined

  /**
   * @param now wall-clock time at the start: milliseconds since the Unix epoch. Default 14 November 2023, 22:13:20 UTC
   * @param start monotonic milliseconds at the start. Default 1,034: no multiple of a tick, so that rounding shows
   * @throws FST_HUB_INVALID_ARGUMENT for what is no whole number
   */
  constructor (now = 1_700_000_000_000, start = 1_034) {
    this.#monotonic = checkMs('start', start)
    this.#epoch = checkMs('now', now) - start
  }

  /** Timers that run: 0 once every hub with this clock has been closed. */
  get timers (): number { return this.#intervals.size }

  /* ---- for the test ---- */

  /**
   * Lets time pass: timers run when they are due, in order. After each of them everything happens that needs no time
   * (`settle`).
   * @param ms whole milliseconds, 0 or more
   * @throws FST_HUB_INVALID_ARGUMENT (as a rejection)
   */
  async advance (ms: number): Promise<void> {
    const end = this.#monotonic + checkMs('ms', ms)
    await this.settle()
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.#fire(next)
      await this.settle()
    }
    this.#monotonic = Math.max(this.#monotonic, end)
  }

  /**
   * The same within the call: each timer is followed by one turn, and no promise settles in between.
   * @throws FST_HUB_INVALID_ARGUMENT
   */
  advanceSync (ms: number): void {
    const end = this.#monotonic + checkMs('ms', ms)
    this.turn()
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.#fire(next)
      this.turn()
    }
    this.#monotonic = Math.max(this.#monotonic, end)
  }

  /**
   * Waits until everything has happened that needs no time: promises have settled, what was sent has been read and
   * answered. It does not know of I/O of your own; await that yourself.
   */
  async settle (): Promise<void> {
    let turns = 0
    do {
      await new Promise<void>((resolve) => { setImmediate(resolve) })
    } while (this.#deferred.length > 0 && ++turns < MAX_TURNS)
  }

  /** Ends this turn of the event loop at once: what has been deferred so far runs within the call, and nothing else. */
  turn (): void {
    clearImmediate(this.#immediate)
    const deferred = this.#deferred
    this.#deferred = []
    for (const fn of deferred) fn()
  }

  /**
   * The process stands still, as in a long computation: time passes at once, and each timer that is overdue runs once.
   * @throws FST_HUB_INVALID_ARGUMENT
   */
  stall (ms: number): void {
    this.#monotonic += checkMs('ms', ms)
    for (const interval of [...this.#intervals]) {
      if (interval.due > this.#monotonic) continue
      interval.due = this.#monotonic + interval.every
      interval.fn()
    }
    this.turn()
  }

  /**
   * Somebody sets the machine's clock. No deadline moves: they are measured on the other one.
   * @param ms milliseconds since the Unix epoch
   * @throws FST_HUB_INVALID_ARGUMENT
   */
  setWallClock (ms: number): void { this.#epoch = checkMs('ms', ms) - this.#monotonic }

  /* ---- Clock ---- */

  now (): number { return this.#epoch + this.#monotonic }

  monotonic (): number { return this.#monotonic }

  every (ms: number, fn: () => void): Timer {
    const interval = { every: ms, due: this.#monotonic + ms, fn }
    this.#intervals.add(interval)
    return { cancel: () => { this.#intervals.delete(interval) } }
  }

  defer (fn: () => void): void {
    if (this.#deferred.length === 0) this.#immediate = setImmediate(() => { this.turn() })
    this.#deferred.push(fn)
  }

  /** The first timer that is due by then. */
  #next (end: number): Interval | undefined {
    let next: Interval | undefined
    for (const interval of this.#intervals) if (interval.due <= end && (next === undefined || interval.due < next.due)) next = interval
    return next
  }

  #fire (interval: Interval): void {
    this.#monotonic = Math.max(this.#monotonic, interval.due)
    interval.due += interval.every
    interval.fn()
  }
}

function checkMs (name: string, ms: unknown): number {
  if (typeof ms === 'number' && Number.isSafeInteger(ms) && ms >= 0) return ms
  throw new FST_HUB_INVALID_ARGUMENT(name, 'a whole number of milliseconds of at least 0', describe(ms))
}
