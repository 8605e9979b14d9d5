/** A message, as the peer of a server understands it. */
export interface ReadMessage { readonly kind: 'message', readonly isBinary: boolean, readonly data: Buffer, readonly fragments: number }

/** A control frame: RFC 6455 section 5.5. A Close frame without a code says 1005 (section 7.1.5). */
export type ReadControl = { readonly kind: 'ping' | 'pong', readonly data: Buffer } | { readonly kind: 'close', readonly code: number, readonly reason: string }

const CONTROL = ['close', 'ping', 'pong'] as const

/**
 * Reads what a server writes: unmasked frames. RFC 6455 section 5.2 read anew, so that it shares no mistake with the
 * encoder. Throws at whatever a strict peer would close the connection for.
 */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0)
  #parts: Buffer[] = []
  #opcode = 0
  #read: Array<ReadMessage | ReadControl> = []

  /** Whether no frame and no message is half read. */
  get complete (): boolean { return this.#rest.length === 0 && this.#parts.length === 0 }

  /** @returns what these bytes have completed, in order */
  push (bytes: Uint8Array): Array<ReadMessage | ReadControl> {
    this.#rest = Buffer.concat([this.#rest, bytes])
    for (let used = this.#frame(); used > 0; used = this.#frame()) this.#rest = this.#rest.subarray(used)
    const read = this.#read
    this.#read = []
    return read
  }

  #frame (): number {
    const buffer = this.#rest
    if (buffer.length < 2) return 0
    const fin = buffer.readUInt8(0) >= 128
    if ((buffer.readUInt8(0) & 0b0111_0000) !== 0) throw new Error('reserved bits are set')
    const opcode = buffer.readUInt8(0) % 16
    if (buffer.readUInt8(1) >= 128) throw new Error('a server must not mask')
    let length = buffer.readUInt8(1)
    let start = 2
    if (length === 126) {
      if (buffer.length < 4) return 0
      length = buffer.readUInt16BE(2)
      if (length < 126) throw new Error('the length is not in its shortest form')
      start = 4
    } else if (length === 127) {
      if (buffer.length < 10) return 0
      length = Number(buffer.readBigUInt64BE(2))
      if (length < 65_536) throw new Error('the length is not in its shortest form')
      start = 10
    }
    if (buffer.length < start + length) return 0
    const payload = Buffer.from(buffer.subarray(start, start + length))
    if (opcode >= 8) this.#control(fin, opcode, payload)
    else this.#payload(fin, opcode, payload)
    return start + length
  }

  #payload (fin: boolean, opcode: number, payload: Buffer): void {
    if (opcode === 0) {
      if (this.#parts.length === 0) throw new Error('a continuation of nothing')
    } else if (opcode === 1 || opcode === 2) {
      if (this.#parts.length > 0) throw new Error('a message inside a message')
      this.#opcode = opcode
    } else {
      throw new Error(`opcode ${opcode} is reserved`)
    }
    this.#parts.push(payload)
    if (!fin) return
    this.#read.push({ kind: 'message', isBinary: this.#opcode === 2, data: Buffer.concat(this.#parts), fragments: this.#parts.length })
    this.#parts = []
  }

  #control (fin: boolean, opcode: number, data: Buffer): void {
    const kind = CONTROL[opcode - 8]
    if (kind === undefined) throw new Error(`opcode ${opcode} is reserved`)
    if (!fin) throw new Error('a control frame in fragments')
    if (data.length > 125) throw new Error('a control frame of more than 125 bytes')
    if (kind !== 'close') this.#read.push({ kind, data })
    else if (data.length === 0) this.#read.push({ kind, code: 1005, reason: '' })
    else if (data.length === 1) throw new Error('half a close code')
    else this.#read.push({ kind, code: data.readUInt16BE(0), reason: data.subarray(2).toString() })
  }
}
