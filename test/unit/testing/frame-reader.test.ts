import t from 'tap'
import { FrameReader } from '../../../lib/testing/frame-reader.js'

const read = (...bytes: number[]): ReturnType<FrameReader['push']> => new FrameReader().push(Buffer.from(bytes))

t.test('is as strict as a peer', (t) => {
  for (const [bytes, message] of [
    [[0xc1, 0], /reserved/], [[0x81, 0x80, 0, 0, 0, 0], /mask/], [[0x81, 126, 0, 125], /shortest/], [[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], /shortest/],
    [[0x80, 0], /continuation of nothing/], [[0x01, 0, 0x81, 0], /message inside/], [[0x83, 0], /opcode 3 is reserved/], [[0x8b, 0], /opcode 11 is reserved/],
    [[0x09, 0], /in fragments/], [[0x89, 126, 0, 126, ...Buffer.alloc(126)], /more than 125/], [[0x88, 1, 3], /half a close code/]
  ] as const) t.throws(() => read(...bytes), { message })
  t.end()
})

t.test('waits for the rest of a frame, and of a message', (t) => {
  for (const half of [[0x81], [0x81, 1], [0x82, 126, 0], [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0], [0x82, 127, 0], [0x01, 0]]) {
    const reader = new FrameReader()
    t.same(reader.push(Buffer.from(half)), [])
    t.equal(reader.complete, false)
  }
  const reader = new FrameReader()
  const pieces = [0x01, 1, 0x61, 0x00, 1, 0x62, 0x80, 1, 0x63].map((byte) => reader.push(Buffer.from([byte])))
  t.same(pieces.slice(0, -1).flat(), [])
  t.same(pieces.at(-1), [{ kind: 'message', isBinary: false, data: Buffer.from('abc'), fragments: 3 }])
  t.equal(reader.complete, true)
  t.end()
})

t.test('control frames come in order, also between the fragments of a message', (t) => {
  t.same(read(0x01, 1, 0x61, 0x89, 0, 0x80, 0, 0x8a, 1, 0x62, 0x88, 4, 0x0f, 0xa0, 0x6f, 0x6b), [
    { kind: 'ping', data: Buffer.alloc(0) },
    { kind: 'message', isBinary: false, data: Buffer.from('a'), fragments: 2 },
    { kind: 'pong', data: Buffer.from('b') },
    { kind: 'close', code: 4000, reason: 'ok' }
  ])
  t.same(read(0x88, 0), [{ kind: 'close', code: 1005, reason: '' }], 'RFC 6455 section 7.1.5')
  t.end()
})
