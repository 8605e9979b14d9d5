import { bytesIn, MalformedMessage, type HubCodec } from '../codec.js'
import { encodeFrame, OPCODE_BINARY, payloadOf, type Frame, type Payload } from '../frame.js'
import { JsonText } from '../json-text.js'
import type { ClientMessage, RequestId, ServerMessage } from './schema.js'

const PING = Buffer.from('{"op":"ping"}')

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

  encode (message: ServerMessage | ClientMessage): Frame {
    const data = bytesIn(message)
    return encodeFrame(JSON.stringify(data === null ? message : { ...message, data: undefined, base64: base64(data) }))
  },

  reply (id: RequestId, payload: JsonText | null): Frame {
    return encodeFrame(`{"op":"reply","id":${JSON.stringify(id)}${payload === null ? '' : `,${content(payload)}`}}`)
  },

  decode (bytes: Buffer): unknown {
    let message: unknown
    try {
      message = JSON.parse(bytes.toString())
    } catch (error) {
      throw new MalformedMessage(`not JSON: ${(error as Error).message}`)
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

/** Members that can not be turned into bytes stay: the check of the message finds them, and its answer has the id. */
function withBytes (message: unknown): unknown {
  if (typeof message !== 'object' || message === null || !('op' in message) || message.op !== 'publish' || !('base64' in message)) return message
  const { base64: text, ...rest } = message
  if (typeof text !== 'string' || 'data' in rest) return message
  const data = Buffer.from(text, 'base64')
  // Buffer leaves out in silence what is not of the alphabet: only what comes out again is RFC 4648 section 4.
  return base64(data) === text ? { ...rest, data } : message
}
