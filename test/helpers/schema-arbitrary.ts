import fc from 'fast-check'
import type { SchemaView } from '../../lib/protocol/hub-v1/words.js'

/** Longest string, so that a room has at most 255 bytes. */
const MAX_LENGTH = 60

/** No key called __proto__, which @msgpack/msgpack refuses to read, and of numbers those that JSON has. */
export const jsonValues: fc.Arbitrary<unknown> = fc.jsonValue({ maxDepth: 4, stringUnit: 'binary' })
  .filter((value) => !JSON.stringify(value).includes('__proto__'))
  .map((value) => JSON.parse(JSON.stringify(value)) as unknown)

/** Whatever a schema of lib/protocol/hub-v1/schema.ts allows. */
export function arbitraryOf (schema: object): fc.Arbitrary<unknown> {
  const { const: literal, anyOf, type, properties, patternProperties, required = [], items, minimum, maximum, minLength, maxLength } = schema as SchemaView
  if (literal !== undefined) return fc.constant(literal)
  if (anyOf !== undefined) return fc.oneof(...anyOf.map(arbitraryOf))
  switch (type) {
    case 'string': return fc.string({ unit: 'binary', minLength: minLength ?? 0, maxLength: Math.min(maxLength ?? MAX_LENGTH, MAX_LENGTH) })
    case 'integer': return fc.oneof(fc.integer({ min: minimum ?? -10, max: 300 }), fc.maxSafeInteger().filter((n) => n >= (minimum ?? n) && n <= (maximum ?? n)))
    case 'number': return fc.double({ min: minimum ?? -1e9, max: maximum ?? 1e9, noNaN: true }).map((n) => n + 0)
    case 'boolean': return fc.boolean()
    case 'null': return fc.constant(null)
    case 'array': return fc.array(arbitraryOf(items as SchemaView), { maxLength: 5 })
    case 'object': return properties === undefined
      ? fc.dictionary(names, arbitraryOf(Object.values(patternProperties as object)[0] as object), { maxKeys: 5, noNullPrototype: true })
      : fc.record(Object.fromEntries(Object.entries(properties).map(([name, member]) => [name, arbitraryOf(member)])), { requiredKeys: required, noNullPrototype: true })
    default: return jsonValues
  }
}

const names = fc.string({ unit: 'binary', minLength: 1, maxLength: MAX_LENGTH }).filter((name) => name !== '__proto__')
