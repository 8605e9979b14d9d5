import type { Socket } from 'node:net'
import type { TransportListener } from '../core/ports.js'
import { ABNORMAL, NO_STATUS } from '../protocol/disconnect.js'
import type { FrameListener, FrameParser } from '../protocol/frame-parser.js'
import { encodeControl, OPCODE_CLOSE } from '../protocol/frame.js'
import type { Unfinished } from '../protocol/unfinished.js'
import { READ_BYTES, type SharedRead } from './shared-read.js'
import { SocketTransport } from './socket-transport.js'

/** What the connections of one WebSocketServer share. The rest of its options is with the parser. */
export interface LeanShared {
  readonly parser: FrameParser
  /** null where Node has none for us. */
  readonly read: SharedRead | null
  /** Milliseconds that the peer may take to end its half of the socket, once both Close frames are there. */
  readonly closeTimeout: number
}

/** A discarded read of this size is followed by a pause of so many milliseconds. */
const FLOOD_BYTES = 8 * 1024
const FLOOD_PAUSE = 100

/**
 * A WebSocket that is no more than its socket. ws makes the handshake; but its WebSocket brings a parser, a sender and
 * closures for each connection, 1.5 KB that an idle one does not need. Control frames and the closing handshake (RFC 6455
 * sections 5.5 and 7.1) are here instead.
 */
export class LeanTransport extends SocketTransport implements FrameListener {
  readonly #shared: LeanShared
  #open = true
  /** The hub does not want to be told anything now. */
  #paused = false
  /** Whether what comes is no longer read: it is behind a Close or an error. */
  #deaf = false
  /** Only while the last message is not complete. */
  #unfinished: Unfinished | null = null
  /** The peer's Close frame. */
  #peerClose: { readonly code: number, readonly reason: string } | null = null
  #closeTimer: NodeJS.Timeout | null = null

  /** @param socket on which nobody else acts any more */
  constructor (socket: Socket, shared: LeanShared) {
    super(socket, true)
    this.#shared = shared
    ;(socket as Owned)[kTransport] = this
    if (shared.read?.begin(socket, onRead) !== true) socket.on('data', onData)
    socket.on('end', onEnd)
    socket.on('error', onError)
    socket.on('close', onClose)
  }

  get deflate (): boolean { return false }

  get writable (): boolean { return this.#open }

  attach (listener: TransportListener): void { this.listener = listener }

  close (code: number, reason: string): void {
    this.#sendClose(closeBody(code, Buffer.from(reason)))
    if (this.#deaf) this.#finish()
  }

  ignore (): void { this.#deaf = true }

  terminate (): void {
    this.#open = false
    this.socket.destroy()
  }

  pause (): void {
    this.#paused = true
    this.socket.pause()
  }

  resume (): void {
    this.#paused = false
    this.socket.resume()
  }

  /* ---- FrameListener ---- */

  get deaf (): boolean { return this.#deaf }

  onMessage (data: Buffer, isBinary: boolean, headroom: number): void { this.listener?.onMessage(data, isBinary, headroom) }

  onControl (kind: 'ping' | 'pong', data: Buffer): void { this.listener?.onControl(kind, data) }

  onPeerClose (code: number, reason: Buffer): void {
    this.#peerClose = { code, reason: reason.toString() }
    // Its own bytes: where the app has switched UTF-8 checks off, what they read as may be too long for a Close frame.
    this.#sendClose(code === NO_STATUS ? Buffer.alloc(0) : closeBody(code, reason))
    this.#finish()
  }

  onInvalid (error: Error, code: number): void {
    this.#deaf = true
    this.close(code, '')
    this.listener?.onError(error, code)
  }

  /* ---- the socket ---- */

  /** @param chunk whose first `length` bytes were read, and which is lent */
  read (chunk: Buffer, length: number): void {
    if (this.#deaf) return this.#discard(length)
    try {
      this.#unfinished = this.#shared.parser.parse(chunk, length, this.#unfinished, this)
    } catch (error) {
      // Whatever was told threw. The rest of what was read is lost, and what comes next would not be understood.
      this.#deaf = true
      this.terminate()
      throw error
    } finally {
      if (this.#deaf) this.#unfinished = null
    }
    this.#yield(length)
  }

  /** The peer's FIN, which it may send without a Close. */
  ended (): void {
    this.#open = false
    this.socket.end()
  }

  closed (): void {
    this.#open = false
    // What came while we did not read. With a SharedRead it is the kernel's, and was read before the end was seen.
    const rest = this.socket.readableLength > 0 && !this.socket.readableEnded ? this.socket.read(this.socket.readableLength) as Buffer | null : null
    try {
      if (rest !== null) this.read(rest, rest.length)
    } finally {
      this.#over()
    }
  }

  #over (): void {
    // Only now: a Close in the rest has begun to wait for the peer's FIN.
    if (this.#closeTimer !== null) clearTimeout(this.#closeTimer)
    // Whoever keeps the connection need not keep half a message.
    this.#unfinished = null
    const { code, reason } = this.#peerClose ?? { code: ABNORMAL, reason: '' }
    this.listener?.onClose(code, reason)
  }

  /** Behind a Close or an error only the peer's FIN is of interest. Who floods on is read slowly, so that TCP stops it. */
  #discard (length: number): void {
    if (length < FLOOD_BYTES || this.socket.destroyed) return
    this.socket.pause()
    setTimeout(() => { this.#readOn() }, FLOOD_PAUSE).unref()
  }

  /**
   * A read that is full has more behind it, and libuv would go on reading it, 32 times, before it looks at any other
   * socket. The others come first: they have their turn while this one waits for the next.
   */
  #yield (length: number): void {
    if (length < READ_BYTES || this.#paused || this.socket.destroyed) return
    this.socket.pause()
    setImmediate(() => { this.#readOn() })
  }

  #readOn (): void { if (!this.#paused) this.socket.resume() }

  /** The first Close is the only one, and nothing goes out behind it. */
  #sendClose (body: Buffer): void {
    if (!this.#open) return
    this.#open = false
    this.socket.write(encodeControl(OPCODE_CLOSE, body))
  }

  /** Both Closes are there, or there is nothing to wait for: the server ends first (RFC 6455 section 7.1.1). */
  #finish (): void {
    this.#deaf = true
    this.#closeTimer ??= setTimeout(() => { this.socket.destroy() }, this.#shared.closeTimeout)
    this.socket.end()
    // Until the peer's FIN. It is seen only by who reads.
    this.resume()
  }
}

/** RFC 6455 section 5.5.1. */
function closeBody (code: number, reason: Buffer): Buffer {
  const body = Buffer.allocUnsafe(2 + reason.length)
  body.writeUInt16BE(code)
  body.set(reason, 2)
  return body
}

/* Listeners that all sockets share: a closure for each event of each idle connection adds up. */

const kTransport = Symbol('fastify-hub.transport')

interface Owned extends Socket { [kTransport]: LeanTransport }

function onRead (this: Socket, bytes: number, buffer: Buffer): void { (this as Owned)[kTransport].read(buffer, bytes) }

function onData (this: Socket, chunk: Buffer): void { (this as Owned)[kTransport].read(chunk, chunk.length) }

function onEnd (this: Socket): void { (this as Owned)[kTransport].ended() }

function onError (this: Socket): void { (this as Owned)[kTransport].terminate() }

function onClose (this: Socket): void { (this as Owned)[kTransport].closed() }
