import type { Frame } from '../protocol/frame.js'
import type { Overflow } from './types.js'

/** Bounds of one queue; 0 is no bound. */
export interface QueueLimits { readonly maxMessages: number, readonly maxBytes: number }

/** `offer` refused the frame. */
export const REJECTED = -1
/** `offer` refused the frame, and the policy asks to end the connection. */
export const DISCONNECT = -2

/** Consumed places at the front of the array before it is cut. */
const COMPACT_AT = 64

/** The bounded FIFO between the application and one blocked socket. Holds references to shared frames. */
export class SendQueue {
  readonly #limits: QueueLimits
  #frames: Frame[] = []
  #head = 0
  #bytes = 0

  constructor (limits: QueueLimits) {
    this.#limits = limits
  }

  get messages (): number { return this.#frames.length - this.#head }

  /** Bytes on the wire of what is queued. */
  get bytes (): number { return this.#bytes }

  /**
   * Adds a frame at the tail.
   * @returns how many older frames were evicted for it, or REJECTED, or DISCONNECT. A frame larger than the whole
   * queue is REJECTED under every policy: no eviction could make room for it.
   */
  offer (frame: Frame, overflow: Overflow): number {
    const { maxBytes } = this.#limits
    if (maxBytes > 0 && frame.bytes > maxBytes) return REJECTED
    let evicted = 0
    if (!this.#fits(frame)) {
      if (overflow === 'reject-new') return REJECTED
      if (overflow === 'disconnect') return DISCONNECT
      do {
        this.shift()
        evicted++
      } while (!this.#fits(frame))
    }
    this.#frames.push(frame)
    this.#bytes += frame.bytes
    return evicted
  }

  /** Takes the oldest frame. */
  shift (): Frame | undefined {
    const frame = this.#frames[this.#head]
    if (frame === undefined) return undefined
    this.#head++
    this.#bytes -= frame.bytes
    if (this.#head === this.#frames.length || this.#head === COMPACT_AT) {
      this.#frames = this.#frames.slice(this.#head)
      this.#head = 0
    }
    return frame
  }

  #fits (frame: Frame): boolean {
    const { maxMessages, maxBytes } = this.#limits
    return (maxMessages === 0 || this.messages < maxMessages) && (maxBytes === 0 || this.#bytes + frame.bytes <= maxBytes)
  }
}
