import { describe } from '../core/describe.js'
import { InboundMessage } from '../core/message.js'
import { toPayload } from '../core/payload.js'
import type { Clock, Transport, TransportListener } from '../core/ports.js'
import type { Connection, Message } from '../core/types.js'
import { FST_HUB_CLOSED, FST_HUB_INVALID_ARGUMENT } from '../errors.js'
import { fitReason } from '../protocol/close-reason.js'
import { isReceivableCloseCode } from '../protocol/disconnect.js'
import { encodeFrame, OPCODE_BINARY, payloadOf, type Frame } from '../protocol/frame.js'
import { FrameReader } from './frame-reader.js'
import { MemoryTransport } from './memory-transport.js'

/** How the connection ended, as the peer saw it. */
export interface PeerEnd {
  /** Of the Close frame that the peer has read; its own where it closed first; 1006 where there was none. */
  code: number
  reason: string
}

const NOTHING = Buffer.alloc(0)

interface Waiting { readonly resolve: (message: Message) => void, readonly reject: (error: Error) => void }

/**
 * The client of one connection, as good or bad as the test wants it. It reads at once, answers pings and Close, and its
 * behaviour can be changed at any time. What it sends is heard in the next turn of the event loop.
 */
export class TestPeer {
  /** The server's side. */
  readonly connection: Connection
  /** Resolves when the server's socket is over. */
  readonly closed: Promise<PeerEnd>
  readonly #transport: MemoryTransport
  readonly #reader = new FrameReader()
  readonly #messages: Message[] = []
  /** Messages that `next` has given away. */
  #given = 0
  #waiting: Waiting[] = []
  #pings = 0
  #pongs = 0
  /** It has sent a Close frame. */
  #closing = false
  /** The server's Close frame, once it has been read. */
  #closedBy: PeerEnd | null = null
  #ended: PeerEnd | null = null
  #resolveClosed: (end: PeerEnd) => void = () => {}

  /** Made by `connect`. */
  constructor (clock: Clock, kernel: number, accept: (transport: Transport) => Connection & TransportListener) {
    this.closed = new Promise((resolve) => { this.#resolveClosed = resolve })
    this.#transport = new MemoryTransport(clock, kernel, {
      onBytes: (bytes) => { this.#read(bytes) },
      onEnd: (code, reason) => { this.#end({ code, reason }) }
    })
    this.connection = accept(this.#transport)
  }

  /** How the connection ended; null while the server's socket is open. */
  get ended (): PeerEnd | null { return this.#ended }

  /** All messages that it has read, oldest first. */
  get messages (): readonly Message[] { return this.#messages }

  /** Pings that it has read, and answered. */
  get pings (): number { return this.#pings }

  /** Pongs that it has read. */
  get pongs (): number { return this.#pongs }

  /**
   * The next message: each is given once, in order.
   * @throws FST_HUB_CLOSED when the connection has ended, and no message is left (as a rejection)
   */
  async next (): Promise<Message> {
    const message = this.#messages[this.#given]
    if (message === undefined && this.#ended !== null) throw new FST_HUB_CLOSED()
    this.#given++
    return message ?? await new Promise<Message>((resolve, reject) => { this.#waiting.push({ resolve, reject }) })
  }

  /**
   * Resolves when onConnect has succeeded.
   * @throws FST_HUB_CLOSED when the connection closes before that (as a rejection)
   */
  async opened (): Promise<void> {
    while (this.connection.state === 'connecting') await new Promise<void>((resolve) => { setImmediate(resolve) })
    if (this.connection.state !== 'open') throw new FST_HUB_CLOSED()
  }

  /* ---- what it sends ---- */

  /**
   * Sends a message: a string as text, a Uint8Array as binary, anything else as JSON text. As in a browser nothing
   * happens when it has closed.
   * @throws FST_HUB_INVALID_DATA for what JSON has no text for
   */
  send (data: unknown): void { this.say(encodeFrame(toPayload(data))) }

  /** Sends the message that a frame has. */
  say (frame: Frame): void {
    const { opcode, payload } = payloadOf(frame)
    // Its own memory: the handler may keep it, and change it.
    const bytes = Buffer.from(payload)
    if (!this.#closing) this.#transport.send((listener) => { listener.onMessage(bytes, opcode === OPCODE_BINARY, 0) })
  }

  /** Sends a Ping frame, which the server answers within the rate of the peer. */
  ping (): void { if (!this.#closing) this.#transport.send((listener) => { listener.onControl('ping', NOTHING) }) }

  /**
   * Sends a Close frame, which the server answers.
   * @param code one that an endpoint may send (RFC 6455 section 7.4). Default: none, which the server sees as 1005
   * @param reason at most 123 bytes of UTF-8, cut at a character boundary; none without a code
   * @throws FST_HUB_INVALID_ARGUMENT
   */
  close (code?: number, reason = ''): void {
    if (code !== undefined && !isReceivableCloseCode(code)) throw new FST_HUB_INVALID_ARGUMENT('code', '1000 to 1014 except 1004 to 1006, or 3000 to 4999', describe(code))
    this.#sendClose(code === undefined ? { code: 1005, reason: '' } : { code, reason: fitReason(reason) })
  }

  /* ---- how it behaves ---- */

  /** Reads all there is, and from now on at once: the start, and what ends `slow`, `stuck` and `vanish`. */
  read (): void { this.#transport.read(Infinity) }

  /**
   * Reads slowly.
   * @param bytesPerSecond of the clock's time; more than 0
   * @throws FST_HUB_INVALID_ARGUMENT
   */
  slow (bytesPerSecond: number): void {
    if (!Number.isFinite(bytesPerSecond) || bytesPerSecond <= 0) throw new FST_HUB_INVALID_ARGUMENT('bytesPerSecond', 'a number of more than 0', describe(bytesPerSecond))
    this.#transport.read(bytesPerSecond)
  }

  /** Reads no more: it answers no ping and no Close, and soon the server's socket is blocked. It can still send. */
  stuck (): void { this.#transport.read(0) }

  /** The connection is reset: the server sees 1006 in the next turn. */
  reset (): void { this.#transport.reset() }

  /**
   * The network is gone without a word, and the connection half-open: nothing reaches the server any more, nothing that
   * it writes is read. `read` brings the network back, and then what was sent meanwhile arrives, as TCP would do it.
   */
  vanish (): void { this.#transport.lose() }

  /* ---- */

  #read (bytes: Buffer): void {
    for (const read of this.#reader.push(bytes)) {
      if (read.kind === 'message') this.#receive(new InboundMessage(read.data, read.isBinary))
      else if (read.kind === 'close') this.#answerClose({ code: read.code, reason: read.reason })
      else if (read.kind === 'ping') this.#answerPing(read.data)
      else this.#pongs++
    }
  }

  #receive (message: Message): void {
    this.#messages.push(message)
    this.#waiting.shift()?.resolve(message)
  }

  #answerPing (data: Buffer): void {
    this.#pings++
    this.#transport.send((listener) => { listener.onControl('pong', data) })
  }

  #answerClose (close: PeerEnd): void {
    this.#closedBy = close
    this.#sendClose(close)
  }

  #sendClose ({ code, reason }: PeerEnd): void {
    if (this.#closing) return
    this.#closing = true
    this.#transport.sendClose(code, reason)
  }

  #end (how: PeerEnd): void {
    const end = this.#ended = this.#closedBy ?? how
    for (const { reject } of this.#waiting) reject(new FST_HUB_CLOSED())
    this.#waiting = []
    this.#resolveClosed(end)
  }
}
