import { Packr } from 'msgpackr'
import { MalformedMessage, type HubCodec } from '../codec.js'
import { encodeBytes, OPCODE_BINARY, payloadOf, type Frame, type Payload } from '../frame.js'
import { JsonText } from '../json-text.js'
import { scanMessagePack } from './msgpack-scan.js'
import type { ClientMessage, ServerMessage } from './schema.js'

// Plain maps, arrays, strings, numbers and bytes: what another implementation of MessagePack reads and writes, too.
const packr = new Packr({ useRecords: false, mapsAsObjects: true, variableMapSize: true, int64AsType: 'number', encodeUndefinedAsNil: true, moreTypes: false })
const PING = packr.pack({ op: 'ping' })

/** hub.v1.msgpack: the same messages as MessagePack maps, in binary messages. */
export const msgpackCodec: HubCodec = Object.freeze({
  name: 'hub.v1.msgpack',
  isBinary: true,
  pong: pack({ op: 'pong' }),

  direct (payload: Payload, ack?: string): Frame {
    return pack(ack === undefined ? { op: 'direct', data: content(payload) } : { op: 'direct', data: content(payload), ack })
  },

  publication (room: string, offset: number, payload: Payload): Frame {
    return pack(offset > 0 ? { op: 'message', room, offset, data: content(payload) } : { op: 'message', room, data: content(payload) })
  },

  encode (message: ServerMessage | ClientMessage): Frame { return pack(message) },

  decode (bytes: Buffer): unknown {
    const problem = scanMessagePack(bytes)
    if (problem !== null) throw new MalformedMessage(`not MessagePack: ${problem}`, problem === 'a string that is not UTF-8')
    try {
      return packr.unpack(bytes)
    } catch (error) {
      throw new MalformedMessage(`not MessagePack: ${(error as Error).message}`)
    }
  },

  isPing (bytes: Buffer): boolean { return bytes.equals(PING) }
})

function pack (message: object): Frame { return encodeBytes(packr.pack(message), OPCODE_BINARY) }

function content (payload: Payload): unknown {
  if (payload instanceof JsonText) return JSON.parse(payload.text)
  if (typeof payload === 'string' || payload instanceof Uint8Array) return payload
  const { opcode, payload: bytes } = payloadOf(payload.toFrame())
  return opcode === OPCODE_BINARY ? bytes : bytes.toString()
}
