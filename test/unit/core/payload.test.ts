import t from 'tap'
import { InboundMessage } from '../../../lib/core/message.js'
import { toPayload } from '../../../lib/core/payload.js'

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
    t.equal(toPayload(value), text)
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
