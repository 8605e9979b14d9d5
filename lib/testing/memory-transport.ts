import type { Clock, Timer, Transport, TransportListener } from '../core/ports.js'

/** The peer behind the network of a MemoryTransport. */
export interface FarEnd {
  /** It has read these bytes. Called from within `write`, `ping`, `pong` and `close`, too: MUST NOT call the server's side. */
  onBytes (bytes: Buffer): void
  /** The server's socket is over: with the code of the peer's Close frame, or 1006. */
  onEnd (code: number, reason: string): void
}

/** How often a slow reader reads, in milliseconds. */
const SLOW_STEP_MS = 100

/* First bytes of control frames: RFC 6455 section 5.5. */
const CLOSE = 0x88
const PING = 0x89
const PONG = 0x8a
/** No Close frame came: RFC 6455 section 7.1.5. */
const ABNORMAL = 1006
const NOTHING = Buffer.alloc(0)

/**
 * The server's socket and the network behind it, without either. Bytes that the peer has not read lie in the kernel as
 * far as that takes them, and in this process beyond: then the socket is blocked until the kernel has taken all, as with
 * a real socket, which shows no progress within a write. What comes from the peer is heard in the next turn of the clock.
 */
export class MemoryTransport implements Transport {
  /** The peer has offered no compression. */
  readonly deflate = false
  readonly #clock: Clock
  readonly #kernel: number
  readonly #far: FarEnd
  #listener: TransportListener | null = null
  #blocked = false
  #writable = true
  #paused = false
  /** The server throws away what comes. */
  #ignored = false
  /** By the server, or because it is over: nothing arrives any more. */
  #destroyed = false
  #ended = false
  /** Written, and not read by the peer; oldest first. */
  #unread: Buffer[] = []
  #unreadBytes = 0
  /** Whether the peer reads all at once. */
  #readsAll = true
  /** Of a slow reader. */
  #timer: Timer | null = null
  /** Packets are lost, both ways. */
  #lost = false
  /** And what the peer sent before that has arrived. */
  #cut = false
  /** On its way to the server. */
  #arriving: Array<(listener: TransportListener) => void> = []

  /** @param kernel bytes that the kernel takes from a server whose peer does not read */
  constructor (clock: Clock, kernel: number, far: FarEnd) {
    this.#clock = clock
    this.#kernel = kernel
    this.#far = far
  }

  get blocked (): boolean { return this.#blocked }

  get writable (): boolean { return this.#writable }

  /** Begins to tell the connection. */
  attach (listener: TransportListener): void { this.#listener = listener }

  /* ---- Transport ---- */

  write (chunks: readonly Buffer[]): void {
    this.#put(Buffer.concat(chunks))
    // Control frames alone do not block it: however little a kernel is said to take, a ping is not what fills it.
    this.#blocked ||= this.#unreadBytes > this.#kernel
  }

  ping (): void { this.#putControl(PING, NOTHING) }

  pong (data: Buffer): void { this.#putControl(PONG, data) }

  close (code: number, reason: string): void {
    const status = Buffer.alloc(2)
    status.writeUInt16BE(code)
    this.#putControl(CLOSE, Buffer.concat([status, Buffer.from(reason)]))
    this.#writable = false
    if (this.#ignored) this.#clock.defer(() => { this.#end(code, reason) })
  }

  ignore (): void { this.#ignored = true }

  terminate (): void {
    this.#destroyed = true
    this.#writable = false
    this.#clock.defer(() => { this.#end(ABNORMAL, '') })
  }

  pause (): void { this.#paused = true }

  resume (): void {
    this.#paused = false
    this.#clock.defer(() => { this.#deliver() })
  }

  /* ---- the peer and the network ---- */

  /** The peer reads at this rate from now on, packets that were lost are sent again. 0: not at all; Infinity: all at once. */
  read (bytesPerSecond: number): void {
    this.#stopReading()
    if (this.#destroyed) return
    this.#readsAll = bytesPerSecond === Infinity
    if (this.#readsAll) this.#take(Infinity)
    else if (bytesPerSecond > 0) this.#readSlowly(bytesPerSecond)
    if (!this.#lost) return
    this.#lost = this.#cut = false
    this.#clock.defer(() => { this.#deliver() })
  }

  /** Packets are lost from now on. */
  lose (): void {
    this.#stopReading()
    this.#lost = true
    this.send(() => { this.#cut = this.#lost })
  }

  /** The connection is reset: the server hears of it in the next turn. */
  reset (): void {
    this.#stopReading()
    this.#clock.defer(() => { this.#end(ABNORMAL, '') })
  }

  /** Something that the server hears in the next turn, or when it reads again, in order. */
  send (arrival: (listener: TransportListener) => void): void {
    if (this.#destroyed) return
    this.#arriving.push(arrival)
    if (this.#arriving.length === 1) this.#clock.defer(() => { this.#deliver() })
  }

  /** The peer's Close frame. The server answers, and what it has not written by then is lost. */
  sendClose (code: number, reason: string): void {
    this.send(() => { this.#end(code, reason) })
  }

  /* ---- */

  #putControl (first: number, data: Buffer): void { this.#put(Buffer.concat([Buffer.from([first, data.length]), data])) }

  #put (bytes: Buffer): void {
    if (!this.#writable) return
    this.#unread.push(bytes)
    this.#unreadBytes += bytes.length
    if (this.#readsAll) this.#take(Infinity)
  }

  /** The peer reads so many bytes, or what there is. */
  #take (limit: number): void {
    let left = Math.min(limit, this.#unreadBytes)
    this.#unreadBytes -= left
    while (left > 0) {
      const bytes = this.#unread.shift() as Buffer
      if (bytes.length > left) this.#unread.unshift(bytes.subarray(left))
      this.#far.onBytes(bytes.subarray(0, left))
      left -= Math.min(left, bytes.length)
    }
    if (this.#blocked && this.#unreadBytes <= this.#kernel) this.#clock.defer(() => { this.#drain() })
  }

  #drain (): void {
    if (this.#ended || !this.#blocked || this.#unreadBytes > this.#kernel) return
    this.#blocked = false
    this.#listener?.onDrain()
  }

  #readSlowly (bytesPerSecond: number): void {
    let last = this.#clock.monotonic()
    /** Thousandths of a byte, so that they add up exactly. */
    let due = 0
    this.#timer = this.#clock.every(SLOW_STEP_MS, () => {
      const now = this.#clock.monotonic()
      due += (now - last) * bytesPerSecond
      last = now
      this.#take(Math.floor(due / 1_000))
      // While there is nothing to read no time is saved up.
      due = this.#unreadBytes === 0 ? 0 : due % 1_000
    })
  }

  #stopReading (): void {
    this.#readsAll = false
    this.#timer?.cancel()
    this.#timer = null
  }

  #deliver (): void {
    while (!this.#paused && !this.#cut && !this.#destroyed && this.#listener !== null) {
      const arrival = this.#arriving.shift()
      if (arrival === undefined) return
      if (!this.#ignored) arrival(this.#listener)
    }
  }

  #end (code: number, reason: string): void {
    if (this.#ended) return
    this.#stopReading()
    this.#ended = this.#destroyed = true
    this.#writable = false
    this.#arriving = []
    this.#unread = []
    this.#unreadBytes = 0
    this.#listener?.onClose(code, reason)
    this.#far.onEnd(code, reason)
  }
}
