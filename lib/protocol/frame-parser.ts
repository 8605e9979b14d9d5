import { constants, isUtf8 } from 'node:buffer'
import { isReceivableCloseCode, NO_STATUS } from './disconnect.js'
import {
  FIN, headroomFor, LENGTH_16, LENGTH_64, OPCODE_BINARY, OPCODE_BITS, OPCODE_CLOSE, OPCODE_CONTINUATION, OPCODE_PING, OPCODE_PONG, OPCODE_TEXT, RSV1
} from './frame.js'
import { HEADROOM, Unfinished } from './unfinished.js'
import { unmask } from './unmask.js'

/** Named, and meant, as the options of ws's WebSocketServer. */
export interface FrameParserOptions {
  /** Bytes of a whole message; 0 or nothing is no limit. */
  readonly maxPayload?: number | undefined
  readonly skipUTF8Validation?: boolean | undefined
  /** Frames of one message; 0 or nothing is no limit. */
  readonly maxFragments?: number | undefined
  /** Reads that one frame may be spread over; 0 or nothing is no limit. */
  readonly maxBufferedChunks?: number | undefined
}

/** Gets what the parser finds, from within `parse`. */
export interface FrameListener {
  /** Asked before each frame: while it is true, what follows is not looked at. */
  readonly deaf: boolean
  /** A complete message, in memory that nobody else has, and neither has he the `headroom` bytes in front of it. */
  onMessage (data: Buffer, isBinary: boolean, headroom: number): void
  onControl (kind: 'ping' | 'pong', data: Buffer): void
  /** The peer's Close; 1005 when it names no code. Nothing may be parsed after it. */
  onPeerClose (code: number, reason: Buffer): void
  /** The peer broke the protocol, for which `code` is the close code. Nothing may be parsed after it. */
  onInvalid (error: Error, code: number): void
}

const RSV2_AND_3 = 0x30
const MASKED = 0x80
const LENGTH_BITS = 0x7f
const MAX_CONTROL_PAYLOAD = 125
/** The upper half of 2 ** 53 - 1. */
const MAX_SAFE_UPPER = 0x1fffff
/** Of a masked control frame. A masked header of 64 bits is not longer. */
const CONTROL_HEADER = 6
const LONGEST_HEADER = 14
const NOTHING = Buffer.alloc(0)

/* Close codes: RFC 6455 section 7.4.1. */
const PROTOCOL_ERROR = 1002
const INVALID_PAYLOAD = 1007
const POLICY_VIOLATION = 1008
const TOO_BIG = 1009

/** What the peer did wrong, in the words of ws, which speaks for the connections that have compression. */
class FrameError extends Error {
  override readonly name = 'FrameError'
  readonly closeCode: number

  constructor (closeCode: number, message: string) {
    super(message)
    this.closeCode = closeCode
  }

  static ofFrame (message: string, closeCode = PROTOCOL_ERROR): FrameError {
    return new FrameError(closeCode, `Invalid WebSocket frame: ${message}`)
  }
}

/**
 * Reads the frames of clients (RFC 6455 section 5), the server's half. One serves all connections of a server: what it has to
 * know of one is in its Unfinished, and nearly always there is none, as the bytes of a read are whole messages.
 */
export class FrameParser {
  readonly #maxPayload: number
  readonly #maxFragments: number
  readonly #maxReads: number
  readonly #checksUtf8: boolean
  /** Where a header, or a control frame, is put together that came in two reads or more. */
  readonly #scratch = Buffer.alloc(Math.max(LONGEST_HEADER, CONTROL_HEADER + MAX_CONTROL_PAYLOAD))
  /* The header read last: returned in fields, as this is done once a message. */
  #opcode = 0
  #fin = false
  #length = 0
  #key = 0

  constructor ({ maxPayload = 0, maxFragments = 0, maxBufferedChunks = 0, skipUTF8Validation = false }: FrameParserOptions) {
    this.#maxPayload = Math.min(maxPayload > 0 ? maxPayload : Infinity, constants.MAX_LENGTH - HEADROOM)
    this.#maxFragments = maxFragments > 0 ? maxFragments : Infinity
    this.#maxReads = maxBufferedChunks > 0 ? maxBufferedChunks : Infinity
    this.#checksUtf8 = !skipUTF8Validation
  }

  /**
   * Reads the first `length` bytes of `chunk`, of which nothing is kept or handed out: it may be the memory of the next read.
   * @param before what the last call for this connection returned
   * @returns what is not complete; null between two messages, and after a Close or an error
   */
  parse (chunk: Buffer, length: number, before: Unfinished | null, listener: FrameListener): Unfinished | null {
    try {
      return this.#parse(chunk, length, before, listener)
    } catch (error) {
      if (!(error instanceof FrameError)) throw error
      listener.onInvalid(error, error.closeCode)
      return null
    }
  }

  #parse (chunk: Buffer, end: number, before: Unfinished | null, listener: FrameListener): Unfinished | null {
    let unfinished = before
    let at = 0
    if (unfinished !== null && unfinished.left > 0 && unfinished.reads >= this.#maxReads) throw new FrameError(POLICY_VIOLATION, 'Too many buffered chunks')
    while (at < end && !listener.deaf) {
      if (unfinished === null || unfinished.left === 0) {
        let source = chunk
        let start = at
        let stop = end
        let older = 0
        if (unfinished !== null && unfinished.rest !== '') {
          source = this.#scratch
          start = 0
          older = source.write(unfinished.rest, 'latin1')
          stop = older + chunk.copy(source, older, at, end)
        }
        const size = this.#readHeader(source, start, stop, unfinished)
        if (size === 0) {
          unfinished ??= new Unfinished()
          unfinished.rest = source.toString('latin1', start, stop)
          return unfinished
        }
        at += size - older
        if (unfinished !== null) {
          unfinished.rest = ''
          if (unfinished.opcode === 0) unfinished = null
        }
        if (this.#opcode >= OPCODE_CLOSE) {
          if (this.#opcode === OPCODE_CLOSE) return this.#close(this.#unmasked(source, start + size - this.#length), listener)
          listener.onControl(this.#opcode === OPCODE_PING ? 'ping' : 'pong', this.#unmasked(source, start + size - this.#length))
          continue
        }
        if (unfinished === null && this.#fin && end - at >= this.#length) {
          // The whole message: nearly always.
          const headroom = headroomFor(this.#length)
          const data = this.#unmasked(chunk, at, headroom)
          at += data.length
          this.#message(this.#opcode, data, headroom, listener)
          continue
        }
        unfinished ??= new Unfinished()
        unfinished.begin(this.#opcode, this.#fin, this.#length, this.#key)
      }
      at = unfinished.take(chunk, at, end, this.#maxPayload)
      if (unfinished.left > 0) return unfinished
      if (++unfinished.fragments > this.#maxFragments) throw new FrameError(POLICY_VIOLATION, 'Too many message fragments')
      if (unfinished.fin) {
        const { opcode } = unfinished
        const data = unfinished.message()
        unfinished = null
        this.#message(opcode, data, HEADROOM, listener)
      }
    }
    return unfinished
  }

  /**
   * What is wrong is found as early as can be: no byte of a payload is waited for, or allocated, when its header is bad.
   * @returns bytes of the header, and of all of a control frame; 0 when not all of them are there
   */
  #readHeader (source: Buffer, start: number, end: number, unfinished: Unfinished | null): number {
    if (end - start < 2) return 0
    const first = source[start] as number
    const second = source[start + 1] as number
    const opcode = first & OPCODE_BITS
    const short = second & LENGTH_BITS
    this.#checkHeader(first, second, unfinished !== null && unfinished.opcode > 0)
    let length = short
    let size = 6
    if (short === LENGTH_16) {
      if (end - start < 4) return 0
      length = source.readUInt16BE(start + 2)
      size = 8
    } else if (short === LENGTH_64) {
      if (end - start < 10) return 0
      const upper = source.readUInt32BE(start + 2)
      if (upper > MAX_SAFE_UPPER) throw new FrameError(TOO_BIG, 'Unsupported WebSocket frame: payload length > 2^53 - 1')
      length = upper * 2 ** 32 + source.readUInt32BE(start + 6)
      size = LONGEST_HEADER
    }
    if (opcode >= OPCODE_CLOSE) {
      if (end - start < size + length) return 0
    } else {
      if (length > this.#maxPayload - (unfinished?.length ?? 0)) throw new FrameError(TOO_BIG, 'Max payload size exceeded')
      if (end - start < size) return 0
    }
    this.#opcode = opcode
    this.#fin = (first & FIN) !== 0
    this.#length = length
    this.#key = source.readInt32LE(start + size - 4)
    return opcode >= OPCODE_CLOSE ? size + length : size
  }

  #checkHeader (first: number, second: number, begun: boolean): void {
    if ((first & RSV2_AND_3) !== 0) throw FrameError.ofFrame('RSV2 and RSV3 must be clear')
    if ((first & RSV1) !== 0) throw FrameError.ofFrame('RSV1 must be clear')
    const opcode = first & OPCODE_BITS
    if (opcode === OPCODE_TEXT || opcode === OPCODE_BINARY ? begun : opcode === OPCODE_CONTINUATION ? !begun : opcode < OPCODE_CLOSE || opcode > OPCODE_PONG) {
      throw FrameError.ofFrame(`invalid opcode ${opcode}`)
    }
    if (opcode >= OPCODE_CLOSE) {
      const length = second & LENGTH_BITS
      if ((first & FIN) === 0) throw FrameError.ofFrame('FIN must be set')
      if (length > MAX_CONTROL_PAYLOAD || (opcode === OPCODE_CLOSE && length === 1)) throw FrameError.ofFrame(`invalid payload length ${length}`)
    }
    if ((second & MASKED) === 0) throw FrameError.ofFrame('MASK must be set')
  }

  /** A copy of the payload of the header read last, which begins at `start`. */
  #unmasked (source: Buffer, start: number, headroom = 0): Buffer {
    // Of most pings and pongs. A Buffer of its own would be a quarter of all garbage of a heartbeat.
    if (headroom + this.#length === 0) return NOTHING
    const memory = Buffer.allocUnsafe(headroom + this.#length)
    unmask(source, start, start + this.#length, memory, headroom, this.#key)
    return headroom === 0 ? memory : memory.subarray(headroom)
  }

  #message (opcode: number, data: Buffer, headroom: number, listener: FrameListener): void {
    if (opcode === OPCODE_TEXT) this.#checkUtf8(data)
    listener.onMessage(data, opcode === OPCODE_BINARY, headroom)
  }

  #close (body: Buffer, listener: FrameListener): null {
    if (body.length === 0) {
      listener.onPeerClose(NO_STATUS, NOTHING)
    } else {
      const code = body.readUInt16BE()
      if (!isReceivableCloseCode(code)) throw FrameError.ofFrame(`invalid status code ${code}`)
      const reason = body.subarray(2)
      this.#checkUtf8(reason)
      listener.onPeerClose(code, reason)
    }
    return null
  }

  #checkUtf8 (bytes: Buffer): void {
    if (this.#checksUtf8 && !isUtf8(bytes)) throw FrameError.ofFrame('invalid UTF-8 sequence', INVALID_PAYLOAD)
  }
}
