import { TokenBucket } from './token-bucket.js'

/** How much a peer may send; 0 is no limit. */
export interface PeerRateLimits {
  readonly messagesPerSecond: number
  /** Messages that may come at once. */
  readonly burst: number
  readonly bytesPerSecond: number
  /** Bytes that may come at once: at least the largest message. */
  readonly burstBytes: number
  /** Messages over the rate in a row that end the connection. */
  readonly violations: number
}

/** What one peer has used up. */
export class PeerRate {
  readonly #limits: PeerRateLimits
  readonly #messages: TokenBucket
  readonly #bytes: TokenBucket
  /** Messages over the rate in a row. */
  violations = 0

  constructor (limits: PeerRateLimits, now: number) {
    this.#limits = limits
    this.#messages = new TokenBucket(limits.burst, now)
    this.#bytes = new TokenBucket(limits.burstBytes, now)
  }

  /** Counts one message, or one ping or pong. @returns whether it is within the rate */
  take (bytes: number, now: number): boolean {
    const { messagesPerSecond, burst, bytesPerSecond, burstBytes } = this.#limits
    const within = (messagesPerSecond === 0 || this.#messages.take(1, messagesPerSecond, burst, now)) &&
      (bytesPerSecond === 0 || this.#bytes.take(bytes, bytesPerSecond, burstBytes, now))
    this.violations = within ? 0 : this.violations + 1
    return within
  }
}
