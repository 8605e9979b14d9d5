import fc from 'fast-check'
import t from 'tap'
import { InboundMessage } from '../../../lib/core/message.js'
import { OPCODE_BINARY, OPCODE_TEXT, payloadOf } from '../../../lib/protocol/frame.js'

/** As a parser delivers it: with memory in front that is free. */
function message (text: string, isBinary = false, headroom = 10): InboundMessage {
  const memory = Buffer.alloc(headroom + Buffer.byteLength(text))
  memory.write(text, headroom)
  return new InboundMessage(memory.subarray(headroom), isBinary, headroom)
}

t.test('an inbound message reads as bytes, text and JSON', (t) => {
  const message = new InboundMessage(Buffer.from('{"ü":[1]}'), false)
  t.equal(message.text(), '{"ü":[1]}')
  t.same(message.json(), { ü: [1] })
  t.equal(message.isBinary, false)
  t.ok(message.bytes instanceof Uint8Array)
  t.throws(() => new InboundMessage(Buffer.from('{'), false).json(), SyntaxError)
  t.end()
})

t.test('forwarded: the same frame for all, made where the bytes are', (t) => {
  for (const isBinary of [true, false]) {
    const one = message('forwarded', isBinary)
    const frame = one.toFrame()
    t.equal(one.toFrame(), frame)
    t.same(payloadOf(frame), { opcode: isBinary ? OPCODE_BINARY : OPCODE_TEXT, payload: Buffer.from('forwarded') })
    t.equal(one.text(), 'forwarded')
    t.equal(one.toFrame(), frame, 'to read it as text does no harm')
  }
  t.end()
})

t.test('what the application changes is what it sends next, and never what it has sent', (t) => {
  fc.assert(fc.property(fc.array(fc.constantFrom('send', 'look', 'change', 'text'), { maxLength: 12 }), fc.constantFrom(0, 2, 10), (steps, headroom) => {
    const one = message('0000', true, headroom)
    const sent: Array<[string, ReturnType<InboundMessage['toFrame']>]> = []
    let held: Buffer | null = null
    let now = '0000'
    steps.forEach((step, i) => {
      if (step === 'send') sent.push([now, one.toFrame()])
      if (step === 'look') held = one.bytes
      if (step === 'change' && held !== null) held.write(now = String(1_000 + i))
      if (step === 'text' && one.text() !== now) throw new Error('text')
    })
    if (one.bytes.toString() !== now || (held !== null && one.bytes !== held)) return false
    return sent.every(([text, frame]) => payloadOf(frame).payload.toString() === text)
  }))
  t.end()
})
