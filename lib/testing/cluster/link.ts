import type { Clock, Timer } from '../../core/ports.js'
import { RecentIds } from '../../core/cluster/recent-ids.js'
import { FST_HUB_BROKER_UNAVAILABLE } from '../../errors.js'

/** What may wait for a node. Beyond, the oldest is lost. */
export const MAX_WAITING = 10_000
/** Milliseconds after which a node that is cut off has to think that others have taken the place of its logins. */
const LEASE_MS = 10_000

/** Something on its way to a node. */
interface Arrival {
  readonly id: number
  /** What it is about. */
  readonly topic: string
  /** Monotonic milliseconds before which it does not come. */
  readonly due: number
  /** Whether its receiver could not tell that it has come before. */
  readonly isOnce: boolean
  readonly deliver: () => void
  /** It is lost, or held up: nobody should wait for it. */
  readonly onHeld: () => void
}

const nobody = (): void => {}

/** The way of one node to the others, and back. What comes over it comes in order, and in a turn of its own. */
export class Link {
  readonly #clock: Clock
  readonly #onClose: () => void
  #isCut = false
  #isClosed = false
  #delay = 0
  #isDouble = false
  #queue: Arrival[] = []
  readonly #waiting = new Map<string, number>()
  /** What the others have to be told once they can be. */
  #owed: Array<() => Promise<unknown>> = []
  readonly #seen = new RecentIds()
  #arrived = 0
  /** Whether there will be a delivery at the end of this turn. */
  #isPlanned = false
  #timer: Timer | null = null
  #lease: Timer | null = null
  #onLeaseLost: (() => void) | null = null

  constructor (clock: Clock, onClose: () => void) {
    this.#clock = clock
    this.#onClose = onClose
  }

  get isCut (): boolean { return this.#isCut }

  /* ---- for the test ---- */

  cut (): void {
    if (this.#isCut) return
    this.#isCut = true
    const onLeaseLost = this.#onLeaseLost
    if (onLeaseLost !== null) {
      this.#lease = this.#clock.every(LEASE_MS, () => {
        this.#stopLease()
        onLeaseLost()
      })
    }
    this.#stopTimer()
    for (const { onHeld } of this.#queue) onHeld()
  }

  heal (): void {
    if (!this.#isCut) return
    this.#isCut = false
    this.#stopLease()
    this.#pay()
    this.#plan()
  }

  /** @param ms milliseconds by which what comes from now on is late */
  delay (ms: number): void { this.#delay = ms }

  /** Whether what comes from now on comes twice. */
  double (on: boolean): void { this.#isDouble = on }

  /* ---- for the ports ---- */

  /** @param fn is called when the node has been cut off for so long that others may have taken the place of its logins */
  leaseLost (fn: () => void): void { this.#onLeaseLost = fn }

  /** @throws FST_HUB_BROKER_UNAVAILABLE */
  check (): void {
    if (this.#isCut) throw new FST_HUB_BROKER_UNAVAILABLE('this node is cut off from the others')
  }

  /**
   * Tells the others something, if they can be told; else later.
   * @throws FST_HUB_BROKER_UNAVAILABLE then (as a rejection)
   */
  async tell<T> (step: () => Promise<T>): Promise<T> {
    if (this.#isCut) this.#owed.push(step)
    this.check()
    return await step()
  }

  /** Something comes from another node. @param isOnce whether it must not come twice, because its receiver could not tell */
  arrive (topic: string, deliver: () => void, isOnce: boolean): void {
    const arrival = { id: ++this.#arrived, topic, due: this.#clock.monotonic() + this.#delay, isOnce, deliver, onHeld: nobody }
    this.#add(arrival)
    if (this.#isDouble) this.#add(arrival)
  }

  /** Something of this node itself, behind what waits. */
  follow (topic: string, deliver: () => void, onHeld: () => void): void {
    this.#add({ id: ++this.#arrived, topic, due: 0, isOnce: true, deliver, onHeld })
  }

  /** Whether something about this is on its way. */
  waits (topic: string): boolean { return this.#waiting.has(topic) }

  /** Nothing that is on its way about this will come. */
  drop (topic: string): void {
    if (!this.waits(topic)) return
    this.#waiting.delete(topic)
    const dropped = this.#queue.filter((arrival) => arrival.topic === topic)
    this.#queue = this.#queue.filter((arrival) => arrival.topic !== topic)
    for (const { onHeld } of dropped) onHeld()
  }

  /** Nothing comes any more. What the others had to be told they are told: they would find out. */
  close (): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#stopTimer()
    this.#stopLease()
    this.#pay()
    for (const topic of [...this.#waiting.keys()]) this.drop(topic)
    this.#onClose()
  }

  #add (arrival: Arrival): void {
    if (this.#isClosed) return
    this.#queue.push(arrival)
    this.#waiting.set(arrival.topic, (this.#waiting.get(arrival.topic) ?? 0) + 1)
    if (this.#queue.length > MAX_WAITING) this.#take().onHeld()
    this.#plan()
  }

  /** The next one, out of a queue that is not empty. */
  #take (): Arrival {
    const arrival = this.#queue.shift() as Arrival
    const left = (this.#waiting.get(arrival.topic) ?? 1) - 1
    if (left > 0) this.#waiting.set(arrival.topic, left)
    else this.#waiting.delete(arrival.topic)
    return arrival
  }

  #pay (): void {
    const owed = this.#owed
    this.#owed = []
    // Whoever has asked for it was told that it could not be done.
    for (const step of owed) step().catch(() => {})
  }

  #plan (): void {
    const [next] = this.#queue
    if (next === undefined || this.#isCut || this.#isPlanned || this.#timer !== null) return
    const wait = next.due - this.#clock.monotonic()
    if (wait > 0) {
      this.#timer = this.#clock.every(wait, () => {
        this.#stopTimer()
        this.#deliver()
      })
    } else {
      this.#isPlanned = true
      this.#clock.defer(() => {
        this.#isPlanned = false
        this.#deliver()
      })
    }
  }

  #deliver (): void {
    const now = this.#clock.monotonic()
    while (!this.#isCut && this.#queue[0] !== undefined && this.#queue[0].due <= now) {
      const { id, isOnce, deliver } = this.#take()
      if (!isOnce || this.#seen.add(id)) deliver()
    }
    this.#plan()
  }

  #stopLease (): void {
    this.#lease?.cancel()
    this.#lease = null
  }

  #stopTimer (): void {
    this.#timer?.cancel()
    this.#timer = null
  }
}
