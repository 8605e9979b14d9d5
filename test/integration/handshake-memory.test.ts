import fastifyWebsocket from '@fastify/websocket'
import type { FastifyReply, FastifyRequest } from 'fastify'
import t from 'tap'
import type { HubOptions } from '../../lib/index.js'
import { TestApp, type AppOptions } from '../helpers/app.js'
import { gc, heapUsed } from '../helpers/gc.js'
import type { Handshake } from '../helpers/raw-client.js'
import { until } from '../helpers/until.js'

/** About as long as Node lets all headers together be. */
const COOKIE_BYTES = 12_000
const browser: Handshake = { headers: { Cookie: `session=the-session-of-somebody-${'c'.repeat(COOKIE_BYTES)}`, Origin: 'https://hub.test' } }

/** A name as applications get one: a slice of a header. */
const userOf = ({ headers }: FastifyRequest): string => (headers.cookie as string).slice(8, 31)

const ways: Record<string, { options?: HubOptions, app?: AppOptions }> = {
  'with an identify': { options: { identify: (request) => ({ user: userOf(request), data: { path: request.url } as object }) } },
  'with one that takes its time, and leaves a closure': {
    options: {
      identify: async (request, reply) => {
        await new Promise((resolve) => { setImmediate(resolve) })
        reply.raw.on('finish', () => { request.log.info(reply.statusCode) })
        return { user: userOf(request) }
      }
    }
  },
  'with a promise of origins': { options: { origins: async () => await Promise.resolve(true) } },
  'with header lines on the 101': { options: { identify: (request, reply) => { reply.header('set-cookie', userOf(request)); return {} } } },
  'with the @fastify/websocket of the app': { app: { before: async (app) => { await app.register(fastifyWebsocket, { options: { maxPayload: 64 * 1024 } }) } } }
}

for (const [way, { options, app: appOptions }] of Object.entries(ways)) {
  t.test(`nothing of the handshake is kept, ${way}`, async (t) => {
    const kept = new Map<string, WeakRef<object>>()
    const app = await TestApp.start(t, { ...options, onMessage: (connection, message) => { connection.send(message) } }, {
      ...appOptions,
      after: (app) => {
        app.addHook('onRequest', async (request: FastifyRequest, reply: FastifyReply) => {
          const { raw, raw: { headers, rawHeaders } } = request
          for (const [name, object] of Object.entries({ request, reply, raw, headers, rawHeaders, response: reply.raw })) kept.set(name, new WeakRef(object))
        })
      }
    })
    kept.clear()
    const client = await app.connect(browser)
    t.same([...kept.keys()], ['request', 'reply', 'raw', 'headers', 'rawHeaders', 'response'], 'they were seen')
    const left = (): string[] => {
      gc()
      return [...kept].filter(([, ref]) => ref.deref() !== undefined).map(([name]) => name)
    }
    await until(() => left().length === 0, () => `the end of ${left().join(', ')}`)
    await client.roundTrip('still here')
    t.equal(app.size, 1)
    await app.assertBaseline()
  })
}

t.test('names that were cut from a header do not keep it', async (t) => {
  const CONNECTIONS = 200
  const app = await TestApp.start(t, { subprotocols: ['protocol-of-the-test'], identify: (request) => ({ user: userOf(request), device: userOf(request) }) },
    { fastify: { trustProxy: true } })
  const headers = { ...browser.headers, 'X-Forwarded-For': '203.0.113.100', 'Sec-WebSocket-Protocol': 'protocol-of-the-test' }
  const open = async (): Promise<void> => { await app.connect({ headers }) }
  for (let i = 0; i < 20; i++) await open()
  const before = heapUsed()
  for (let i = 0; i < CONNECTIONS; i++) await open()
  await until(() => app.size === CONNECTIONS + 20, 'the connections')
  const each = (heapUsed() - before) / CONNECTIONS
  t.equal(app.connections().at(-1)?.ip, '203.0.113.100')
  t.equal(app.connections().at(-1)?.user, 'the-session-of-somebody')
  t.ok(each < COOKIE_BYTES, `${each} bytes for both sides of a connection, less than its cookie`)
  await app.assertBaseline()
})

t.test('a WebSocket of ours has no listener but ours, and those that the app has put on', async (t) => {
  const seen: string[] = []
  const app = await TestApp.start(t, {}, {
    after: ({ websocketServer }) => {
      websocketServer.on('connection', (ws) => {
        ws.on('close', () => { seen.push(`close, ${ws.listenerCount('close')} listeners`) })
        ws.on('ping', (data) => { seen.push(String(data)) })
      })
    }
  })
  seen.length = 0
  const client = await app.connect()
  await client.roundTrip('heard by both')
  client.sendClose(1000)
  await until(() => seen.length === 2, 'both')
  t.same(seen, ['heard by both', 'close, 2 listeners'])
  await app.assertBaseline()
})
