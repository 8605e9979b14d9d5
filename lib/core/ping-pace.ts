import { timeToAnswer, type HeartbeatOptions } from './heartbeat.js'
import { TICK_MS } from './timing-wheel.js'

/** Pings at one look however few connections there are: with their pongs, some milliseconds of work. */
const MIN_PINGS = 256
/** Of the interval, and of the time that a pinged peer has to answer: how long a ping may be put off. */
const SHARE = 4

/**
 * Spreads pings over the looks at the wheel: connections that came in one moment, as after a deploy, would otherwise be
 * pinged in one moment for ever. What is put off once stays apart, because the answer moves the next ping, too.
 */
export class PingPace {
  /** Looks over which all connections could be pinged. */
  readonly #looks: number
  #now = -1
  #left = 0

  constructor (options: HeartbeatOptions) {
    this.#looks = Math.max(1, Math.floor(timeToAnswer(options) / SHARE / TICK_MS))
  }

  /**
   * Whether one more ping may go out in this look at the wheel.
   * @param now when it looks
   * @param connections how many there are
   */
  take (now: number, connections: number): boolean {
    if (now !== this.#now) {
      this.#now = now
      this.#left = Math.max(MIN_PINGS, Math.ceil(connections / this.#looks))
    }
    return this.#left-- > 0
  }
}
