import { MalformedMessage, type HubCodec } from '../codec.js'
import { encodeFrame, OPCODE_BINARY, payloadOf, type Frame, type Payload } from '../frame.js'
import { JsonText } from '../json-text.js'
import type { ClientMessage, ServerMessage } from './schema.js'

const PING = Buffer.from('{"op":"ping"}')
/** RFC 4648 section 4, padded: what Buffer would decode in silence, leaving out what it does not know, is refused. */
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

/** hub.v1.json: each message is a JSON object in a text message. */
export const jsonCodec: HubCodec = Object.freeze({
  name: 'hub.v1.json',
  isBinary: false,
  pong: encodeFrame('{"op":"pong"}'),

  direct (payload: Payload, ack?: string): Frame {
    return encodeFrame(`{"op":"direct",${content(payload)}${ack === undefined ? '' : `,"ack":${JSON.stringify(ack)}`}}`)
  },

  publication (room: string, offset: number, payload: Payload): Frame {
    return encodeFrame(`{"op":"message","room":${JSON.stringify(room)}${offset > 0 ? `,"offset":${offset}` : ''},${content(payload)}}`)
  },

  encode (message: ServerMessage | ClientMessage): Frame { return encodeFrame(JSON.stringify(message)) },

  decode (bytes: Buffer): unknown {
    let message: unknown
    try {
      message = JSON.parse(bytes.toString())
    } catch {
      throw new MalformedMessage('not JSON')
    }
    return withBytes(message)
  },

  isPing (bytes: Buffer): boolean { return bytes.equals(PING) }
})

/** The member that has what the application sent. */
function content (payload: Payload): string {
  if (payload instanceof JsonText) return `"data":${payload.text}`
  if (typeof payload === 'string') return `"data":${JSON.stringify(payload)}`
  if (payload instanceof Uint8Array) return `"base64":"${base64(payload)}"`
  const { opcode, payload: bytes } = payloadOf(payload.toFrame())
  return opcode === OPCODE_BINARY ? `"base64":"${base64(bytes)}"` : `"data":${JSON.stringify(bytes.toString())}`
}

function base64 (bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}

function withBytes (message: unknown): unknown {
  if (typeof message !== 'object' || message === null || !('base64' in message)) return message
  const { base64: text, ...rest } = message
  if (typeof text !== 'string' || !BASE64.test(text)) throw new MalformedMessage('base64 is not base64 (RFC 4648 section 4)')
  if ('data' in rest) throw new MalformedMessage('both data and base64')
  return { ...rest, data: Buffer.from(text, 'base64') }
}
