import { inflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import { deflateFrame } from '../../../lib/protocol/deflate.js'
import { encodeFrame, MAX_FRAME_BYTES, type Frame } from '../../../lib/protocol/frame.js'

/** What a peer makes of compressed frames: RFC 7692 section 7.2.2, read anew. */
function inflate (frame: Frame): { text: boolean, data: Buffer } {
  const payloads = frame.chunks.map((chunk, i) => {
    const first = chunk.readUInt8(0)
    if ((first & 0x40) !== (i === 0 ? 0x40 : 0)) throw new Error('RSV1 belongs to the first fragment, and to no other')
    if ((first & 0x30) !== 0) throw new Error('other reserved bits are set')
    if (((first & 0x0f) === 0) !== (i > 0)) throw new Error('wrong opcode')
    if (((first & 0x80) !== 0) !== (i === frame.chunks.length - 1)) throw new Error('wrong FIN')
    const length = chunk.readUInt8(1)
    const start = length === 127 ? 10 : length === 126 ? 4 : 2
    if ((length === 127 ? chunk.readUInt32BE(6) : length === 126 ? chunk.readUInt16BE(2) : length) !== chunk.length - start) throw new Error('wrong length')
    return chunk.subarray(start)
  })
  const data = inflateRawSync(Buffer.concat([...payloads, Buffer.from([0, 0, 0xff, 0xff])]), { finishFlush: 2 })
  return { text: ((frame.chunks[0] as Buffer).readUInt8(0) & 0x0f) === 1, data }
}

t.test('compressed by itself, with RSV1, and back again', (t) => {
  for (const payload of ['a'.repeat(50), 'long and the same again. '.repeat(10_000), Buffer.alloc(3_000, 'bytes'), 'ä'.repeat(100)]) {
    const plain = encodeFrame(payload)
    const frame = deflateFrame(plain, 6) as Frame
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload
    t.ok(frame.bytes < plain.bytes)
    t.same(inflate(frame), { text: !(payload instanceof Uint8Array), data: Buffer.from(bytes) })
  }
  t.end()
})

t.test('what does not get smaller stays as it is', (t) => {
  for (const payload of ['', 'x', 'short', Buffer.from(Array.from({ length: 2_000 }, (_, i) => (i * 7919 + (i >> 3) * 104_729) % 251))]) {
    const frame = deflateFrame(encodeFrame(payload), 9)
    t.ok(frame === null || frame.bytes < encodeFrame(payload).bytes)
  }
  t.equal(deflateFrame(encodeFrame(''), 9), null)
  t.equal(deflateFrame(encodeFrame('ab'), 9), null)
  t.end()
})

t.test('random payloads, also of several fragments before and after', (t) => {
  const word = fc.string({ minLength: 1, maxLength: 20 })
  fc.assert(fc.property(fc.array(word, { minLength: 1, maxLength: 50, size: 'max' }), fc.integer({ min: 1, max: 400 }), fc.integer({ min: 1, max: 9 }), (words, times, level) => {
    const text = Array.from({ length: times }, (_, i) => `${i * 31}${words[i % words.length] as string}`).join('')
    const frame = deflateFrame(encodeFrame(text), level)
    if (frame === null) return
    if (frame.chunks.some((chunk) => chunk.length > MAX_FRAME_BYTES)) throw new Error('a chunk of more than 64 KiB')
    t.ok(inflate(frame).data.equals(Buffer.from(text)))
  }))
  // Noise of six bits per byte: a quarter of it can go.
  let noise = 1
  const large = deflateFrame(encodeFrame(Buffer.from(Array.from({ length: 150_000 }, () => (noise = Math.imul(noise, 1_103_515_245) + 12_345) >>> 26))), 1) as Frame
  t.ok(large.chunks.length > 1, 'compressed, and still in fragments')
  t.equal(inflate(large).data.length, 150_000)
  t.end()
})
