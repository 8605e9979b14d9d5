import { constants, deflateRawSync } from 'node:zlib'
import { encodeBytes, payloadOf, type Frame } from './frame.js'

/** What ends a block that was flushed: permessage-deflate leaves it out (RFC 7692 section 7.2.1). */
const TAIL_BYTES = 4

/**
 * The same message compressed by itself, without the context of others, so that one result serves every receiver.
 * @param level of zlib, 1 (fast) to 9 (small)
 * @returns null when it would not be smaller
 */
export function deflateFrame (frame: Frame, level: number): Frame | null {
  const { opcode, payload } = payloadOf(frame)
  const deflated = deflateRawSync(payload, { level, finishFlush: constants.Z_SYNC_FLUSH })
  const compressed = encodeBytes(deflated.subarray(0, -TAIL_BYTES), opcode, true)
  return compressed.bytes < frame.bytes ? compressed : null
}
