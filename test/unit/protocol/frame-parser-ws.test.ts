import type { Writable } from 'node:stream'
import fc from 'fast-check'
import t from 'tap'
import * as ws from 'ws'
import { FrameParser, type FrameParserOptions } from '../../../lib/protocol/frame-parser.js'
import { FrameLog } from '../../helpers/frame-log.js'
import { encodeClientFrame, OPCODE, type ClientFrame } from '../../helpers/raw-frames.js'

/** Not in @types/ws. Complete frames are emitted from within `write`. */
const { Receiver } = ws as unknown as { Receiver: new (options: object) => Writable }

interface Outcome { readonly seen: string[], readonly error: string | null, readonly code: number }

const CODES: Record<string, number> = { WS_ERR_INVALID_UTF8: 1007, WS_ERR_TOO_MANY_BUFFERED_PARTS: 1008, WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: 1009, WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: 1009 }

function readWithWs (chunks: readonly Buffer[], options: FrameParserOptions): Outcome {
  const receiver = new Receiver({ isServer: true, allowSynchronousEvents: true, ...options })
  const seen: string[] = []
  receiver.on('message', (data: Buffer, isBinary: boolean) => { seen.push(`${isBinary ? 'binary' : 'text'} ${data.toString()}`) })
  for (const kind of ['ping', 'pong']) receiver.on(kind, (data: Buffer) => { seen.push(`${kind} ${data.toString()}`) })
  receiver.on('conclude', (code: number, reason: Buffer) => { seen.push(`close ${code} ${reason.toString()}`) })
  receiver.on('error', () => {})
  for (const chunk of chunks) {
    if (receiver.errored !== null || receiver.writableEnded) break
    // It unmasks in place.
    receiver.write(Buffer.from(chunk))
  }
  const error = receiver.errored as Error & { code?: string } | null
  return { seen, error: error?.message ?? null, code: error === null ? 0 : CODES[error.code ?? ''] ?? 1002 }
}

function readWithOurs (chunks: readonly Buffer[], options: FrameParserOptions): Outcome {
  const log = new FrameLog(new FrameParser(options))
  for (const chunk of chunks) if (!log.deaf) log.read(chunk)
  return { seen: log.seen, error: log.error?.message ?? null, code: log.code }
}

const { continuation, text, binary, ping, pong, close } = OPCODE
const rarely = <T>(usual: fc.Arbitrary<T>, rare: fc.Arbitrary<T>): fc.Arbitrary<T> => fc.oneof({ weight: 30, arbitrary: usual }, { weight: 1, arbitrary: rare })
const textBytes = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 20 }), fc.string({ unit: 'grapheme', maxLength: 60, size: 'max' })).map((text) => Buffer.from(text))
const payload: fc.Arbitrary<Buffer> = fc.oneof(
  { weight: 40, arbitrary: textBytes },
  { weight: 10, arbitrary: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)) },
  { weight: 20, arbitrary: fc.constantFrom(0, 1, 125, 126, 127, 200, 500).map((length) => Buffer.alloc(length, 'y')) },
  { weight: 1, arbitrary: fc.constantFrom(65_535, 65_536).map((length) => Buffer.alloc(length, 'z')) }
)
const bit = rarely(fc.constant(true), fc.constant(false))
const control: fc.Arbitrary<ClientFrame> = fc.record({
  opcode: fc.constantFrom(ping, pong),
  payload: fc.string({ maxLength: 30 }).map((text) => Buffer.from(text)),
  fin: bit,
  masked: bit
})
/** A message in fragments, with control frames between them. */
const message: fc.Arbitrary<ClientFrame[]> = fc.tuple(fc.constantFrom(text, binary), fc.array(fc.tuple(payload, fc.array(control, { maxLength: 1 })), { minLength: 1, maxLength: 4 }), bit)
  .map(([opcode, fragments, masked]) => fragments.flatMap(([payload, between], i): ClientFrame[] => [
    { opcode: i === 0 ? opcode : continuation, payload, fin: i === fragments.length - 1, masked }, ...between
  ]))
const ending: fc.Arbitrary<ClientFrame[]> = fc.tuple(fc.oneof(fc.integer({ min: 990, max: 1020 }), fc.integer({ min: 2990, max: 5010 })), rarely(textBytes, fc.constant(Buffer.from([0xff]))))
  .map(([code, reason]) => [{ opcode: close, payload: Buffer.concat([Buffer.from([code >> 8, code & 0xff]), reason.subarray(0, 125)]) }])
const bad: fc.Arbitrary<ClientFrame[]> = fc.record({
  opcode: fc.nat(15),
  payload,
  fin: fc.boolean(),
  rsv: rarely(fc.constant(0), fc.nat(7)),
  masked: bit
}).map((frame) => [frame])
const frames = fc.array(fc.oneof({ weight: 12, arbitrary: message }, { weight: 4, arbitrary: control.map((frame) => [frame]) }, { weight: 1, arbitrary: ending }, { weight: 1, arbitrary: bad }), { maxLength: 12 })

const options: fc.Arbitrary<FrameParserOptions> = fc.record({
  maxPayload: fc.constantFrom(0, 400, 100_000),
  maxFragments: fc.constantFrom(0, 3),
  skipUTF8Validation: fc.boolean()
})

t.test('any frames, cut anywhere and with any bytes corrupted: as the parser of ws', (t) => {
  const outcomes = { clean: 0, broken: 0, closed: 0 }
  const plan = fc.record({
    frames,
    options,
    cuts: fc.oneof(fc.constant([]), fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 40 })),
    corrupted: fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: fc.array(fc.tuple(fc.nat(3000), fc.integer({ min: 1, max: 255 })), { maxLength: 3 }) }),
    /** What is left of the end. */
    lost: rarely(fc.constant(0), fc.nat(200))
  })
  fc.assert(fc.property(plan, ({ frames, options, cuts, corrupted, lost }) => {
    const bytes = Buffer.concat(frames.flat().map(encodeClientFrame))
    for (const [at, bits] of corrupted) if (at < bytes.length) bytes[at] = bytes[at] as number ^ bits
    const chunks: Buffer[] = []
    for (let at = 0, i = 0; at < bytes.length - lost; i++) {
      const size = cuts.length === 0 ? bytes.length : cuts[i % cuts.length] as number
      chunks.push(bytes.subarray(at, Math.min(at + size, bytes.length - lost)))
      at += size
    }
    const [expected, got] = [readWithWs(chunks, options), readWithOurs(chunks, options)]
    outcomes[expected.code > 0 ? 'broken' : expected.seen.at(-1)?.startsWith('close') === true ? 'closed' : 'clean']++
    // Without a limit, ws waits for more than any Buffer holds.
    if (got.code === 1009 && options.maxPayload === 0 && expected.code === 0) return JSON.stringify(got.seen) === JSON.stringify(expected.seen)
    return JSON.stringify(got) === JSON.stringify(expected)
  }), { numRuns: 3000 })
  for (const [outcome, times] of Object.entries(outcomes)) t.ok(times > 100, `${outcome}: ${times} times`)
  t.end()
})
