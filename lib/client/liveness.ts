import type { ClientClock } from './platform.js'

/** A timer that comes this late was not late by chance: the machine slept, or the page was frozen. */
export const LATE_MS = 5_000
/** How long an answer may take when the connection is in doubt. */
const CHECK_GRACE_MS = 5_000

export interface LivenessOptions {
  clock: ClientClock
  /** Milliseconds after a ping without a sound. */
  pongTimeout: number
  ping: () => void
  giveUp: (reason: string) => void
}

/**
 * Whether the server is still there. Asks when nothing was heard for an interval, and at once when there is a reason for
 * doubt; gives up when no sound follows.
 */
export class Liveness {
  readonly #options: LivenessOptions
  /** 0: asks only in doubt. */
  #interval = 0
  #running = false
  #lastHeard = 0
  /** Whether an answer is waited for. */
  #asked = false
  /** Whether a deadline that came late has been forgiven: once, because all timers of a hidden page are late. */
  #forgiven = false
  #timer: unknown
  #due = 0

  constructor (options: LivenessOptions) {
    this.#options = options
  }

  start (interval: number): void {
    this.#interval = interval
    this.#running = true
    this.#lastHeard = this.#options.clock.now()
    this.#rest()
  }

  stop (): void {
    this.#running = false
    this.#rest()
  }

  /** Anything came from the server. */
  heard (): void {
    if (!this.#running) return
    this.#lastHeard = this.#options.clock.now()
    if (this.#asked) this.#rest()
  }

  /** Asks at once, and gives less time for the answer: the network has changed, or the machine has slept. */
  check (): void {
    if (!this.#running) return
    const { clock, pongTimeout } = this.#options
    const grace = Math.min(pongTimeout, CHECK_GRACE_MS)
    // What is asked already is not asked anew, or a storm of reasons to ask would put off the end for ever.
    if (this.#asked) this.#arm(Math.max(0, Math.min(this.#due - clock.now(), grace)))
    else this.#ask(grace)
  }

  #ask (grace: number): void {
    this.#asked = true
    this.#arm(grace)
    this.#options.ping()
  }

  #rest (): void {
    this.#asked = this.#forgiven = false
    if (this.#running && this.#interval > 0) this.#arm(this.#interval)
    else this.#options.clock.clearTimeout(this.#timer)
  }

  #arm (ms: number): void {
    const { clock } = this.#options
    clock.clearTimeout(this.#timer)
    this.#due = clock.now() + ms
    this.#timer = clock.setTimeout(() => { this.#tick() }, ms)
  }

  #tick (): void {
    const { clock, pongTimeout, giveUp } = this.#options
    const now = clock.now()
    const late = now - this.#due > LATE_MS
    if (this.#asked) {
      if (!late || this.#forgiven) return giveUp('silent server')
      // The answer may have come meanwhile, and wait behind this timer.
      this.#forgiven = true
      return this.#ask(Math.min(pongTimeout, CHECK_GRACE_MS))
    }
    if (late) return this.check()
    const quiet = now - this.#lastHeard
    if (quiet < 0) {
      // Somebody has set the clock back.
      this.#lastHeard = now
      this.#arm(this.#interval)
    } else if (quiet < this.#interval) this.#arm(this.#interval - quiet)
    else this.#ask(pongTimeout)
  }
}
