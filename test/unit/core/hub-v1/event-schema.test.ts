import fc from 'fast-check'
import t from 'tap'
import { Type, type TSchema } from 'typebox'
import { Settings } from 'typebox/system'
import { Value } from 'typebox/value'
import { compileSchema, type SchemaProblem } from '../../../../lib/core/hub-v1/event-schema.js'

const check = (schema: unknown, value: unknown): SchemaProblem | null => compileSchema('schema', schema).check(value)
const node = Type.Cyclic({ Node: Type.Object({ value: Type.Integer(), next: Type.Optional(Type.Ref('Node')) }) }, 'Node')

t.test('a problem is told by its place: the deepest one, in words that help', (t) => {
  const shape = Type.Union([
    Type.Object({ kind: Type.Literal('circle'), radius: Type.Number() }),
    Type.Object({ kind: Type.Literal('square'), side: Type.Number() })
  ])
  const cases: Array<[TSchema, unknown, string, string | RegExp]> = [
    [Type.Object({ a: Type.Object({ b: Type.Integer() }) }), { a: { b: 'x' } }, '/a/b', 'must be integer'],
    [Type.Object({ a: Type.Integer(), b: Type.Array(Type.String()) }), { a: 'x', b: ['y', 1] }, '/b/1', 'must be string'],
    [Type.Object({ a: Type.String() }), {}, '', 'must have required properties a'],
    [Type.Object({ 'a/b~c': Type.String() }), { 'a/b~c': 1 }, '/a~1b~0c', 'must be string'],
    [Type.Object({}, { additionalProperties: false }), { more: 1 }, '/more', 'is not allowed'],
    [Type.Literal('yes'), 'no', '', 'must be "yes"'],
    [Type.Enum(['a', 'b']), 'c', '', 'must be one of ["a","b"]'],
    [Type.Object({ n: Type.Union([Type.Literal(1), Type.Literal(2)]) }), { n: 3 }, '/n', 'must be one of [1,2]'],
    [shape, { kind: 'square', side: 'x' }, '/side', 'must be number'],
    [shape, { kind: 'triangle', side: 1, radius: 1 }, '/kind', 'must be one of ["circle","square"]'],
    [Type.String({ maxLength: 2 }), 'abc', '', /2/],
    [{ if: { type: 'string' }, then: { minLength: 2 } }, 'a', '', /then/],
    [Type.Union([Type.String(), Type.Null(), Type.String()]), 1, '', 'must be string or null'],
    [{ type: ['string', 'null'] }, 1, '', 'must be string or null'],
    [{ oneOf: [{ type: 'integer' }, { minimum: 0 }] }, 1, '', /oneOf/],
    [Type.Never(), 1, '', /./]
  ]
  for (const [schema, value, path, message] of cases) t.match(check(schema, value), { path, message }, JSON.stringify(value))
  t.end()
})

t.test('TypeBox knows more than JSON Schema does, and is asked', (t) => {
  const even = Type.Refine(Type.Integer(), (value) => value % 2 === 0, () => 'must be even')
  const { check, json } = compileSchema('schema', even)
  t.equal(check(2), null)
  t.match(check(3), { path: '' })
  t.same(json, { type: 'integer' })
  const failing = Type.Refine(Type.Integer(), () => { throw new TypeError('of the application') }, () => '')
  t.throws(() => compileSchema('schema', failing).check(1), new TypeError('of the application'))
  t.end()
})

t.test('an application may have told TypeBox to collect no errors', (t) => {
  t.teardown(() => { Settings.Reset() })
  Settings.Set({ maxErrors: 0 })
  t.same(check(Type.String(), 1), { path: '', message: 'is not as the schema has it' })
  t.end()
})

t.test('a value that is nested deeper than the stack reaches is refused', (t) => {
  const { check } = compileSchema('schema', node)
  t.equal(check({ value: 1, next: { value: 2 } }), null)
  t.match(check({ value: 1, next: { value: 2, next: { value: '3' } } }), { path: '/next/next/value', message: 'must be integer' })
  let deep: unknown = { value: 0 }
  for (let i = 0; i < 100_000; i++) deep = { value: i, next: deep }
  t.same(check(deep), { path: '', message: 'is nested too deep' })
  t.end()
})

t.test('a schema that the compiler would pass over is refused, by its place', (t) => {
  const cycle: Record<string, unknown> = { type: 'object' }
  cycle['properties'] = { self: cycle }
  const cases: Array<[object, RegExp]> = [
    [{ type: 'strnig' }, /: \/type must be one of \["array","boolean"/],
    [{ type: 'object', properties: { a: { type: 5 } } }, /: \/properties\/a\/type /],
    [{ type: 'object', properties: { a: 'string' } }, /: \/properties\/a must be/],
    [{ type: 'object', required: 'a' }, /: \/required must be array/],
    [{ type: 'string', pattern: /a/ }, /: \/pattern must be string/],
    [{ type: 'string', pattern: '(' }, /: .*pattern|regular expression/],
    [{ minimum: 1n }, /BigInt/],
    [Type.Object({ a: Type.Optional(Type.BigInt()) }), /: \/properties\/a\/type /],
    [Type.Object({ other: Type.Ref('Other') }), /: \$ref "Other" leads to nothing within the schema$/],
    [{ $ref: 'shared#' }, /: \$ref "shared#" leads/],
    [cycle, /circular structure to JSON$/]
  ]
  for (const [schema, got] of cases) {
    t.throws(() => compileSchema('schema.data', schema), { code: 'FST_HUB_INVALID_ARGUMENT', message: /^schema\.data: expected a TypeBox type or a JSON Schema \(draft 7\), got one that can not be compiled: / })
    t.throws(() => compileSchema('schema.data', schema), { message: got })
  }
  for (const nothing of [[], null, true, 'string', undefined]) t.throws(() => compileSchema('schema.data', nothing), { code: 'FST_HUB_INVALID_ARGUMENT' })
  t.end()
})

t.test('what passes is what TypeBox says, and a problem has its place in the value', (t) => {
  const schemas: TSchema[] = [
    Type.Object({ a: Type.Integer(), b: Type.Optional(Type.String()) }),
    Type.Object({ a: Type.Boolean() }, { additionalProperties: false }),
    Type.Array(Type.Union([Type.String({ minLength: 1 }), Type.Null()]), { minItems: 1 }),
    Type.Record(Type.String(), Type.Number()),
    Type.Tuple([Type.String(), Type.Integer()]),
    Type.Union([Type.Object({ a: Type.String() }), Type.Object({ b: Type.Array(Type.Boolean()) })]),
    Type.Enum(['a', 'b', 'c']),
    Type.Unknown(),
    Type.Never(),
    node,
    { type: ['string', 'null'], maxLength: 3 },
    { type: 'object', properties: { a: { enum: [1, 'a', null] } }, required: ['a'] },
    { not: { type: 'object' } },
    { oneOf: [{ type: 'integer' }, { type: 'number', minimum: 0 }] }
  ]
  const { json } = fc.letrec((tie) => ({
    json: fc.oneof(
      { depthSize: 'small' },
      fc.constantFrom(null, true, false, '', 'a', 'abcd', 0, 1, -1, 1.5),
      fc.array(tie('json'), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom('a', 'b', 'value', 'next', '__proto__', 'a/b', '~'), tie('json'), { maxKeys: 3 })
    )
  }))
  let refused = 0
  let passed = 0
  for (const schema of schemas) {
    const { check } = compileSchema('schema', schema)
    fc.assert(fc.property(fc.oneof(json, fc.jsonValue()), (value) => {
      const problem = check(value)
      if ((problem === null) !== Value.Check(schema, value)) throw new Error(`TypeBox says otherwise than ${JSON.stringify(problem)}`)
      if (problem === null) {
        passed++
        return
      }
      refused++
      if (problem.message === '') throw new Error('no words')
      let at: unknown = value
      for (const token of problem.path.split('/').slice(1).map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'))) {
        if (typeof at !== 'object' || at === null || !Object.hasOwn(at, token)) throw new Error(`there is no ${problem.path}`)
        at = (at as Record<string, unknown>)[token]
      }
    }), { numRuns: 300 })
  }
  t.ok(refused > 100 && passed > 100, `${refused} refused, ${passed} passed`)
  t.end()
})
