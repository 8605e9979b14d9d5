import { encodeBytes, frameInPlace, OPCODE_BINARY, OPCODE_TEXT, type Forwarded, type Frame } from '../protocol/frame.js'
import type { Message } from './types.js'

/**
 * One complete message of a peer, as the parser delivered it. Its bytes become the frame that others get, without a copy,
 * as long as the application has not seen them: those that it has are its own to change.
 */
export class InboundMessage implements Message, Forwarded {
  readonly isBinary: boolean
  #bytes: Buffer
  readonly #headroom: number
  #frame: Frame | null = null
  #seen = false

  /**
   * @param bytes nobody else has them
   * @param headroom bytes in front of them in the same memory, which nobody else has either
   */
  constructor (bytes: Buffer, isBinary: boolean, headroom = 0) {
    this.#bytes = bytes
    this.isBinary = isBinary
    this.#headroom = headroom
  }

  get bytes (): Buffer {
    if (!this.#seen && this.#frame !== null) this.#bytes = Buffer.from(this.#bytes)
    this.#seen = true
    return this.#bytes
  }

  text (): string { return this.#bytes.toString('utf8') }

  json<T = unknown> (): T { return JSON.parse(this.text()) as T }

  toFrame (): Frame {
    const opcode = this.isBinary ? OPCODE_BINARY : OPCODE_TEXT
    if (this.#seen) return encodeBytes(this.#bytes, opcode)
    this.#frame ??= frameInPlace(this.#bytes, this.#headroom, opcode)
    return this.#frame
  }
}
