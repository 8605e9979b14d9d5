import Fastify, { type FastifyInstance, type RouteOptions } from 'fastify'
import t, { type Test } from 'tap'
import type { AsyncApiDocument } from '../../../lib/asyncapi/document.js'
import { serveAsyncApi } from '../../../lib/asyncapi/route.js'
import { EventRegistry } from '../../../lib/core/hub-v1/events.js'
import { fastifyHub, type HubOptions } from '../../../lib/index.js'
import { resolveOptions } from '../../../lib/resolve-options.js'

const PATH = '/asyncapi.json'
const hubOptions: HubOptions = { subprotocols: ['hub.v1.json'], asyncapi: { path: PATH, title: 'chat', version: '3.2.1' }, history: { size: 7 } }
const options = resolveOptions(hubOptions, 100)

function open (t: Test): FastifyInstance {
  const app = Fastify()
  t.teardown(async () => { await app.close() })
  return app
}

async function get (app: FastifyInstance, url = PATH, headers: Record<string, string> = {}): Promise<AsyncApiDocument> {
  const response = await app.inject({ url, headers })
  if (response.statusCode !== 200) throw new Error(response.body)
  return response.json<AsyncApiDocument>()
}

t.test('the document is that of the options, and @fastify/swagger is asked to leave the route out', async (t) => {
  const app = open(t)
  const routes: RouteOptions[] = []
  app.addHook('onRoute', (route) => { routes.push(route) })
  serveAsyncApi(app, options, new EventRegistry())
  const response = await app.inject(PATH)
  t.match(response.headers['content-type'], 'application/json')
  t.match(response.json(), { asyncapi: '3.0.0', info: { title: 'chat', version: '3.2.1' }, channels: { ws: { address: '/ws', 'x-rooms': [{ room: '*', size: 7 }] } } })
  t.match(routes, [{ method: 'GET', url: PATH, schema: { hide: true } }, { method: 'HEAD', url: PATH, schema: { hide: true } }])
})

t.test('without a path nothing is served', async (t) => {
  const app = open(t)
  serveAsyncApi(app, resolveOptions({}, 100), new EventRegistry())
  t.equal((await app.inject(PATH)).statusCode, 404)
})

t.test('events that are defined later appear', async (t) => {
  const app = open(t)
  const events = new EventRegistry()
  serveAsyncApi(app, options, events)
  const names = async (): Promise<string[]> => Object.keys((await get(app)).components.messages).filter((name) => name.startsWith('event.'))
  t.same(await names(), [])
  events.define('say', { handler: () => {} })
  t.same(await names(), ['event.say'])
  t.same(await names(), ['event.say'], 'nothing has changed')
  events.define('ask', { handler: () => {} })
  t.same(await names(), ['event.say', 'event.ask'])
})

t.test('the server is the one that was asked', async (t) => {
  const app = Fastify({ trustProxy: true })
  t.teardown(async () => { await app.close() })
  serveAsyncApi(app, options, new EventRegistry())
  t.same((await get(app, PATH, { host: 'a.test:8080' })).servers, { this: { host: 'a.test:8080', protocol: 'ws' } })
  t.same((await get(app, PATH, { 'x-forwarded-host': 'b.test', 'x-forwarded-proto': 'https' })).servers, { this: { host: 'b.test', protocol: 'wss' } })
  const old = open(t)
  old.addHook('onRequest', async ({ raw }) => { delete raw.headers.host })
  serveAsyncApi(old, options, new EventRegistry())
  t.notOk('servers' in await get(old), 'HTTP/1.0 has no Host')
})

t.test('below the prefix of the hub, behind the hooks of its context', async (t) => {
  for (const prefix of ['/api', '/api/']) {
    const app = open(t)
    await app.register(async (child) => {
      child.addHook('onRequest', async (request, reply) => { if (request.headers.authorization === undefined) await reply.code(401).send() })
      await child.register(fastifyHub, { ...hubOptions, path: ['/ws', '/rooms/:room'] })
    }, { prefix })
    t.equal((await app.inject(PATH)).statusCode, 404)
    t.equal((await app.inject(`/api${PATH}`)).statusCode, 401)
    const { channels } = await get(app, `/api${PATH}`, { authorization: 'yes' })
    t.same(Object.values(channels).map((channel) => (channel as { address: string }).address), ['/api/ws', '/api/rooms/{room}'])
  }
})

t.test('an option that describes nothing is refused', (t) => {
  const wrong = (given: HubOptions, message: RegExp): void => { t.throws(() => resolveOptions(given, 100), { code: 'FST_HUB_INVALID_OPTIONS', message }) }
  wrong({ ...hubOptions, asyncapi: { path: 'asyncapi.json' } }, /asyncapi\.path: expected a string that starts with \/, got "asyncapi\.json"/)
  wrong({ ...hubOptions, subprotocols: ['raw'] }, /asyncapi\.path: expected nothing while subprotocols has neither hub\.v1\.json nor hub\.v1\.msgpack: there is nothing to describe, got "\/asyncapi\.json"/)
  wrong({ ...hubOptions, subprotocols: [] }, /asyncapi\.path: expected nothing/)
  t.doesNotThrow(() => resolveOptions({ subprotocols: [], asyncapi: { title: 'no path' } }, 100))
  t.end()
})
