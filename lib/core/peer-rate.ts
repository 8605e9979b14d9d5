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

/** What one peer has used up. */
export class PeerRate {
  readonly #limits: PeerRateLimits
  /** null without a limit. */
  readonly #messages: TokenBucket | null
  readonly #bytes: TokenBucket | null
  /** Messages over the rate in a row. */
  violations = 0
  /** The stalls of this process so far that it has been credited with. */
  #stalled: number
  /** When it was last read, while it is not. */
  #pausedAt = 0

  /** @param stalled milliseconds of stalls so far, without one whose backlog is being read */
  constructor (limits: PeerRateLimits, now: number, stalled: number) {
    this.#limits = limits
    this.#stalled = stalled
    this.#messages = limits.messagesPerSecond > 0 ? new TokenBucket(limits.burst, now) : null
    this.#bytes = limits.bytesPerSecond > 0 ? new TokenBucket(limits.bytesPerSecond, now) : null
  }

  /** It is not read from now on. */
  pause (now: number): void { this.#pausedAt = now }

  /** It is read again, and at once all that it has sent meanwhile at its own pace. */
  resume (now: number, stalled: number): void {
    this.#stalled = stalled
    this.#credit(now - this.#pausedAt, now)
  }

  /**
   * Counts one message, or one ping or pong.
   * @param stalled milliseconds for which this process has stood still so far
   * @returns whether it is within the rate of messages
   */
  take (now: number, stalled: number): boolean {
    if (stalled > this.#stalled) {
      this.#credit(stalled - this.#stalled, now)
      this.#stalled = stalled
    }
    const { messagesPerSecond, burst } = this.#limits
    const within = this.#messages === null || this.#messages.take(1, messagesPerSecond, burst, now)
    this.violations = within ? 0 : this.violations + 1
    return within
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

  #credit (unread: number, now: number): void {
    const { burst, messagesPerSecond } = this.#limits
    this.#messages?.credit(unread, messagesPerSecond, burst, now)
  }
}
