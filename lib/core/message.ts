import type { Message } from './types.js'

/** One complete message of a peer, as the parser delivered it. */
export class InboundMessage implements Message {
  readonly isBinary: boolean
  readonly bytes: Buffer

  constructor (bytes: Buffer, isBinary: boolean) {
    this.bytes = bytes
    this.isBinary = isBinary
  }

  text (): string { return this.bytes.toString('utf8') }

  json<T = unknown> (): T { return JSON.parse(this.text()) as T }
}
