import fc from 'fast-check'
import t from 'tap'
import { jsonProblem } from '../../../../lib/protocol/hub-v1/json-value.js'

const nested = (depth: number): unknown => depth === 0 ? 1 : [nested(depth - 1)]

t.test('JSON values are ones', (t) => {
  fc.assert(fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => jsonProblem(value) === null))
  for (const value of [undefined, -0, '\ud800', nested(64), JSON.parse('{"__proto__":{"constructor":1}}')]) t.equal(jsonProblem(value), null)
  t.end()
})

t.test('what is none is found', (t) => {
  const bytes = 'bytes, which only the whole `data` of a publish may be'
  for (const [value, path, message] of [
    [NaN, '', 'a number that is not finite'], [{ 'a/b': [0, { '~': -Infinity }] }, '/a~1b/1/~0', 'a number that is not finite'], [JSON.parse('[1e999]'), '/0', 'a number that is not finite'],
    [Buffer.alloc(1), '', bytes], [{ a: new Uint8Array(0) }, '/a', bytes], [JSON.parse('{"__proto__":[1e999]}'), '/__proto__/0', 'a number that is not finite'],
    [nested(65), '/0'.repeat(64), 'lists and objects deeper than 64'], [JSON.parse('['.repeat(100_000) + ']'.repeat(100_000)), '/0'.repeat(64), 'lists and objects deeper than 64']
  ] as const) t.same(jsonProblem(value), { path, message })
  t.end()
})
