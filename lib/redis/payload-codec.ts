import { keep } from '../core/keep.js'
import { OPCODE_TEXT, payloadOf, type Payload } from '../protocol/frame.js'
import { JsonText } from '../protocol/json-text.js'

/* How payloads lie in Redis: a byte for the kind, then the bytes; of text those of UTF-8. What has been stored keeps its meaning. */
const [TEXT, BINARY, JSON_TEXT] = [0, 1, 2]

/** The bytes of a payload. A copy: the application may change its own as soon as this has returned. */
export function encodePayload (payload: Payload): Buffer {
  if (typeof payload === 'string') return encodeText(TEXT, payload)
  if (payload instanceof JsonText) return encodeText(JSON_TEXT, payload.text)
  if (payload instanceof Uint8Array) return encodeBytes(BINARY, payload)
  const { opcode, payload: bytes } = payloadOf(payload.toFrame())
  return encodeBytes(opcode === OPCODE_TEXT ? TEXT : BINARY, bytes)
}

/**
 * What `encodePayload` was given; a message of a peer as its text or its bytes. Bytes are in memory of their own, so that
 * whoever keeps them keeps nothing else.
 * @throws RangeError for a kind that this version does not know
 */
export function decodePayload (buffer: Buffer): string | JsonText | Uint8Array {
  const [kind] = buffer
  if (kind === TEXT) return buffer.toString('utf8', 1)
  if (kind === BINARY) return keep(buffer.subarray(1))
  if (kind === JSON_TEXT) return new JsonText(buffer.toString('utf8', 1))
  throw new RangeError(`a payload of the unknown kind ${kind ?? 'of no bytes'}`)
}

function encodeText (kind: number, text: string): Buffer {
  const buffer = Buffer.allocUnsafe(1 + Buffer.byteLength(text))
  buffer[0] = kind
  buffer.write(text, 1)
  return buffer
}

function encodeBytes (kind: number, bytes: Uint8Array): Buffer {
  const buffer = Buffer.allocUnsafe(1 + bytes.length)
  buffer[0] = kind
  buffer.set(bytes, 1)
  return buffer
}
