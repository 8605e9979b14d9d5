import type { Clock, Transport, TransportListener } from '../../lib/core/ports.js'
import { FrameReader, type ReadMessage } from '../../lib/testing/frame-reader.js'

/**
 * A Transport that the test plays by hand, one call at a time: what the peer does is heard within the call. TestPeer, in
 * contrast, is a peer with a network between. Like a real socket it calls nobody back from within a call of the hub: the
 * end that follows `close` or `terminate` comes with the clock's next turn.
 */
export class FakeTransport implements Transport {
  blocked = false
  writable = true
  deflate = false
  paused = false
  /** Whether the peer answers our Close frame. */
  answersClose = true
  /** Writes that the socket takes before it blocks. */
  takes = Infinity
  /** What happened, in order, writes as their number of bytes. */
  readonly calls: string[] = []
  readonly writes: Buffer[] = []
  pings = 0
  readonly pongs: string[] = []
  /** Pongs that the socket takes before it blocks. */
  takesPongs = Infinity
  closed: { code: number, reason: string } | null = null
  terminated = false
  readonly #clock: Clock
  readonly #reader = new FrameReader()
  readonly #messages: ReadMessage[] = []
  #listener: TransportListener | null = null
  #ended = false

  constructor (clock: Clock) {
    this.#clock = clock
  }

  attach (listener: TransportListener): void { this.#listener = listener }

  /** Whether onClose has been called. */
  get ended (): boolean { return this.#ended }

  /** The messages that are completely written; text as string. */
  get messages (): Array<string | Buffer> {
    return this.#messages.map(({ isBinary, data }) => isBinary ? data : data.toString())
  }

  /** Fragments of each message. */
  get fragments (): number[] { return this.#messages.map(({ fragments }) => fragments) }

  /** Whether what was written ends with a complete message. */
  get complete (): boolean { return this.#reader.complete }

  /* ---- Transport ---- */

  write (chunks: readonly Buffer[]): void {
    if (this.blocked) throw new Error('written while blocked')
    if (!this.writable) throw new Error('written after the end')
    if (chunks.length === 0) throw new Error('nothing to write')
    const bytes = Buffer.concat(chunks)
    this.writes.push(bytes)
    this.calls.push(`write ${bytes.length}`)
    for (const read of this.#reader.push(bytes)) {
      if (read.kind !== 'message') throw new Error(`a ${read.kind} frame among the data frames`)
      this.#messages.push(read)
    }
    if (this.writes.length >= this.takes) this.blocked = true
  }

  ping (): void {
    this.pings++
    this.calls.push('ping')
  }

  pong (data: Buffer): void {
    if (this.blocked) throw new Error('answered while blocked')
    if (!this.writable) throw new Error('answered after the end')
    this.calls.push(`pong ${data.toString()}`)
    this.pongs.push(data.toString())
    if (this.pongs.length >= this.takesPongs) this.blocked = true
  }

  close (code: number, reason: string): void {
    this.calls.push(`close ${code}`)
    this.closed = { code, reason }
    this.writable = false
    if (this.answersClose) this.#clock.defer(() => { this.end(code, reason) })
  }

  ignore (): void { this.calls.push('ignore') }

  terminate (): void {
    this.calls.push('terminate')
    this.terminated = true
    this.writable = false
    this.#clock.defer(() => { this.end(1006) })
  }

  pause (): void {
    this.calls.push('pause')
    this.paused = true
  }

  resume (): void {
    this.calls.push('resume')
    this.paused = false
  }

  /* ---- the peer and the network ---- */

  /** The socket takes no more after this many writes. */
  block (afterWrites = 0): void {
    this.takes = this.writes.length + afterWrites
    if (afterWrites === 0) this.blocked = true
  }

  /** The socket has drained, and takes as many writes as given before it blocks again. */
  drain (takes = Infinity): void {
    this.takes = this.writes.length + takes
    this.blocked = false
    this.#listener?.onDrain()
  }

  message (data: string | Uint8Array): void {
    this.#listener?.onMessage(Buffer.from(data as Uint8Array), typeof data !== 'string', 0)
  }

  peerPing (data = ''): void { this.#listener?.onControl('ping', Buffer.from(data)) }

  peerPong (data = ''): void { this.#listener?.onControl('pong', Buffer.from(data)) }

  /** The peer's Close frame: answered by the transport, then the socket ends. */
  peerClose (code = 1000, reason = ''): void {
    this.writable = false
    this.end(code, reason)
  }

  /** The peer breaks the protocol: the transport closes, as ws does. */
  protocolError (code: number, message = 'broken'): void {
    this.writable = false
    this.#listener?.onError(new Error(message), code)
  }

  /** The network is gone. */
  reset (): void {
    this.writable = false
    this.end(1006)
  }

  end (code: number, reason = ''): void {
    if (this.#ended) return
    this.#ended = true
    this.writable = false
    this.calls.push('end')
    this.#listener?.onClose(code, reason)
  }
}
