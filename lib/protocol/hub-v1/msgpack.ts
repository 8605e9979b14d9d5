import { toUSVString } from 'node:util'
import { Packr, Unpackr } from 'msgpackr'
import { bytesIn, type HubCodec } from '../codec.js'
import { encodeBytes, OPCODE_BINARY, payloadOf, type Frame, type Payload } from '../frame.js'
import { JsonText } from '../json-text.js'
import { scanMessagePack } from './msgpack-scan.js'
import type { ClientMessage, RequestId, ServerMessage } from './schema.js'

/** Plain maps, arrays, strings, numbers and bytes: what another implementation of MessagePack reads, too. A member called toJSON is data. */
const packr = new Packr({ useRecords: false, variableMapSize: true, encodeUndefinedAsNil: true, moreTypes: false, useToJSON: false })
/** A number of 64 bits becomes the nearest that JavaScript has, as by JSON.parse. */
const READING = { useRecords: false, int64AsType: 'number' } as const
const unpackr = new Unpackr({ ...READING, mapsAsObjects: true })
/** Keeps the key `__proto__`, which the other one renames. */
const mapUnpackr = new Unpackr({ ...READING, mapsAsObjects: false })
/** Bytes of msgpackr's buffer, which grows with the largest message and by itself never shrinks. */
const BUFFER_BYTES = 8 * 1024
const MAX_BUFFER_BYTES = 64 * 1024
const PING = Buffer.from(packr.pack({ op: 'ping' }))

/** hub.v1.msgpack: the same messages as MessagePack maps, in binary messages. */
export const msgpackCodec: HubCodec = Object.freeze({
  name: 'hub.v1.msgpack',
  isBinary: true,
  pong: pack({ op: 'pong' }),

  direct (payload: Payload, ack?: string): Frame {
    return pack(ack === undefined ? { op: 'direct', data: content(payload) } : { op: 'direct', data: content(payload), ack })
  },

  publication (room: string, offset: number, payload: Payload): Frame {
    return pack(offset > 0 ? { op: 'message', room, offset: portable(offset), data: content(payload) } : { op: 'message', room, data: content(payload) })
  },

  encode (message: ServerMessage | ClientMessage): Frame {
    const data = bytesIn(message)
    return pack(data === null ? fromJson(JSON.stringify(message)) : { ...fromJson(JSON.stringify({ ...message, data: undefined })), data })
  },

  reply (id: RequestId, payload: JsonText | null): Frame {
    const message = fromJson(JSON.stringify({ op: 'reply', id })) as object
    return pack(payload === null ? message : { ...message, data: content(payload) })
  },

  decode (bytes: Buffer): unknown {
    const problem = scanMessagePack(bytes)
    if (problem !== null) throw problem
    return bytes.includes('__proto__') ? toObjects(mapUnpackr.unpack(bytes)) : unpackr.unpack(bytes)
  },

  isPing (bytes: Buffer): boolean { return bytes.equals(PING) }
})

function pack (message: object): Frame {
  const bytes = packr.pack(message)
  const frame = encodeBytes(bytes, OPCODE_BINARY)
  if (bytes.length > MAX_BUFFER_BYTES) packr.useBuffer(Buffer.allocUnsafeSlow(BUFFER_BYTES))
  return frame
}

function content (payload: Payload): unknown {
  if (payload instanceof JsonText) return fromJson(payload.text)
  if (typeof payload === 'string') return toUSVString(payload)
  if (payload instanceof Uint8Array) return payload
  const { opcode, payload: bytes } = payloadOf(payload.toFrame())
  return opcode === OPCODE_BINARY ? bytes : bytes.toString()
}

/** Texts of JSON.stringify that may have something for `portable`: it escapes lone surrogates, and 2^32 has ten digits. */
const UNUSUAL = /\\ud|\d{10}/

/** By way of JSON, so that a value has the same meaning in both encodings: no members that are undefined, dates as text. */
function fromJson (text: string): object {
  const value = JSON.parse(text) as object
  return UNUSUAL.test(text) ? portable(value) as object : value
}

/**
 * With what msgpackr would write in a way that others can not read, or take for something else: lone surrogates, which have no
 * UTF-8, and whole numbers of more than 32 bits, which it writes as floating point.
 */
function portable (value: unknown): unknown {
  if (typeof value === 'string') return toUSVString(value)
  if (typeof value === 'number') return Number.isSafeInteger(value) && (value > 0xffff_ffff || value < -0x8000_0000) ? BigInt(value) : value
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(portable)
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [toUSVString(key), portable(member)]))
}

/** Object.fromEntries defines members of its own, also one called `__proto__`. */
function toObjects (value: unknown): unknown {
  if (Array.isArray(value)) return value.map(toObjects)
  return value instanceof Map ? Object.fromEntries(Array.from(value as Map<string, unknown>, ([key, member]) => [key, toObjects(member)])) : value
}
