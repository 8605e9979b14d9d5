import type { ClientMessage } from '../protocol/hub-v1/schema.js'

/** How messages become data of a WebSocket, and back. */
export interface ClientCodec {
  /** The subprotocol. */
  readonly name: string
  /** `data` that is a Uint8Array arrives as bytes. @throws for what the format does not have */
  encode (message: ClientMessage): string | Uint8Array<ArrayBuffer>
  /** @param data as the socket has it: a string, or an ArrayBuffer. @throws for what is not of the format */
  decode (data: unknown): unknown
}
