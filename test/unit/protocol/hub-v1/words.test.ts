import t from 'tap'
import { Type } from 'typebox'
import { allowed, pointer, shown } from '../../../../lib/protocol/hub-v1/words.js'

t.test('what a schema allows', (t) => {
  for (const [schema, words] of [
    [Type.Literal('join'), '"join"'], [Type.String(), 'a string'], [Type.String({ maxLength: 2048 }), 'a string of at most 2,048 characters'], [Type.String({ minLength: 1, maxLength: 255 }), 'a string of 1 to 255 characters'],
    [Type.Integer(), 'a whole number'], [Type.Integer({ minimum: 0 }), 'a whole number of at least 0'], [Type.Number({ minimum: 1 }), 'a number of at least 1'],
    [Type.Boolean(), 'true or false'], [Type.Union([Type.String(), Type.Null()]), 'a string or null'], [Type.Unknown(), 'any JSON value'],
    [Type.Array(Type.String()), 'a list, each a string'], [Type.Array(Type.Integer(), { maxItems: 1000 }), 'a list of at most 1,000, each a whole number'],
    [Type.Object({ a: Type.String(), b: Type.Optional(Type.Null()) }), 'an object of a: a string, b (optional): null'],
    [Type.Record(Type.String(), Type.Number()), 'an object, each member a number'], [Type.Record(Type.String(), Type.Number(), { maxProperties: 3 }), 'an object of at most 3 members, each a number']
  ] as const) t.equal(allowed(schema), words)
  t.end()
})

t.test('what came instead', (t) => {
  for (const [value, words] of [
    [undefined, 'nothing'], [null, 'null'], ['a"', '"a\\""'], ['x'.repeat(61), 'a string of 61 characters'], [1.5, '1.5'], [NaN, 'NaN'], [true, 'true'],
    [Buffer.alloc(1), 'bytes'], [[], 'a list'], [{}, 'an object']
  ] as const) t.equal(shown(value), words)
  t.end()
})

t.test('steps of a JSON Pointer', (t) => {
  t.equal(['a', '', 'a/b', '~1', '~/', 3].map(pointer).join(''), '/a//a~1b/~01/~0~1/3')
  t.end()
})
