import type { HistoryPolicy, Publication } from '../core/ports.js'

interface Kept {
  readonly publication: Publication
  /** Monotonic milliseconds. */
  readonly since: number
}

const SMALLEST = 4

/**
 * The latest publications of one room, as many and for as long as its policy says. A ring in which each has the place of
 * its offset; it grows with what it holds, not with what it may hold.
 */
export class HistoryLog {
  readonly #policy: HistoryPolicy
  /** Publications at most. */
  readonly #limit: number
  #ring: Array<Kept | undefined> = []
  #size = 0
  /** Offset of the latest one, also when it has gone. */
  #last = 0

  /** @param policy its size MUST be 1 or more */
  constructor (policy: HistoryPolicy) {
    this.#policy = policy
    this.#limit = policy.mode === 'cache' ? Math.min(1, policy.size) : policy.size
  }

  /** Publications that are held: some may have been too old for a while. */
  get size (): number { return this.#size }

  /** @param publication its offset MUST be the next one */
  add (publication: Publication, now: number): void {
    this.expire(now)
    if (this.#size === this.#limit) this.#dropOldest()
    if (this.#size === this.#ring.length) this.#resize(Math.min(this.#limit, Math.max(SMALLEST, 2 * this.#size)))
    this.#last = publication.offset
    this.#size++
    this.#ring[this.#last % this.#ring.length] = { publication, since: now }
  }

  /** Frees what is too old. */
  expire (now: number): void {
    const { ttl } = this.#policy
    if (ttl === 0) return
    while (this.#size > 0 && this.#at(this.#first).since + ttl <= now) this.#dropOldest()
    if (4 * this.#size < this.#ring.length && this.#ring.length > SMALLEST) this.#resize(2 * this.#size)
  }

  /** @param limit the most to return, from the oldest on; 0: no limit */
  all (limit: number): Publication[] { return this.#from(this.#first, limit) }

  /**
   * All above an offset, oldest first; null when one of them has gone. Of a cache, only the latest counts.
   * @param offset at most that of the latest
   * @param limit the most to return, from the oldest on; 0: no limit
   */
  after (offset: number, limit: number): Publication[] | null {
    const complete = offset + 1 >= this.#first || (this.#policy.mode === 'cache' && this.#size > 0)
    return complete ? this.#from(Math.max(offset + 1, this.#first), limit) : null
  }

  /** Offset of the oldest one that is held. */
  get #first (): number { return this.#last - this.#size + 1 }

  #at (offset: number): Kept { return this.#ring[offset % this.#ring.length] as Kept }

  #from (offset: number, limit: number): Publication[] {
    const there = this.#last - offset + 1
    return Array.from({ length: limit > 0 ? Math.min(limit, there) : there }, (_, i) => this.#at(offset + i).publication)
  }

  #dropOldest (): void {
    this.#ring[this.#first % this.#ring.length] = undefined
    this.#size--
  }

  #resize (length: number): void {
    const ring = new Array<Kept | undefined>(length).fill(undefined)
    for (let offset = this.#first; offset <= this.#last; offset++) ring[offset % length] = this.#at(offset)
    this.#ring = ring
  }
}
