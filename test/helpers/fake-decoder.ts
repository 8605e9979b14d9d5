/** A message, as the peer of a server understands it. */
export interface DecodedMessage { readonly isBinary: boolean, readonly data: Buffer, readonly fragments: number }

/**
 * A reader of unmasked frames for tests: RFC 6455 section 5.2 read anew, so that it shares no mistake with the encoder.
 * Throws at whatever a strict peer would close the connection for.
 */
export class FakeDecoder {
  readonly messages: DecodedMessage[] = []
  #rest: Buffer = Buffer.alloc(0)
  #parts: Buffer[] = []
  #opcode = 0

  /** Whether no frame and no message is half read. */
  get complete (): boolean { return this.#rest.length === 0 && this.#parts.length === 0 }

  push (bytes: Uint8Array): void {
    this.#rest = Buffer.concat([this.#rest, bytes])
    for (let used = this.#frame(); used > 0; used = this.#frame()) this.#rest = this.#rest.subarray(used)
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
    this.#payload(fin, opcode, Buffer.from(buffer.subarray(start, start + length)))
    return start + length
  }

  #payload (fin: boolean, opcode: number, payload: Buffer): void {
    if (opcode === 0) {
      if (this.#parts.length === 0) throw new Error('a continuation of nothing')
    } else if (opcode === 1 || opcode === 2) {
      if (this.#parts.length > 0) throw new Error('a message inside a message')
      this.#opcode = opcode
    } else {
      throw new Error(`opcode ${opcode} among the data frames`)
    }
    this.#parts.push(payload)
    if (!fin) return
    this.messages.push({ isBinary: this.#opcode === 2, data: Buffer.concat(this.#parts), fragments: this.#parts.length })
    this.#parts = []
  }
}
