import { MAX_HEADER } from './frame.js'
import { rotateKey, unmask } from './unmask.js'

/** Less is not worth an allocation of its own. */
const LEAST_CAPACITY = 64

/** Bytes in front of a message in its memory: whatever its length, it can become a frame there. */
export const HEADROOM = MAX_HEADER

/**
 * What a parser knows of one connection while a frame, or a message, of its peer is not complete. An idle connection has
 * none.
 *
 * A header is a promise: a hundred thousand peers that announce 64 KiB and send one byte must not cost 6 GiB. So the
 * memory for a message is allocated whole only once a quarter of what is announced has come; until then it has room for four
 * times as much as has come, and is copied when that is full, which adds up to a third of a copy. What is held
 * is never more than four times what was sent, but for the first 64 bytes and the headroom. Nearly always a read brings a quarter or
 * more, and the message is copied once.
 */
export class Unfinished {
  /** A header, or a control frame, that is not all there: raw bytes as latin1, which costs less than a Buffer. */
  rest = ''
  /** Of the message that was begun; 0 before there is one. */
  opcode = 0
  /** Whether the current frame is the last of its message. */
  fin = false
  /** Payload bytes of the current frame that have not come. */
  left = 0
  /** Reads that have not completed the current frame. */
  reads = 0
  /** Frames of the message that are complete. */
  fragments = 0
  /** Payload bytes of the message that have come. */
  length = 0
  #key = 0
  /** HEADROOM, what has come, and room for more. Its own, so that it does not keep 8 KiB of Node's pool. */
  #memory: Buffer | null = null

  /** Begins a data frame. */
  begin (opcode: number, fin: boolean, length: number, key: number): void {
    if (this.opcode === 0) this.opcode = opcode
    this.fin = fin
    this.left = length
    this.#key = key
    this.reads = 0
  }

  /**
   * Takes what there is of the payload of the current frame.
   * @param limit what a message may have
   * @returns where it ends
   */
  take (chunk: Buffer, start: number, end: number, limit: number): number {
    const bytes = Math.min(this.left, end - start)
    if (bytes === 0) return start
    unmask(chunk, start, start + bytes, this.#roomFor(bytes, limit), HEADROOM + this.length, this.#key)
    this.#key = rotateKey(this.#key, bytes)
    this.length += bytes
    this.left -= bytes
    if (this.left > 0) this.reads++
    return start + bytes
  }

  /** The payload of the message, once its last frame is complete, with HEADROOM bytes in front of it. */
  message (): Buffer {
    const size = HEADROOM + this.length
    const memory = this.#memory?.length === size ? this.#memory : Buffer.allocUnsafeSlow(size)
    if (this.#memory !== null && this.#memory !== memory) this.#memory.copy(memory, HEADROOM, HEADROOM, size)
    return memory.subarray(HEADROOM)
  }

  #roomFor (bytes: number, limit: number): Buffer {
    const needed = this.length + bytes
    if (this.#memory !== null && this.#memory.length >= HEADROOM + needed) return this.#memory
    let capacity = this.length + this.left
    if (capacity > needed * 4) capacity = Math.min(capacity, Math.max(needed * 4, LEAST_CAPACITY))
    // Another fragment follows, and each may be of one byte.
    else if (!this.fin) capacity = Math.min(limit, Math.max(capacity, this.length * 2))
    const memory = Buffer.allocUnsafeSlow(HEADROOM + capacity)
    this.#memory?.copy(memory, HEADROOM, HEADROOM, HEADROOM + this.length)
    this.#memory = memory
    return memory
  }
}
