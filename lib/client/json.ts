import type { ClientMessage } from '../protocol/hub-v1/schema.js'
import { bytesIn, type ClientCodec } from './codec.js'

/** The subprotocol hub.v1.json. */
export const jsonCodec: ClientCodec = {
  name: 'hub.v1.json',

  encode (message: ClientMessage): string {
    const bytes = bytesIn(message)
    return JSON.stringify(bytes === null ? message : { ...message, data: undefined, base64: toBase64(bytes) })
  },

  decode (data: unknown): unknown {
    if (typeof data !== 'string') throw new TypeError('a binary message, where hub.v1.json has text ones')
    const message: unknown = JSON.parse(data)
    if (typeof message !== 'object' || message === null || !('base64' in message)) return message
    const { base64, ...rest } = message
    return { ...rest, data: fromBase64(String(base64)) }
  }
}

function toBase64 (bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += String.fromCharCode(byte)
  return btoa(text)
}

function fromBase64 (text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
}
