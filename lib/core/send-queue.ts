import type { Frame } from '../protocol/frame.js'
import { OUT_OF_HEAP, type BudgetedQueue, type QueueBudget } from './queue-budget.js'
import type { Overflow } from './types.js'

/** Bounds of one queue; 0 is no bound. */
export interface QueueLimits { readonly maxMessages: number, readonly maxBytes: number }

/** Counters of queues; see HubStats. */
export interface QueueCounters { queued: number, dropped: number, rejected: number, replaced: number, queuedBytes: number }

/** What all queues of a hub share. */
export interface QueueShared {
  readonly limits: QueueLimits
  readonly budget: QueueBudget
  readonly counters: QueueCounters
}

/** Whose queue it is. */
export interface QueueOwner {
  /** A queue was full. `dropped` is how many of its messages were evicted, 0 when a new one was refused. */
  onOverflow (policy: Overflow, dropped: number): void
  /** The peer is too slow: ends the connection, and its queue with it. */
  cutOff (): void
}

/** `offer` refused the frame. */
export const REJECTED = -1
/** `offer` refused the frame, and the policy asks to end the connection. */
export const DISCONNECT = -2

/** A key as the queue knows it: the same one means something else in another room. */
export function queueKey (room: string, key: string | null): string | null {
  return key === null ? null : `${room.length}:${room}${key}`
}

/** Memory that what no policy may drop may take in any case: room for the answers to a `resume` of 1,000 rooms. */
const LEAST_PINNED_BYTES = 1024 * 1024
/** The same where the queue has no bound. */
const UNBOUNDED_PINNED_BYTES = 2 * LEAST_PINNED_BYTES

/** A message that waits. */
interface Waiting {
  readonly frame: Frame
  readonly key: string | null
  /** No policy may drop it, and it takes no message's place: one of hub.v1 itself. */
  readonly isPinned: boolean
  previous: Waiting | null
  next: Waiting | null
}

/**
 * The bounded FIFO between the application and one blocked socket. Holds references to shared frames, in a list, because
 * a message with a key may leave it from the middle.
 */
export class SendQueue implements BudgetedQueue {
  budgetIndex = OUT_OF_HEAP
  readonly #shared: QueueShared
  readonly #owner: QueueOwner
  #head: Waiting | null = null
  #tail: Waiting | null = null
  /** The last of those that went ahead of the others. */
  #lastAhead: Waiting | null = null
  #messages = 0
  #bytes = 0
  /** What is pinned, and its bytes. */
  #pinned = 0
  #pinnedBytes = 0
  /** Made with the first key. */
  #byKey: Map<string, Waiting> | null = null

  constructor (shared: QueueShared, owner: QueueOwner) {
    this.#shared = shared
    this.#owner = owner
  }

  /** Those that count: what is pinned does not. */
  get messages (): number { return this.#messages }

  get isEmpty (): boolean { return this.#head === null }

  /** Bytes on the wire of what is queued. */
  get bytes (): number { return this.#bytes }

  /** Of those, what is pinned. */
  get pinnedBytes (): number { return this.#pinnedBytes }

  /**
   * Adds a frame at the tail, in the place of one with the same key.
   * @returns how many older frames, also of other queues, were evicted for it, or REJECTED, or DISCONNECT. A frame larger
   * than the whole queue is REJECTED under every policy: no eviction could make room for it.
   */
  offer (frame: Frame, overflow: Overflow, key: string | null): number {
    const { limits, budget, counters } = this.#shared
    const replaced = key === null ? null : this.#byKey?.get(key) ?? null
    if ((limits.maxBytes > 0 && frame.bytes > limits.maxBytes) || !budget.everFits(frame)) return this.#refuse(overflow, REJECTED)
    if (overflow === 'reject-new' && !(this.#fits(frame, replaced) && budget.fits(frame, replaced === null ? 0 : budget.freedBy(replaced.frame)))) {
      return this.#refuse(overflow, REJECTED)
    }
    if (overflow === 'disconnect' && !this.#fits(frame, replaced)) return this.#refuse(overflow, DISCONNECT)

    if (replaced !== null) {
      this.#remove(replaced)
      counters.replaced++
    }
    let evicted = 0
    while (!this.#fits(frame, null)) {
      this.#evict(this.#oldest as Waiting)
      evicted++
    }
    let shed = 0
    if (!budget.fits(frame, 0)) {
      shed = budget.makeRoom(frame, this, overflow as Exclude<Overflow, 'reject-new'>)
      if (shed < 0) return this.#refuse(overflow, DISCONNECT)
    }
    this.#insert({ frame, key, isPinned: false, previous: this.#tail, next: null })
    counters.queued++
    if (evicted > 0) this.#owner.onOverflow(overflow, evicted)
    return evicted + shed
  }

  /**
   * Adds a frame that goes out whatever becomes of the others: ahead of them, or behind those that are there.
   * @returns false when too much waits already: what is pinned takes twice the memory that the queue may have, or there is no
   * room in the process. One has room, however large it is.
   */
  pin (frame: Frame, inOrder: boolean): boolean {
    const { limits: { maxBytes }, budget } = this.#shared
    const most = maxBytes === 0 ? UNBOUNDED_PINNED_BYTES : Math.max(2 * maxBytes, LEAST_PINNED_BYTES)
    if (this.#pinned > 0 && this.#pinnedBytes + frame.bytes + (this.#pinned + 1) * budget.overhead > most) return false
    if (!budget.everFits(frame) || (!budget.fits(frame, 0) && budget.makeRoom(frame, this, 'drop-oldest') < 0)) return false
    const previous = inOrder ? this.#tail : this.#lastAhead
    const waiting = { frame, key: null, isPinned: true, previous, next: previous === null ? this.#head : previous.next }
    this.#insert(waiting)
    // With nothing to stay behind, those that follow stay behind it.
    if (previous === this.#lastAhead) this.#lastAhead = waiting
    return true
  }

  /** The oldest frame. */
  peek (): Frame | undefined { return this.#head?.frame }

  /** Takes the oldest frame. */
  shift (): Frame | undefined {
    const oldest = this.#head
    if (oldest === null) return undefined
    this.#remove(oldest)
    return oldest.frame
  }

  /** Drops all that waits: the connection has ended. */
  end (): void {
    while (this.#head !== null) this.#evict(this.#head)
  }

  /* ---- for the budget ---- */

  get weight (): number { return this.#bytes + (this.#messages + this.#pinned) * this.#shared.budget.overhead }

  shedOldest (): boolean {
    const oldest = this.#oldest
    if (oldest === null) {
      this.shedAll()
      return false
    }
    this.#evict(oldest)
    this.#owner.onOverflow('drop-oldest', 1)
    return true
  }

  shedAll (): void {
    this.#owner.onOverflow('disconnect', 0)
    this.#owner.cutOff()
    this.end()
  }

  #refuse (overflow: Overflow, result: number): number {
    this.#shared.counters.rejected++
    this.#owner.onOverflow(overflow, 0)
    return result
  }

  #evict (waiting: Waiting): void {
    this.#remove(waiting)
    this.#shared.counters.dropped++
  }

  /** The oldest that may be dropped. */
  get #oldest (): Waiting | null {
    let waiting = this.#lastAhead === null ? this.#head : this.#lastAhead.next
    while (waiting?.isPinned === true) waiting = waiting.next
    return waiting
  }

  #insert (waiting: Waiting): void {
    const { previous, next, frame, key, isPinned } = waiting
    if (previous === null) this.#head = waiting
    else previous.next = waiting
    if (next === null) this.#tail = waiting
    else next.previous = waiting
    if (key !== null) (this.#byKey ??= new Map()).set(key, waiting)
    this.#shared.budget.hold(frame)
    this.#changed(1, frame.bytes, isPinned)
  }

  #remove (waiting: Waiting): void {
    const { frame, key, isPinned, previous, next } = waiting
    if (waiting === this.#lastAhead) this.#lastAhead = previous
    if (previous === null) this.#head = next
    else previous.next = next
    if (next === null) this.#tail = previous
    else next.previous = previous
    if (key !== null) this.#byKey?.delete(key)
    this.#shared.budget.release(frame)
    this.#changed(-1, -frame.bytes, isPinned)
  }

  #changed (messages: number, bytes: number, isPinned: boolean): void {
    if (isPinned) {
      this.#pinned += messages
      this.#pinnedBytes += bytes
    } else {
      this.#messages += messages
    }
    this.#bytes += bytes
    this.#shared.counters.queuedBytes += bytes
    this.#shared.budget.update(this)
  }

  /** Whether a frame has room, in the place of `replaced`. */
  #fits (frame: Frame, replaced: Waiting | null): boolean {
    const { maxMessages, maxBytes } = this.#shared.limits
    const messages = this.#messages - (replaced === null ? 0 : 1)
    const bytes = this.#bytes - this.#pinnedBytes - (replaced?.frame.bytes ?? 0)
    return (maxMessages === 0 || messages < maxMessages) && (maxBytes === 0 || bytes + frame.bytes <= maxBytes)
  }
}
