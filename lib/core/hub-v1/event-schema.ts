import type { TLocalizedValidationError } from 'typebox/error'
import { Compile, Meta, type Validator } from 'typebox/schema'
import { FST_HUB_INVALID_ARGUMENT } from '../../errors.js'
import { describe } from '../describe.js'
import { relocate, type JsonSchema } from './schema-refs.js'

/** Where a value is not as a schema has it. */
export interface SchemaProblem {
  /** JSON Pointer (RFC 6901); `''` for the value as a whole. */
  readonly path: string
  /** For people. */
  readonly message: string
}

/** A schema, ready for use. */
export interface CompiledSchema {
  /** As it can be written down. What only TypeBox knows of, such as `Refine`, is not in it. */
  readonly json: JsonSchema
  /** What is wrong with a value, or null. Never throws, unless a `Refine` of the application does. */
  check (value: unknown): SchemaProblem | null
}

const EXPECTED = 'a TypeBox type or a JSON Schema (draft 7)'

/** What a schema is held to: the compiler passes over what it does not know, and `{ type: 'strnig' }` would let anything pass. */
let metaSchema: Validator | undefined

/**
 * @param what names the argument in errors
 * @throws FST_HUB_INVALID_ARGUMENT
 */
export function compileSchema (what: string, schema: unknown): CompiledSchema {
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) throw new FST_HUB_INVALID_ARGUMENT(what, EXPECTED, describe(schema))
  try {
    const json = JSON.parse(JSON.stringify(schema)) as JsonSchema
    metaSchema ??= Compile(Meta['http://json-schema.org/draft-07/schema#'])
    const problem = check(metaSchema, json)
    if (problem !== null) throw new Error(`${problem.path} ${problem.message}`.trim())
    relocate(json, '#')
    const validator: Validator = Compile(schema)
    return { json, check: (value) => check(validator, value) }
  } catch (error) {
    // Of a cycle, JSON.stringify tells over several lines how it goes.
    throw new FST_HUB_INVALID_ARGUMENT(what, EXPECTED, `one that can not be compiled: ${(error as Error).message.replace(/\n.*/s, '')}`)
  }
}

function check (validator: Validator, value: unknown): SchemaProblem | null {
  try {
    return validator.Check(value) ? null : mostTelling(validator.Errors(value)[1])
  } catch (error) {
    // A schema that holds itself goes down with the value, as far as the stack reaches.
    if (error instanceof RangeError) return { path: '', message: 'is nested too deep' }
    throw error
  }
}

/** What says less, and comes last among those of one depth. */
const LAST = ['const', 'anyOf', 'oneOf']

/**
 * The deepest: of a union, that is the alternative that fits the furthest. A constant comes after its equals: where it tells
 * alternatives apart, it fails in all but the one that was meant.
 */
function mostTelling (errors: readonly TLocalizedValidationError[]): SchemaProblem {
  const [error] = [...errors].sort((a, b) => depth(b) - depth(a) || LAST.indexOf(a.keyword) - LAST.indexOf(b.keyword))
  // An application may have told TypeBox to collect none.
  return error === undefined ? { path: '', message: 'is not as the schema has it' } : { path: error.instancePath, message: messageOf(error, errors) }
}

function depth ({ instancePath }: TLocalizedValidationError): number {
  return instancePath.split('/').length
}

/** Better words than "schema is false" and "must be equal to constant", for all alternatives of a union together. */
function messageOf (error: TLocalizedValidationError, errors: readonly TLocalizedValidationError[]): string {
  const alike = errors.filter(({ instancePath }) => instancePath === error.instancePath)
  switch (error.keyword) {
    case 'boolean': return 'is not allowed'
    case 'type': return `must be ${[...new Set(alike.flatMap((other) => other.keyword === 'type' ? other.params.type : []))].join(' or ')}`
    case 'enum': return oneOf(error.params.allowedValues)
    case 'const': return oneOf(alike.flatMap((other) => other.keyword === 'const' ? [other.params.allowedValue] : []))
    default: return error.message
  }
}

function oneOf (values: readonly unknown[]): string {
  return values.length === 1 ? `must be ${describe(values[0])}` : `must be one of ${describe(values)}`
}
