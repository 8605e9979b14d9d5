import type { HeartbeatOptions } from './heartbeat.js'
import { TICK_MS } from './timing-wheel.js'

/** Pings in one tick however few connections there are. */
const MIN_PINGS = 64
/** Of the interval, and of the time that a pinged peer has to answer: how long a ping may be put off. */
const SHARE = 4

/**
 * Spreads pings over the ticks of the wheel: connections that came in one moment, as after a deploy, would otherwise be
 * pinged in one moment for ever. What is put off once stays apart, because the answer moves the next ping, too.
 */
export class PingPace {
  /** Ticks over which all connections could be pinged. */
  readonly #ticks: number
  #now = -1
  #left = 0

  constructor ({ interval, timeout }: HeartbeatOptions) {
    const answer = timeout > 0 ? timeout - interval : interval
    this.#ticks = Math.max(1, Math.floor(Math.min(interval, answer) / SHARE / TICK_MS))
  }

  /**
   * Whether one more ping may go out in this tick.
   * @param now when the tick is processed
   * @param connections how many there are
   */
  take (now: number, connections: number): boolean {
    if (now !== this.#now) {
      this.#now = now
      this.#left = Math.max(MIN_PINGS, Math.ceil(connections / this.#ticks))
    }
    return this.#left-- > 0
  }
}
