import type { CompiledEvent } from '../core/hub-v1/events.js'
import { relocate, type JsonSchema } from '../core/hub-v1/schema-refs.js'
import { clientMessages, serverMessages, type ClientOp, type ServerOp } from '../protocol/hub-v1/schema.js'
import { Keys } from './keys.js'

export interface MessageObject {
  name: string
  title: string
  summary: string
  correlationId?: { location: string }
  payload: JsonSchema
}

/** A message that the server receives or sends, and what may answer it: keys of messages. */
export interface Operation {
  readonly action: 'receive' | 'send'
  readonly message: string
  readonly summary: string
  readonly answers: readonly string[]
}

export interface Catalogue {
  readonly messages: Record<string, MessageObject>
  readonly schemas: Record<string, JsonSchema>
  readonly operations: readonly Operation[]
}

/** What answers a message of a client that has an `id`. */
const ANSWERS: Readonly<Record<ClientOp, readonly ServerOp[]>> = {
  resume: ['reply', 'error'],
  join: ['joined', 'error'],
  leave: ['left', 'error'],
  publish: ['reply', 'error'],
  event: ['reply', 'error'],
  ack: ['reply', 'error'],
  refresh: ['reply', 'error'],
  presence: ['reply', 'error'],
  ping: ['pong']
}

/** All messages of hub.v1, and each event as a message of its own. */
export function catalogue (events: Iterable<CompiledEvent>): Catalogue {
  const messages: Record<string, MessageObject> = {}
  const schemas: Record<string, JsonSchema> = {}
  const operations: Operation[] = []
  for (const [op, schema] of Object.entries(clientMessages)) {
    const message = messages[fromClient(op)] = messageOf(op, plain(schema))
    operations.push({ action: 'receive', message: fromClient(op), summary: message.summary, answers: ANSWERS[op as ClientOp].map(fromServer) })
  }
  for (const [op, schema] of Object.entries(serverMessages)) {
    const message = messages[fromServer(op)] = messageOf(op, plain(schema))
    operations.push({ action: 'send', message: fromServer(op), summary: message.summary, answers: [] })
  }

  const keys = new Keys()
  const components = new Keys()
  for (const event of events) {
    const key = keys.take(`event.${event.name}`)
    const { data, reply } = event.schema
    /** A schema of the event, as a part of this document. */
    const part = (schema: JsonSchema | undefined, name: string): JsonSchema => {
      if (schema === undefined) return {}
      const component = components.take(`${key}.${name}`)
      schemas[component] = relocate(schema, `#/components/schemas/${component}`)
      return { $ref: `#/components/schemas/${component}` }
    }
    const call = { ...clientMessages.event, description: `The event ${event.name}.` }
    messages[key] = messageOf(event.name, narrowed(plain(call), { event: { const: event.name }, data: part(data, 'data') }, event.checkData(undefined) !== null))
    let answer = fromServer('reply')
    if (reply !== undefined) {
      answer = keys.take(`${key}.reply`)
      const result = { ...serverMessages.reply, description: `Answers the event ${event.name}.` }
      messages[answer] = messageOf(`${event.name} reply`, narrowed(plain(result), { data: part(reply, 'reply') }, event.checkReply(undefined) !== null))
    }
    operations.push({ action: 'receive', message: key, summary: `Calls the handler of the event ${event.name}.`, answers: [answer, fromServer('error')] })
  }
  return { messages, schemas, operations }
}

const fromClient = (op: string): string => `client.${op}`
const fromServer = (op: string): string => `server.${op}`

/** A schema of a message. */
interface Payload extends JsonSchema {
  readonly description: string
  readonly required: readonly string[]
  readonly properties: JsonSchema
}

/** Without what TypeBox keeps beside it. */
function plain (schema: object): Payload {
  return JSON.parse(JSON.stringify(schema)) as Payload
}

function messageOf (name: string, payload: Payload): MessageObject {
  return {
    name,
    title: name,
    summary: payload.description,
    ...'id' in payload.properties && { correlationId: { location: '$message.payload#/id' } },
    payload
  }
}

/** The same with more about some of its members. */
function narrowed (payload: Payload, members: JsonSchema, needsData: boolean): Payload {
  return { ...payload, required: [...payload.required, ...needsData ? ['data'] : []], properties: { ...payload.properties, ...members } }
}
