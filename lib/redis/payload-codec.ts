import { keep } from '../core/keep.js'
import { OPCODE_TEXT, payloadOf, type Payload } from '../protocol/frame.js'
import { JsonText } from '../protocol/json-text.js'

/* How payloads lie in Redis: a byte for the kind, then the bytes; of text those of UTF-8. What has been stored keeps its meaning. */
const [TEXT, BINARY, JSON_TEXT] = [0, 1, 2]

/**
 * The bytes of a payload. A copy: the application may change its own as soon as this has returned.
 * @param head bytes in front of it that are left to the caller
 */
export function encodePayload (payload: Payload, head = 0): Buffer {
  if (typeof payload === 'string') return encodeText(TEXT, payload, head)
  if (payload instanceof JsonText) return encodeText(JSON_TEXT, payload.text, head)
  if (payload instanceof Uint8Array) return encodeBytes(BINARY, payload, head)
  const { opcode, payload: bytes } = payloadOf(payload.toFrame())
  return encodeBytes(opcode === OPCODE_TEXT ? TEXT : BINARY, bytes, head)
}

/**
 * What `encodePayload` was given; a message of a peer as its text or its bytes. Bytes are in memory of their own, so that
 * whoever keeps them keeps nothing else.
 * @param start where it begins @param end where it ends
 * @throws RangeError for a kind that this version does not know
 */
export function decodePayload (buffer: Buffer, start = 0, end = buffer.length): string | JsonText | Uint8Array {
  const kind = start < end ? buffer[start] : undefined
  if (kind === TEXT) return buffer.toString('utf8', start + 1, end)
  if (kind === BINARY) return keep(buffer.subarray(start + 1, end))
  if (kind === JSON_TEXT) return new JsonText(buffer.toString('utf8', start + 1, end))
  throw new RangeError(`a payload of the unknown kind ${kind ?? 'of no bytes'}`)
}

function encodeText (kind: number, text: string, head: number): Buffer {
  const buffer = Buffer.allocUnsafe(head + 1 + Buffer.byteLength(text))
  buffer[head] = kind
  buffer.write(text, head + 1)
  return buffer
}

function encodeBytes (kind: number, bytes: Uint8Array, head: number): Buffer {
  const buffer = Buffer.allocUnsafe(head + 1 + bytes.length)
  buffer[head] = kind
  buffer.set(bytes, head + 1)
  return buffer
}
