import { OPCODE_TEXT, payloadOf, type Payload } from '../protocol/frame.js'
import { JsonText } from '../protocol/json-text.js'

/**
 * What may be kept of a payload when the call has returned: bytes, and messages of a peer, are the application's to change.
 * What cannot change is answered as it is.
 */
export function keep (payload: Payload): string | JsonText | Uint8Array {
  if (typeof payload === 'string' || payload instanceof JsonText) return payload
  if (payload instanceof Uint8Array) return copyOf(payload)
  const { opcode, payload: bytes } = payloadOf(payload.toFrame())
  return opcode === OPCODE_TEXT ? bytes.toString('utf8') : copyOf(bytes)
}

/** In memory of its own: a small buffer is part of Node's pool, and would keep all 8 KiB of it alive. */
function copyOf (bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  copy.set(bytes)
  return copy
}
