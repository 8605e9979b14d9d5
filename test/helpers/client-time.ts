import type { ClientClock } from '../../lib/client/platform.js'
import { settled } from './until.js'

interface Due { readonly at: number, readonly fn: () => void }

/** The option `clock` of a client under test: time stands still until the test moves it. */
export class ClientTime implements ClientClock {
  /** What runs off without the wall clock. */
  #elapsed = 0
  #epoch = 1_700_000_000_000
  readonly #timers = new Set<Due>()

  /** Timers that run. */
  get timers (): number { return this.#timers.size }

  now (): number { return this.#epoch + this.#elapsed }

  setTimeout (fn: () => void, ms: number): unknown {
    const timer = { at: this.#elapsed + ms, fn }
    this.#timers.add(timer)
    return timer
  }

  clearTimeout (timer: unknown): void { this.#timers.delete(timer as Due) }

  /** Time passes: timers run when they are due, in order, and after each of them what needs no time. */
  async advance (ms: number): Promise<void> {
    const end = this.#elapsed + ms
    await settled()
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.#elapsed = Math.max(this.#elapsed, next.at)
      this.#timers.delete(next)
      next.fn()
      await settled()
    }
    this.#elapsed = end
  }

  /** Moves on to the next timer, if there is one. */
  async next (): Promise<void> {
    const next = this.#next(Infinity)
    if (next !== undefined) await this.advance(Math.max(0, next.at - this.#elapsed))
  }

  /** The machine sleeps: time passes, and what was due meanwhile runs when it wakes. */
  async sleep (ms: number): Promise<void> {
    this.#elapsed += ms
    await this.advance(0)
  }

  /** Somebody sets the machine's clock. */
  setClock (by: number): void { this.#epoch += by }

  #next (end: number): Due | undefined {
    let next: Due | undefined
    for (const timer of this.#timers) if (timer.at <= end && (next === undefined || timer.at < next.at)) next = timer
    return next
  }
}
