import { JsonText } from './json-text.js'

/**
 * An encoded message, made once and shared by all its receivers: complete WebSocket frames, unmasked, as RFC 6455
 * section 5.2 has them from a server. A message over 64 KiB is a list of fragments (section 5.4), each of them a
 * complete frame, so that a write never holds part of one and control frames may go between them.
 */
export class Frame {
  chunks: readonly Buffer[]
  /** Bytes on the wire. */
  readonly bytes: number
  /** Queues that it waits in: its memory counts once, however many they are. */
  holders = 0
  /** The same message compressed; null when that does not make it smaller, undefined before anybody has asked. */
  deflated: Frame | null | undefined = undefined

  constructor (chunks: readonly Buffer[], bytes: number) {
    this.chunks = chunks
    this.bytes = bytes
  }

  /** For one that is kept: a small buffer is part of Node's pool, and would keep all 8 KiB of it alive. */
  ownMemory (): void {
    this.chunks = this.chunks.map((chunk) => {
      if (chunk.buffer.byteLength <= 2 * chunk.length) return chunk
      const own = Buffer.allocUnsafeSlow(chunk.length)
      own.set(chunk)
      return own
    })
  }
}

/** What an application sends, before it is a frame: text, a JSON value, binary, or what a peer has sent. */
export type Payload = string | JsonText | Uint8Array | Forwarded

/** A message of a peer on its way to others. */
export interface Forwarded {
  /** Its frame, the same for all who ask, and changed by nobody. */
  toFrame (): Frame
}

/** Largest message that is one frame: with the default of `limits.maxMessageBytes`, whatever a peer says can be sent on as one. */
const MAX_WHOLE = 64 * 1024
/** RFC 6455 section 5.2, without a mask. */
export const MAX_HEADER = 10
/**
 * Largest fragment on the wire, header included, and the unit of one write. A message that is one frame, and larger only with
 * its header, is written as it is: cut in two it would take a quarter more of the server's time.
 */
export const MAX_FRAME_BYTES = 64 * 1024
/** What fits into such a fragment, with a header of 4 bytes. */
const MAX_FRAGMENT = MAX_FRAME_BYTES - 4

/* RFC 6455 section 5.2, for both directions. */
export const FIN = 0x80
export const RSV1 = 0x40
export const OPCODE_BITS = 0x0f
export const OPCODE_CONTINUATION = 0x0
export const OPCODE_TEXT = 0x1
export const OPCODE_BINARY = 0x2
export const OPCODE_CLOSE = 0x8
export const OPCODE_PING = 0x9
export const OPCODE_PONG = 0xa
export const LENGTH_16 = 126
export const LENGTH_64 = 127

/** Encodes a message. Copies: the caller may change its bytes afterwards. */
export function encodeFrame (payload: Payload): Frame {
  if (typeof payload === 'string') return encodeText(payload)
  if (payload instanceof JsonText) return encodeText(payload.text)
  return payload instanceof Uint8Array ? encodeBytes(payload, OPCODE_BINARY) : payload.toFrame()
}

function encodeText (text: string): Frame {
  const length = Buffer.byteLength(text)
  if (length > MAX_WHOLE) return encodeBytes(Buffer.from(text), OPCODE_TEXT)
  const header = headerBytes(length)
  const buffer = Buffer.allocUnsafe(header + length)
  writeHeader(buffer, FIN | OPCODE_TEXT, length)
  buffer.write(text, header)
  return new Frame([buffer], buffer.length)
}

/** What an incoming message needs in front of it, in its own memory, to be a frame without being copied. */
export function headroomFor (length: number): number {
  return length > MAX_WHOLE ? 0 : headerBytes(length)
}

/**
 * Makes a frame of a message where it is: from then on its memory belongs to the frame.
 * @param headroom bytes in front of it in the same memory, which nobody else uses. Without room for a header, it is copied.
 */
export function frameInPlace (payload: Buffer, headroom: number, opcode: number): Frame {
  const header = headroomFor(payload.length)
  if (header === 0 || headroom < header) return encodeBytes(payload, opcode)
  const chunk = Buffer.from(payload.buffer, payload.byteOffset - header, header + payload.length)
  writeHeader(chunk, FIN | opcode, payload.length)
  return new Frame([chunk], chunk.length)
}

/**
 * Encodes bytes as they are.
 * @param compressed sets RSV1, on the first fragment only (RFC 7692 section 7.2.3.1)
 */
export function encodeBytes (payload: Uint8Array, opcode: number, compressed = false): Frame {
  const largest = payload.length > MAX_WHOLE ? MAX_FRAGMENT : MAX_WHOLE
  const chunks: Buffer[] = []
  let bytes = 0
  let start = 0
  do {
    const end = Math.min(start + largest, payload.length)
    const length = end - start
    const header = headerBytes(length)
    const chunk = Buffer.allocUnsafe(header + length)
    const kind = start > 0 ? OPCODE_CONTINUATION : compressed ? opcode | RSV1 : opcode
    writeHeader(chunk, end === payload.length ? FIN | kind : kind, length)
    chunk.set(start === 0 && end === payload.length ? payload : payload.subarray(start, end), header)
    chunks.push(chunk)
    bytes += chunk.length
    start = end
  } while (start < payload.length)
  return new Frame(chunks, bytes)
}

/** Encodes a control frame. @param body at most 125 bytes (RFC 6455 section 5.5) */
export function encodeControl (opcode: number, body: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(2 + body.length)
  writeHeader(frame, FIN | opcode, body.length)
  frame.set(body, 2)
  return frame
}

/** What a frame was made of: the way back, for an encoding of another kind. */
export function payloadOf ({ chunks }: Frame): { opcode: number, payload: Buffer } {
  const payloads = chunks.map((chunk) => chunk.subarray(chunk[1] === LENGTH_64 ? 10 : chunk[1] === LENGTH_16 ? 4 : 2))
  const [first] = payloads as [Buffer]
  return { opcode: (chunks[0] as Buffer).readUInt8(0) & OPCODE_BITS, payload: payloads.length === 1 ? first : Buffer.concat(payloads) }
}

/** RFC 6455 section 5.2: the shortest form of the length. */
function headerBytes (length: number): number {
  return length < LENGTH_16 ? 2 : length < 65_536 ? 4 : 10
}

function writeHeader (target: Buffer, firstByte: number, length: number): void {
  target[0] = firstByte
  if (length < LENGTH_16) {
    target[1] = length
  } else if (length < 65_536) {
    target[1] = LENGTH_16
    target.writeUInt16BE(length, 2)
  } else {
    target[1] = LENGTH_64
    target.writeBigUInt64BE(BigInt(length), 2)
  }
}
