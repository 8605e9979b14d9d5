import { once } from 'node:events'
import fc from 'fast-check'
import t from 'tap'
import * as ws from 'ws'
import { encodeBytes, encodeFrame, frameInPlace, headroomFor, MAX_FRAME_BYTES, MAX_HEADER, OPCODE_TEXT, type Frame } from '../../../lib/protocol/frame.js'
import { FrameReader, type ReadMessage } from '../../../lib/testing/frame-reader.js'

const LARGEST_UNSPLIT = 65_536
/** With a header of 4 bytes. */
const LARGEST_FRAGMENT = MAX_FRAME_BYTES - 4
const BOUNDARIES = [0, 1, 125, 126, LARGEST_FRAGMENT, LARGEST_FRAGMENT + 1, 65_535, LARGEST_UNSPLIT, LARGEST_UNSPLIT + 1, 2 * LARGEST_FRAGMENT, 2 * LARGEST_FRAGMENT + 1, 200_000]

function decode (frame: Frame): ReadMessage {
  const reader = new FrameReader()
  const [message, ...more] = frame.chunks.flatMap((chunk) => reader.push(chunk))
  if (!reader.complete || message?.kind !== 'message' || more.length > 0) throw new Error('not exactly one message')
  return message
}

async function readWithWs (frame: Frame): Promise<{ data: Buffer, isBinary: boolean }> {
  // Not in @types/ws.
  const { Receiver } = ws as unknown as { Receiver: new (options: object) => NodeJS.WritableStream }
  const receiver = new Receiver({ isServer: false, maxPayload: 0 })
  const message = once(receiver, 'message') as Promise<[Buffer, boolean]>
  for (const chunk of frame.chunks) receiver.write(chunk)
  const [data, isBinary] = await message
  return { data, isBinary }
}

t.test('every length at a boundary is read back, by an independent reader and by ws', async (t) => {
  for (const length of BOUNDARIES) {
    const text = 'x'.repeat(length)
    const bytes = Buffer.alloc(length, 7)
    for (const [payload, isBinary, expected] of [[text, false, Buffer.from(text)], [bytes, true, bytes], [{ toFrame: () => encodeBytes(Buffer.from(text), OPCODE_TEXT) }, false, Buffer.from(text)]] as const) {
      const frame = encodeFrame(payload)
      const what = `${isBinary ? 'binary' : 'text'} of ${length}`
      t.equal(frame.bytes, frame.chunks.reduce((sum, chunk) => sum + chunk.length, 0), `${what}: bytes are those of the chunks`)
      t.ok(frame.chunks.every((chunk) => chunk.length <= (frame.chunks.length > 1 ? MAX_FRAME_BYTES : LARGEST_UNSPLIT + MAX_HEADER)), `${what}: no frame is over its limit`)
      const decoded = decode(frame)
      t.equal(decoded.fragments, length <= LARGEST_UNSPLIT ? 1 : Math.ceil(length / LARGEST_FRAGMENT), `${what}: no more fragments than needed`)
      t.equal(decoded.isBinary, isBinary, what)
      t.ok(decoded.data.equals(expected), `${what}: own reader`)
      const read = await readWithWs(frame)
      t.equal(read.isBinary, isBinary, what)
      t.ok(read.data.equals(expected), `${what}: ws`)
    }
  }
})

t.test('headers are exactly those of RFC 6455 section 5.2', (t) => {
  const header = (frame: Frame, chunk = 0): number[] => [...(frame.chunks[chunk] as Buffer).subarray(0, 4)]
  t.same([...encodeFrame('').chunks[0] as Buffer], [0x81, 0])
  t.same([...encodeFrame(Buffer.alloc(0)).chunks[0] as Buffer], [0x82, 0])
  t.same([...encodeFrame('hi').chunks[0] as Buffer], [0x81, 2, 0x68, 0x69])
  t.same(header(encodeFrame(Buffer.alloc(125))).slice(0, 2), [0x82, 125])
  t.same(header(encodeFrame(Buffer.alloc(126))), [0x82, 126, 0, 126])
  t.same(header(encodeFrame(Buffer.alloc(65_535))), [0x82, 126, 0xff, 0xff])
  t.same([...(encodeFrame(Buffer.alloc(LARGEST_UNSPLIT)).chunks[0] as Buffer).subarray(0, 10)], [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0])
  const fragmented = encodeFrame('y'.repeat(LARGEST_UNSPLIT + 1))
  t.same(header(fragmented), [0x01, 126, 0xff, 0xfc], 'the first fragment has the opcode and no FIN')
  t.same([...fragmented.chunks[1] as Buffer], [0x80, 5, ...Buffer.from('yyyyy')], 'the last is a continuation with FIN')
  const three = encodeFrame(Buffer.alloc(2 * LARGEST_FRAGMENT + 1))
  t.same(three.chunks.map((chunk) => chunk[0]), [0x02, 0x00, 0x80])
  t.end()
})

t.test('a text whose length in bytes is not its length in characters', (t) => {
  const texts = ['é'.repeat(62), 'é'.repeat(63), '€'.repeat(21_844), '€'.repeat(21_845), '😀'.repeat(16_383), '😀'.repeat(16_384), `x${'😀'.repeat(40_000)}`]
  for (const text of texts) t.equal(decode(encodeFrame(text)).data.toString(), text)
  t.equal(decode(encodeFrame('\ud800')).data.toString(), '\ufffd', 'a lone surrogate has no UTF-8')
  t.end()
})

t.test('the bytes are copied', (t) => {
  const bytes = Buffer.from('before')
  const frame = encodeFrame(bytes)
  bytes.write('after!')
  t.equal(decode(frame).data.toString(), 'before')
  t.end()
})

t.test('a frame in place: what is in front of the headroom stays as it is; without room, or as fragments, it is a copy', (t) => {
  for (const length of BOUNDARIES) {
    const needed = headroomFor(length)
    for (const headroom of [0, 1, 2, 3, 4, 9, 10, 50]) {
      const memory = Buffer.alloc(50 + length, 0xee)
      const payload = memory.subarray(50).fill('x')
      const frame = frameInPlace(payload, headroom, OPCODE_TEXT)
      t.equal(decode(frame).data.equals(payload), true, `${length} with ${headroom}`)
      t.equal(decode(frame).isBinary, false)
      const inPlace = frame.chunks[0]?.buffer === memory.buffer
      t.equal(inPlace, needed > 0 && headroom >= needed, `${length} with ${headroom}: in place`)
      const touched = inPlace ? needed : 0
      t.ok(memory.subarray(0, 50 - touched).every((byte) => byte === 0xee), `${length} with ${headroom}: nothing else is written`)
    }
  }
  t.end()
})

t.test('any payload, and a view into a larger buffer, is read back', (t) => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300, size: 'max' }), fc.nat(20), fc.nat(20), (all, skip, less) => {
    const view = all.subarray(skip, Math.max(skip, all.length - less))
    const { data, isBinary } = decode(encodeFrame(view))
    return isBinary && data.equals(view)
  }))
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 300, size: 'max' }), (text) => decode(encodeFrame(text)).data.toString() === Buffer.from(text).toString()))
  t.end()
})
