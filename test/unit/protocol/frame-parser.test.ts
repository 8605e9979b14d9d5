import { constants } from 'node:buffer'
import fc from 'fast-check'
import t from 'tap'
import { FrameParser } from '../../../lib/protocol/frame-parser.js'
import { FrameLog } from '../../helpers/frame-log.js'
import { closeFrame, encodeClientFrame, OPCODE, textFrame } from '../../helpers/raw-frames.js'

const MAX = 1000
const { continuation, text, binary, ping, pong, close } = OPCODE
const frame = (opcode: number, payload: string | Uint8Array = '', fin = true): Buffer => encodeClientFrame({ opcode, payload, fin })
const logWith = (options: object = {}): FrameLog => new FrameLog(new FrameParser({ maxPayload: MAX, ...options }))

interface Sent { readonly bytes: Buffer, readonly expected: string }

const anyText = fc.string({ unit: 'grapheme', maxLength: 40 })
/** What a peer may send, and what is to be seen of it. */
const sent: fc.Arbitrary<Sent[]> = fc.oneof(
  anyText.map((payload) => [{ bytes: frame(text, payload), expected: `text ${payload}` }]),
  anyText.map((payload) => [{ bytes: frame(binary, payload), expected: `binary ${payload}` }]),
  fc.constantFrom('ping', 'pong').chain((kind) => fc.string({ maxLength: 20 }).map((payload) => [{ bytes: frame(OPCODE[kind as 'ping'], payload), expected: `${kind} ${payload}` }])),
  // In two fragments, with a ping between them, which is seen first.
  fc.tuple(anyText, anyText).map(([a, b]) => [
    { bytes: Buffer.concat([frame(text, a, false), frame(ping, 'between')]), expected: 'ping between' },
    { bytes: frame(continuation, b), expected: `text ${a}${b}` }
  ])
)

t.test('connections that share a parser get what their own peer sent, however it was cut and mixed', (t) => {
  const CONNECTIONS = 3
  const plan = fc.record({
    sent: fc.array(fc.array(sent, { maxLength: 8 }), { minLength: CONNECTIONS, maxLength: CONNECTIONS }),
    /** Who reads next, and how many bytes. */
    reads: fc.array(fc.tuple(fc.nat(CONNECTIONS - 1), fc.integer({ min: 1, max: 30 })), { maxLength: 200, size: 'max' })
  })
  fc.assert(fc.property(plan, ({ sent, reads }) => {
    const parser = new FrameParser({ maxPayload: MAX })
    const logs = sent.map(() => new FrameLog(parser))
    const streams: Buffer[] = sent.map((all) => Buffer.concat(all.flat().map(({ bytes }) => bytes)))
    const rest: Array<[number, number]> = streams.map((stream, i) => [i, stream.length])
    for (const [i, bytes] of [...reads, ...rest]) {
      const stream = streams[i] as Buffer
      const chunk = stream.subarray(0, bytes)
      if (chunk.length > 0) logs[i]?.read(chunk)
      streams[i] = stream.subarray(bytes)
    }
    return logs.every((log, i) => log.error === null && log.unfinished === null &&
      log.seen.join('|') === (sent[i] as Sent[][]).flat().map(({ expected }) => expected).join('|'))
  }), { numRuns: 500 })
  t.end()
})

t.test('a connection has state only while a frame or a message is not complete', (t) => {
  const parser = new FrameParser({ maxPayload: MAX })
  const whole = textFrame('whole')
  const other = new FrameLog(parser)
  for (const [first, second] of [
    ...[1, 2, 5, 6, 8].map((at) => [whole.subarray(0, at), whole.subarray(at)]),
    [frame(text, '', false), frame(continuation, 'whole')],
    [frame(text, 'who', false), frame(continuation, 'le')],
    [frame(text, 'whole', false), frame(continuation)]
  ] as Array<[Buffer, Buffer]>) {
    const log = new FrameLog(parser)
    log.read(first)
    t.not(log.unfinished, null)
    other.read(whole)
    t.equal(other.unfinished, null)
    log.read(second)
    t.equal(log.unfinished, null)
    t.same(log.seen, ['text whole'])
  }
  const log = new FrameLog(parser)
  for (const byte of frame(ping, 'x'.repeat(125))) log.read(Buffer.from([byte]))
  t.same(log.seen, [`ping ${'x'.repeat(125)}`])
  t.equal(log.unfinished, null, 'nor after a ping in pieces')
  t.end()
})

/** Of bytes that need a header each of its own. */
const LENGTHS = [0, 1, 125, 126, 127, 65_535, 65_536, 200_000]

t.test('every kind of length, in one read and in two', (t) => {
  for (const length of LENGTHS) {
    const payload = Buffer.alloc(length, 'abcdefg')
    const bytes = encodeClientFrame({ opcode: binary, payload })
    for (const cut of [0, 1, 3, 9, 13, 14, 15, bytes.length - 1]) {
      const log = logWith({ maxPayload: 0 })
      log.read(bytes.subarray(0, cut))
      log.read(Buffer.concat([bytes.subarray(cut), frame(pong, 'behind it')]))
      t.same(log.seen, [`binary ${payload.toString()}`, 'pong behind it'], `${length}, cut at ${cut}`)
    }
  }
  t.end()
})

t.test('what breaks the protocol, and its close code', (t) => {
  const not8 = Buffer.from([0xc3, 0x28])
  const cases: Array<[what: string, bytes: Buffer, code: number, message: string]> = [
    ['RSV1', encodeClientFrame({ opcode: text, rsv: 4 }), 1002, 'Invalid WebSocket frame: RSV1 must be clear'],
    ['RSV2', encodeClientFrame({ opcode: text, rsv: 2 }), 1002, 'Invalid WebSocket frame: RSV2 and RSV3 must be clear'],
    ['RSV3', encodeClientFrame({ opcode: ping, rsv: 1 }), 1002, 'Invalid WebSocket frame: RSV2 and RSV3 must be clear'],
    ['no mask', encodeClientFrame({ opcode: text, masked: false }), 1002, 'Invalid WebSocket frame: MASK must be set'],
    ['an opcode for data', frame(3), 1002, 'Invalid WebSocket frame: invalid opcode 3'],
    ['an opcode for control', frame(11), 1002, 'Invalid WebSocket frame: invalid opcode 11'],
    ['a continuation of nothing', frame(continuation), 1002, 'Invalid WebSocket frame: invalid opcode 0'],
    ['a message within another', Buffer.concat([frame(text, 'a', false), frame(binary)]), 1002, 'Invalid WebSocket frame: invalid opcode 2'],
    ['a fragmented ping', frame(ping, '', false), 1002, 'Invalid WebSocket frame: FIN must be set'],
    ['a ping of 126 bytes', frame(ping, 'x'.repeat(126)), 1002, 'Invalid WebSocket frame: invalid payload length 126'],
    ['a Close of one byte', frame(close, 'x'), 1002, 'Invalid WebSocket frame: invalid payload length 1'],
    ['a code that is not for the wire', closeFrame(1005), 1002, 'Invalid WebSocket frame: invalid status code 1005'],
    ['a reason that is not UTF-8', closeFrame(1000, not8), 1007, 'Invalid WebSocket frame: invalid UTF-8 sequence'],
    ['text that is not UTF-8', frame(text, not8), 1007, 'Invalid WebSocket frame: invalid UTF-8 sequence'],
    ['such text in fragments', Buffer.concat([frame(text, not8.subarray(0, 1), false), frame(continuation, not8.subarray(1))]), 1007, 'Invalid WebSocket frame: invalid UTF-8 sequence'],
    ['a byte more than allowed', frame(text, 'x'.repeat(MAX + 1)), 1009, 'Max payload size exceeded'],
    ['more in fragments', Buffer.concat([frame(text, 'x'.repeat(MAX), false), frame(continuation, 'y')]), 1009, 'Max payload size exceeded'],
    ['more than a number can say', encodeClientFrame({ opcode: binary, declaredLength: 2n ** 53n }), 1009, 'Unsupported WebSocket frame: payload length > 2^53 - 1'],
    ['too many fragments', Buffer.concat([frame(text, '', false), ...Array.from({ length: 3 }, () => frame(continuation, '', false))]), 1008, 'Too many message fragments']
  ]
  for (const [what, bytes, code, message] of cases) {
    const log = logWith({ maxFragments: 3 })
    log.read(Buffer.concat([textFrame('before'), bytes, textFrame('after')]))
    t.same(log.seen, ['text before'], what)
    t.equal(log.code, code, what)
    t.equal(log.error?.message, message, what)
    t.equal(log.unfinished, null, what)
  }
  t.end()
})

t.test('as soon as it can be known: the first two bytes, or the length, are enough', (t) => {
  for (const [bytes, code] of [
    [encodeClientFrame({ opcode: 3 }).subarray(0, 2), 1002],
    [encodeClientFrame({ opcode: text, declaredLength: MAX + 1 }).subarray(0, 4), 1009],
    [encodeClientFrame({ opcode: text, declaredLength: 65_536 }).subarray(0, 10), 1009]
  ] as const) {
    const log = logWith()
    for (const byte of bytes.subarray(0, -1)) log.read(Buffer.from([byte]))
    t.equal(log.code, 0)
    log.read(bytes.subarray(-1))
    t.equal(log.code, code)
  }
  t.end()
})

t.test('without a limit: what no Buffer can hold is too long, and nothing is allocated for it', (t) => {
  const log = logWith({ maxPayload: 0 })
  log.read(encodeClientFrame({ opcode: binary, declaredLength: 2n ** 53n - 1n }))
  t.equal(log.code, 1009)
  // With room for the header of a frame in front of it.
  for (const [length, code] of [[constants.MAX_LENGTH - 9, 1009], [constants.MAX_LENGTH - 10, 0]] as const) {
    const log = logWith({ maxPayload: 0 })
    log.read(encodeClientFrame({ opcode: binary, declaredLength: BigInt(length) }))
    t.equal(log.code, code)
  }
  t.end()
})

t.test('UTF-8 is not checked where the app has said so', (t) => {
  const log = logWith({ skipUTF8Validation: true })
  log.read(Buffer.concat([frame(text, Buffer.from([0xff])), closeFrame(1000, Buffer.from([0xff]))]))
  t.same(log.seen, ['text \ufffd', 'close 1000 \ufffd'])
  t.end()
})

t.test('a frame in more reads than allowed', (t) => {
  const bytes = frame(binary, 'abcdef')
  const head = bytes.length - 6
  const slow = logWith({ maxBufferedChunks: 3 })
  const inTime = logWith({ maxBufferedChunks: 4 })
  slow.read(bytes.subarray(0, head))
  for (let i = 0; i < 4; i++) slow.read(bytes.subarray(head + i, head + i + 1))
  t.equal(slow.code, 1008)
  t.equal(slow.error?.message, 'Too many buffered chunks')
  for (let message = 0; message < 2; message++) {
    for (const [from, to] of [[0, head + 1], [head + 1, head + 2], [head + 2, head + 3], [head + 3]] as const) inTime.read(bytes.subarray(from, to))
  }
  t.same(inTime.seen, ['binary abcdef', 'binary abcdef'], 'each frame is counted by itself')
  t.end()
})

t.test('a listener that becomes deaf hears nothing more, and what follows is not looked at', (t) => {
  class Deafened extends FrameLog {
    override onMessage (data: Buffer, isBinary: boolean): void {
      super.onMessage(data, isBinary)
      this.deaf = data.toString() === 'enough'
    }
  }
  const log = new Deafened(new FrameParser({}))
  log.read(Buffer.concat([textFrame('first'), textFrame('enough'), textFrame('too late'), frame(ping), encodeClientFrame({ opcode: 3 })]))
  t.same(log.seen, ['text first', 'text enough'])
  t.equal(log.error, null)
  t.end()
})

t.test('a listener that throws, and one that has another connection read, harm nobody', (t) => {
  const parser = new FrameParser({})
  const other = new FrameLog(parser)
  class Troubled extends FrameLog {
    override onMessage (data: Buffer, isBinary: boolean): void {
      super.onMessage(data, isBinary)
      other.read(Buffer.concat([frame(text, 'of ', false), frame(pong, 'p'), frame(continuation, 'other')]))
      if (data.toString() === 'throw') throw new Error('on purpose')
    }
  }
  const log = new Troubled(parser)
  log.read(Buffer.concat([textFrame('a'), frame(text, 'b', false), frame(continuation, 'c'), textFrame('d')]))
  t.same(log.seen, ['text a', 'text bc', 'text d'])
  const thrower = new Troubled(parser)
  t.throws(() => { thrower.read(Buffer.concat([frame(text, 'thr', false), frame(continuation, 'ow'), textFrame('lost')])) }, { message: 'on purpose' })
  t.equal(thrower.error, null, 'it is not the peer\'s fault')
  other.read(textFrame('still here'))
  t.equal(other.error, null)
  t.equal(other.seen.at(-1), 'text still here')
  t.equal(other.seen.length, 9)
  t.end()
})
