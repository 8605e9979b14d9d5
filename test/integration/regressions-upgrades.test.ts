import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import fastifyHub, { type DisconnectInfo, type HubOptions } from '../../lib/index.js'
import type { LocalHub } from '../../lib/core/hub.js'
import { RawClient, type Handshake } from '../helpers/raw-client.js'
import { gate, until } from '../helpers/until.js'
import { listen } from '../helpers/ws-client.js'

async function open (t: Test, address: string, handshake?: Handshake): Promise<RawClient> {
  const client = await RawClient.connect(Number(address.split(':')[1]))
  t.teardown(() => { client.destroy() })
  if (handshake !== undefined) client.sendHandshake(handshake)
  return client
}

t.test('an upgrade of another route that ends its hooks while the app closes does not hold the close', async (t) => {
  const app = Fastify()
  const inHook = gate()
  const late = gate()
  await app.register(fastifyHub, { drain: { spread: 0 } })
  app.get('/other', { websocket: true }, () => {})
  app.get('/late', { websocket: true, preHandler: async () => { inHook.open(); await late.promise } }, () => {})
  const address = await listen(t, app)
  // Both take their time to close: the hub waits for one, and @fastify/websocket's server for the other.
  const slow = [await open(t, address), await open(t, address)] as const
  for (const client of slow) client.polite = false
  await slow[0].upgrade()
  await slow[1].upgrade({ path: '/other' })
  const other = await open(t, address, { path: '/late' })
  await inHook.promise
  const closed = app.close()
  await until(() => app.hub.health().status === 'draining', 'the drain')
  late.open()
  t.equal((await other.response()).status, 503)
  for (const client of slow) {
    client.sendClose(1012)
    client.finish()
  }
  await closed
})

t.test('an upgrade behind a request that is being answered while the app closes leaves that answer whole', async (t) => {
  const app = Fastify()
  const inHandler = gate()
  const answer = gate()
  const closing = gate()
  await app.register(fastifyHub)
  // Runs behind that of the hub, which has nothing to wait for.
  app.addHook('preClose', async () => { closing.open() })
  app.get('/slow', async () => {
    inHandler.open()
    await answer.promise
    return 'slow'
  })
  const address = await listen(t, app)
  const client = await open(t, address)
  client.write('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n')
  await inHandler.promise
  const closed = app.close()
  await closing.promise
  const upgraded = new Promise((resolve) => { app.server.once('upgrade', resolve) })
  client.sendHandshake()
  await upgraded
  answer.open()
  const response = await client.response()
  t.equal(response.status, 200)
  t.equal(response.body, 'slow')
  await closed
})

for (const [what, answers] of Object.entries({
  'a hook': (app: FastifyInstance): HubOptions => {
    app.addHook('preHandler', (_request, reply, _done) => { reply.code(401).header('www-authenticate', 'Bearer').send({ mine: true }) })
    return {}
  },
  'route.preValidation': (): HubOptions => ({ route: { preValidation: (_request, reply, _done) => { reply.code(401).header('www-authenticate', 'Bearer').send({ mine: true }) } } })
})) {
  for (const late of ['drain', 'the deadline'] as const) {
    t.test(`${late} does not mix another answer into that of ${what}`, async (t) => {
      const app = Fastify()
      const sending = gate()
      const goOn = gate()
      app.addHook('onSend', async () => {
        sending.open()
        await goOn.promise
      })
      await app.register(fastifyHub, { ...answers(app), deadlines: { admit: late === 'drain' ? 0 : 100 } })
      const address = await listen(t, app)
      const client = await open(t, address, {})
      await sending.promise
      const { wheel } = app.hub as LocalHub
      if (late === 'drain') await app.hub.drain()
      else await until(() => wheel.size === 0, 'the deadline')
      goOn.open()
      const response = await client.response()
      t.equal(response.status, 401)
      t.match(response.headers.map(([name]) => name), ['www-authenticate', 'content-type'])
      t.same(JSON.parse(response.body), { mine: true })
      t.same(app.hub.stats().refused, {})
      await client.ended()
      await until(() => (app.hub as LocalHub).admission.held === 0, 'the slot')
    })
  }
}

t.test('a handshake that verifyClient never answers is bounded by the deadline', async (t) => {
  const app = Fastify()
  await app.register(fastifyHub, { deadlines: { admit: 100 }, websocket: { options: { verifyClient: (_info: object, _answer: unknown) => {} } } })
  const client = await open(t, await listen(t, app), {})
  await client.ended()
  t.equal((app.hub as LocalHub).admission.held, 0)
})

t.test('a refused injectWS gives its slot back, and onResponse is called', async (t) => {
  const app = Fastify()
  t.teardown(async () => { await app.close() })
  let responses = 0
  app.addHook('onResponse', async () => { responses++ })
  await app.register(fastifyHub, {
    limits: { connections: 1 },
    identify: ({ url }) => url === '/ws?denied' ? null : {},
    route: { preHandler: async ({ url }, reply) => url === '/ws?hook' ? await reply.code(401).send() : undefined }
  })
  await app.ready()
  for (const [url, status] of [['/ws?denied', 403], ['/ws?hook', 401], ['/ws?denied', 403]] as const) {
    await t.rejects(app.injectWS(url), { message: `Unexpected server response: ${status}` })
    await until(() => (app.hub as LocalHub).admission.held === 0, 'the slot')
  }
  t.equal(responses, 3)
  const ws = await app.injectWS('/ws')
  t.equal(app.hub.size, 1)
  ws.terminate()
})

for (const close of [0, 2_000]) {
  t.test(`deadlines.close: ${close} of a hub beside one that waits less for a Close frame`, async (t) => {
    const app = Fastify()
    const ends: DisconnectInfo[] = []
    await app.register(fastifyHub, { path: '/first', deadlines: { close: 100 } })
    await app.register(fastifyHub, {
      path: '/second',
      decorateAs: 'second',
      deadlines: { close },
      onConnect: (connection) => { connection.close(4000) },
      onDisconnect: (_connection, info) => { ends.push(info) }
    })
    const address = await listen(t, app)
    const client = await open(t, address)
    client.polite = false
    await client.upgrade({ path: '/second' })
    // Long after the other hub would have given up.
    await new Promise((resolve) => { setTimeout(resolve, 500) })
    t.same(ends, [])
    client.sendClose(4000)
    await until(() => ends.length === 1, 'the end')
    t.match(ends, [{ code: 4000, initiator: 'server' }])
  })
}
