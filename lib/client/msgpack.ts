import { Packr } from 'msgpackr'
import type { ClientMessage } from '../protocol/hub-v1/schema.js'
import type { ClientCodec } from './codec.js'

export type { ClientCodec } from './codec.js'

/** The subprotocol hub.v1.msgpack, as `codec` of a client: the same messages, in binary. Bytes go as they are. */
export function msgpack (): ClientCodec {
  // Plain MessagePack, with none of the library's own types: what the server reads.
  const packr = new Packr({ useRecords: false, mapsAsObjects: true, variableMapSize: true, int64AsType: 'number', encodeUndefinedAsNil: true, moreTypes: false })
  return {
    name: 'hub.v1.msgpack',
    encode: (message: ClientMessage) => packr.pack(message) as Uint8Array<ArrayBuffer>,
    decode (data: unknown): unknown {
      if (typeof data === 'string') throw new TypeError('a text message, where hub.v1.msgpack has binary ones')
      return packr.unpack(new Uint8Array(data as ArrayBuffer))
    }
  }
}
