import t from 'tap'
import { Compression } from '../../../lib/core/compression.js'
import { encodeFrame } from '../../../lib/protocol/frame.js'

const compressible = (bytes: number): ReturnType<typeof encodeFrame> => encodeFrame('x'.repeat(bytes))

t.test('once for each message, from the threshold on', (t) => {
  const compression = new Compression({ level: 1, threshold: 100 })
  const frame = compressible(200)
  const compressed = compression.apply(frame)
  t.ok(compressed.bytes < frame.bytes)
  t.equal(compression.apply(frame), compressed)
  const small = compressible(97)
  t.equal(small.bytes, 99)
  t.equal(compression.apply(small), small)
  t.ok(compression.apply(compressible(98)).bytes < 100, 'bytes on the wire count')
  t.end()
})

t.test('level 0 is off; threshold 0 is every message, where it pays', (t) => {
  const frame = compressible(10_000)
  t.equal(new Compression({ level: 0, threshold: 0 }).apply(frame), frame)
  const always = new Compression({ level: 9, threshold: 0 })
  const tiny = encodeFrame('ab')
  t.equal(always.apply(tiny), tiny)
  t.equal(always.apply(tiny), tiny, 'and does not try again')
  t.not(always.apply(compressible(60)).bytes, 62)
  t.end()
})
