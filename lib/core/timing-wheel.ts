import { LoopDelay } from './loop-delay.js'
import type { Clock, Timer } from './ports.js'

/** Something with a deadline. An entry is in the wheel at most once; the links belong to the wheel. */
export interface WheelEntry {
  /** Called at the first look at or after the time it was armed for: within a tick, unless the event loop is late. Out of the wheel then: may arm itself again. */
  onDue (now: number): void
  wheelDue: number
  wheelNext: WheelEntry | null
  wheelPrevious: WheelEntry | null
  wheelSlot: number
}

/** Milliseconds of one slot: a deadline is noticed no later than this, unless the event loop is late. */
export const TICK_MS = 50

/** Milliseconds between two looks at the wheel when nothing is due sooner: each wakes the process, and costs more than what it finds. */
export const CALM_MS = 250

/** 51.2 s in one turn: the default heartbeat re-arms within one revolution. Longer deadlines stay for several. */
const SLOTS = 1024
const NOT_ARMED = -1

/**
 * One hashed timing wheel (Varghese and Lauck, scheme 6) for all deadlines of a hub: arming and disarming are O(1) and
 * allocate nothing, and a hundred thousand connections cost one timer, which comes when there is something in a slot.
 */
export class TimingWheel {
  readonly #clock: Clock
  readonly #slots: Array<WheelEntry | null> = new Array<WheelEntry | null>(SLOTS).fill(null)
  readonly #onError: (error: unknown) => void
  /** How late the event loop is, by this wheel's own timer. */
  readonly delay: LoopDelay
  /** Ticks between two looks at most. */
  readonly #calm: number
  #running = false
  /** For the next look; null while one is under way. */
  #timer: Timer | null = null
  /** The tick at whose end that is. */
  #next = 0
  /** Ticks that have been processed. */
  #tick: number
  #size = 0

  /**
   * @param onError gets what an entry throws; the other entries of the tick still run
   * @param calm milliseconds between two looks at most, by which `delay` is measured
   */
  constructor (clock: Clock, onError: (error: unknown) => void, calm = CALM_MS) {
    this.#clock = clock
    this.#onError = onError
    this.#calm = Math.max(1, Math.floor(calm / TICK_MS))
    this.delay = new LoopDelay(clock)
    this.#tick = Math.floor(clock.monotonic() / TICK_MS)
  }

  /** Entries that are armed. */
  get size (): number { return this.#size }

  get running (): boolean { return this.#running }

  start (): void {
    if (this.#running) return
    this.#running = true
    this.#plan()
  }

  stop (): void {
    this.#running = false
    this.#timer?.cancel()
    this.#timer = null
    this.delay.stop()
  }

  armed (entry: WheelEntry): boolean { return entry.wheelSlot !== NOT_ARMED }

  /** Calls the entry back `ms` from now, whether it was armed before or not. */
  arm (entry: WheelEntry, ms: number): void {
    this.disarm(entry)
    entry.wheelDue = this.#clock.monotonic() + ms
    // The tick that ends at or after the due time, and never one that has been processed.
    const tick = Math.max(Math.ceil(entry.wheelDue / TICK_MS), this.#tick + 1)
    this.#link(entry, tick % SLOTS)
    this.#size++
    if (this.#timer !== null && tick < this.#next) this.#lookAt(tick)
  }

  disarm (entry: WheelEntry): void {
    if (entry.wheelSlot === NOT_ARMED) return
    this.#unlink(entry)
    this.#size--
  }

  /** Calls everything that is due. */
  advance (): void {
    const now = this.#clock.monotonic()
    const target = Math.floor(now / TICK_MS)
    // After a stall one revolution sees each slot once, which is enough.
    const first = Math.max(this.#tick + 1, target - SLOTS + 1)
    this.#tick = target
    // Found first, called then: what a callback arms waits for the next look, however soon it is due.
    const due: WheelEntry[] = []
    for (let tick = first; tick <= target; tick++) this.#collect(tick % SLOTS, now, due)
    for (const entry of due) {
      // An earlier one may have disarmed or re-armed it.
      if (!this.armed(entry) || entry.wheelDue > now) continue
      this.disarm(entry)
      try {
        entry.onDue(now)
      } catch (error) {
        this.#onError(error)
      }
    }
  }

  /** The next look is at the end of the next slot that has an entry. */
  #plan (): void {
    const last = this.#tick + this.#calm
    let tick = this.#tick + 1
    while (tick < last && this.#slots[tick % SLOTS] === null) tick++
    this.#lookAt(tick)
  }

  #lookAt (tick: number): void {
    this.#timer?.cancel()
    const now = this.#clock.monotonic()
    const ms = Math.max(1, tick * TICK_MS - now)
    this.#next = tick
    this.#timer = this.#clock.every(ms, () => { this.#look() })
    this.delay.expect(now + ms)
  }

  #look (): void {
    this.#timer?.cancel()
    this.#timer = null
    this.delay.tick()
    // After the poll phase of the turn: what came during a stall is heard before anybody is found silent.
    this.#clock.defer(() => {
      if (!this.#running || this.#timer !== null) return
      try {
        this.advance()
      } finally {
        // Whatever `onError` throws, there is a next look.
        if (this.#running) this.#plan()
      }
    })
  }

  #collect (slot: number, now: number, due: WheelEntry[]): void {
    for (let entry = this.#slots[slot] ?? null; entry !== null; entry = entry.wheelNext) {
      if (entry.wheelDue <= now) due.push(entry)
    }
  }

  #link (entry: WheelEntry, slot: number): void {
    const head = this.#slots[slot] ?? null
    entry.wheelSlot = slot
    entry.wheelPrevious = null
    entry.wheelNext = head
    if (head !== null) head.wheelPrevious = entry
    this.#slots[slot] = entry
  }

  #unlink (entry: WheelEntry): void {
    if (entry.wheelPrevious === null) this.#slots[entry.wheelSlot] = entry.wheelNext
    else entry.wheelPrevious.wheelNext = entry.wheelNext
    if (entry.wheelNext !== null) entry.wheelNext.wheelPrevious = entry.wheelPrevious
    entry.wheelNext = entry.wheelPrevious = null
    entry.wheelSlot = NOT_ARMED
  }
}

/** A WheelEntry that is not armed, for classes to extend. */
export abstract class Deadline implements WheelEntry {
  wheelDue = 0
  wheelNext: WheelEntry | null = null
  wheelPrevious: WheelEntry | null = null
  wheelSlot = NOT_ARMED
  abstract onDue (now: number): void
}

/** Resolves when a promise has, or after `ms`; 0 is no limit. @param promise one that does not reject */
export async function within (wheel: TimingWheel, ms: number, promise: Promise<void>): Promise<void> {
  if (ms === 0) return await promise
  await new Promise<void>((resolve) => {
    const timeout = new Timeout(wheel, resolve)
    timeout.start(ms)
    promise.then(() => {
      timeout.cancel()
      resolve()
    }, resolve)
  })
}

/** A deadline that calls a function, for short-lived uses. */
export class Timeout extends Deadline {
  readonly #wheel: TimingWheel
  readonly #fn: () => void

  constructor (wheel: TimingWheel, fn: () => void) {
    super()
    this.#wheel = wheel
    this.#fn = fn
  }

  get armed (): boolean { return this.#wheel.armed(this) }

  start (ms: number): void { this.#wheel.arm(this, ms) }

  cancel (): void { this.#wheel.disarm(this) }

  override onDue (): void { this.#fn() }
}
