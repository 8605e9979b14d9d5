import { TokenBucket } from './token-bucket.js'

/** How much a peer may send; 0 is no limit. */
export interface PeerRateLimits {
  readonly messagesPerSecond: number
  /** Messages that may come at once. */
  readonly burst: number
  /** As many may come at once. */
  readonly bytesPerSecond: number
  /** Messages over the rate in a row that end the connection. */
  readonly violations: number
}

/** Milliseconds of what was sent at the rate while nobody read, at most: more than networks keep under way. */
const MAX_UNREAD_MS = 60_000

/** What one peer has used up. */
export class PeerRate {
  readonly #limits: PeerRateLimits
  /** null without a limit. */
  readonly #messages: TokenBucket | null
  readonly #bytes: TokenBucket | null
  /** Messages over the rate in a row. */
  violations = 0
  /** Messages beyond those of the bucket that may have come while nobody read. */
  #unread = 0

  constructor (limits: PeerRateLimits, now: number) {
    this.#limits = limits
    this.#messages = limits.messagesPerSecond > 0 ? new TokenBucket(limits.burst, now) : null
    this.#bytes = limits.bytesPerSecond > 0 ? new TokenBucket(limits.bytesPerSecond, now) : null
  }

  /** Counts one message, or one ping or pong. @returns whether it is within the rate of messages */
  take (now: number): boolean {
    const { messagesPerSecond, burst } = this.#limits
    const within = this.#messages === null || this.#messages.take(1, messagesPerSecond, burst, now) || this.#takeUnread()
    this.violations = within ? 0 : this.violations + 1
    return within
  }

  /** It was not read for so long: then all that came meanwhile is read at once, and is no more over the rate than it was when it came. */
  unread (ms: number): void {
    const { messagesPerSecond } = this.#limits
    this.#unread = Math.min(this.#unread + ms * messagesPerSecond / 1_000, MAX_UNREAD_MS * messagesPerSecond / 1_000)
  }

  /** Counts bytes that have come. @returns milliseconds for which no more should be read; 0 within the rate of bytes */
  spend (bytes: number, now: number): number {
    return this.#bytes?.spend(bytes, this.#limits.bytesPerSecond, this.#limits.bytesPerSecond, now) ?? 0
  }

  /** Whether the peer has been quiet for so long that it counts as one that has sent nothing yet. */
  rested (now: number): boolean {
    const { messagesPerSecond, burst, bytesPerSecond } = this.#limits
    return this.violations === 0 && (this.#messages?.full(messagesPerSecond, burst, now) ?? true) && (this.#bytes?.full(bytesPerSecond, bytesPerSecond, now) ?? true)
  }

  #takeUnread (): boolean {
    if (this.#unread < 1) return false
    this.#unread--
    return true
  }
}
