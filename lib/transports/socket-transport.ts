import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import type { Transport, TransportListener } from '../core/ports.js'
import { encodeControl, OPCODE_PING, OPCODE_PONG } from '../protocol/frame.js'

const PING = encodeControl(OPCODE_PING, Buffer.alloc(0))

/** Up to this size the chunks of a write are joined: one buffer costs the kernel less than a list of many. */
const JOIN_BYTES = 16 * 1024

/**
 * A plain TCP socket hands a write to the kernel at once, and what it has left waits for the peer. TLS, and the stream of
 * injectWS, always complete a write later: there, this many bytes may be under way before the peer counts as slow.
 */
const UNDER_WAY_BYTES = 256 * 1024

/** A Transport over a socket of Node. This half of it writes frames, as they are, to the socket. */
export abstract class SocketTransport implements Transport {
  protected readonly socket: Duplex
  protected listener: TransportListener | null = null
  /** Bytes in the socket up to which it takes more. */
  readonly #tolerated: number
  #blocked = false
  /** Writes of ours that have not been completed. */
  #writes = 0

  constructor (socket: Duplex) {
    this.socket = socket
    this.#tolerated = socket instanceof Socket && !(socket instanceof TLSSocket) ? 0 : UNDER_WAY_BYTES
  }

  abstract attach (listener: TransportListener): void
  abstract readonly deflate: boolean
  abstract readonly writable: boolean
  abstract close (code: number, reason: string): void
  abstract ignore (): void
  abstract terminate (): void
  abstract pause (): void
  abstract resume (): void

  get blocked (): boolean { return this.#blocked }

  ping (): void { this.write([PING]) }

  pong (data: Buffer): void { this.write([encodeControl(OPCODE_PONG, data)]) }

  write (chunks: readonly Buffer[]): void {
    const { socket } = this
    if (!this.writable) return
    // Kept by nobody once it is written: an idle connection has none.
    const onWritten = (): void => { this.#written() }
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

  #written (): void {
    this.#writes--
    // A Close frame of ws behind our last write may still be under way: no callback of ours would follow it.
    if (!this.#blocked || (this.#writes > 0 && this.socket.writableLength > this.#tolerated)) return
    this.#blocked = false
    this.listener?.onDrain()
  }
}
