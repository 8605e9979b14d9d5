import { FST_HUB_INVALID_DATA } from '../errors.js'
import { OPCODE_BINARY, payloadOf, type Payload } from '../protocol/frame.js'
import { JsonText } from '../protocol/json-text.js'
import { InboundMessage } from './message.js'
import { isThenable } from './thenable.js'
import { describe } from './describe.js'

/** Levels of nesting that JSON data may have. */
const MAX_DEPTH = 512
const [QUOTE, BACKSLASH, OPEN_BRACKET, CLOSE_BRACKET, OPEN_BRACE, CLOSE_BRACE] = [0x22, 0x5c, 0x5b, 0x5d, 0x7b, 0x7d]

/**
 * What an application may send: a string goes as text, a Uint8Array (a Buffer) as binary, an inbound message as it came,
 * any other JSON value as its JSON text.
 * @throws FST_HUB_INVALID_DATA for what JSON has no text for, and for more than 512 levels of nesting
 */
export function toPayload (data: unknown): Payload {
  return typeof data === 'string' || data instanceof Uint8Array || data instanceof InboundMessage ? data : toJsonText(data)
}

/**
 * A JSON value as its text.
 * @throws FST_HUB_INVALID_DATA as toPayload does, and for bytes
 */
export function toJsonText (data: unknown): JsonText {
  if (data instanceof Uint8Array || data instanceof InboundMessage) throw new FST_HUB_INVALID_DATA('bytes, and messages, are no JSON values')
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
  if (isTooDeep(text)) throw new FST_HUB_INVALID_DATA(`it is nested deeper than ${MAX_DEPTH} levels`)
  return new JsonText(text)
}

/** Whether a JSON text is nested too deep: what encodes it for some receiver may recurse, and must not fail for one of them only. */
function isTooDeep (text: string): boolean {
  // Each level takes two characters.
  if (text.length <= 2 * MAX_DEPTH) return false
  let depth = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === QUOTE) i = endOfString(text, i)
    else if (code === OPEN_BRACKET || code === OPEN_BRACE) depth++
    else if (code === CLOSE_BRACKET || code === CLOSE_BRACE) depth--
    if (depth > MAX_DEPTH) return true
  }
  return false
}

/** @param start of its opening quote. @returns the place of the closing one */
function endOfString (text: string, start: number): number {
  let end = text.indexOf('"', start + 1)
  while (isEscaped(text, end)) end = text.indexOf('"', end + 1)
  return end
}

function isEscaped (text: string, at: number): boolean {
  let backslashes = 0
  while (text.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes++
  return backslashes % 2 === 1
}

/** Mistakes that JSON would pass over in silence: it has only an empty object for them. */
function refuseEmptyJson (data: unknown): void {
  if (isThenable(data)) throw new FST_HUB_INVALID_DATA('it is a promise that was not awaited')
  if (data instanceof ArrayBuffer || data instanceof SharedArrayBuffer || ArrayBuffer.isView(data)) {
    throw new FST_HUB_INVALID_DATA('binary data is sent as a Uint8Array, which can be made of it')
  }
}

/** What the application sent, of what was kept of it; bytes are a copy, for it to change. */
export function toData (payload: Payload): unknown {
  if (payload instanceof JsonText) return JSON.parse(payload.text)
  if (typeof payload === 'string') return payload
  if (payload instanceof Uint8Array) return Buffer.from(payload)
  const { opcode, payload: bytes } = payloadOf(payload.toFrame())
  return opcode === OPCODE_BINARY ? Buffer.from(bytes) : bytes.toString()
}
