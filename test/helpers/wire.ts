import { decode } from '@msgpack/msgpack'
import type { HubCodec } from '../../lib/protocol/codec.js'
import { encodeFrame, LENGTH_64, MAX_FRAME_BYTES, type Frame } from '../../lib/protocol/frame.js'
import { FrameReader } from '../../lib/testing/frame-reader.js'

/** What a strict peer reads: the one message of a frame. */
export function messageIn (frame: Frame): { isBinary: boolean, data: Buffer } {
  const reader = new FrameReader()
  const [message, ...more] = frame.chunks.flatMap((chunk) => reader.push(chunk))
  if (!reader.complete || message?.kind !== 'message' || more.length > 0) throw new Error('not exactly one message')
  return message
}

/** What an implementation that is not ours reads in a frame of a codec: JSON.parse, or @msgpack/msgpack. */
export function readByOthers (codec: HubCodec, frame: Frame): unknown {
  const { isBinary, data } = messageIn(frame)
  if (isBinary !== codec.isBinary) throw new Error(`a ${isBinary ? 'binary' : 'text'} message`)
  return isBinary ? decode(data) : JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(data))
}

/** At most 64 KiB; or one frame, whose message is at most that, and which is larger with its header only. */
export function isOneWrite (write: Buffer): boolean {
  if (write.length <= MAX_FRAME_BYTES) return true
  const payload = write[1] === LENGTH_64 ? Number(write.readBigUInt64BE(2)) : write.readUInt16BE(2)
  return payload <= MAX_FRAME_BYTES && encodeFrame(Buffer.alloc(payload)).bytes === write.length
}
