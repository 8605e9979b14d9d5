import Fastify from 'fastify'
import t from 'tap'
import fastifyHub, { type Hub, type HubOptions } from '../../lib/index.js'
import { gate } from '../helpers/until.js'
import { connectWs, listen } from '../helpers/ws-client.js'

const echo: HubOptions = { onMessage: (connection, message) => { connection.send(message) } }

t.test('two hubs in one app, each with its path and its name', async (t) => {
  const app = Fastify()
  await app.register(fastifyHub, echo)
  await app.register(fastifyHub, { path: '/second', decorateAs: 'second', onMessage: (connection, message) => { connection.send(`second ${message.text()}`) } })
  const address = await listen(t, app)
  const [one, two] = [await connectWs(t, `ws://${address}/ws`), await connectWs(t, `ws://${address}/second`)]
  one.send('a')
  two.send('b')
  t.equal(await one.text(), 'a')
  t.equal(await two.text(), 'second b')
  const second = app.getDecorator<Hub>('second')
  t.equal(app.hub.size, 1)
  t.equal(second.size, 1)
  t.not(app.hub.nodeId, second.nodeId)
  await second.broadcast('only the second')
  await app.hub.broadcast('only the first')
  t.equal(await one.text(), 'only the first')
  t.equal(await two.text(), 'only the second')
  await app.close()
  t.same(await Promise.all([one.closed, two.closed]), Array(2).fill({ code: 1012, reason: 'service restart' }))
})

t.test('the hubs of an app drain at the same time', async (t) => {
  const app = Fastify()
  const gone = { first: gate(), second: gate() }
  // Each waits for the other: one after the other, the first would wait until drain.timeout.
  await app.register(fastifyHub, { onDisconnect: async () => { gone.first.open(); await gone.second.promise }, drain: { timeout: 0 } })
  await app.register(fastifyHub, { path: '/second', decorateAs: 'second', onDisconnect: async () => { gone.second.open(); await gone.first.promise }, drain: { timeout: 0 } })
  const address = await listen(t, app)
  const sockets = [await connectWs(t, `ws://${address}/ws`), await connectWs(t, `ws://${address}/second`)]
  await app.close()
  t.same(await Promise.all(sockets.map(async ({ closed }) => (await closed).code)), [1012, 1012])
})

t.test('the same name twice', async (t) => {
  const app = Fastify()
  t.teardown(async () => { await app.close() })
  await app.register(fastifyHub)
  await t.rejects(async () => { await app.register(fastifyHub, { path: '/other' }) }, { code: 'FST_HUB_DUPLICATE_NAME' })
})

t.test('a wrong option', async (t) => {
  const app = Fastify()
  t.teardown(async () => { await app.close() })
  await t.rejects(async () => { await app.register(fastifyHub, { heartbeat: { interval: 60_000, timeout: 30_000 } }) }, { code: 'FST_HUB_INVALID_OPTIONS', message: /heartbeat\.timeout.*60000.*30000/ })
})

t.test('several paths, with parameters and a wildcard', async (t) => {
  const app = Fastify()
  await app.register(fastifyHub, {
    path: ['/ws', '/rooms/:room', '/any/*'],
    identify: ({ params }) => ({ data: params as object }),
    onConnect: (connection) => { connection.send(connection.data) }
  })
  const address = await listen(t, app)
  t.equal(await (await connectWs(t, `ws://${address}/ws`)).text(), '{}')
  t.equal(await (await connectWs(t, `ws://${address}/rooms/7?x=1`)).text(), '{"room":"7"}')
  t.equal(await (await connectWs(t, `ws://${address}/any/thing/else`)).text(), '{"*":"thing/else"}')
  t.equal(app.hub.size, 3)
  await t.rejects(connectWs(t, `ws://${address}/rooms/7/8`), /404/)
  const { statusCode, headers } = await app.inject({ method: 'POST', url: '/rooms/7' })
  t.equal(statusCode, 405)
  t.equal(headers.allow, 'GET')
})

t.test('inside an encapsulated context with a prefix', async (t) => {
  const app = Fastify()
  let hub: Hub | null = null
  app.get('/outside', () => 'outside')
  await app.register(async (child) => {
    await child.register(fastifyHub, echo)
    child.get('/plain', () => 'plain')
    hub = child.hub
  }, { prefix: '/api' })
  const address = await listen(t, app)
  const client = await connectWs(t, `ws://${address}/api/ws`)
  client.send('hello')
  t.equal(await client.text(), 'hello')
  t.equal((hub as Hub | null)?.size, 1)
  t.notOk(app.hasDecorator('hub'))
  t.equal((await app.inject('/api/ws')).statusCode, 426)
  await t.rejects(connectWs(t, `ws://${address}/api/plain`), /426/)
  t.equal((await app.inject('/outside')).body, 'outside')
  await app.close()
  t.equal((await client.closed).code, 1012)
})

t.test('two hubs in sibling contexts', async (t) => {
  const app = Fastify()
  for (const name of ['a', 'b']) {
    await app.register(async (child) => {
      await child.register(fastifyHub, { onMessage: (connection, message) => { connection.send(`${name} ${message.text()}`) } })
    }, { prefix: `/${name}` })
  }
  const address = await listen(t, app)
  const clients = [await connectWs(t, `ws://${address}/a/ws`), await connectWs(t, `ws://${address}/b/ws`)]
  for (const client of clients) client.send('x')
  t.same(await Promise.all(clients.map(async (client) => await client.text())), ['a x', 'b x'])
  await app.close()
  t.same((await Promise.all(clients.map(async ({ closed }) => await closed))).map(({ code }) => code), [1012, 1012])
})

t.test('hub.start and stop belong to the app', async (t) => {
  const app = Fastify()
  await app.register(fastifyHub)
  await app.ready()
  await app.close()
  t.equal(app.hub.health().status, 'draining')
})

t.test('app.inject of a plain GET gets 426 before the hooks of the route', async (t) => {
  let asked = 0
  const app = Fastify()
  t.teardown(async () => { await app.close() })
  await app.register(fastifyHub, { route: { preValidation: async () => { asked++ } }, identify: () => { asked++; return {} } })
  const response = await app.inject('/ws')
  t.equal(response.statusCode, 426)
  t.match(response.json(), { statusCode: 426, code: 'FST_HUB_UPGRADE_REQUIRED', error: 'Upgrade Required' })
  t.match(response.headers, { upgrade: 'websocket', 'sec-websocket-version': '13' })
  t.equal((await app.inject({ method: 'HEAD', url: '/ws' })).statusCode, 405)
  t.equal(asked, 0)
})
