import assert from 'node:assert/strict'
import { decode, encode, ExtData } from '@msgpack/msgpack'
import fc from 'fast-check'
import t from 'tap'
import { scanMessagePack } from '../../../../lib/protocol/hub-v1/msgpack-scan.js'
import { jsonValues } from '../../../helpers/schema-arbitrary.js'

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')
const nested = (open: string, depth: number, inner: string): Buffer => hex(open.repeat(depth) + inner)

t.test('each type that hub.v1 has, in each of its sizes', (t) => {
  for (const bytes of [
    '00', '7f', 'e0', 'ff', 'c0', 'c2', 'c3', 'cc ff', 'cd ffff', 'ce ffffffff', 'cf ffffffffffffffff', 'd0 80', 'd1 8000', 'd2 80000000', 'd3 8000000000000000',
    'ca 7fc00000', 'cb 7ff8000000000000', 'a0', 'a1 61', 'd9 01 61', 'da 0001 61', 'db 00000001 61', 'c4 01 ff', 'c5 0001 ff', 'c6 00000001 ff',
    '90', '91 01', 'dc 0001 01', 'dd 00000001 01', '80', '81 a1 61 01', '81 d9 01 61 01', 'de 0001 da 0001 61 01', 'df 00000001 db 00000001 61 01',
    `bf ${'78'.repeat(31)}`, `d9 21 ${'c3a9'.repeat(16)} 78`
  ]) t.equal(scanMessagePack(hex(bytes)), null, bytes)
  t.end()
})

t.test('each of them that ends too early', (t) => {
  for (const bytes of [
    '', 'cc', 'cd ff', 'ce ffffff', 'cf ffffffffffffff', 'd0', 'd1 80', 'd2 800000', 'd3 80', 'ca 7fc000', 'cb 7f', 'a1', 'd9', 'd9 02 61', 'da 00', 'da 0002 61', 'db 000000', 'db ffffffff 61',
    'c4', 'c4 01', 'c5 00', 'c5 ffff 00', 'c6 000000', 'c6 ffffffff 00', '91', 'dc 00', 'dc ffff 01', 'dd 000000', 'dd ffffffff 01', '81', '81 a1 61', 'de 00', 'de 0002 a1 61 01', 'df 000000', 'df ffffffff a1 61 01'
  ]) t.match(scanMessagePack(hex(bytes))?.message, /^not MessagePack: it ends after \d+ bytes, too early$/, bytes)
  t.end()
})

t.test('what hub.v1 excludes', (t) => {
  for (const [bytes, message, isUtf8Problem = false] of [
    ['c1', 'at byte 0, the type 0xc1, which is none of hub.v1'],
    ...['c7', 'c8', 'c9', 'd4', 'd5', 'd6', 'd7', 'd8'].map((type) => [`91 ${type} 01 01 00000000`, `at byte 1, the type 0x${type}, which is none of hub.v1`]),
    ['01 02', 'at byte 1, more than one value'],
    ...['01', 'c0', 'c4 01 61', '90', '80', 'cb 3ff0000000000000'].map((key) => [`81 ${key} 01`, 'at byte 1, a key that is no string']),
    ['92 01 a1 ff', 'at byte 3, a string that is not UTF-8', true],
    ['81 a2 c080 01', 'at byte 2, a string that is not UTF-8', true],
    [`d9 24 ${'78'.repeat(33)} eda080`, 'at byte 2, a string that is not UTF-8', true]
  ] as Array<[string, string, boolean?]>) t.match(scanMessagePack(hex(bytes)), { message: `not MessagePack: ${message}`, isUtf8Problem }, bytes)
  t.end()
})

t.test('maps and arrays may be in each other 128 deep', (t) => {
  for (const open of ['91', '81 a1 61']) {
    t.equal(scanMessagePack(nested(open, 128, '01')), null)
    for (const depth of [129, 100_000]) t.match(scanMessagePack(nested(open, depth, '01'))?.message, /: at byte \d+, maps and arrays deeper than 128$/)
  }
  t.end()
})

t.test('no byte is looked at more often than a few times, however the lengths lie', (t) => {
  let looks = 0
  const counted = (bytes: Buffer): Buffer => new Proxy(bytes, {
    get: (target, key) => {
      if (typeof key === 'string' && /^\d+$/.test(key)) looks++
      const value: unknown = Reflect.get(target, key, target)
      return typeof value === 'function' && key === 'subarray' ? value.bind(target) : value
    }
  })
  for (const bytes of [encode(Array(5000).fill({ a: 'b', c: [1, 2.5] })), encode('x'.repeat(30_000)), nested('91', 5000, '01'), Buffer.alloc(5000, 0xdd), Buffer.alloc(5000, 0xdf), Buffer.concat([hex('dd ffffffff'), Buffer.alloc(5000, 0xa0)])]) {
    looks = 0
    scanMessagePack(counted(Buffer.from(bytes)))
    t.ok(looks <= 4 * bytes.length, `${looks} looks at ${bytes.length} bytes`)
  }
  t.end()
})

/** Whether another implementation reads it, and finds only what hub.v1 has. */
function isReadByOthers (bytes: Buffer): boolean {
  const isKnown = (value: unknown): boolean => typeof value !== 'object' || value === null || value instanceof Uint8Array ||
    (!(value instanceof ExtData) && !(value instanceof Date) && Object.values(value).every(isKnown))
  try {
    return isKnown(decode(bytes, { mapKeyConverter: (key) => { if (typeof key !== 'string') throw new Error('no string'); return key } }))
  } catch {
    return false
  }
}

t.test('it accepts exactly what another implementation reads, but what hub.v1 excludes, and never throws', (t) => {
  const interesting = fc.constantFrom(0x80, 0x81, 0x90, 0x91, 0xa0, 0xa1, 0xc0, 0xc1, 0xc4, 0xc5, 0xc6, 0xc7, 0xca, 0xcb, 0xcc, 0xcf, 0xd0, 0xd3, 0xd4, 0xd6, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0, 1, 2, 0x61)
  const random = fc.array(fc.oneof(interesting, fc.integer({ min: 0, max: 255 })), { maxLength: 24 }).map((bytes) => Buffer.from(bytes))
  const changed = fc.tuple(jsonValues, fc.nat(), fc.oneof(interesting, fc.integer({ min: 0, max: 255 })), fc.nat(3)).map(([value, at, byte, cut]) => {
    const bytes = Buffer.from(encode(value))
    if (cut < 3) bytes[at % bytes.length] = byte
    return cut === 0 ? bytes.subarray(0, at % bytes.length) : bytes
  })
  let accepted = 0
  fc.assert(fc.property(fc.oneof(random, changed), (bytes) => {
    const problem = scanMessagePack(bytes)
    if (problem === null) accepted++
    // Of text that is not UTF-8 the other one makes something.
    if (problem?.isUtf8Problem !== true && !bytes.includes('__proto__')) assert.equal(problem === null, isReadByOthers(bytes), `${bytes.toString('hex')}: ${problem?.message}`)
  }), { numRuns: 4_000 })
  t.ok(accepted > 500, `${accepted} were accepted`)
  t.end()
})
