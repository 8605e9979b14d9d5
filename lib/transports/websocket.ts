import { Socket } from 'node:net'
import { finished, type Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import type { RawData, WebSocket } from 'ws'
import type { Transport, TransportListener } from '../core/ports.js'

/** Up to this size the chunks of a write are joined: one buffer costs the kernel less than a list of many. */
const JOIN_BYTES = 16 * 1024
const OPEN = 1
/** Bits, of permessage-deflate. */
const LARGEST_WINDOW = 15

/** Close codes by what ws's parser calls the error (RFC 6455 section 7.4.1); anything else is a protocol error. */
const PARSER_ERRORS: Record<string, number> = {
  WS_ERR_INVALID_UTF8: 1007,
  WS_ERR_TOO_MANY_BUFFERED_PARTS: 1008,
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: 1009,
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: 1009,
  // Of zlib: what is not deflate (RFC 7692 section 7.2.2).
  Z_BUF_ERROR: 1007,
  Z_DATA_ERROR: 1007
}
const PROTOCOL_ERROR = 1002

/**
 * A plain TCP socket hands a write to the kernel at once, and what it has left waits for the peer. TLS, and the stream of
 * injectWS, always complete a write later: there, this many bytes may be under way before the peer counts as slow.
 */
const UNDER_WAY_BYTES = 256 * 1024

/**
 * A ws WebSocket as Transport: frames of ours are written to its socket as they are, beside the control frames of ws. By
 * itself ws would answer every ping, and at the 61st of one read destroy the socket without a code.
 */
export class WebSocketTransport implements Transport {
  readonly #ws: WebSocket
  readonly #socket: Duplex
  /** Bytes in the socket up to which it takes more. */
  readonly #tolerated: number
  readonly deflate: boolean
  #blocked = false
  /** Writes of ours that have not been completed. */
  #writes = 0
  #listener: TransportListener | null = null
  /** Made with the first write: an idle connection needs none. */
  #onWritten: (() => void) | null = null

  constructor (ws: WebSocket) {
    this.#ws = ws
    this.#socket = socketOf(ws)
    this.deflate = takesDeflated(ws)
    this.#tolerated = this.#socket instanceof Socket && !(this.#socket instanceof TLSSocket) ? 0 : UNDER_WAY_BYTES
  }

  get blocked (): boolean { return this.#blocked }

  get writable (): boolean { return this.#ws.readyState === OPEN && this.#socket.writable }

  /** Begins to tell the connection. */
  attach (listener: TransportListener): void {
    this.#listener = listener
    const ws = this.#ws as Attached
    // For this socket alone: other routes share the server, and its options.
    ws._autoPong = false
    // @fastify/websocket has put its error listener on just before its handler was called. It would destroy the socket
    // before the Close frame with the reason is out, and keep request and reply alive.
    const foreign = ws.listeners('error').at(-1)
    if (foreign !== undefined) ws.removeListener('error', foreign as () => void)
    ws[kListener] = listener
    ws.on('message', onMessage)
    ws.on('ping', onPing)
    ws.on('pong', onPong)
    ws.on('error', onError)
    ws.on('close', onClose)
    // The stream of injectWS, unlike a socket, does not destroy itself when both halves have ended, and no 'close' comes.
    if (!(this.#socket instanceof Socket)) finished(this.#socket, () => { this.#socket.destroy() })
  }

  write (chunks: readonly Buffer[]): void {
    const socket = this.#socket
    if (!this.writable) return
    const onWritten = this.#onWritten ??= () => { this.#written() }
    const [first] = chunks
    this.#writes++
    if (chunks.length === 1) {
      socket.write(first, onWritten)
    } else {
      let bytes = 0
      for (const chunk of chunks) bytes += chunk.length
      if (bytes <= JOIN_BYTES) {
        socket.write(Buffer.concat(chunks, bytes), onWritten)
      } else {
        this.#writes += chunks.length - 1
        socket.cork()
        for (const chunk of chunks) socket.write(chunk, onWritten)
        socket.uncork()
      }
    }
    // writableNeedDrain would say true after cork and uncork with nothing left.
    this.#blocked = socket.writableLength > this.#tolerated
  }

  ping (): void { this.#ws.ping() }

  pong (data: Buffer): void {
    this.#writes++
    this.#ws.pong(data, false, this.#onWritten ??= () => { this.#written() })
    this.#blocked = this.#socket.writableLength > this.#tolerated
  }

  close (code: number, reason: string): void { this.#ws.close(code, reason) }

  terminate (): void { this.#ws.terminate() }

  pause (): void { this.#ws.pause() }

  resume (): void { this.#ws.resume() }

  #written (): void {
    this.#writes--
    // A ping of ws behind our last write may still be under way: no callback of ours would follow it.
    if (!this.#blocked || (this.#writes > 0 && this.#socket.writableLength > this.#tolerated)) return
    this.#blocked = false
    this.#listener?.onDrain()
  }
}

/* Listeners that all WebSockets share, as those of ws itself: a closure for each event of each idle connection adds up. */

const kListener = Symbol('fastify-hub.listener')

interface Attached extends WebSocket {
  [kListener]: TransportListener
  /** Not public in ws. */
  _autoPong: boolean
}

function onMessage (this: WebSocket, data: RawData, isBinary: boolean): void { (this as Attached)[kListener].onMessage(data as Buffer, isBinary) }

function onPing (this: WebSocket, data: Buffer): void { (this as Attached)[kListener].onControl('ping', data) }

function onPong (this: WebSocket, data: Buffer): void { (this as Attached)[kListener].onControl('pong', data) }

function onError (this: WebSocket, error: Error & { code?: string }): void {
  (this as Attached)[kListener].onError(error, PARSER_ERRORS[error.code ?? ''] ?? PROTOCOL_ERROR)
}

function onClose (this: WebSocket, code: number, reason: Buffer): void { (this as Attached)[kListener].onClose(code, reason.toString()) }

/** Whether permessage-deflate was agreed upon, with the largest window for our side: ws shows only the extension's name. */
function takesDeflated (ws: WebSocket): boolean {
  if (ws.extensions === '') return false
  const { _extensions: { 'permessage-deflate': extension } } = ws as unknown as { _extensions: Record<string, { params: { server_max_window_bits?: number } } | undefined> }
  return extension !== undefined && (extension.params.server_max_window_bits ?? LARGEST_WINDOW) === LARGEST_WINDOW
}

/** Not public in ws, and the only way to the socket that also holds for injectWS. */
export function socketOf (ws: WebSocket): Duplex {
  return (ws as unknown as { _socket: Duplex })._socket
}
