/** Milliseconds for which an answer is better than a later one that took longer, and after which it is not good any more: clocks drift apart. */
const KEEP_MS = 30_000
const EXPIRY_MS = 60_000
/** Milliseconds by which they may drift in that time (0.05 % while one is slewed), and by which both are rounded. */
const SLACK_MS = 32

/** Where a moment lies by the time of Redis: milliseconds since the Unix epoch. */
export interface Span {
  readonly earliest: number
  readonly latest: number
}

interface Answer extends Span { readonly heardAt: number }

/** The time of one server of Redis, as far as its answers tell: it is another machine's, and may be set. */
export class RedisClock {
  /** By how much it is ahead of this node's monotonic one, from the answer that says it best of late. */
  #ahead: Answer | null = null

  /**
   * Redis has answered. All in milliseconds.
   * @param askedAt monotonic @param heardAt monotonic @param time of Redis between the two
   */
  heard (askedAt: number, heardAt: number, time: number): void {
    const answer = { earliest: time - heardAt - SLACK_MS, latest: time - askedAt + SLACK_MS, heardAt }
    const known = this.#ahead
    // Otherwise one of the clocks was set.
    const isAgreed = known !== null && answer.earliest <= known.latest && answer.latest >= known.earliest
    if (!isAgreed || heardAt - known.heardAt >= KEEP_MS || widthOf(answer) <= widthOf(known)) this.#ahead = answer
  }

  /** @param monotonic milliseconds @returns null: Redis has not answered yet, or not for so long that nothing is known any more */
  at (monotonic: number): Span | null {
    const ahead = this.#ahead
    if (ahead === null || monotonic - ahead.heardAt > EXPIRY_MS) return null
    return { earliest: monotonic + ahead.earliest, latest: monotonic + ahead.latest }
  }
}

function widthOf ({ earliest, latest }: Span): number { return latest - earliest }
