import { FST_HUB_INVALID_DATA } from '../errors.js'
import { OPCODE_BINARY, payloadOf, type Payload } from '../protocol/frame.js'
import { JsonText } from '../protocol/json-text.js'
import { InboundMessage } from './message.js'
import { isThenable } from './thenable.js'
import { describe } from './describe.js'

/**
 * What an application may send: a string goes as text, a Uint8Array (a Buffer) as binary, an inbound message as it came,
 * any other JSON value as its JSON text.
 * @throws FST_HUB_INVALID_DATA for what JSON has no text for
 */
export function toPayload (data: unknown): Payload {
  if (typeof data === 'string' || data instanceof Uint8Array || data instanceof InboundMessage) return data
  refuseEmptyJson(data)
  let text: string | undefined
  try {
    text = JSON.stringify(data)
  } catch (error) {
    // BigInt, a cycle, or a toJSON that throws: whatever it likes.
    throw new FST_HUB_INVALID_DATA(error instanceof Error ? error.message.split('\n', 1)[0] as string : describe(error))
  }
  // undefined, functions and symbols.
  if (text === undefined) throw new FST_HUB_INVALID_DATA(`JSON has no form for ${typeof data}`)
  return new JsonText(text)
}

/** Mistakes that JSON would pass over in silence: it has only an empty object for them. */
function refuseEmptyJson (data: unknown): void {
  if (isThenable(data)) throw new FST_HUB_INVALID_DATA('it is a promise that was not awaited')
  if (data instanceof ArrayBuffer || data instanceof SharedArrayBuffer || ArrayBuffer.isView(data)) {
    throw new FST_HUB_INVALID_DATA('binary data is sent as a Uint8Array, which can be made of it')
  }
}

/** What the application sent, of what was kept of it. */
export function toData (payload: Payload): unknown {
  if (payload instanceof JsonText) return JSON.parse(payload.text)
  if (typeof payload === 'string' || payload instanceof Uint8Array) return payload
  const { opcode, payload: bytes } = payloadOf(payload.toFrame())
  return opcode === OPCODE_BINARY ? bytes : bytes.toString()
}
