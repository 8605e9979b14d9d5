import type { TSchema } from 'typebox'
import { Compile, type Validator } from 'typebox/schema'
import { isName } from '../names.js'
import { wireErrors } from './errors.js'
import { jsonProblem, type ValueProblem } from './json-value.js'
import { clientMessages, requestId, type ClientMessage, type ClientOp, type RequestId } from './schema.js'
import { allowed, pointer, shown } from './words.js'

/** Why a message of a peer can not be taken: what an `error` message tells. */
export interface MessageProblem {
  code: 'malformed' | 'unknown_op' | 'invalid_message'
  message: string
  /** JSON Pointer (RFC 6901) to the member. */
  path?: string
  /** Of the request, whenever it has a valid one: each is answered. */
  id?: RequestId
}

/** The parts of a schema on the way to a member. */
interface SchemaView {
  properties?: Record<string, SchemaView>
  patternProperties?: Record<string, SchemaView>
  items?: SchemaView
  maxItems?: number
  maxProperties?: number
}

type Members = Record<string, unknown>

const NAME = 'a string of 1 to 255 bytes of UTF-8'
/** Compiled when the first message of their kind comes. A Map, for an `op` may be called `constructor`. */
const validators = new Map<string, Validator | null>(Object.keys(clientMessages).map((op) => [op, null]))
/** Of the members of lists and of objects by name; compiled when one is wrong. */
const memberValidators = new Map<SchemaView, Validator>()
/** Messages about one room. What is called so in another one is no member of it. */
const ROOM_OPS = new Set(Object.entries(clientMessages).filter(([, schema]) => (schema as SchemaView).properties?.['room'] !== undefined).map(([op]) => op))
const idValidator = Compile(requestId)

/**
 * Compares what a codec has decoded with the messages of clients.
 * Nothing but the result is allocated for a message that is right.
 */
export function checkClientMessage (value: unknown): { message: ClientMessage } | { problem: MessageProblem } {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array) {
    return { problem: { code: wireErrors.malformed, message: `expected an object with a member op, got ${shown(value)}` } }
  }
  const members = value as Members
  const op = Object.hasOwn(members, 'op') ? members['op'] : undefined
  if (typeof op !== 'string') return refuse(members, wireErrors.malformed, { path: '/op', message: `op: expected a string, got ${shown(op)}` })
  const validator = validatorOf(op)
  if (validator === undefined) return refuse(members, wireErrors.unknownOp, { path: '/op', message: `there is no op ${shown(op)} from a client` })
  const problem = (validator.Check(members) ? null : schemaProblem(clientMessages[op as ClientOp], validator, members)) ?? nameProblem(op, members) ?? dataProblem(op, members)
  return problem === null ? { message: members as ClientMessage } : refuse(members, wireErrors.invalidMessage, problem)
}

function validatorOf (op: string): Validator | undefined {
  const known = validators.get(op)
  if (known !== null) return known
  const validator: Validator = Compile(clientMessages[op as ClientOp])
  validators.set(op, validator)
  return validator
}

function refuse (members: Members, code: MessageProblem['code'], problem: ValueProblem): { problem: MessageProblem } {
  const id = members['id']
  return { problem: { code, ...problem, ...(idValidator.Check(id) ? { id: id as RequestId } : {}) } }
}

function schemaProblem (schema: TSchema, validator: Validator, members: Members): ValueProblem {
  const way = wayInto(schema as SchemaView, members) ?? wayTo(validator, members)
  let expected = schema as SchemaView
  let got: unknown = members
  for (const key of way) {
    expected = (expected.properties?.[key] ?? membersOf(expected)) as SchemaView
    got = (got as Members)[key]
  }
  return { path: way.map(pointer).join(''), message: `${way.join('.')}: expected ${allowed(expected)}, got ${shown(got)}` }
}

/** The error furthest inside says most: the others follow from it. */
function wayTo (validator: Validator, value: unknown): string[] {
  let deepest: string[] = []
  for (const { instancePath, keyword, params } of validator.Errors(value)[1]) {
    const keys = instancePath.split('/').slice(1).map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'))
    if (keyword === 'required') keys.push((params as { requiredProperties: string[] }).requiredProperties[0] as string)
    if (keys.length > deepest.length) deepest = keys
  }
  return deepest
}

/** The same for members that may be thousands, where validators collect as many errors: the first wrong one will do. */
function wayInto ({ properties = {} }: SchemaView, members: Members): string[] | null {
  for (const [name, part] of Object.entries(properties)) {
    const schema = membersOf(part)
    const value = members[name]
    if (schema === undefined || typeof value !== 'object' || value === null || Array.isArray(value) !== (part.items !== undefined)) continue
    const keys = Object.keys(value)
    if (keys.length > (part.maxItems ?? part.maxProperties ?? Infinity)) return [name]
    const validator = memberValidators.get(schema) ?? Compile(schema as TSchema)
    memberValidators.set(schema, validator)
    const wrong = keys.find((key) => !validator.Check((value as Members)[key]))
    if (wrong !== undefined) return [name, wrong, ...wayTo(validator, (value as Members)[wrong])]
  }
  return null
}

/** What each member of a list, or of an object by name, is to be. */
function membersOf ({ items, patternProperties = {} }: SchemaView): SchemaView | undefined { return items ?? Object.values(patternProperties)[0] }

/** The schema counts characters, and does not look at keys. */
function nameProblem (op: string, { room, rooms }: Members): ValueProblem | null {
  if (ROOM_OPS.has(op)) return isName(room) ? null : { path: '/room', message: `room: expected ${NAME}, got ${shown(room)}` }
  if (op !== 'resume' || rooms === undefined) return null
  const wrong = Object.keys(rooms as object).find((name) => !isName(name))
  return wrong === undefined ? null : { path: '/rooms', message: `rooms: expected each name to be ${NAME}, got ${shown(wrong)}` }
}

function dataProblem (op: string, members: Members): ValueProblem | null {
  const { data } = members
  if (op === 'publish') {
    if (Object.hasOwn(members, 'base64')) return { path: '/base64', message: 'base64: expected base64 (RFC 4648 section 4) in place of data, in hub.v1.json only' }
    if (data === undefined) return { path: '/data', message: 'data: expected any JSON value, or bytes, got nothing' }
    if (data instanceof Uint8Array) return null
  } else if (op !== 'event' && op !== 'refresh') return null
  const problem = jsonProblem(data)
  return problem === null ? null : { path: `/data${problem.path}`, message: `data: expected JSON values, got ${problem.message}` }
}
