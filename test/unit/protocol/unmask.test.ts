import fc from 'fast-check'
import t from 'tap'
import { rotateKey, unmask } from '../../../lib/protocol/unmask.js'

const GUARD = 0xaa
/** Below and above the length from which it goes by words. */
const bytes = fc.oneof(fc.uint8Array({ maxLength: 20 }), fc.uint8Array({ minLength: 180, maxLength: 210, size: 'max' }), fc.uint8Array({ minLength: 1000, maxLength: 1100, size: 'max' }))
const key = fc.uint8Array({ minLength: 4, maxLength: 4 }).map((key) => Buffer.from(key))
const place = fc.nat(9)

t.test('any length, from anywhere to anywhere: as RFC 6455 section 5.3 says, and nothing else is touched', (t) => {
  fc.assert(fc.property(bytes, key, place, place, (bytes, key, start, at) => {
    const source = Buffer.concat([Buffer.alloc(start), bytes])
    const original = Buffer.from(source)
    const target = Buffer.alloc(at + bytes.length + 5, GUARD)
    unmask(source, start, source.length, target, at, key.readInt32LE())
    const expected = Buffer.from(bytes.map((byte, i) => byte ^ (key[i % 4] as number)))
    return target.subarray(at, at + bytes.length).equals(expected) && source.equals(original) &&
      [...target.subarray(0, at), ...target.subarray(at + bytes.length)].every((byte) => byte === GUARD)
  }), { numRuns: 1000 })
  t.end()
})

t.test('in pieces, with the key turned: as in one', (t) => {
  fc.assert(fc.property(bytes, key, fc.nat(1100), (bytes, key, cut) => {
    const source = Buffer.from(bytes)
    const [whole, pieces] = [Buffer.alloc(source.length), Buffer.alloc(source.length)]
    const middle = Math.min(cut, source.length)
    unmask(source, 0, source.length, whole, 0, key.readInt32LE())
    unmask(source, 0, middle, pieces, 0, key.readInt32LE())
    unmask(source, middle, source.length, pieces, middle, rotateKey(key.readInt32LE(), middle))
    return whole.equals(pieces)
  }), { numRuns: 500 })
  t.end()
})
