import { encodeFrame, type Frame, type Payload } from './frame.js'
import type { ClientMessage, RequestId, ServerMessage } from './hub-v1/schema.js'
import type { JsonText } from './json-text.js'

/** How what the application sends becomes frames of one connection: as its subprotocol has it. */
export interface Codec {
  /** A message for one connection, one user or everybody. @param ack what an `ack` of the peer is to name */
  direct (payload: Payload, ack?: string): Frame
  /** A publication of a room. @param offset its place in the log; 0 for an ephemeral one */
  publication (room: string, offset: number, payload: Payload): Frame
}

/** A codec of hub.v1, which has an envelope around everything, and messages of its own. */
export interface HubCodec extends Codec {
  /** The subprotocol. */
  readonly name: string
  /** Which kind of WebSocket messages it uses, both ways. */
  readonly isBinary: boolean
  /**
   * A message of the server, or of a peer for tests. Its `data` is a JSON value, written as JSON.stringify does in either codec;
   * of a `message`, `direct` or `publish` it may be bytes.
   * @throws TypeError for what JSON.stringify refuses: a BigInt, a cycle
   */
  encode (message: ServerMessage | ClientMessage): Frame
  /** The answer to a request. @param payload a JSON value as text; null for none */
  reply (id: RequestId, payload: JsonText | null): Frame
  /**
   * What a peer has sent; the bytes of a publish are its `data`.
   * @returns anything: `checkClientMessage` says what it is
   * @throws MalformedMessage, and nothing else
   */
  decode (bytes: Buffer): unknown
  /** Whether these are the bytes of a `ping` without an id, which need no look at their inside. */
  isPing (bytes: Buffer): boolean
  /** The answer to such a ping. */
  readonly pong: Frame
}

/** The bytes that a message has as its `data`; null when that is a JSON value. */
export function bytesIn (message: ServerMessage | ClientMessage): Uint8Array | null {
  return (message.op === 'message' || message.op === 'direct' || message.op === 'publish') && message.data instanceof Uint8Array ? message.data : null
}

/** What a peer has sent is nothing that the codec has. */
export class MalformedMessage extends Error {
  override readonly name = 'MalformedMessage'
  /** Whether it is text that is not UTF-8 (RFC 6455 section 8.1). */
  readonly isUtf8Problem: boolean

  constructor (message: string, isUtf8Problem = false) {
    super(message)
    this.isUtf8Problem = isUtf8Problem
  }
}

/** Messages of the application as they are: of every connection that does not speak hub.v1. */
export const rawCodec: Codec = Object.freeze({
  direct: (payload: Payload) => encodeFrame(payload),
  publication: (_room: string, _offset: number, payload: Payload) => encodeFrame(payload)
})
