import type { Clock } from './ports.js'

const NOT_RUNNING = -1

/**
 * How late the event loop is, found by a timer that runs anyway: how much later than due it comes, averaged with weights
 * that halve from tick to tick. So one pause counts for half, and alone has to be twice a limit to exceed it; a loop that is
 * late each time is found at the second or third tick, and one that is on time again forgets half of the delay with each.
 */
export class LoopDelay {
  readonly #clock: Clock
  readonly #period: number
  #last = NOT_RUNNING
  #average = 0

  /** @param period milliseconds between two ticks */
  constructor (clock: Clock, period: number) {
    this.#clock = clock
    this.#period = period
  }

  /**
   * Milliseconds; 0 while it does not run. A stall that still goes on is part of it, as if its tick came now: whoever asks
   * late in a long turn of the loop should not hear of the turns before it only.
   */
  get current (): number {
    return Math.max(this.#average, this.#withTickNow(this.#clock.monotonic()))
  }

  start (): void {
    this.#last = this.#clock.monotonic()
  }

  tick (): void {
    const now = this.#clock.monotonic()
    this.#average = this.#withTickNow(now)
    this.#last = now
  }

  stop (): void {
    this.#last = NOT_RUNNING
    this.#average = 0
  }

  #withTickNow (now: number): number {
    if (this.#last === NOT_RUNNING) return 0
    return (this.#average + Math.max(0, now - this.#last - this.#period)) / 2
  }
}
