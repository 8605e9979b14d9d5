import type { Writable } from 'node:stream'
import * as ws from 'ws'

/** What ws's Receiver is told, and where it gets it from: the options of the server that made the handshake. */
export interface ParserOptions {
  readonly maxPayload?: number | undefined
  readonly skipUTF8Validation?: boolean | undefined
  readonly maxFragments?: number | undefined
  readonly maxBufferedChunks?: number | undefined
}

/** Gets what a parser finds, from within `parse`. */
export interface ParserOwner {
  onMessage (data: Buffer, isBinary: boolean): void
  onControl (kind: 'ping' | 'pong', data: Buffer): void
  /** The peer's Close; 1005 when it names no code. Nothing comes after it. */
  onPeerClose (code: number, reason: Buffer): void
}

/** ws's parser, which is exported and not in its types. Complete frames are emitted from within `write`. */
interface WsReceiver extends Writable {
  /** 0 between two frames. */
  readonly _state: number
  readonly _bufferedBytes: number
  /** Opcode of a message whose last fragment has not come; 0 between two messages. */
  readonly _fragmented: number
}

type ReceiverClass = new (options: object) => WsReceiver

const { Receiver } = ws as unknown as { Receiver?: ReceiverClass }

/** One parser, on loan to one connection at a time. */
export class Parser {
  readonly #receiver: WsReceiver
  #owner: ParserOwner | null = null

  constructor (Kind: ReceiverClass, options: ParserOptions) {
    const { maxPayload, skipUTF8Validation, maxFragments, maxBufferedChunks } = options
    this.#receiver = new Kind({ isServer: true, allowSynchronousEvents: true, maxPayload, skipUTF8Validation, maxFragments, maxBufferedChunks })
    this.#receiver.on('message', (data: Buffer, isBinary: boolean) => { this.#owner?.onMessage(data, isBinary) })
    this.#receiver.on('ping', (data: Buffer) => { this.#owner?.onControl('ping', data) })
    this.#receiver.on('pong', (data: Buffer) => { this.#owner?.onControl('pong', data) })
    this.#receiver.on('conclude', (code: number, reason: Buffer) => { this.#owner?.onPeerClose(code, reason) })
    // Told at once, by `parse`.
    this.#receiver.on('error', () => {})
  }

  /** Whether the next byte begins a message, so that it may be anybody's. */
  get free (): boolean {
    const { _state, _bufferedBytes, _fragmented, errored, writableEnded } = this.#receiver
    return _state === 0 && _bufferedBytes === 0 && _fragmented === 0 && errored === null && !writableEnded
  }

  /** @returns what is wrong with the bytes, after which this parser is of no use */
  parse (chunk: Buffer, owner: ParserOwner): Error | null {
    this.#owner = owner
    try {
      this.#receiver.write(chunk)
    } finally {
      this.#owner = null
    }
    return this.#receiver.errored
  }
}

/**
 * Lends parsers. Nearly always the bytes that came are whole messages, and then the same parser serves every connection;
 * one whose message is not complete keeps its own until it is. A parser of ws is a stream with 800 bytes of state.
 */
export class Parsers {
  readonly #options: ParserOptions
  readonly #Kind: ReceiverClass
  #spare: Parser | null = null

  private constructor (Kind: ReceiverClass, options: ParserOptions) {
    this.#Kind = Kind
    this.#options = options
  }

  /** @returns null where ws is not as we know it, and nobody could tell when a parser is free */
  static with (options: ParserOptions, Kind: ReceiverClass | null = Receiver ?? null): Parsers | null {
    if (Kind === null) return null
    const parsers = new Parsers(Kind, options)
    return parsers.takeBack(parsers.lend()) ? parsers : null
  }

  lend (): Parser {
    const parser = this.#spare ?? new Parser(this.#Kind, this.#options)
    this.#spare = null
    return parser
  }

  /** @returns whether it is taken back */
  takeBack (parser: Parser): boolean {
    if (!parser.free) return false
    this.#spare = parser
    return true
  }
}
