import fc from 'fast-check'
import t from 'tap'
import { Parsers, type Parser, type ParserOwner } from '../../../lib/transports/parsers.js'
import { closeFrame, encodeClientFrame, OPCODE } from '../../helpers/raw-frames.js'

/** A connection as far as the parser knows one. */
class Owner implements ParserOwner {
  readonly #parsers: Parsers
  readonly seen: string[] = []
  error: Error | null = null
  kept: Parser | null = null

  constructor (parsers: Parsers) {
    this.#parsers = parsers
  }

  onMessage (data: Buffer, isBinary: boolean): void { this.seen.push(`${isBinary ? 'binary' : 'text'} ${data.toString()}`) }
  onControl (kind: string, data: Buffer): void { this.seen.push(`${kind} ${data.toString()}`) }
  onPeerClose (code: number, reason: Buffer): void { this.seen.push(`close ${code} ${reason.toString()}`) }

  read (chunk: Buffer): void {
    const parser = this.kept ?? this.#parsers.lend()
    this.error = parser.parse(chunk, this)
    this.kept = this.#parsers.takeBack(parser) ? null : parser
  }
}

function parsersWith (options: object = {}): Parsers {
  const parsers = Parsers.with({ maxPayload: 1000, ...options })
  if (parsers === null) throw new Error('this version of ws is not known')
  return parsers
}

interface Sent { readonly bytes: Buffer[], readonly expected: string }

const text = fc.string({ unit: 'grapheme', maxLength: 40 })
const frame = (opcode: number, payload: string, fin = true): Buffer => encodeClientFrame({ opcode, payload, fin })
/** What a peer may send, and what is to be seen of it. */
const sent: fc.Arbitrary<Sent[]> = fc.oneof(
  text.map((payload) => [{ bytes: [frame(OPCODE.text, payload)], expected: `text ${payload}` }]),
  text.map((payload) => [{ bytes: [frame(OPCODE.binary, payload)], expected: `binary ${payload}` }]),
  fc.constantFrom('ping', 'pong').chain((kind) => fc.string({ maxLength: 20 }).map((payload) => [{ bytes: [frame(OPCODE[kind as 'ping'], payload)], expected: `${kind} ${payload}` }])),
  // In two fragments, with a ping between them, which is seen first.
  fc.tuple(text, text).map(([a, b]) => [
    { bytes: [frame(OPCODE.text, a, false), frame(OPCODE.ping, 'between')], expected: 'ping between' },
    { bytes: [frame(OPCODE.continuation, b)], expected: `text ${a}${b}` }
  ])
)

t.test('connections that share parsers get what their own peer sent, however it was cut and mixed', (t) => {
  const CONNECTIONS = 3
  const plan = fc.record({
    sent: fc.array(fc.array(sent, { maxLength: 8 }), { minLength: CONNECTIONS, maxLength: CONNECTIONS }),
    /** Who reads next, and how many bytes. */
    reads: fc.array(fc.tuple(fc.nat(CONNECTIONS - 1), fc.integer({ min: 1, max: 30 })), { maxLength: 200, size: 'max' })
  })
  fc.assert(fc.property(plan, ({ sent, reads }) => {
    const parsers = parsersWith()
    const owners = sent.map(() => new Owner(parsers))
    const streams: Buffer[] = sent.map((all) => Buffer.concat(all.flat().flatMap(({ bytes }) => bytes)))
    const rest: Array<[number, number]> = streams.map((stream, i) => [i, stream.length])
    for (const [i, bytes] of [...reads, ...rest]) {
      const stream = streams[i] as Buffer
      const chunk = stream.subarray(0, bytes)
      if (chunk.length > 0) owners[i]?.read(chunk)
      streams[i] = stream.subarray(bytes)
    }
    return owners.every((owner, i) => owner.error === null && owner.kept === null &&
      owner.seen.join('|') === (sent[i] as Sent[][]).flat().map(({ expected }) => expected).join('|'))
  }), { numRuns: 500 })
  t.end()
})

t.test('a connection keeps a parser only while a message is not complete', (t) => {
  const parsers = parsersWith()
  const [a, b] = [new Owner(parsers), new Owner(parsers)]
  // Each time anew: a parser unmasks in place.
  const whole = (): Buffer => frame(OPCODE.text, 'whole')
  a.read(whole())
  t.equal(a.kept, null)
  for (const incomplete of [whole().subarray(0, 1), whole().subarray(0, 5), whole().subarray(0, 8), frame(OPCODE.text, '', false)]) {
    const one = new Owner(parsers)
    one.read(incomplete)
    t.not(one.kept, null)
    b.read(whole())
    t.equal(b.kept, null)
  }
  t.same(b.seen, Array(4).fill('text whole'))
  const used = parsers.lend()
  t.equal(parsers.takeBack(used), true)
  t.equal(parsers.lend(), used, 'it is lent again')
  t.not(parsers.lend(), used, 'to one at a time')
  t.end()
})

t.test('a parser that has seen a Close or an error is not lent again', (t) => {
  const parsers = parsersWith()
  for (const [last, seen, error] of [
    [closeFrame(4000, 'bye'), ['text before', 'close 4000 bye'], undefined],
    [closeFrame(), ['text before', 'close 1005 '], undefined],
    [encodeClientFrame({ opcode: 0x3 }), ['text before'], 'WS_ERR_INVALID_OPCODE'],
    [frame(OPCODE.text, 'x'.repeat(1001)), ['text before'], 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH'],
    [encodeClientFrame({ opcode: OPCODE.text, masked: false }), ['text before'], 'WS_ERR_EXPECTED_MASK']
  ] as const) {
    const [owner, next] = [new Owner(parsers), new Owner(parsers)]
    owner.read(Buffer.concat([frame(OPCODE.text, 'before'), last, frame(OPCODE.text, 'after')]))
    t.same(owner.seen, seen)
    t.equal((owner.error as { code?: string } | null)?.code, error)
    t.not(owner.kept, null, 'not taken back')
    next.read(frame(OPCODE.text, 'of the next'))
    t.same(next.seen, ['text of the next'])
  }
  t.end()
})

t.test('a ws that does not show the state of its parser: none is shared', (t) => {
  class Unknown { on (): this { return this } }
  t.equal(Parsers.with({}, null), null)
  t.equal(Parsers.with({}, Unknown as never), null)
  t.end()
})
