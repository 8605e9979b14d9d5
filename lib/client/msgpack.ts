import { Packr } from 'msgpackr'
import type { ClientMessage } from '../protocol/hub-v1/schema.js'
import { bytesIn, type ClientCodec } from './codec.js'

export type { ClientCodec } from './codec.js'

/** What JSON.stringify writes after a backslash. Of surrogates only those without the other half are written like that. */
const ESCAPE = /\\(ud...|.)/g

/** The subprotocol hub.v1.msgpack, as `codec` of a client: the same messages, in binary. Bytes go as they are. */
export function msgpack (): ClientCodec {
  // Plain MessagePack, with none of the library's own types: what the server reads. A member called toJSON is data by then.
  const packr = new Packr({ useRecords: false, mapsAsObjects: true, variableMapSize: true, int64AsType: 'number', encodeUndefinedAsNil: true, moreTypes: false, useToJSON: false })
  return {
    name: 'hub.v1.msgpack',

    encode (message: ClientMessage): Uint8Array<ArrayBuffer> {
      // Renamed, it would be another room, and its answers those of nobody.
      if ('room' in message && /\p{Surrogate}/u.test(message.room)) throw new TypeError(`a name that has no UTF-8: ${JSON.stringify(message.room)}`)
      const data = bytesIn(message)
      return packr.pack(data === null ? asJson(message) : { ...asJson({ ...message, data: undefined }), data }) as Uint8Array<ArrayBuffer>
    },

    decode (data: unknown): unknown {
      if (typeof data === 'string') throw new TypeError('a text message, where hub.v1.msgpack has binary ones')
      return packr.unpack(new Uint8Array(data as ArrayBuffer))
    }
  }
}

/** By way of JSON, so that a value has the same meaning in both encodings. Lone surrogates have no UTF-8: the server would close for good. */
function asJson (message: object): object {
  return JSON.parse(JSON.stringify(message).replace(ESCAPE, (escape, after: string) => after.length > 1 ? '\\ufffd' : escape)) as object
}
