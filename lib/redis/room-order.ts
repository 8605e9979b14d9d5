import { noFanOut } from '../core/fan-out.js'
import type { FanOut, Publication } from '../core/ports.js'
import type { StreamPosition } from '../core/types.js'
import type { Comparison } from './positions.js'

/** What the order of a room makes happen. */
export interface OrderListener {
  /** In order of offset, without a hole, none twice. May throw, as the fan-out does; the others MUST NOT. */
  deliver (publications: readonly Publication[]): FanOut
  /** What lies between is lost for this node. */
  gap (from: StreamPosition, to: StreamPosition): void
  /** The log goes on in this epoch, and nothing is lost. */
  goesOn (epoch: string): void
  /** There is another epoch: Redis MUST be asked where the room stands, told of `doubted` where there is one, and `settle` be called with the answer. */
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

/** Counts that wait for the answer to their publication. */
const MAX_COUNTS = 1_024
/** Other epochs that are known: as many as a room has of before, and more than are under way. */
const MAX_ENDS = 16

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
  /** The furthest of this epoch that Redis has named to this node, in whatever answer. */
  #named = 0
  #isOver = false
  /** The furthest that was heard of another epoch: what that is to this one is not known yet. */
  #unknown: StreamPosition | null = null
  /** Whether Redis did not name that one when it was asked. */
  #isDoubted = false
  /** The epoch with which this began: those before are over. */
  #first = ''
  /** Up to where other epochs are of this log; -1: it is not. Latest heard of last. */
  #ends: Map<string, number> | null = null
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

  /** Offset of the furthest one of this epoch that this node knows of: what is before it may still come. */
  get furthest (): number {
    let furthest = Math.max(this.last, this.#named)
    for (const offset of this.#held.keys()) if (offset > furthest) furthest = offset
    return furthest
  }

  /** Whether something came that is not the next. */
  get isHolding (): boolean { return this.#held.size > 0 }

  /** Of another epoch: it is not known yet what that is to this one. */
  get unknown (): StreamPosition | null { return this.#unknown }

  /** The same when it is perhaps lost: Redis has to be told of it. */
  get doubted (): StreamPosition | null { return this.#isDoubted ? this.#unknown : null }

  /** Only what is above this position goes on. */
  begin ({ epoch, offset }: StreamPosition): void {
    this.epoch = this.#first = epoch
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
    const [first] = publications
    if (first === undefined || this.#isOver) return
    if (this.#hasToWait(epoch, first.offset + publications.length - 1)) {
      this.#early.push(() => { this.fromStream(epoch, publications, isOwn) })
      return
    }
    const end = this.#endOf(epoch)
    if (epoch === this.epoch && !isOwn && this.#held.size === 0 && first.offset === this.last + 1) {
      this.last += publications.length
      this.#listener.deliver(publications)
      return
    }
    for (const publication of publications) {
      const { offset } = publication
      if (offset <= this.last || offset > end) continue
      if (!this.#held.has(offset)) this.#held.set(offset, isOwn ? { publication, done: (local) => { this.#keepCounts(offset, local) } } : { publication })
      this.#drain()
    }
    // The stream has them in order: what is not there was trimmed.
    if (this.isHolding) this.#listener.missing(true)
  }

  /** Publications of this node that Redis has confirmed: with ascending offsets. */
  fromReply (epoch: string, own: readonly OwnPublication[]): void {
    const latest = own.at(-1)
    if (latest === undefined) return
    if (!this.#isOver && this.#hasToWait(epoch, latest.publication.offset)) {
      this.#early.push(() => { this.fromReply(epoch, own) })
      return
    }
    const end = this.#endOf(epoch)
    for (const one of own) {
      const { offset } = one.publication
      if (this.#isOver || offset > end) {
        one.done(noFanOut())
      } else if (offset <= this.last) {
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

  /** Redis has said that the room stands there. Of another epoch than this that is nothing: `hear`. */
  learn ({ epoch, offset }: StreamPosition): void { if (epoch === this.epoch && offset > this.#named) this.#named = offset }

  /** The room stands, or stood, there, be it that nothing of it has come. */
  hear ({ epoch, offset }: StreamPosition): void { if (this.isLive) this.#hasToWait(epoch, offset) }

  /**
   * Where the room stands, beside what this node knew of it. An answer to what was known before changes nothing.
   * @returns false: more has come meanwhile than this goes on from, and Redis has to be asked once more, which is told of that
   */
  compare ({ known, position: { epoch }, held, start }: Comparison): boolean {
    if (!this.isLive || known !== this.epoch || epoch <= known) return true
    if (held >= 0 && this.furthest > held) return false
    const from = this.position
    this.epoch = epoch
    if (held >= 0) {
      this.#keepEnd(known, held)
      this.#listener.goesOn(epoch)
      return true
    }
    this.#settleHeld()
    this.#counts.clear()
    this.#ends = null
    this.#first = epoch
    this.#named = 0
    this.last = start
    this.#listener.gap(from, this.position)
    return true
  }

  /** The answer to `turned`. */
  settle (comparison: Comparison): void {
    const unknown = this.#unknown
    if (unknown === null || this.#isOver) return
    const { known, position, held } = comparison
    const isTold = known === unknown.epoch
    if (!this.compare(comparison) || (isTold && held >= 0 && held < unknown.offset)) return this.#listener.turned()
    // It was told of that one, and has it, or one that goes on from it: then that is the one to ask about.
    const isThere = isTold && known > this.epoch && held >= 0 && position.epoch >= known
    if (isTold && known !== this.epoch && !isThere) this.#keepEnd(known, known < this.epoch ? held : -1)
    // Redis may not know of it any more, or have another one since: it is told of that one, unless it was.
    this.#isDoubted = !isTold && (this.epoch === unknown.epoch ? unknown.offset > position.offset : !this.#isKnown(unknown.epoch, unknown.offset))
    if (this.#isDoubted || isThere) return this.#listener.turned()
    this.#unknown = null
    try {
      this.#settleEarly()
    } finally {
      this.hear(position)
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

  /** Whether what is of an epoch has to wait, because it is not known what that is to this one. @param offset up to which it was heard of */
  #hasToWait (epoch: string, offset: number): boolean {
    if (!this.isLive) return true
    if (this.#unknown !== null) {
      if (epoch === this.#unknown.epoch && offset > this.#unknown.offset) this.#unknown = { epoch, offset }
      return true
    }
    if (this.#isKnown(epoch, offset)) return false
    this.#unknown = { epoch, offset }
    this.#isDoubted = epoch < this.epoch
    this.#listener.turned()
    return true
  }

  #isKnown (epoch: string, offset: number): boolean {
    const end = this.#ends?.get(epoch)
    // What is behind the end of one that goes on is lost.
    return epoch === this.epoch || (end === undefined ? epoch <= this.#first : end < 0 || offset <= end)
  }

  /** Up to where what is of an epoch is of this log. */
  #endOf (epoch: string): number { return epoch === this.epoch ? Infinity : this.#ends?.get(epoch) ?? -1 }

  #keepEnd (epoch: string, end: number): void {
    const ends = this.#ends ??= new Map()
    ends.delete(epoch)
    ends.set(epoch, end)
    if (ends.size <= MAX_ENDS) return
    const [oldest] = ends.keys()
    ends.delete(oldest as string)
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
