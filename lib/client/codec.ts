import type { ClientMessage } from '../protocol/hub-v1/schema.js'

/** How messages become data of a WebSocket, and back. */
export interface ClientCodec {
  /** The subprotocol. */
  readonly name: string
  /** As JSON.stringify has it, but for `data` of a publication that is a Uint8Array: it arrives as bytes. @throws for what the format does not have */
  encode (message: ClientMessage): string | Uint8Array<ArrayBuffer>
  /** @param data as the socket has it: a string, or an ArrayBuffer. @throws for what is not of the format */
  decode (data: unknown): unknown
}

/** The data, where it is bytes. @throws TypeError for bytes where the server looks for none */
export function bytesIn (message: ClientMessage): Uint8Array | null {
  if (!('data' in message) || !(message.data instanceof Uint8Array)) return null
  if (message.op !== 'publish') throw new TypeError(`bytes are data of publications only, not of ${message.op}`)
  return message.data
}
