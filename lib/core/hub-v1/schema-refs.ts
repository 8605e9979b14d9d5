/** JSON Schema as it goes over the wire: nothing but JSON. */
export type JsonSchema = Readonly<Record<string, unknown>>

/** Keywords that hold schemas by name: such a name is no keyword. */
const MAPS = ['properties', 'patternProperties', '$defs', 'definitions', 'dependentSchemas', 'dependencies']
/** Keywords that hold values: a `$ref` in there is none. */
const VALUES = ['const', 'enum', 'default', 'examples']

type Path = readonly string[]

/** Where a schema is, and the resource whose root `#` means there: a schema with an `$id` begins one. */
interface Place { readonly path: Path, readonly resource: Path }

const ROOT: Place = { path: [], resource: [] }

/** A `$ref` leads to nothing within its schema. */
export class UnresolvedRef extends Error {
  override readonly name = 'UnresolvedRef'
}

/**
 * A copy that may stand elsewhere, as a part of a larger document: each `$ref` is a pointer from the root of that document, and
 * alone in its schema, since draft 7 ignores what is beside one. `$id` and `$anchor` are left out.
 * @param at where it is going to stand, such as `#/components/schemas/x`; `#` if it is the document
 * @throws UnresolvedRef
 */
export function relocate (schema: JsonSchema, at: string): JsonSchema {
  const names = new Map<string, Path>()
  map(schema, ROOT, (part, { path, resource }) => {
    const { $id, $anchor } = part
    if (typeof $id === 'string') names.set($id, path)
    if (typeof $anchor === 'string') names.set(`${idAt(schema, resource)}#${$anchor}`, path)
    return part
  })
  return map(schema, ROOT, ({ $id, $anchor, $ref, ...rest }, { resource }) => {
    if (typeof $ref !== 'string') return rest
    const ref = { $ref: at + pointer(find(schema, $ref, resource, names)) }
    if (Object.keys(rest).length === 0) return ref
    const { allOf = [] } = rest
    return { ...rest, allOf: [...allOf as unknown[], ref] }
  }) as JsonSchema
}

/** Copies a schema from the inside out: each schema in it becomes what `change` makes of its copy. */
function map (value: unknown, place: Place, change: (schema: JsonSchema, place: Place) => JsonSchema): unknown {
  if (Array.isArray(value)) return value.map((item, i) => map(item, below(place, String(i)), change))
  if (!isObject(value)) return value
  const { $id } = value
  const here = typeof $id === 'string' && !$id.startsWith('#') ? { ...place, resource: place.path } : place
  return change(entries(value, (key, child) => {
    if (VALUES.includes(key)) return child
    const inside = below(here, key)
    return MAPS.includes(key) && isObject(child) ? entries(child, (name, schema) => map(schema, below(inside, name), change)) : map(child, inside, change)
  }), here)
}

function entries (object: JsonSchema, change: (key: string, value: unknown) => unknown): JsonSchema {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(key, value)]))
}

function below ({ path, resource }: Place, key: string): Place {
  return { path: [...path, key], resource }
}

function find (root: JsonSchema, ref: string, resource: Path, names: ReadonlyMap<string, Path>): Path {
  const [id = '', fragment = ''] = ref.split('#')
  const named = names.get(ref) ?? names.get(`${id === '' ? idAt(root, resource) : id}#${fragment}`)
  if (named !== undefined) return named
  const base = id === '' ? resource : names.get(id)
  const tokens = tokensOf(fragment)
  if (base !== undefined && tokens !== null) {
    const path = [...base, ...tokens]
    const target = at(root, path)
    if (isObject(target) || typeof target === 'boolean') return path
  }
  throw new UnresolvedRef(`$ref ${JSON.stringify(ref)} leads to nothing within the schema`)
}

/** Of a JSON Pointer (RFC 6901) in a fragment; null for what is none. */
function tokensOf (fragment: string): Path | null {
  if (fragment === '') return []
  if (!fragment.startsWith('/')) return null
  try {
    return decodeURIComponent(fragment).slice(1).split('/').map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'))
  } catch {
    return null
  }
}

/** The reverse. `$` needs no escape, and would be hard to read as one. */
function pointer (path: Path): string {
  return path.map((token) => `/${encodeURIComponent(token.replaceAll('~', '~0').replaceAll('/', '~1')).replaceAll('%24', '$')}`).join('')
}

function at (root: unknown, path: Path): unknown {
  return path.reduce<unknown>((value, key) => typeof value === 'object' && value !== null && Object.hasOwn(value, key) ? (value as JsonSchema)[key] : undefined, root)
}

function idAt (root: JsonSchema, path: Path): string {
  return String((at(root, path) as JsonSchema)['$id'] ?? '')
}

function isObject (value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
