import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { Type } from 'typebox'
import { fastifyHub, type EventSchemas } from '../../lib/index.js'
import { TestClock } from '../../lib/testing/index.js'
import { V1Peer } from '../helpers/v1-peer.js'

const events = {
  add: { data: Type.Object({ numbers: Type.Array(Type.Number(), { maxItems: 3 }) }), reply: Type.Object({ sum: Type.Number() }) },
  shout: { data: { type: 'string' }, reply: { type: 'string' } }
} as const satisfies EventSchemas

async function open (t: Test, errors: string[] = []): Promise<{ app: FastifyInstance, ask: (event: string, data?: unknown) => Promise<unknown> }> {
  const clock = new TestClock()
  const app = Fastify()
  t.teardown(async () => { await app.close() })
  await app.register(fastifyHub, { clock, subprotocols: ['hub.v1.json'], asyncapi: { path: '/asyncapi.json' } })
  app.hub.on('error', ({ message }) => { errors.push(message) })
  app.hub
    .event('add', { schema: events.add, handler: (_, { numbers }) => ({ sum: numbers.reduce((sum, number) => sum + number, 0) }) })
    .event('shout', { schema: events.shout, handler: async (_, text) => `${text.toUpperCase()}!` })
    .event('__proto__', { handler: ({ subprotocol }) => subprotocol })
    .event('lie', { schema: { reply: Type.Object({ ok: Type.Boolean() }) }, handler: (): { ok: boolean } => ({ ok: 'yes' as unknown as boolean }) })
  await app.ready()
  const peer = await V1Peer.connect(app.hub, clock)
  peer.say({ op: 'resume' })
  return { app, ask: async (event, data) => await peer.ask({ op: 'event', event, data }) }
}

t.test('an event is answered with what its handler returns, now or later', async (t) => {
  const { ask } = await open(t)
  t.match(await ask('add', { numbers: [1, 2.5] }), { op: 'reply', data: { sum: 3.5 } })
  t.match(await ask('shout', 'hey'), { op: 'reply', data: 'HEY!' })
  t.match(await ask('__proto__'), { op: 'reply', data: 'hub.v1.json' })
})

t.test('data that is not as the schema has it is an error that says where', async (t) => {
  const errors: string[] = []
  const { ask } = await open(t, errors)
  t.match(await ask('add', { numbers: [1, '2'] }), { op: 'error', code: 'invalid_data', path: '/data/numbers/1', message: 'must be number' })
  t.match(await ask('add'), { op: 'error', code: 'invalid_data', path: '/data' })
  t.match(await ask('constructor'), { op: 'error', code: 'unknown_event' })
  t.same(errors, [])
})

t.test('a reply that is not as the schema has it is the mistake of the server, and stays there', async (t) => {
  const errors: string[] = []
  const { ask } = await open(t, errors)
  const answer = await ask('lie')
  t.match(answer, { op: 'error', code: 'internal' })
  t.notMatch(JSON.stringify(answer), /ok/)
  t.match(errors, [/the reply of the event "lie" is not as its schema has it: \/ok must be boolean/])
})

t.test('what is defined twice, or not understood, is refused', async (t) => {
  const { app } = await open(t)
  t.throws(() => app.hub.event('add', { handler: () => {} }), { code: 'FST_HUB_DUPLICATE_EVENT' })
  t.throws(() => app.hub.event('', { handler: () => {} }), { code: 'FST_HUB_INVALID_NAME' })
  t.throws(() => app.hub.event('new', { schema: { data: { type: 'nmuber' } }, handler: () => {} }), { code: 'FST_HUB_INVALID_ARGUMENT', message: /^schema\.data of event "new": / })
})

t.test('the AsyncAPI document has them, those of later too', async (t) => {
  const { app } = await open(t)
  const operations = async (): Promise<string[]> => Object.keys((await app.inject('/asyncapi.json')).json<{ operations: object }>().operations).filter((name) => name.startsWith('ws.event.'))
  t.same(await operations(), ['ws.event.add', 'ws.event.shout', 'ws.event.__proto__', 'ws.event.lie'])
  app.hub.event('later', { handler: () => {} })
  t.match(await operations(), ['ws.event.add', 'ws.event.shout', 'ws.event.__proto__', 'ws.event.lie', 'ws.event.later'])
})
