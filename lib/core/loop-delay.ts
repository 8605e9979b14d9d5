import type { Clock } from './ports.js'

const NOT_RUNNING = -1
/** Milliseconds: what is less is no stall. */
const STALL_MS = 50

/**
 * How late the event loop is, found by a timer that runs anyway: how much later than due it comes, averaged with weights
 * that halve from tick to tick. So one pause counts for half, and alone has to be twice a limit to exceed it; a loop that is
 * late each time is found at the second or third tick, and one that is on time again forgets half of the delay with each.
 */
export class LoopDelay {
  readonly #clock: Clock
  /** When the next tick is due: monotonic milliseconds. */
  #due = NOT_RUNNING
  /** When the last tick came, while the next one is not planned: the rest of that turn may take long, too. */
  #tickedAt = NOT_RUNNING
  #average = 0
  #stalled = 0
  /** The same at the last tick, and at the one before it. */
  #stalledAtTick = 0
  #stalledBefore = 0

  constructor (clock: Clock) {
    this.#clock = clock
  }

  /**
   * Milliseconds; 0 while it does not run. A stall that still goes on is part of it, as if its tick came now: whoever asks
   * late in a long turn of the loop should not hear of the turns before it only.
   */
  get current (): number {
    return Math.max(this.#average, this.#withTickNow())
  }

  /** Milliseconds for which the process has stood still since the start, one that no tick has found yet included. */
  get stalled (): number { return this.#stalled + this.#stallNow() }

  /** The same up to the tick before the last one: what has come during those since may still have to be read. */
  get stalledBefore (): number { return this.#stalledBefore }

  /** @param due when the next tick is due */
  expect (due: number): void {
    this.#stalled += this.#stallNow()
    this.#due = due
    this.#tickedAt = NOT_RUNNING
  }

  tick (): void {
    this.#stalledBefore = this.#stalledAtTick
    this.#stalled = this.#stalledAtTick = this.stalled
    this.#average = this.#withTickNow()
    this.#due = NOT_RUNNING
    this.#tickedAt = this.#clock.monotonic()
  }

  stop (): void {
    this.#stalled = this.stalled
    this.#due = this.#tickedAt = NOT_RUNNING
    this.#average = 0
  }

  #withTickNow (): number {
    return this.#due === NOT_RUNNING ? this.#average : (this.#average + this.#lateNow()) / 2
  }

  #stallNow (): number {
    const late = this.#tickedAt === NOT_RUNNING ? this.#lateNow() : this.#clock.monotonic() - this.#tickedAt
    return late < STALL_MS ? 0 : late
  }

  #lateNow (): number { return this.#due === NOT_RUNNING ? 0 : Math.max(0, this.#clock.monotonic() - this.#due) }
}
