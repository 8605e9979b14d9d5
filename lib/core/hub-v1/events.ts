import { FST_HUB_DUPLICATE_EVENT, FST_HUB_INVALID_ARGUMENT } from '../../errors.js'
import { checkName } from '../arguments.js'
import { describe } from '../describe.js'
import type { Connection } from '../types.js'
import { compileSchema, type CompiledSchema, type SchemaProblem } from './event-schema.js'
import type { JsonSchema } from './schema-refs.js'

/** What a handler of any event is. */
export type EventHandler = (connection: Connection, data: unknown) => unknown

/** An event that clients may send. */
export interface CompiledEvent {
  readonly name: string
  /** As they can be written down: see CompiledSchema. */
  readonly schema: { readonly data: JsonSchema | undefined, readonly reply: JsonSchema | undefined }
  readonly handler: EventHandler
  /** What is wrong with the data of a client, or null. Without a schema nothing is. */
  checkData (data: unknown): SchemaProblem | null
  /** What is wrong with the answer of the handler, or null. Without a schema nothing is. */
  checkReply (reply: unknown): SchemaProblem | null
}

const anything = (): null => null

/** The events of one hub. Names are a peer's: they are looked up in a Map, where `__proto__` is one like any other. */
export class EventRegistry {
  readonly #events = new Map<string, CompiledEvent>()

  /** Only grows. */
  get size (): number { return this.#events.size }

  get (name: string): CompiledEvent | undefined { return this.#events.get(name) }

  /** In the order in which they were defined. */
  all (): IterableIterator<CompiledEvent> { return this.#events.values() }

  /**
   * Schemas are compiled here, once.
   * @param definition an EventDefinition
   * @throws FST_HUB_INVALID_NAME, FST_HUB_DUPLICATE_EVENT, FST_HUB_INVALID_ARGUMENT
   */
  define (name: unknown, definition: unknown): void {
    const event = checkName('event', name)
    const shown = describe(event)
    if (this.#events.has(event)) throw new FST_HUB_DUPLICATE_EVENT(shown)
    const { schema = {}, handler } = members(`definition of event ${shown}`, definition, ['schema', 'handler'])
    if (typeof handler !== 'function') throw new FST_HUB_INVALID_ARGUMENT(`handler of event ${shown}`, 'a function', describe(handler))
    const given = members(`schema of event ${shown}`, schema, ['data', 'reply'])
    const compiled = (key: 'data' | 'reply'): CompiledSchema | undefined => given[key] === undefined ? undefined : compileSchema(`schema.${key} of event ${shown}`, given[key])
    const data = compiled('data')
    const reply = compiled('reply')
    this.#events.set(event, {
      name: event,
      schema: { data: data?.json, reply: reply?.json },
      handler: handler as EventHandler,
      checkData: data?.check ?? anything,
      checkReply: reply?.check ?? anything
    })
  }
}

/** Refuses what it does not know: a schema under a misspelt name would check nothing. */
function members<K extends string> (what: string, value: unknown, known: readonly K[]): { readonly [Key in K]?: unknown } {
  const expected = `an object with ${known.join(' and ')}`
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new FST_HUB_INVALID_ARGUMENT(what, expected, describe(value))
  const unknown = Object.keys(value).find((key) => !(known as readonly string[]).includes(key))
  if (unknown !== undefined) throw new FST_HUB_INVALID_ARGUMENT(what, expected, `one with ${describe(unknown)}`)
  return value as { readonly [Key in K]?: unknown }
}
