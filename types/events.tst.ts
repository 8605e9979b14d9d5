import type { Awaitable, Connection, EventData, EventDefinition, EventReply, EventSchema, EventSchemas, Hub } from 'fastify-hub'
import { Type } from 'typebox'
import { describe, expect, test } from 'tstyche'

declare const hub: Hub

const events = {
  say: { data: Type.Object({ text: Type.String(), to: Type.Optional(Type.Array(Type.String())) }), reply: Type.Object({ at: Type.Integer() }) },
  ping: {},
  move: {
    data: {
      type: 'object',
      properties: { x: { type: 'number' }, by: { type: 'array', items: { type: 'string' } }, how: { enum: ['fast', 'slow'] } },
      required: ['x'],
      additionalProperties: false
    },
    reply: { type: ['string', 'null'] }
  }
} as const

describe('a map of schemas', () => {
  test('is EventSchemas, of TypeBox types and of JSON Schema', () => {
    expect(events).type.toBeAssignableTo<EventSchemas>()
    expect<EventSchemas>().type.not.toBeAssignableFrom<{ say: { dta: object } }>()
    expect<EventSchemas>().type.not.toBeAssignableFrom<{ say: { data: string } }>()
  })

  test('says what is sent and answered', () => {
    type Events = typeof events
    expect<EventData<Events['say']>>().type.toBe<{ text: string, to?: string[] }>()
    expect<EventReply<Events['say']>>().type.toBe<{ at: number }>()
    expect<EventData<Events['move']>>().type.toBeAssignableTo<{ x: number, by?: string[], how?: 'fast' | 'slow' }>()
    expect<EventData<Events['move']>>().type.toBeAssignableFrom<{ x: number, by?: string[], how?: 'fast' | 'slow' }>()
    expect<EventReply<Events['move']>>().type.toBe<string | null>()
    expect<EventData<Events['ping']>>().type.toBe<unknown>()
    expect<EventReply<Events['ping']>>().type.toBe<unknown>()
  })

  test('that has lost its types says nothing', () => {
    expect<EventData<EventSchema>>().type.toBe<unknown>()
    expect<EventReply<EventSchema>>().type.toBe<unknown>()
    expect<EventData<EventSchemas[string]>>().type.toBe<unknown>()
    expect<EventData<{ data: object }>>().type.toBe<unknown>()
  })

  test('of JSON Schema that is not `as const` says less', () => {
    expect<EventData<{ data: { type: string, properties: { x: { type: string } } } }>>().type.toBe<{ x?: unknown }>()
  })
})

describe('a definition', () => {
  test('gives the handler the connection and its data', () => {
    hub.event('say', {
      schema: events.say,
      handler: (connection, data) => {
        expect(connection).type.toBe<Connection>()
        expect(data).type.toBe<{ text: string, to?: string[] }>()
        return { at: 1 }
      }
    })
  })

  test('takes schemas that are written in place', () => {
    hub.event('here', { schema: { data: Type.Union([Type.Literal('a'), Type.Null()]) }, handler: (_, data) => { expect(data).type.toBe<'a' | null>() } })
    hub.event('there', {
      schema: { data: { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] }, reply: { const: 'done' } },
      handler: (_, data) => {
        expect(data.n).type.toBe<number>()
        return 'done'
      }
    })
  })

  test('holds the handler to its reply, now or later', () => {
    type Handler = EventDefinition<typeof events.say>['handler']
    expect<ReturnType<Handler>>().type.toBe<Awaitable<{ readonly at: number }>>()
    expect<Handler>().type.toBeAssignableFrom<() => { at: number }>()
    expect<Handler>().type.toBeAssignableFrom<() => Promise<{ at: number }>>()
    expect<Handler>().type.not.toBeAssignableFrom<() => { at: string }>()
    expect<Handler>().type.not.toBeAssignableFrom<() => void>()
    expect(hub.event).type.not.toBeCallableWith('say', { schema: events.say, handler: () => 'text' })
    expect(hub.event).type.not.toBeCallableWith('say', { schema: events.say, handler: (_: Connection, data: number) => ({ at: data }) })
  })

  test('leaves literals and lists of a reply as they are', () => {
    const reply = Type.Object({ state: Type.Union([Type.Literal('open'), Type.Literal('done')]), tags: Type.Array(Type.String()) })
    interface Row { state: 'open', tags: string[] }
    hub.event('row', { schema: { reply }, handler: (_, data) => ({ state: 'done', tags: [String(data)] }) })
    hub.event('row', { schema: { reply }, handler: async () => ({ state: 'done', tags: [] }) })
    hub.event('row', { schema: { reply }, handler: async (): Promise<Row> => ({ state: 'open', tags: [] }) })
    hub.event('row', { schema: { reply }, handler: () => ({ state: 'done', tags: ['a', 'b'] }) as const })
    expect(hub.event).type.not.toBeCallableWith('row', { schema: { reply }, handler: () => ({ state: 'gone', tags: [] }) })
    expect(hub.event).type.not.toBeCallableWith('row', { schema: { reply }, handler: () => ({ state: 'done', tags: [1] }) })
    expect(hub.event).type.not.toBeCallableWith('row', { schema: { reply }, handler: async () => ({ state: 'done' }) })
  })

  test('without a schema takes and answers anything', () => {
    hub.event('any', { handler: (_, data) => { expect(data).type.toBe<unknown>() } })
    hub.event('any', { handler: () => 'text' })
    hub.event('any', { schema: undefined, handler: async () => 7 })
    hub.event('any', { schema: { data: undefined }, handler: (_, data) => { expect(data).type.toBe<unknown>() } })
  })

  test('is one of several in a chain', () => {
    expect(hub.event('a', { handler: () => {} }).event('b', { handler: () => {} })).type.toBe<Hub>()
  })

  test('needs a handler, and has nothing else', () => {
    expect(hub.event).type.not.toBeCallableWith('say', {})
    expect(hub.event).type.not.toBeCallableWith('say', { schema: events.say })
    expect(hub.event).type.not.toBeCallableWith('say', { schem: events.say, handler: () => {} })
    expect(hub.event).type.not.toBeCallableWith(1, { handler: () => {} })
  })
})
