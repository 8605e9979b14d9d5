import type { HubCodec } from '../codec.js'
import { jsonCodec } from './json.js'
import { msgpackCodec } from './msgpack.js'

const codecs: readonly HubCodec[] = [jsonCodec, msgpackCodec]

/** The subprotocols of hub.v1. */
export const HUB_SUBPROTOCOLS: readonly string[] = codecs.map(({ name }) => name)

/** The codec of a connection; null when its subprotocol is none of hub.v1. */
export function hubCodecOf (subprotocol: string | null): HubCodec | null {
  return codecs.find(({ name }) => name === subprotocol) ?? null
}
