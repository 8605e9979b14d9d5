import { isUtf8 } from 'node:buffer'

/** Containers in containers: more than a message has use for, and far less than a stack holds. */
const MAX_DEPTH = 64

/**
 * Looks through MessagePack before it is read: the reader of a library allows more than hub.v1 does (types of its own that become
 * RegExp, Error or Map, text that is not UTF-8), and recurses as deep as the peer likes.
 * See the MessagePack specification, https://github.com/msgpack/msgpack/blob/master/spec.md
 * @returns what is wrong; null when it is exactly one value, of maps with keys that are strings, arrays, text, bytes, numbers, booleans and nil
 */
export function scanMessagePack (bytes: Buffer): string | null {
  const scan = new Scan(bytes)
  return scan.value(0) ?? (scan.at === bytes.length ? null : 'more than one value')
}

class Scan {
  at = 0
  readonly #bytes: Buffer

  constructor (bytes: Buffer) {
    this.#bytes = bytes
  }

  value (depth: number): string | null {
    if (depth > MAX_DEPTH) return `deeper than ${MAX_DEPTH}`
    if (this.at >= this.#bytes.length) return 'it ends too early'
    const type = this.#bytes[this.at++] as number
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
      default: return `the type 0x${type.toString(16)}, which is none of hub.v1`
    }
  }

  /** Infinity where there are not that many bytes: longer than all that is left. */
  #length (size: 1 | 2 | 4): number {
    if (this.at + size > this.#bytes.length) return Infinity
    const length = this.#bytes.readUIntBE(this.at, size)
    this.at += size
    return length
  }

  #skip (length: number): string | null {
    if (this.at + length > this.#bytes.length) return 'it ends too early'
    this.at += length
    return null
  }

  #text (length: number): string | null {
    const start = this.at
    return this.#skip(length) ?? (isUtf8(this.#bytes.subarray(start, this.at)) ? null : 'a string that is not UTF-8')
  }

  #array (length: number, depth: number): string | null {
    for (let i = 0; i < length; i++) {
      const problem = this.value(depth + 1)
      if (problem !== null) return problem
    }
    return null
  }

  #map (length: number, depth: number): string | null {
    for (let i = 0; i < length; i++) {
      const type = this.#bytes[this.at] ?? 0
      const isText = (type >= 0xa0 && type <= 0xbf) || (type >= 0xd9 && type <= 0xdb)
      const problem = isText || this.at >= this.#bytes.length ? this.value(depth + 1) ?? this.value(depth + 1) : 'a key that is no string'
      if (problem !== null) return problem
    }
    return null
  }
}
