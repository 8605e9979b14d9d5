import type { Static } from 'typebox'
import type { Awaitable, Connection } from '../types.js'

/**
 * What an event takes and answers: TypeBox types, or plain JSON Schema `as const`. Without `data` anything is taken, and the
 * handler gets `unknown`; without `reply` the handler may answer anything.
 */
export interface EventSchema {
  readonly data?: object | undefined
  readonly reply?: object | undefined
}

/** Events by name: what server and client share. */
export type EventSchemas = Readonly<Record<string, EventSchema>>

/** What a handler gets, and a client sends. `unknown` where there is no schema, or one that says nothing to the compiler. */
export type EventData<S extends EventSchema> = S extends { readonly data: infer Data extends object } ? Static<Data> : unknown

/** What a client gets for an answer. `unknown` where there is no schema, or one that says nothing to the compiler. */
export type EventReply<S extends EventSchema> = S extends { readonly reply: infer Reply extends object } ? Static<Reply> : unknown

/** All of it read-only: as a handler may answer. */
type Frozen<T> = unknown extends T ? T : { readonly [K in keyof T]: Frozen<T[K]> }

/** What a handler may answer: as EventReply has it, read-only or not. */
export type EventAnswer<S extends EventSchema> = Frozen<EventReply<S>>

/**
 * An event as the server defines it. `Answer` is what this handler answers: inferred as a constant, so that `'done'` is not
 * taken for any string.
 */
export interface EventDefinition<S extends EventSchema = EventSchema, Answer extends EventAnswer<S> = EventAnswer<S>> {
  /** What it takes and answers. Both are checked: data before the handler is called, the reply before it is sent. */
  schema?: S | undefined
  /** Called for each event of this name. What it answers, now or later, is the reply; `undefined` is a reply without data. */
  handler: (connection: Connection, data: EventData<S>) => Awaitable<Answer>
}
