import { isUtf8 } from 'node:buffer'
import { MalformedMessage } from '../codec.js'

/** Maps and arrays in each other: more than `data` may have, so that what is a little too deep is answered with its id, and far less than a stack holds. */
const MAX_DEPTH = 128
/** Bytes of a text that are looked at here: nearly all are short, and a call for each would take most of the time. */
const SHORT = 32

/**
 * Looks through MessagePack before it is read: the reader of a library allows more than hub.v1 does (types of its own that become
 * RegExp, Error or Map, text that is not UTF-8), and recurses as deep as the peer likes.
 * See the MessagePack specification, https://github.com/msgpack/msgpack/blob/master/spec.md
 * @returns what is wrong; null when it is exactly one value, of maps with keys that are strings, arrays, text, bytes, numbers, booleans and nil
 */
export function scanMessagePack (bytes: Buffer): MalformedMessage | null {
  const scan = new Scan(bytes)
  return scan.value(0) ?? scan.end()
}

class Scan {
  #at = 0
  readonly #bytes: Buffer

  constructor (bytes: Buffer) {
    this.#bytes = bytes
  }

  end (): MalformedMessage | null {
    return this.#at === this.#bytes.length ? null : this.#problem('more than one value')
  }

  value (depth: number): MalformedMessage | null {
    if (depth > MAX_DEPTH) return this.#problem(`maps and arrays deeper than ${MAX_DEPTH}`)
    if (this.#at >= this.#bytes.length) return this.#tooShort()
    const type = this.#bytes[this.#at++] as number
    if (type <= 0x7f || type >= 0xe0) return null
    if (type <= 0x8f) return this.#map(type & 0x0f, depth)
    if (type <= 0x9f) return this.#array(type & 0x0f, depth)
    if (type <= 0xbf) return this.#text(type & 0x1f)
    switch (type) {
      case 0xc0: case 0xc2: case 0xc3: return null
      case 0xc4: return this.#skip(this.#length(1))
      case 0xc5: return this.#skip(this.#length(2))
      case 0xc6: return this.#skip(this.#length(4))
      case 0xca: case 0xce: case 0xd2: return this.#skip(4)
      case 0xcb: case 0xcf: case 0xd3: return this.#skip(8)
      case 0xcc: case 0xd0: return this.#skip(1)
      case 0xcd: case 0xd1: return this.#skip(2)
      case 0xd9: return this.#text(this.#length(1))
      case 0xda: return this.#text(this.#length(2))
      case 0xdb: return this.#text(this.#length(4))
      case 0xdc: return this.#array(this.#length(2), depth)
      case 0xdd: return this.#array(this.#length(4), depth)
      case 0xde: return this.#map(this.#length(2), depth)
      case 0xdf: return this.#map(this.#length(4), depth)
      default: return this.#problem(`the type 0x${type.toString(16)}, which is none of hub.v1`, 1)
    }
  }

  /** Infinity where there are not that many bytes: whatever it is of ends too early. */
  #length (size: 1 | 2 | 4): number {
    const start = this.#at
    this.#at = Math.min(start + size, this.#bytes.length)
    return this.#at - start < size ? Infinity : this.#bytes.readUIntBE(start, size)
  }

  #skip (length: number): MalformedMessage | null {
    if (this.#at + length > this.#bytes.length) return this.#tooShort()
    this.#at += length
    return null
  }

  #text (length: number): MalformedMessage | null {
    const start = this.#at
    const problem = this.#skip(length)
    if (problem !== null || (length <= SHORT && this.#isAscii(start)) || isUtf8(this.#bytes.subarray(start, this.#at))) return problem
    return new MalformedMessage(`not MessagePack: at byte ${start}, a string that is not UTF-8`, true)
  }

  #isAscii (start: number): boolean {
    for (let i = start; i < this.#at; i++) if ((this.#bytes[i] as number) > 0x7f) return false
    return true
  }

  #array (length: number, depth: number): MalformedMessage | null {
    for (let i = 0; i < length; i++) {
      const problem = this.value(depth + 1)
      if (problem !== null) return problem
    }
    return null
  }

  #map (length: number, depth: number): MalformedMessage | null {
    for (let i = 0; i < length; i++) {
      const problem = this.#key(depth + 1) ?? this.value(depth + 1)
      if (problem !== null) return problem
    }
    return null
  }

  #key (depth: number): MalformedMessage | null {
    const type = this.#bytes[this.#at]
    const isText = type === undefined || (type >= 0xa0 && type <= 0xbf) || (type >= 0xd9 && type <= 0xdb)
    return isText ? this.value(depth) : this.#problem('a key that is no string')
  }

  #tooShort (): MalformedMessage {
    return new MalformedMessage(`not MessagePack: it ends after ${this.#bytes.length} bytes, too early`)
  }

  /** @param back bytes between the problem and where the scan is */
  #problem (text: string, back = 0): MalformedMessage {
    return new MalformedMessage(`not MessagePack: at byte ${this.#at - back}, ${text}`)
  }
}
