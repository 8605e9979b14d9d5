import t from 'tap'
import { Type } from 'typebox'
import { relocate, UnresolvedRef, type JsonSchema } from '../../../../lib/core/hub-v1/schema-refs.js'

const AT = '#/components/schemas/x'
const move = (schema: object): JsonSchema => relocate(JSON.parse(JSON.stringify(schema)) as JsonSchema, AT)

t.test('pointers begin where the schema is put', (t) => {
  t.same(move({
    definitions: { 'a/b~c d': { type: 'string' }, $b: true },
    properties: { one: { $ref: '#/definitions/a~1b~0c%20d' }, two: { items: [{ $ref: '#/definitions/$b' }] }, self: { $ref: '#' } }
  }).properties, {
    one: { $ref: `${AT}/definitions/a~1b~0c%20d` },
    two: { items: [{ $ref: `${AT}/definitions/$b` }] },
    self: { $ref: AT }
  })
  t.end()
})

t.test('names become pointers, and go', (t) => {
  t.same(move(Type.Cyclic({ Node: Type.Object({ next: Type.Optional(Type.Ref('Node')) }) }, 'Node')), {
    $defs: { Node: { type: 'object', properties: { next: { $ref: `${AT}/$defs/Node` } } } },
    allOf: [{ $ref: `${AT}/$defs/Node` }]
  }, 'what is beside a $ref would be ignored')
  t.same(move({
    $id: 'https://example.com/root',
    properties: {
      byAnchor: { $ref: '#word' },
      byBoth: { $ref: 'https://example.com/root#word' },
      byPointer: { $ref: 'part#/properties/c' },
      byOld: { $ref: '#old' },
      part: { $id: 'part', properties: { c: { $anchor: 'word', type: 'null' }, here: { $ref: '#/properties/c' }, anchor: { $ref: '#word' }, whole: { $ref: '#' } } },
      word: { $anchor: 'word', type: 'string' },
      old: { $id: '#old' }
    }
  }), {
    properties: {
      byAnchor: { $ref: `${AT}/properties/word` },
      byBoth: { $ref: `${AT}/properties/word` },
      byPointer: { $ref: `${AT}/properties/part/properties/c` },
      byOld: { $ref: `${AT}/properties/old` },
      part: {
        properties: {
          c: { type: 'null' },
          here: { $ref: `${AT}/properties/part/properties/c` },
          anchor: { $ref: `${AT}/properties/part/properties/c` },
          whole: { $ref: `${AT}/properties/part` }
        }
      },
      word: { type: 'string' },
      old: {}
    }
  })
  t.end()
})

t.test('what stands beside a reference is kept', (t) => {
  const definitions = { a: { type: 'string' } }
  t.same(move({ definitions, allOf: [{ minLength: 1 }], $ref: '#/definitions/a' }), { definitions, allOf: [{ minLength: 1 }, { $ref: `${AT}/definitions/a` }] })
  t.end()
})

t.test('values, and properties called like keywords, are no references', (t) => {
  const schema = {
    properties: { $ref: { type: 'string' }, $id: { type: 'string' }, default: { $ref: '#' }, const: { $ref: '#' } },
    default: { $ref: 'a' },
    const: { $ref: 'b' },
    enum: [{ $ref: 'c' }],
    examples: [{ $ref: 'd' }],
    required: ['$ref'],
    dependencies: { a: ['b'] }
  }
  t.same(relocate(schema, '#'), schema)
  const proto = JSON.parse('{ "properties": { "__proto__": { "type": "string" } } }') as JsonSchema
  t.equal(JSON.stringify(relocate(proto, '#')), JSON.stringify(proto))
  t.end()
})

t.test('a reference that leads to nothing is an error', (t) => {
  for (const $ref of ['#/definitions/b', 'a', '#a', 'a#/b', '#/definitions/a/type', '#/toString', '#/%', '#/required', 'https://example.com/']) {
    t.throws(() => move({ definitions: { a: { type: 'string' } }, required: ['a'], properties: { a: { $ref } } }), new UnresolvedRef(`$ref "${$ref}" leads to nothing within the schema`))
  }
  t.end()
})
