import t from 'tap'
import { InboundMessage } from '../../../lib/core/message.js'
import { toData, toPayload } from '../../../lib/core/payload.js'
import { JsonText } from '../../../lib/protocol/json-text.js'

t.test('what goes as what', (t) => {
  const bytes = Buffer.from('bytes')
  const view = new Uint8Array([1, 2])
  t.equal(toPayload('text'), 'text')
  t.equal(toPayload(''), '')
  t.equal(toPayload(bytes), bytes)
  t.equal(toPayload(view), view)
  const message = new InboundMessage(bytes, true)
  t.equal(toPayload(message), message, 'as it came')
  for (const [value, text] of [[null, 'null'], [0, '0'], [false, 'false'], [NaN, 'null'], [[1, undefined], '[1,null]'], [{ a: { b: 'c' } }, '{"a":{"b":"c"}}'], [new Date(0), '"1970-01-01T00:00:00.000Z"'], [Object('boxed'), '"boxed"']] as const) {
    const payload = toPayload(value)
    t.ok(payload instanceof JsonText)
    t.equal((payload as JsonText).text, text)
  }
  t.end()
})

t.test('what has no JSON text is an error that says why', (t) => {
  const cycle: Record<string, unknown> = {}
  cycle['self'] = cycle
  const code = 'FST_HUB_INVALID_DATA'
  t.throws(() => toPayload(undefined), { code, message: 'Data can not be sent: JSON has no form for undefined' })
  t.throws(() => toPayload(() => {}), { code, message: /JSON has no form for function/ })
  t.throws(() => toPayload(Symbol('x')), { code, message: /JSON has no form for symbol/ })
  t.throws(() => toPayload({ toJSON () { return undefined } }), { code, message: /JSON has no form for object/ })
  t.throws(() => toPayload(1n), { code, message: /BigInt/ })
  t.throws(() => toPayload(cycle), { code, message: /^Data can not be sent: Converting circular structure to JSON$/ })
  t.throws(() => toPayload({ toJSON () { throw new Error('first\nsecond') } }), { code, message: 'Data can not be sent: first' })
  for (const thrown of ['text', null, undefined, Object.create(null)]) {
    t.throws(() => toPayload({ toJSON () { throw thrown } }), { code })
  }
  t.end()
})

t.test('data that is nested too deep is refused, whatever its strings hold', (t) => {
  const nested = (levels: number, inner: unknown): unknown => {
    let value = inner
    for (let i = 0; i < levels; i++) value = i % 2 === 0 ? [value] : { a: value }
    return value
  }
  const brackets = '[{'.repeat(1_000)
  t.ok(toPayload(nested(512, brackets)) instanceof JsonText)
  t.ok(toPayload([brackets, `"${brackets}\\"`, `${brackets}\\`, `\\"${brackets}`]) instanceof JsonText)
  t.ok(toPayload(Array.from({ length: 5_000 }, () => [{}])) instanceof JsonText, 'wide is not deep')
  t.throws(() => toPayload(nested(513, 0)), { code: 'FST_HUB_INVALID_DATA', message: /nested deeper than 512 levels/ })
  t.throws(() => toPayload([`"${brackets}\\`, nested(2_000, '')]), { code: 'FST_HUB_INVALID_DATA' })
  t.end()
})

t.test('what was kept comes back as what was sent, and is the application\'s to change', (t) => {
  const bytes = Buffer.from('bytes')
  for (const payload of [bytes, new InboundMessage(Buffer.from('bytes'), true)]) {
    const data = toData(payload) as Buffer
    t.equal(data.toString(), 'bytes')
    data.fill(0)
    t.equal((toData(payload) as Buffer).toString(), 'bytes')
  }
  t.equal(toData('text'), 'text')
  t.equal(toData(new InboundMessage(Buffer.from('text'), false)), 'text')
  t.same(toData(toPayload({ a: [1] })), { a: [1] })
  t.end()
})
