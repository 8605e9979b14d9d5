import { FST_HUB_BROKER_UNAVAILABLE } from '../errors.js'
import type { HubLogger } from './hub-config.js'
import type { Clock } from './ports.js'

/** Milliseconds between two lines about the same outage, which each connection that comes runs into. */
const PAUSE_MS = 10_000

/** What failed in a handler, and no listener of `error` has taken. */
export class FailureLog {
  readonly #clock: Clock
  readonly #log: HubLogger
  #outageToldAt = -Infinity
  /** Lines that were left out since the last one about an outage. */
  #leftOut = 0

  constructor (clock: Clock, log: HubLogger) {
    this.#clock = clock
    this.#log = log
  }

  tell (error: unknown, connection: string | undefined): void {
    const details = { err: error, connection }
    if (!(error instanceof FST_HUB_BROKER_UNAVAILABLE)) return this.#write(details)
    const now = this.#clock.monotonic()
    if (now - this.#outageToldAt < PAUSE_MS) {
      this.#leftOut++
      return
    }
    this.#write({ ...details, leftOut: this.#leftOut })
    this.#outageToldAt = now
    this.#leftOut = 0
  }

  #write (details: object): void { this.#log.error(details, 'a handler of the hub failed') }
}
