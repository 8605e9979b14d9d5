import { Socket } from 'node:net'
import { finished, type Duplex } from 'node:stream'
import type { RawData, WebSocket } from 'ws'
import type { TransportListener } from '../core/ports.js'
import { closeCodeOf } from './parser-error.js'
import { SocketTransport } from './socket-transport.js'

const OPEN = 1
/** Bits, of permessage-deflate. */
const LARGEST_WINDOW = 15

/** A WebSocket of ws as Transport: frames of ours are written beside its control frames. For what LeanTransport can not do. */
export class WebSocketTransport extends SocketTransport {
  readonly #ws: WebSocket
  /** For good. */
  #ignored = false
  readonly deflate: boolean

  /**
   * @param exclusive whether nobody but the hub, and ws when the connection ends, writes to it
   * @param closeTimeout milliseconds that the peer may take to end its half of the socket, once it has sent its Close
   */
  constructor (ws: WebSocket, exclusive: boolean, closeTimeout: number) {
    super(socketOf(ws), exclusive)
    this.#ws = ws
    ;(ws as Attached)._closeTimeout = closeTimeout
    this.deflate = takesDeflated(ws)
  }

  get writable (): boolean { return this.#ws.readyState === OPEN && this.socket.writable }

  attach (listener: TransportListener): void {
    this.listener = listener
    const ws = this.#ws as Attached
    // Pings are answered by the hub, within the rate. For this socket alone: other routes share the server, and its options.
    ws._autoPong = false
    ws[kListener] = listener
    ws.on('message', onMessage)
    ws.on('ping', onPing)
    ws.on('pong', onPong)
    ws.on('error', onError)
    ws.on('close', onClose)
    // The stream of injectWS, unlike a socket, does not destroy itself when both halves have ended, and no 'close' comes.
    if (!(this.socket instanceof Socket)) finished(this.socket, () => { this.socket.destroy() })
  }

  close (code: number, reason: string): void {
    this.#ws.close(code, reason)
    // The peer's answer would not be heard, and that is no reason to keep it.
    if (this.#ignored) this.socket.end()
    // The deadline is the connection's: that of ws can not be off.
    else clearTimeout((this.#ws as unknown as { _closeTimer: NodeJS.Timeout | null })._closeTimer ?? undefined)
  }

  /** ws has no way to read without parsing. Its own deadline ends the socket once it is closed. */
  ignore (): void {
    this.#ignored = true
    this.#ws.pause()
  }

  terminate (): void { this.#ws.terminate() }

  pause (): void { this.#ws.pause() }

  resume (): void { if (!this.#ignored) this.#ws.resume() }
}

/* Listeners that all WebSockets share, as those of ws itself: a closure for each event of each idle connection adds up. */

const kListener = Symbol('fastify-hub.listener')

interface Attached extends WebSocket {
  [kListener]: TransportListener
  /* Not public in ws. */
  _autoPong: boolean
  _closeTimeout: number
}

function onMessage (this: WebSocket, data: RawData, isBinary: boolean): void { (this as Attached)[kListener].onMessage(data as Buffer, isBinary, 0) }

function onPing (this: WebSocket, data: Buffer): void { (this as Attached)[kListener].onControl('ping', data) }

function onPong (this: WebSocket, data: Buffer): void { (this as Attached)[kListener].onControl('pong', data) }

function onError (this: WebSocket, error: Error): void { (this as Attached)[kListener].onError(error, closeCodeOf(error)) }

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
