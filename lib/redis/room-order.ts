import { noFanOut } from '../core/fan-out.js'
import type { FanOut, Publication } from '../core/ports.js'
import type { StreamPosition } from '../core/types.js'
import type { Comparison } from './positions.js'

/** What the order of a room makes happen. */
export interface OrderListener {
  /** In order of offset, without a hole, none twice. */
  deliver (publications: readonly Publication[]): FanOut
  /** What lies between is lost for this node. */
  gap (from: StreamPosition, to: StreamPosition): void
  /** The log goes on in this epoch, and nothing is lost. */
  goesOn (epoch: string): void
  /** There is another epoch: Redis MUST be asked what it is to this one, and `settle` be called with the answer. */
  turned (): void
  /** Something is missing: it may have to be looked for in the log. @param isPassed whether the stream has passed it by */
  missing (isPassed: boolean): void
}

interface Held {
  readonly publication: Publication
  /** Told what became of it here; not where nobody asks. */
  readonly done?: (local: FanOut) => void
}

/** A publication of this node. It is told once, when it has gone on or never will. */
export type OwnPublication = Required<Held>

/** Epochs that went on in another one: what is of those before them is asked for. */
const MAX_BEFORE = 4
/** Counts that wait for the answer to their publication. */
const MAX_COUNTS = 1_024

/**
 * The publications of one room that this node has had, and those that are out of order. They come by two ways: this
 * node's own with the answer of Redis, all of them by the stream; whichever is first, each goes on once, when it is next.
 */
export class RoomOrder {
  epoch = ''
  /** Offset of the last one that went on. */
  last = 0
  /** Whether the position is known. */
  isLive = false
  #isOver = false
  /** A later epoch that was heard of: what it is to this one is not known yet. '': none. */
  #unknown = ''
  /** Epochs that this one goes on from, with the last offset of each that is of this log: the bus may still bring some of them. */
  #before: Map<string, number> | null = null
  /** One that Redis did not know of any more when it was asked. */
  #lost = ''
  readonly #listener: OrderListener
  /** What came before the position was known, or before it is known what another epoch is to this one. */
  #early: Array<() => void> = []
  readonly #held = new Map<number, Held>()
  /** What became of publications of this node, which the stream has brought before their answer: by offset. */
  readonly #counts = new Map<number, FanOut>()

  constructor (listener: OrderListener) {
    this.#listener = listener
  }

  get position (): StreamPosition { return { epoch: this.epoch, offset: this.last } }

  /** Offset of the furthest one that this node has of this epoch. */
  get furthest (): number {
    let furthest = this.last
    for (const offset of this.#held.keys()) if (offset > furthest) furthest = offset
    return furthest
  }

  /** Whether it is not known yet what another epoch is to this one: what comes waits. */
  get isTurning (): boolean { return this.#unknown !== '' }

  /** Whether something came that is not the next. */
  get isHolding (): boolean { return this.#held.size > 0 }

  /** Only what is above this position goes on. */
  begin ({ epoch, offset }: StreamPosition): void {
    this.epoch = epoch
    this.last = offset
    this.isLive = true
    this.#settleEarly()
  }

  /** Nobody is subscribed any more. */
  end (): void {
    this.isLive = false
    this.#isOver = true
    this.#settleEarly()
    this.#settleHeld()
    this.#counts.clear()
  }

  /** Publications that the stream has brought: with offsets one after the other. @param isOwn whether this node has published them */
  fromStream (epoch: string, publications: readonly Publication[], isOwn: boolean): void {
    if (publications.length === 0 || this.#isOver) return
    if (this.#hasToWait(epoch)) {
      this.#early.push(() => { this.fromStream(epoch, publications, isOwn) })
      return
    }
    const end = this.#endOf(epoch)
    if (end < Infinity) publications = publications.filter(({ offset }) => offset <= end)
    const [first] = publications
    if (first === undefined) return
    if (!isOwn && this.#held.size === 0 && first.offset === this.last + 1) {
      this.last += publications.length
      this.#listener.deliver(publications)
      return
    }
    for (const publication of publications) {
      const { offset } = publication
      if (offset <= this.last) continue
      if (!this.#held.has(offset)) this.#held.set(offset, isOwn ? { publication, done: (local) => { this.#keepCounts(offset, local) } } : { publication })
      this.#drain()
    }
    // The stream has them in order: what is not there was trimmed.
    if (this.isHolding) this.#listener.missing(true)
  }

  /** Publications of this node that Redis has confirmed: with ascending offsets. */
  fromReply (epoch: string, own: readonly OwnPublication[]): void {
    if (own.length === 0) return
    if (!this.#isOver && this.#hasToWait(epoch)) {
      this.#early.push(() => { this.fromReply(epoch, own) })
      return
    }
    const end = this.#endOf(epoch)
    for (const one of own) {
      const { offset } = one.publication
      if (offset > end || this.#isOver || offset <= this.last) {
        one.done(this.#counts.get(offset) ?? noFanOut())
        this.#counts.delete(offset)
      } else if (offset === this.last + 1) {
        this.last = offset
        one.done(this.#listener.deliver([one.publication]))
        this.#drain()
      } else {
        this.#held.set(offset, one)
      }
    }
    if (this.isHolding) this.#listener.missing(false)
  }

  /** There is, or was, this epoch, be it that nothing of it has come. */
  hear (epoch: string): void { if (this.isLive) this.#hasToWait(epoch) }

  /** Where the room stands, beside what this node knew of it. An answer to what was known before changes nothing. */
  compare ({ known, position: { epoch }, held, start }: Comparison): void {
    if (!this.isLive || known !== this.epoch || epoch <= known) return
    const from = this.position
    const goesOn = this.furthest <= held
    this.epoch = epoch
    if (goesOn) {
      (this.#before ??= new Map()).set(known, held)
      if (this.#before.size > MAX_BEFORE) this.#before.delete(this.#before.keys().next().value as string)
      this.#listener.goesOn(epoch)
      return
    }
    this.#before = null
    this.#settleHeld()
    this.#counts.clear()
    this.last = held < 0 ? start : held
    this.#listener.gap(from, this.position)
  }

  /** The answer to `turned`. */
  settle (comparison: Comparison): void {
    try {
      this.compare(comparison)
    } finally {
      // Redis does not know of that epoch any more: another one will be later.
      if (this.epoch < this.#unknown) this.#lost = this.#unknown
      this.#unknown = ''
      this.#settleEarly()
    }
  }

  /** What the log of this epoch has behind the last one, asked for because something was missing. */
  fill (publications: readonly Publication[]): void {
    if (!this.isLive) return
    for (const publication of publications) {
      if (publication.offset > this.last && !this.#held.has(publication.offset)) this.#held.set(publication.offset, { publication })
    }
    this.#drain()
  }

  /** Nothing up to this position will come any more: what has not is lost. */
  giveUp ({ epoch, offset: end }: StreamPosition): void {
    while (this.isLive && epoch === this.epoch && this.last < end) {
      const from = this.position
      this.last = Math.min(end, ...Array.from(this.#held.keys(), (offset) => offset - 1))
      this.#listener.gap(from, this.position)
      this.#drain()
    }
  }

  /** The last offset that an epoch can have in this log. One that is over, and that this one does not go on from, has none: lua/epoch-shared.lua. */
  #endOf (epoch: string): number { return epoch === this.epoch ? Infinity : this.#before?.get(epoch) ?? -1 }

  /** Whether what is of an epoch has to wait, because it is not known what that is to this one. */
  #hasToWait (epoch: string): boolean {
    if (!this.isLive || this.isTurning) return true
    if (epoch <= this.epoch || epoch === this.#lost) return false
    this.#unknown = epoch
    this.#listener.turned()
    return true
  }

  /** What is next goes on. */
  #drain (): void {
    for (let held = this.#held.get(this.last + 1); held !== undefined; held = this.#held.get(this.last + 1)) {
      this.#held.delete(++this.last)
      const local = this.#listener.deliver([held.publication])
      held.done?.(local)
    }
  }

  /** What had to wait for the position does no longer. */
  #settleEarly (): void {
    const early = this.#early
    this.#early = []
    let failure: unknown = null
    for (const step of early) {
      try {
        step()
      } catch (error) {
        // Of the fan-out: those behind it must not wait for that.
        failure ??= error
      }
    }
    if (failure !== null) throw failure
  }

  /** They will not go on: their log is over. */
  #settleHeld (): void {
    const held = [...this.#held.values()]
    this.#held.clear()
    for (const one of held) one.done?.(noFanOut())
  }

  #keepCounts (offset: number, local: FanOut): void {
    this.#counts.set(offset, local)
    if (this.#counts.size <= MAX_COUNTS) return
    // Its publication was given up before its answer came.
    const [oldest] = this.#counts.keys()
    this.#counts.delete(oldest as number)
  }
}
