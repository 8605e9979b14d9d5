import type { Keys } from './keys.js'

/** Milliseconds by which both clocks are rounded. */
const SLACK_MS = 5
/** By how much they drift apart in a millisecond: one of them may be slewed. */
const DRIFT = 0.0005

/** Where a moment lies by the time of Redis: milliseconds since the Unix epoch. */
export interface Span {
  readonly earliest: number
  readonly latest: number
}

interface Answer extends Span { readonly heardAt: number }

/** The time of a server of Redis, as far as its answers tell: it is another machine's, and may be set. */
export class RedisClock {
  /** By how much it is ahead of this node's monotonic one, from the answer that says it best. */
  #ahead: Answer | null = null

  /**
   * Redis has answered. All in milliseconds.
   * @param askedAt monotonic @param heardAt monotonic @param time of Redis between the two
   */
  heard (askedAt: number, heardAt: number, time: number): void {
    const answer = { earliest: time - heardAt - SLACK_MS, latest: time - askedAt + SLACK_MS, heardAt }
    const known = this.#aheadAt(heardAt)
    // Otherwise one of the clocks was set.
    const isAgreed = known !== null && answer.earliest <= known.latest && answer.latest >= known.earliest
    if (!isAgreed || widthOf(answer) <= widthOf(known)) this.#ahead = answer
  }

  /** @param monotonic milliseconds @returns null: Redis has not answered yet */
  at (monotonic: number): Span | null {
    const ahead = this.#aheadAt(monotonic)
    return ahead && { earliest: Math.floor(monotonic + ahead.earliest), latest: Math.ceil(monotonic + ahead.latest) }
  }

  /** What an answer says becomes less with time, so that one that took longer may say more. */
  #aheadAt (monotonic: number): Span | null {
    if (this.#ahead === null) return null
    const { earliest, latest, heardAt } = this.#ahead
    const drift = DRIFT * Math.abs(monotonic - heardAt)
    return { earliest: earliest - drift, latest: latest + drift }
  }
}

/** Those of all servers that a hub is on: one; of a Redis Cluster, where each master has its own, one for each partition. */
export class RedisClocks {
  readonly #keys: Keys
  readonly #clocks: readonly RedisClock[]

  constructor (keys: Keys) {
    this.#keys = keys
    this.#clocks = Array.from({ length: keys.buses }, () => new RedisClock())
  }

  /** That of the keys which are of no partition; null: nobody asks for it. */
  get ofNone (): RedisClock | null { return this.#keys.buses === 1 ? this.of(0) : null }

  of (partition: number): RedisClock { return this.#clocks[this.#keys.busAt(partition)] as RedisClock }
}

function widthOf ({ earliest, latest }: Span): number { return latest - earliest }
