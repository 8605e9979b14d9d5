/** The parts of a schema of a message that have words. */
export interface SchemaView {
  const?: unknown
  anyOf?: SchemaView[]
  type?: string
  properties?: Record<string, SchemaView>
  patternProperties?: Record<string, SchemaView>
  required?: string[]
  items?: SchemaView
  minimum?: number
  maximum?: number
  minLength?: number
  maxLength?: number
  maxItems?: number
  maxProperties?: number
}

/** Longest string that is shown as it is. */
const MAX_SHOWN = 60

/** What the schema of a member allows: for an `error`, and for docs/protocol.md. */
export function allowed (schema: object): string {
  return words(schema as SchemaView)
}

function words (schema: SchemaView): string {
  if (schema.const !== undefined) return JSON.stringify(schema.const)
  if (schema.anyOf !== undefined) return schema.anyOf.map(words).join(' or ')
  switch (schema.type) {
    case 'string': return `a string${sized(schema.minLength, schema.maxLength, ' characters')}`
    case 'integer': return `a whole number${from(schema)}`
    case 'number': return `a number${from(schema)}`
    case 'boolean': return 'true or false'
    case 'null': return 'null'
    case 'array': return `a list${sized(undefined, schema.maxItems, '')}, each ${words(schema.items as SchemaView)}`
    case 'object': return objectWords(schema)
    default: return 'any JSON value'
  }
}

function objectWords ({ properties, patternProperties, required = [], maxProperties }: SchemaView): string {
  if (properties !== undefined) {
    return `an object of ${Object.entries(properties).map(([name, member]) => `${name}${required.includes(name) ? '' : ' (optional)'}: ${words(member)}`).join(', ')}`
  }
  const [values] = Object.values(patternProperties as object) as [SchemaView]
  return maxProperties === undefined ? `an object, each member ${words(values)}` : `an object${sized(undefined, maxProperties, ' members')}, each ${words(values)}`
}

function sized (least: number | undefined, most: number | undefined, unit: string): string {
  if (most === undefined) return ''
  return least === undefined ? ` of at most ${most.toLocaleString('en')}${unit}` : ` of ${least} to ${most}${unit}`
}

function from ({ minimum }: SchemaView): string {
  return minimum === undefined ? '' : ` of at least ${minimum}`
}

/** What came instead, shortly. */
export function shown (value: unknown): string {
  if (value === undefined) return 'nothing'
  if (typeof value === 'string') return value.length > MAX_SHOWN ? `a string of ${value.length} characters` : JSON.stringify(value)
  if (typeof value !== 'object' || value === null) return String(value)
  if (value instanceof Uint8Array) return 'bytes'
  return Array.isArray(value) ? 'a list' : 'an object'
}

/** A step of a JSON Pointer: RFC 6901 section 3. */
export function pointer (key: string | number): string {
  return `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`
}
