import {
  FST_HUB_DRAINING, FST_HUB_FULL, FST_HUB_TOO_MANY_CONNECTIONS_PER_IP, FST_HUB_UPGRADE_RATE, FST_HUB_WAIT_TIMEOUT
} from '../errors.js'
import { ipKey } from './ip-key.js'
import type { Clock } from './ports.js'
import { Timeout, type TimingWheel } from './timing-wheel.js'
import { KeyedRate } from './token-bucket.js'

export interface AdmissionLimits {
  /** Slots of this node; 0 is no limit. */
  readonly connections: number
  /** Per address, held and waiting together; 0 is no limit. */
  readonly connectionsPerIp: number
  /** Per address; 0 is no limit. */
  readonly upgradesPerSecond: number
  readonly onFull: 'reject' | 'wait'
  /** Milliseconds; 0 is no limit. */
  readonly waitTimeout: number
  /** 0: nobody waits. */
  readonly maxWaiting: number
}

/** Called once for a slot that had to wait: with null when it is held, with an error when it never will be. */
export type Settled = (error: Error | null) => void

/** The place of one upgrade, and then of its connection: waiting, held, and given back exactly once. */
export class Slot {
  readonly #admission: Admission
  readonly #key: string | null
  #state: 'waiting' | 'held' | 'released' = 'held'
  /** Only while it waits. */
  #waiting: { readonly settled: Settled, readonly timeout: Timeout } | null = null

  constructor (admission: Admission, key: string | null) {
    this.#admission = admission
    this.#key = key
  }

  get state (): 'waiting' | 'held' | 'released' { return this.#state }

  /** Gives it back, whatever its state; again is harmless. */
  release (): void {
    if (this.#state === 'released') return
    const wasHeld = this.#state === 'held'
    this.#state = 'released'
    this.#stopWaiting()
    this.#admission.released(this, this.#key, wasHeld)
  }

  /* ---- for Admission ---- */

  wait (settled: Settled, timeout: Timeout): void {
    this.#state = 'waiting'
    this.#waiting = { settled, timeout }
  }

  grant (): void {
    this.#state = 'held'
    this.#stopWaiting()?.(null)
  }

  refuse (error: Error): void {
    const settled = this.#waiting?.settled
    this.release()
    settled?.(error)
  }

  #stopWaiting (): Settled | undefined {
    const waiting = this.#waiting
    if (waiting === null) return undefined
    this.#waiting = null
    waiting.timeout.cancel()
    return waiting.settled
  }
}

/** The slots of a node: who may connect, who waits in line, who is refused. */
export class Admission {
  readonly #limits: AdmissionLimits
  readonly #clock: Clock
  readonly #wheel: TimingWheel
  readonly #rate: KeyedRate
  readonly #perIp = new Map<string, number>()
  /** In order of arrival: a Set keeps it, and leaving from the middle is O(1). */
  readonly #line = new Set<Slot>()
  #held = 0
  #draining = false

  constructor (limits: AdmissionLimits, clock: Clock, wheel: TimingWheel) {
    this.#limits = limits
    this.#clock = clock
    this.#wheel = wheel
    this.#rate = new KeyedRate(limits.upgradesPerSecond)
  }

  get held (): number { return this.#held }
  get waiting (): number { return this.#line.size }
  get draining (): boolean { return this.#draining }
  /** Addresses that hold or await a slot; none are kept without `connectionsPerIp`. */
  get addresses (): number { return this.#perIp.size }

  /**
   * Asks for a slot. It is held when this returns, or it waits, and `settled` will tell.
   * @param ip null where there is none (injectWS): limits per address do not apply then
   * @throws FST_HUB_DRAINING, FST_HUB_TOO_MANY_CONNECTIONS_PER_IP, FST_HUB_UPGRADE_RATE, FST_HUB_FULL
   */
  acquire (ip: string | null, settled: Settled): Slot {
    if (this.#draining) throw new FST_HUB_DRAINING()
    const { connections, connectionsPerIp, upgradesPerSecond, onFull, maxWaiting, waitTimeout } = this.#limits
    const limited = connectionsPerIp > 0 || upgradesPerSecond > 0
    const address = ip !== null && limited ? ipKey(ip) : null
    /** Under which the slot is counted. */
    const key = connectionsPerIp > 0 ? address : null
    if (key !== null && (this.#perIp.get(key) ?? 0) >= connectionsPerIp) throw new FST_HUB_TOO_MANY_CONNECTIONS_PER_IP()
    if (address !== null && !this.#rate.take(address, this.#clock.monotonic())) throw new FST_HUB_UPGRADE_RATE()
    const free = connections === 0 || this.#held < connections
    if (!free && (onFull === 'reject' || this.#line.size >= maxWaiting)) throw new FST_HUB_FULL()

    const slot = new Slot(this, key)
    if (key !== null) this.#perIp.set(key, (this.#perIp.get(key) ?? 0) + 1)
    if (free) {
      this.#held++
    } else {
      const timeout = new Timeout(this.#wheel, () => { slot.refuse(new FST_HUB_WAIT_TIMEOUT()) })
      slot.wait(settled, timeout)
      this.#line.add(slot)
      if (waitTimeout > 0) timeout.start(waitTimeout)
    }
    return slot
  }

  /** Refuses from now on, those who wait first of all. */
  drain (): void {
    this.#draining = true
    for (const slot of this.#line) slot.refuse(new FST_HUB_DRAINING())
  }

  /** Of Slot. */
  released (slot: Slot, key: string | null, wasHeld: boolean): void {
    if (key !== null) {
      const left = (this.#perIp.get(key) as number) - 1
      if (left > 0) this.#perIp.set(key, left)
      else this.#perIp.delete(key)
    }
    if (!wasHeld) {
      this.#line.delete(slot)
      return
    }
    this.#held--
    const [next] = this.#line
    if (next === undefined || this.#draining) return
    this.#line.delete(next)
    this.#held++
    next.grant()
  }
}
