import { MAX_MS, type ClientClock } from './platform.js'

/** Of the time that credentials are still good for: when it has passed, new ones are sent. */
const SHARE = 0.8
/** The clock of this machine may be wrong: no more than this often. */
const FLOOR_MS = 5_000

/** Renews credentials before they expire. */
export class Refresher {
  readonly #clock: ClientClock
  readonly #refresh: () => void
  #timer: unknown

  constructor (clock: ClientClock, refresh: () => void) {
    this.#clock = clock
    this.#refresh = refresh
  }

  /** @param expiresAt milliseconds since the Unix epoch; null and undefined: never */
  schedule (expiresAt: number | null | undefined): void {
    this.stop()
    if (expiresAt === null || expiresAt === undefined) return
    const delay = Math.min(MAX_MS, Math.max(FLOOR_MS, (expiresAt - this.#clock.now()) * SHARE))
    this.#timer = this.#clock.setTimeout(this.#refresh, delay)
  }

  stop (): void { this.#clock.clearTimeout(this.#timer) }
}
