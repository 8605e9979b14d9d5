import { createHash, randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { closeFrame, decodeServerFrame, encodeClientFrame, OPCODE, textFrame, type ServerFrame } from './raw-frames.js'

/** What a test says about a handshake; everything else is as a browser would do it. */
export interface Handshake {
  method?: string
  path?: string
  version?: string
  /** By name: another value, several lines, or null for none. Names keep their case. */
  headers?: Record<string, string | string[] | null>
  /** Lines as they are, behind the others. */
  lines?: string[]
}

export interface RawResponse {
  status: number
  /** As they came: names in their case, repeated ones each. */
  headers: Array<[name: string, value: string]>
  body: string
}

export interface RawMessage { isBinary: boolean, data: Buffer, text: string, fragments: number }

/** The end of a connection: its Close frame, if one came, and how TCP ended. */
export interface RawEnd { code: number | null, reason: string, tcp: 'fin' | 'reset' }

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/** The first lines of a handshake and its headers, as one string that ends with the empty line. */
export function handshakeText ({ method = 'GET', path = '/ws', version = 'HTTP/1.1', headers = {}, lines = [] }: Handshake = {}, key = randomBytes(16).toString('base64')): string {
  const standard: Record<string, string | string[] | null> = {
    Host: 'hub.test',
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Key': key,
    'Sec-WebSocket-Version': '13'
  }
  const merged = { ...standard }
  for (const [name, value] of Object.entries(headers)) {
    const same = Object.keys(merged).find((known) => known.toLowerCase() === name.toLowerCase())
    if (same !== undefined) delete merged[same]
    merged[name] = value
  }
  const text = Object.entries(merged).flatMap(([name, value]) => value === null ? [] : [value].flat().map((one) => `${name}: ${one}`))
  return [`${method} ${path} ${version}`, ...text, ...lines, '', ''].join('\r\n')
}

/** A header of a response by name, whatever its case: the values of all its lines. */
export function headerOf ({ headers }: RawResponse, name: string): string[] {
  return headers.filter(([known]) => known.toLowerCase() === name.toLowerCase()).map(([, value]) => value)
}

/** A TCP client that sends exactly the bytes it is told to, and reads HTTP and WebSocket frames by itself. */
export class RawClient {
  readonly socket: Socket
  readonly key = randomBytes(16).toString('base64')
  /** Answers Ping and Close as RFC 6455 asks. */
  polite = true
  #received: Buffer = Buffer.alloc(0)
  #over: RawEnd['tcp'] | null = null
  #close: { code: number | null, reason: string } | null = null
  #wake: Array<() => void> = []
  /** Frames of a message that is not complete. */
  #parts: ServerFrame[] = []
  /** Pongs that came, as text. */
  readonly pongs: string[] = []
  /** Pings that came. */
  pings = 0

  private constructor (socket: Socket) {
    this.socket = socket
    socket.setNoDelay(true)
    socket.on('data', (chunk) => {
      this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk])
      this.#notify()
    })
    socket.on('end', () => { this.#finish('fin') })
    socket.on('error', () => { this.#finish('reset') })
    socket.on('close', () => { this.#finish('reset') })
  }

  /** Opens a TCP connection and sends nothing. */
  static async connect (port: number, { host = '127.0.0.1', localAddress }: { host?: string, localAddress?: string } = {}): Promise<RawClient> {
    const socket = connect({ port, host, allowHalfOpen: true, ...localAddress !== undefined && { localAddress } })
    const client = new RawClient(socket)
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    return client
  }

  /* ---- writing ---- */

  write (bytes: string | Uint8Array): void { this.socket.write(bytes) }

  /** Writes byte by byte, each in a turn of its own, so that no two share a segment. */
  async writeSlowly (bytes: string | Uint8Array): Promise<void> {
    for (const byte of Buffer.from(bytes as string)) {
      if (this.socket.destroyed) return
      await new Promise<void>((resolve) => { this.socket.write(Buffer.from([byte]), () => { resolve() }) })
      await new Promise<void>((resolve) => { setImmediate(resolve) })
    }
  }

  sendHandshake (handshake?: Handshake): void { this.write(handshakeText(handshake, this.key)) }

  sendText (text: string): void { this.write(textFrame(text)) }

  sendClose (code?: number, reason?: string): void { this.write(closeFrame(code, reason)) }

  /** Half-close: nothing more is written, reading goes on. */
  finish (): void { this.socket.end() }

  /** RST. */
  reset (): void { this.socket.resetAndDestroy() }

  /** FIN in both directions, without manners. */
  destroy (): void { this.socket.destroy() }

  /* ---- reading ---- */

  /** The next HTTP response. One to HEAD has no body. */
  async response (method = 'GET'): Promise<RawResponse> {
    await this.#until(() => this.#received.includes('\r\n\r\n'), 'a response')
    const end = this.#received.indexOf('\r\n\r\n')
    const [statusLine = '', ...lines] = this.#received.subarray(0, end).toString('latin1').split('\r\n')
    const headers = lines.map((line): [string, string] => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()])
    this.#received = this.#received.subarray(end + 4)
    const response = { status: Number(statusLine.split(' ')[1]), headers, body: '' }
    const length = method === 'HEAD' ? 0 : Number(headerOf(response, 'content-length')[0] ?? 0)
    await this.#until(() => this.#received.length >= length, 'the body of a response')
    response.body = this.#received.subarray(0, length).toString()
    this.#received = this.#received.subarray(length)
    return response
  }

  /** Shakes hands and asserts that the server has agreed. */
  async upgrade (handshake?: Handshake): Promise<RawResponse> {
    this.sendHandshake(handshake)
    return await this.upgraded()
  }

  /** Reads the 101 of a handshake that has been sent with this client's key. */
  async upgraded (): Promise<RawResponse> {
    const response = await this.response()
    if (response.status !== 101) throw new Error(`no upgrade: ${response.status} ${response.body}`)
    const accept = createHash('sha1').update(this.key + GUID).digest('base64')
    if (headerOf(response, 'sec-websocket-accept')[0] !== accept) throw new Error('wrong Sec-WebSocket-Accept')
    return response
  }

  /** The next complete data message. Control frames on the way are answered, or kept. */
  async message (): Promise<RawMessage> {
    for (;;) {
      const frame = await this.#frame()
      if (frame === null) throw new Error(`the connection ended (${this.#close?.code ?? this.#over}) before a message came`)
      if (this.#control(frame)) continue
      this.#parts.push(frame)
      if (!frame.fin) continue
      const parts = this.#parts
      this.#parts = []
      const data = Buffer.concat(parts.map(({ payload }) => payload))
      return { isBinary: parts[0]?.opcode === OPCODE.binary, data, text: data.toString(), fragments: parts.length }
    }
  }

  /** The text of the next message. */
  async text (): Promise<string> { return (await this.message()).text }

  /** Reads to the end; messages on the way are collected. */
  async ended (messages: string[] = []): Promise<RawEnd> {
    for (;;) {
      const frame = await this.#frame()
      if (frame === null) break
      if (!this.#control(frame)) messages.push(frame.payload.toString())
    }
    await this.#until(() => this.#over !== null, 'the end', true)
    return { code: this.#close?.code ?? null, reason: this.#close?.reason ?? '', tcp: this.#over ?? 'reset' }
  }

  /** Waits for the Pong to a Ping of ours: the server has handled all that came before it. */
  async roundTrip (payload: string): Promise<void> {
    this.write(encodeClientFrame({ opcode: OPCODE.ping, payload }))
    while (!this.pongs.includes(payload)) {
      const frame = await this.#frame()
      if (frame === null || !this.#control(frame)) throw new Error('something else than a Pong came')
    }
  }

  /* ---- */

  /** The next frame, or null when there will be none. */
  async #frame (): Promise<ServerFrame | null> {
    let frame: ServerFrame | null = null
    await this.#until(() => (frame = decodeServerFrame(this.#received)) !== null, 'a frame', true)
    const found = frame as ServerFrame | null
    if (found === null) return null
    // What every frame of a server must be (RFC 6455 sections 5.1, 5.2 and 5.5); this client offers no extension.
    if (found.masked) throw new Error('the server masked a frame')
    if (found.rsv !== 0) throw new Error('the server set a reserved bit')
    if (found.opcode >= OPCODE.close && (!found.fin || found.payload.length > 125)) throw new Error('the server broke a control frame')
    if (found.opcode < OPCODE.close && (found.opcode === OPCODE.continuation) !== (this.#parts.length > 0)) throw new Error('the server mixed up fragments')
    this.#received = this.#received.subarray(found.size)
    return found
  }

  #control ({ opcode, payload }: ServerFrame): boolean {
    if (opcode < OPCODE.close) return false
    if (opcode === OPCODE.pong) this.pongs.push(payload.toString())
    if (opcode === OPCODE.ping) this.pings++
    if (opcode === OPCODE.ping && this.polite) this.write(encodeClientFrame({ opcode: OPCODE.pong, payload }))
    if (opcode === OPCODE.close) {
      this.#close = payload.length < 2 ? { code: null, reason: '' } : { code: payload.readUInt16BE(0), reason: payload.subarray(2).toString() }
      if (this.polite && this.socket.writable) this.write(encodeClientFrame({ opcode: OPCODE.close, payload }))
    }
    return true
  }

  #finish (how: RawEnd['tcp']): void {
    this.#over ??= how
    // The server has ended: so do we, that its half is not kept open by us.
    if (how === 'fin' && this.polite) this.socket.end()
    this.#notify()
  }

  #notify (): void {
    const wake = this.#wake
    this.#wake = []
    for (const fn of wake) fn()
  }

  async #until (condition: () => boolean, what: string, orEnd = false): Promise<void> {
    while (!condition()) {
      if (this.#over !== null) {
        if (orEnd) return
        throw new Error(`the server ended the connection (${this.#over}) before ${what} came`)
      }
      await new Promise<void>((resolve) => { this.#wake.push(resolve) })
    }
  }
}
