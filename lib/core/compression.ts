import { deflateFrame } from '../protocol/deflate.js'
import type { Frame } from '../protocol/frame.js'

/** `compression` option. */
export interface CompressionOptions {
  /** Of zlib; 0 is off. */
  readonly level: number
  /** Bytes on the wire from which on a message is compressed. */
  readonly threshold: number
}

/** permessage-deflate on the way out: once for each message, however many receivers it has. */
export class Compression {
  readonly #options: CompressionOptions

  constructor (options: CompressionOptions) {
    this.#options = options
  }

  /** The frame for a peer that takes compressed ones: itself where compressing it does not pay. */
  apply (frame: Frame): Frame {
    const { level, threshold } = this.#options
    if (level === 0 || frame.bytes < threshold) return frame
    if (frame.deflated === undefined) frame.deflated = deflateFrame(frame, level)
    return frame.deflated ?? frame
  }
}
