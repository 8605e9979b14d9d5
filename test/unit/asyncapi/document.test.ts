import specs from '@asyncapi/specs'
import { Ajv, type AnySchemaObject } from 'ajv'
import fc from 'fast-check'
import t from 'tap'
import { Type } from 'typebox'
import { asyncApiDocument, type AsyncApiDocument, type AsyncApiSource } from '../../../lib/asyncapi/document.js'
import { EventRegistry } from '../../../lib/core/hub-v1/events.js'
import { clientMessages, serverMessages } from '../../../lib/protocol/hub-v1/schema.js'

// It brings JSON Schema's own schema along. Formats, of its URIs, would need another package.
const isAsyncApi = new Ajv({ strict: false, meta: false, validateSchema: false, validateFormats: false }).compile(specs.schemas['3.0.0'] as AnySchemaObject)
const handler = (): void => {}

function registry (...events: Array<[name: string, schema: object]>): EventRegistry {
  const registry = new EventRegistry()
  for (const [name, schema] of events) registry.define(name, { schema, handler })
  return registry
}

/** As a client reads it. */
function document (source: Partial<AsyncApiSource> = {}): AsyncApiDocument {
  const made = asyncApiDocument({ title: 'chat', version: '2.1.0', paths: ['/ws'], subprotocols: ['hub.v1.json', 'raw'], events: [], ...source })
  return JSON.parse(JSON.stringify(made)) as AsyncApiDocument
}

/** What is wrong, by AsyncAPI's own schema and by what it can not say: that references lead to something. */
function problems (document: AsyncApiDocument): string[] {
  const found = isAsyncApi(document) ? [] : (isAsyncApi.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message ?? ''}`)
  const refs = JSON.stringify(document).matchAll(/"\$ref":"(#[^"]*)"/g)
  for (const [, ref = ''] of refs) {
    const tokens = decodeURIComponent(ref).split('/').slice(1).map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'))
    const target = tokens.reduce<unknown>((at, token) => (at as Record<string, unknown> | undefined)?.[token], document)
    if (typeof target !== 'object') found.push(`${ref} leads to nothing`)
  }
  for (const [name, { channel, messages, reply }] of Object.entries(document.operations)) {
    for (const { $ref } of [...messages, ...reply?.messages ?? []]) {
      if (!$ref.startsWith(`${channel.$ref}/messages/`)) found.push(`${name}: ${$ref} is not of its channel`)
    }
  }
  return found
}

/** Checks a message of the wire against the payload of a message in the document. */
function payloadOf (document: AsyncApiDocument, message: string): (value: unknown) => boolean {
  return new Ajv({ strict: false }).compile({ ...document, $ref: `#/components/messages/${message}/payload` })
}

t.test('every message of hub.v1 is there, in its direction, and with its answers', (t) => {
  const made = document()
  t.same(problems(made), [])
  const actions = (action: string): string[] => Object.entries(made.operations).filter(([, operation]) => operation.action === action).map(([name]) => name)
  t.same(actions('receive'), Object.keys(clientMessages).map((op) => `ws.client.${op}`))
  t.same(actions('send'), Object.keys(serverMessages).map((op) => `ws.server.${op}`))
  const message = (key: string): object => ({ $ref: `#/channels/ws/messages/${key}` })
  t.same(made.operations['ws.client.join'], {
    action: 'receive',
    channel: { $ref: '#/channels/ws' },
    summary: 'Enters a room.',
    messages: [message('client.join')],
    reply: { channel: { $ref: '#/channels/ws' }, messages: [message('server.joined'), message('server.error')] }
  })
  t.same(made.operations['ws.server.hello']?.reply, undefined)
  t.match(made.components.messages['client.join'], { name: 'join', correlationId: { location: '$message.payload#/id' } })
  t.notOk(made.components.messages['server.hello']?.correlationId, 'hello answers nothing')
  t.same(made.info.title, 'chat')
  t.same(made.info.version, '2.1.0')
  t.end()
})

t.test('the payloads are JSON Schema for what goes over the wire', (t) => {
  const made = document({ events: registry(['say', { data: Type.Object({ text: Type.String() }), reply: Type.Object({ at: Type.Integer() }) }]).all() })
  t.same(problems(made), [])
  const join = payloadOf(made, 'client.join')
  t.ok(join({ op: 'join', room: 'lobby', id: 1 }))
  t.notOk(join({ op: 'join' }))
  t.notOk(join({ op: 'leave', room: 'lobby' }))
  const say = payloadOf(made, 'event.say')
  t.ok(say({ op: 'event', event: 'say', data: { text: 'hello' }, id: 'a' }))
  t.ok(say({ op: 'event', event: 'say', data: { text: 'hello' } }), 'nobody has to ask for a reply')
  t.notOk(say({ op: 'event', event: 'say', data: { text: 1 } }))
  t.notOk(say({ op: 'event', event: 'say' }), 'data without which the event is refused')
  t.notOk(say({ op: 'event', event: 'ask', data: { text: 'hello' } }))
  const reply = payloadOf(made, 'event.say.reply')
  t.ok(reply({ op: 'reply', id: 1, data: { at: 5 } }))
  t.notOk(reply({ op: 'reply', id: 1, data: {} }))
  t.notOk(reply({ op: 'reply', data: { at: 5 } }))
  t.end()
})

t.test('an event has its own message, its reply and the error', (t) => {
  const events = registry(['say', { data: Type.Object({ text: Type.String() }), reply: Type.Null() }], ['poke', {}], ['maybe', { data: Type.Unknown() }])
  const { operations, components } = document({ events: events.all() })
  const replies = (name: string): string[] => operations[name]?.reply?.messages.map(({ $ref }) => $ref.split('/').at(-1) as string) ?? []
  t.same(replies('ws.event.say'), ['event.say.reply', 'server.error'])
  t.same(replies('ws.event.poke'), ['server.reply', 'server.error'])
  t.equal(operations['ws.event.poke']?.action, 'receive')
  const required = (name: string): unknown => components.messages[name]?.payload['required']
  t.same(required('event.say'), ['op', 'event', 'data'])
  t.same(required('event.poke'), ['op', 'event'])
  t.same(required('event.maybe'), ['op', 'event'], 'data that may be anything may be missing')
  t.same(Object.keys(components.schemas), ['event.say.data', 'event.say.reply', 'event.maybe.data'])
  t.end()
})

t.test('a schema that holds itself still does', (t) => {
  const tree = Type.Cyclic({ Tree: Type.Object({ children: Type.Array(Type.Ref('Tree')) }) }, 'Tree')
  const local = { definitions: { word: { type: 'string' } }, type: 'array', items: { $ref: '#/definitions/word' } }
  const made = document({ events: registry(['grow', { data: tree, reply: local }]).all() })
  t.same(problems(made), [])
  const grow = payloadOf(made, 'event.grow')
  t.ok(grow({ op: 'event', event: 'grow', data: { children: [{ children: [] }] } }))
  t.notOk(grow({ op: 'event', event: 'grow', data: { children: [{ children: [1] }] } }))
  const reply = payloadOf(made, 'event.grow.reply')
  t.ok(reply({ op: 'reply', id: 1, data: ['a'] }))
  t.notOk(reply({ op: 'reply', id: 1, data: [1] }))
  t.end()
})

t.test('names that AsyncAPI does not allow as keys, or that meet, each get one of their own', (t) => {
  const names = ['chat:say', 'chat say', 'chat_say', 'größe', '😀', '__proto__', 'say', 'say.reply', 'a/b~c']
  const made = document({ events: registry(...names.map((name): [string, object] => [name, { data: Type.String(), reply: Type.String() }])).all() })
  t.same(problems(made), [])
  for (const name of names) {
    const own = Object.values(made.components.messages).filter((message) => message.name === name)
    t.equal(own.length, 1, name)
    t.same((own[0]?.payload['properties'] as Record<string, unknown>)['event'], { const: name })
  }
  t.equal(Object.keys(made.components.schemas).length, 2 * names.length)
  t.end()
})

t.test('whatever the events are called, the document is one', (t) => {
  const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
  fc.assert(fc.property(fc.uniqueArray(name, { maxLength: 5 }), fc.array(fc.string({ maxLength: 10 }), { maxLength: 3 }), (names, paths) => {
    const events = registry(...names.map((name): [string, object] => [name, { data: Type.Object({ [name]: Type.Ref('X') }, { $defs: { X: Type.String({ $id: 'X' }) } }) }]))
    const made = document({ events: events.all(), paths: [...new Set(paths)].map((path) => `/${path}`) })
    const found = problems(made)
    if (found.length > 0) throw new Error(found.join('\n'))
    return Object.keys(made.channels).length === new Set(paths).size
  }), { numRuns: 40 })
  t.end()
})

t.test('each path is a channel with all operations', (t) => {
  const made = document({ paths: ['/', '/api/ws', '/api-ws/', '/rooms/:room/*'], events: registry(['say', {}]).all() })
  t.same(problems(made), [])
  t.same(Object.keys(made.channels), ['root', 'api_ws', 'api-ws', 'rooms_room_'])
  t.match(made.channels['rooms_room_'], { address: '/rooms/{room}/{rest}', parameters: { room: {}, rest: {} } })
  t.notOk('parameters' in (made.channels['root'] as object))
  t.equal(Object.keys(made.operations).length, 4 * (Object.keys(clientMessages).length + Object.keys(serverMessages).length + 1))
  t.end()
})

t.test('the subprotocols of hub.v1 are those of the handshake', (t) => {
  const header = (made: AsyncApiDocument): unknown =>
    (made.channels['ws'] as { bindings: { ws: { headers: { properties: Record<string, { enum: unknown }> } } } }).bindings.ws.headers.properties['Sec-WebSocket-Protocol']?.enum
  const both = document({ subprotocols: ['raw', 'hub.v1.msgpack', 'hub.v1.json'] })
  t.same(problems(both), [])
  t.same(header(both), ['hub.v1.msgpack', 'hub.v1.json'])
  t.equal(both.defaultContentType, 'application/json')
  const binary = document({ subprotocols: ['hub.v1.msgpack'] })
  t.same(header(binary), ['hub.v1.msgpack'])
  t.equal(binary.defaultContentType, 'application/vnd.msgpack')
  t.end()
})

t.test('what is kept of rooms is told by name and pattern, in their order', (t) => {
  const made = document({ history: { size: 10, ttl: 5_000, mode: 'log', rooms: { 'chat:*': { size: 100 }, ticker: { mode: 'cache', ttl: undefined } } } })
  t.same(problems(made), [])
  t.same((made.channels['ws'] as Record<string, unknown>)['x-rooms'], [
    { room: 'chat:*', size: 100, ttl: 5_000, mode: 'log' },
    { room: 'ticker', size: 10, ttl: 5_000, mode: 'cache' },
    { room: '*', size: 10, ttl: 5_000, mode: 'log' }
  ])
  t.notOk('x-rooms' in (document().channels['ws'] as object))
  t.end()
})

t.test('the check of this file finds what is wrong', (t) => {
  const made = document()
  t.not(problems({ ...made, asyncapi: '3' as '3.0.0' }).length, 0)
  t.not(problems({ ...made, channels: {} }).length, 0)
  t.not(problems({ ...made, extra: 1 } as AsyncApiDocument).length, 0)
  t.end()
})
