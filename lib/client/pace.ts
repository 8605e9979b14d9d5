import type { ServerMessage } from '../protocol/hub-v1/schema.js'
import type { ClientClock } from './platform.js'

/** Of the server's burst: the rest is left to what does not wait, such as pings and acknowledgements. */
const BURST_SHARE = 0.5
/** Of the server's rate, for the same reason. */
const RATE_SHARE = 0.8

/** Keeps what a client sends within the rate that the server takes: too many in a row, and it closes for good. */
export class Pace {
  readonly #clock: ClientClock
  /** Messages per millisecond; 0: no limit. */
  #rate = 0
  #burst = 1
  #tokens = 1
  #last = 0

  constructor (clock: ClientClock) {
    this.#clock = clock
  }

  /** A new connection has a full measure, but for `resume`, which has gone before. */
  start ({ messagesPerSecond, burst }: ServerMessage<'hello'>['limits']): void {
    this.#rate = messagesPerSecond * RATE_SHARE / 1_000
    this.#burst = Math.max(1, Math.floor(burst * BURST_SHARE))
    this.#tokens = Math.min(this.#burst, burst - 1)
    this.#last = this.#clock.now()
  }

  /** As many are within the rate of a server that reads them late, and then all at once. */
  get atOnce (): number { return this.#rate === 0 ? Infinity : this.#burst }

  /** @returns 0 when a message may go now; otherwise the milliseconds after which to ask again */
  take (): number {
    if (this.#rate === 0) return 0
    this.#refill()
    if (this.#tokens < 1) return Math.ceil((1 - this.#tokens) / this.#rate)
    this.#tokens--
    return 0
  }

  /** A message that does not wait has gone: what waits goes later. */
  spend (): void {
    if (this.#rate === 0) return
    this.#refill()
    this.#tokens--
  }

  #refill (): void {
    const now = this.#clock.now()
    // Never less than nothing: the clock may be set back.
    this.#tokens = Math.min(this.#burst, this.#tokens + Math.max(0, now - this.#last) * this.#rate)
    this.#last = now
  }
}
