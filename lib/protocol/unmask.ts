import { endianness } from 'node:os'

/** From this length on, words are faster than bytes: below, the view on them costs more than it saves. */
const WORDS_FROM = endianness() === 'LE' ? 192 : Infinity

/**
 * Copies masked bytes and unmasks the copy (RFC 6455 section 5.3): the original may be the memory of the next read.
 * @param key the masking key as a little-endian number: its lowest byte is that of the first byte
 */
export function unmask (source: Buffer, start: number, end: number, target: Buffer, at: number, key: number): void {
  if (end - start < WORDS_FROM) return unmaskBytes(source, start, end, target, at, key)
  // What is before the first word of the target's memory, and what is behind the last.
  const head = -(target.byteOffset + at) & 3
  const tail = (end - start - head) & 3
  unmaskBytes(source, start, start + head, target, at, key)
  source.copy(target, at + head, start + head, end - tail)
  const words = new Int32Array(target.buffer, target.byteOffset + at + head, (end - start - head - tail) >> 2)
  const turned = rotateKey(key, head)
  let i = 0
  // Four at a time: a third less time for 64 KiB than one at a time.
  for (const last = words.length - 3; i < last; i += 4) {
    ;(words[i] as number) ^= turned
    ;(words[i + 1] as number) ^= turned
    ;(words[i + 2] as number) ^= turned
    ;(words[i + 3] as number) ^= turned
  }
  for (; i < words.length; i++) (words[i] as number) ^= turned
  unmaskBytes(source, end - tail, end, target, at + end - start - tail, turned)
}

/** The key for what follows so many bytes. */
export function rotateKey (key: number, bytes: number): number {
  const bits = (bytes & 3) << 3
  // A shift by 32 is one by 0.
  return bits === 0 ? key : (key >>> bits) | (key << (32 - bits))
}

function unmaskBytes (source: Buffer, start: number, end: number, target: Buffer, at: number, key: number): void {
  const [key1, key2, key3] = [key >>> 8, key >>> 16, key >>> 24]
  let from = start
  let to = at
  for (const last = end - 3; from < last; from += 4, to += 4) {
    target[to] = source[from] as number ^ key
    target[to + 1] = source[from + 1] as number ^ key1
    target[to + 2] = source[from + 2] as number ^ key2
    target[to + 3] = source[from + 3] as number ^ key3
  }
  if (from < end) target[to] = source[from] as number ^ key
  if (from + 1 < end) target[to + 1] = source[from + 1] as number ^ key1
  if (from + 2 < end) target[to + 2] = source[from + 2] as number ^ key2
}
