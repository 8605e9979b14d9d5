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

/**
 * A Transport over a socket of Node. This half of it writes frames, as they are, to the socket.
 *
 * Who has a TCP socket for himself needs no queue of a stream in front of that of the kernel: then a write is the
 * `_write` that streams have for their implementers, and whether it is complete is known when it returns. A Writable
 * keeps accounts of each write and calls back in a tick of its own, which is a tenth of what a small one costs in all.
 * libuv keeps the order, also with what the stream writes itself at the end (Close, FIN). TLS takes one write at a time.
 */
export abstract class SocketTransport implements Transport {
  protected readonly socket: Duplex
  protected listener: TransportListener | null = null
  readonly #direct: boolean
  /** Bytes in the stream up to which it takes more. */
  readonly #tolerated: number
  #blocked = false
  /** Writes of ours that have not been completed. */
  #writes = 0

  /** @param exclusive whether nobody else writes to the socket while it is open */
  constructor (socket: Duplex, exclusive: boolean) {
    const isTcp = socket instanceof Socket && !(socket instanceof TLSSocket)
    this.socket = socket
    this.#direct = exclusive && isTcp
    this.#tolerated = isTcp ? 0 : UNDER_WAY_BYTES
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
    if (!this.writable) return
    // Kept by nobody once it is written: an idle connection has none.
    const onWritten = (error?: Error | null): void => { this.#written(error) }
    if (chunks.length === 1) {
      this.#put(chunks[0] as Buffer, onWritten)
    } else {
      let bytes = 0
      for (const chunk of chunks) bytes += chunk.length
      if (bytes <= JOIN_BYTES) this.#put(Buffer.concat(chunks, bytes), onWritten)
      else this.#putAll(chunks, onWritten)
    }
    this.#blocked = this.#waiting
  }

  #put (chunk: Buffer, onWritten: (error?: Error | null) => void): void {
    this.#writes++
    if (this.#direct) this.socket._write(chunk, BUFFER, onWritten)
    else this.socket.write(chunk, onWritten)
  }

  #putAll (chunks: readonly Buffer[], onWritten: (error?: Error | null) => void): void {
    const { socket } = this
    if (this.#direct) {
      this.#writes++
      socket._writev?.(chunks.map((chunk) => ({ chunk, encoding: BUFFER })), onWritten)
    } else {
      this.#writes += chunks.length
      socket.cork()
      for (const chunk of chunks) socket.write(chunk, onWritten)
      socket.uncork()
    }
  }

  /** writableNeedDrain would say true after cork and uncork with nothing left. */
  get #waiting (): boolean {
    return this.#writes > 0 && (this.#direct || this.socket.writableLength > this.#tolerated)
  }

  #written (error?: Error | null): void {
    this.#writes--
    // A stream destroys itself.
    if (this.#direct && error != null) this.terminate()
    // A Close frame of ws behind our last write may still be under way: no callback of ours would follow it.
    if (!this.#blocked || this.#waiting) return
    this.#blocked = false
    this.listener?.onDrain()
  }
}

/** What streams call the encoding of bytes. */
const BUFFER = 'buffer' as BufferEncoding
