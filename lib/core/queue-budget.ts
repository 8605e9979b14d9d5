import type { Frame } from '../protocol/frame.js'
import { systemClock } from './clock.js'
import type { Clock } from './ports.js'
import type { Overflow } from './types.js'

/** Default of `queue.maxTotalBytes`. */
export const DEFAULT_TOTAL_BYTES = 256 * 1024 * 1024

/** Bytes that V8 takes beside those on the wire, measured on Node 20: without them a queue of tiny messages would take eight times its budget. */
export interface Overhead {
  /** For a message. */
  readonly message: number
  /** For each queue in which it waits. */
  readonly place: number
}
const OVERHEAD: Overhead = { message: 384, place: 128 }
/** Milliseconds for which it is told that something had to give way. */
const RECENT_MS = 10_000

/** A queue as the budget sees it. */
export interface BudgetedQueue {
  /** Bytes: what it would give back, about. 0 when it is empty. */
  readonly weight: number
  /** Place in the budget's heap; belongs to the budget. */
  budgetIndex: number
  /** Drops its oldest message for the sake of others; one that has none that may be dropped ends. @returns whether it goes on */
  shedOldest (): boolean
  /** Ends its connection as a slow reader, and drops all that waits. */
  shedAll (): void
}

/** `budgetIndex` of a queue that is not in the heap. */
export const OUT_OF_HEAP = -1

/**
 * The memory of all that waits in the queues of the process, under one limit. A frame that waits in many queues is one
 * buffer, and counts once. When there is no room, the fattest queue gives way first: a heap of all queues, by weight, has it on top.
 */
export class QueueBudget {
  /** By hub: what was asked for, undefined where the default will do. */
  readonly #limits = new Map<object, number | undefined>()
  readonly #heap: BudgetedQueue[] = []
  readonly #overhead: Overhead
  readonly #clock: Clock
  #limit = DEFAULT_TOTAL_BYTES
  #bytes = 0
  #shed = 0
  /** Monotonic milliseconds. */
  #shedAt = -Infinity

  constructor (overhead = OVERHEAD, clock = systemClock) {
    this.#overhead = overhead
    this.#clock = clock
  }

  /** Memory of what waits. */
  get bytes (): number { return this.#bytes }

  /** Bytes; Infinity is no limit. */
  get limit (): number { return this.#limit }

  /** Bytes that a frame takes beside those on the wire, where it waits in one queue. */
  get overhead (): number { return this.#overhead.message + this.#overhead.place }

  /** Queues that are not empty. */
  get queues (): number { return this.#heap.length }

  /** How often a message, or a whole queue, had to give way. */
  get shed (): number { return this.#shed }

  /** Whether something had to give way within the last 10 s. */
  get shedding (): boolean { return this.#clock.monotonic() - this.#shedAt < RECENT_MS }

  /**
   * A hub uses the budget. Of the limits that hubs of the process ask for the smallest holds; where none does, the default.
   * @param limit bytes; 0 is no limit
   */
  join (hub: object, limit: number | undefined): void {
    this.#limits.set(hub, limit)
    this.#settleLimit()
  }

  leave (hub: object): void {
    this.#limits.delete(hub)
    this.#settleLimit()
  }

  /** Whether a frame would have room if nothing else waited. */
  everFits (frame: Frame): boolean { return this.#whole(frame) <= this.#limit }

  /** Whether a frame has room beside all that waits, `freed` bytes of which are about to go. */
  fits (frame: Frame, freed: number): boolean {
    const cost = frame.holders > 0 ? this.#overhead.place : this.#whole(frame)
    return cost + this.#bytes - freed <= this.#limit
  }

  /**
   * Makes room for a frame of a queue: the fattest queues drop their oldest messages, or are ended.
   * @returns how many messages were dropped for it, or -1: it was that queue itself that has been ended
   */
  makeRoom (frame: Frame, asker: BudgetedQueue, overflow: Exclude<Overflow, 'reject-new'>): number {
    let dropped = 0
    for (let fattest = this.#heap[0]; fattest !== undefined && !this.fits(frame, 0); fattest = this.#heap[0]) {
      this.#shed++
      this.#shedAt = this.#clock.monotonic()
      if (overflow === 'drop-oldest') {
        if (fattest.shedOldest()) dropped++
        else if (fattest === asker) return -1
      } else {
        fattest.shedAll()
        if (fattest === asker) return -1
      }
    }
    return dropped
  }

  /** A frame waits in one more queue. */
  hold (frame: Frame): void {
    if (frame.holders++ > 0) {
      this.#bytes += this.#overhead.place
    } else {
      frame.ownMemory()
      this.#bytes += this.#whole(frame)
    }
  }

  /** A frame waits in one queue less. */
  release (frame: Frame): void {
    this.#bytes -= this.freedBy(frame)
    frame.holders--
  }

  /** What a queue that lets go of a frame gives back. */
  freedBy (frame: Frame): number { return frame.holders === 1 ? this.#whole(frame) : this.#overhead.place }

  /** The weight of a queue has changed. */
  update (queue: BudgetedQueue): void {
    if (queue.budgetIndex === OUT_OF_HEAP) {
      if (queue.weight > 0) this.#rise(queue, this.#heap.push(queue) - 1)
    } else if (queue.weight === 0) {
      this.#remove(queue)
    } else {
      this.#rise(queue, this.#sink(queue, queue.budgetIndex))
    }
  }

  /** Of a frame that waits in one queue. */
  #whole (frame: Frame): number { return frame.bytes + this.overhead }

  #settleLimit (): void {
    const asked = [...this.#limits.values()].filter((limit) => limit !== undefined)
    this.#limit = asked.length === 0 ? DEFAULT_TOTAL_BYTES : Math.min(...asked.map((limit) => limit === 0 ? Infinity : limit))
  }

  #remove (queue: BudgetedQueue): void {
    const index = queue.budgetIndex
    queue.budgetIndex = OUT_OF_HEAP
    const last = this.#heap.pop() as BudgetedQueue
    if (last !== queue) this.#rise(last, this.#sink(last, index))
  }

  /** Moves a queue up from a free place to where it belongs. */
  #rise (queue: BudgetedQueue, index: number): void {
    const heap = this.#heap
    while (index > 0) {
      const parent = (index - 1) >> 1
      const above = heap[parent] as BudgetedQueue
      if (above.weight >= queue.weight) break
      place(heap, above, index)
      index = parent
    }
    place(heap, queue, index)
  }

  /** Moves the free place down, as far as a queue has to. @returns where it is then */
  #sink (queue: BudgetedQueue, index: number): number {
    const heap = this.#heap
    for (;;) {
      let child = 2 * index + 1
      if (child + 1 < heap.length && (heap[child + 1] as BudgetedQueue).weight > (heap[child] as BudgetedQueue).weight) child++
      const below = heap[child]
      if (below === undefined || below.weight <= queue.weight) return index
      place(heap, below, index)
      index = child
    }
  }
}

function place (heap: BudgetedQueue[], queue: BudgetedQueue, index: number): void {
  heap[index] = queue
  queue.budgetIndex = index
}

/** The one of this process. */
export const processBudget = new QueueBudget()
