/*
 * WebSocket frames as a client writes and reads them, coded from RFC 6455 section 5.2 and not from any library: what
 * the server says is judged by something that shares no code with it.
 */

export const OPCODE = { continuation: 0x0, text: 0x1, binary: 0x2, close: 0x8, ping: 0x9, pong: 0xa } as const

export interface ClientFrame {
  opcode: number
  payload?: Uint8Array | string
  fin?: boolean
  /** The three reserved bits, 0 to 7. */
  rsv?: number
  masked?: boolean
  /** Says another length than the payload has. */
  declaredLength?: number | bigint
}

/** Encodes one frame exactly as asked, valid or not. */
export function encodeClientFrame ({ opcode, payload = '', fin = true, rsv = 0, masked = true, declaredLength }: ClientFrame): Buffer {
  const body = Buffer.from(payload as string)
  const length = BigInt(declaredLength ?? body.length)
  const mask = masked ? 0x80 : 0
  const first = (fin ? 0x80 : 0) | (rsv << 4) | opcode
  const header: Buffer[] = []
  if (length < 126n) {
    header.push(Buffer.from([first, mask | Number(length)]))
  } else if (length < 0x10000n) {
    const extended = Buffer.from([first, mask | 126, 0, 0])
    extended.writeUInt16BE(Number(length), 2)
    header.push(extended)
  } else {
    const extended = Buffer.alloc(10)
    extended[0] = first
    extended[1] = mask | 127
    extended.writeBigUInt64BE(length, 2)
    header.push(extended)
  }
  if (masked) {
    const key = Buffer.from([0x37, 0xfa, 0x21, 0x3d])
    header.push(key)
    for (let i = 0; i < body.length; i++) body[i] = (body[i] as number) ^ (key[i % 4] as number)
  }
  return Buffer.concat([...header, body])
}

export function textFrame (payload: string): Buffer { return encodeClientFrame({ opcode: OPCODE.text, payload }) }
export function binaryFrame (payload: Uint8Array): Buffer { return encodeClientFrame({ opcode: OPCODE.binary, payload }) }

/** A Close frame; without a code its body is empty. */
export function closeFrame (code?: number, reason: Uint8Array | string = ''): Buffer {
  if (code === undefined) return encodeClientFrame({ opcode: OPCODE.close })
  const status = Buffer.alloc(2)
  status.writeUInt16BE(code)
  return encodeClientFrame({ opcode: OPCODE.close, payload: Buffer.concat([status, Buffer.from(reason as string)]) })
}

export interface ServerFrame {
  opcode: number
  fin: boolean
  rsv: number
  masked: boolean
  payload: Buffer
  /** Bytes on the wire. */
  size: number
}

/** The frame at the start of the bytes, or null while it is not complete. */
export function decodeServerFrame (bytes: Buffer): ServerFrame | null {
  const [first, second] = bytes
  if (first === undefined || second === undefined) return null
  const short = second & 0x7f
  const start = short === 127 ? 10 : short === 126 ? 4 : 2
  if (bytes.length < start) return null
  const length = short === 127 ? Number(bytes.readBigUInt64BE(2)) : short === 126 ? bytes.readUInt16BE(2) : short
  if (bytes.length < start + length) return null
  return {
    opcode: first & 0xf,
    fin: (first & 0x80) !== 0,
    rsv: (first >> 4) & 7,
    masked: (second & 0x80) !== 0,
    payload: bytes.subarray(start, start + length),
    size: start + length
  }
}
