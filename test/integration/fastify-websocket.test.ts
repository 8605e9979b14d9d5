import { spawnSync } from 'node:child_process'
import fastifyWebsocket from '@fastify/websocket'
import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import fastifyHub, { type HubOptions } from '../../lib/index.js'
import { captureLogs } from '../helpers/app.js'
import { connectWs, listen, WsClient } from '../helpers/ws-client.js'

const MAX_MESSAGE = 64 * 1024
const echo: HubOptions = { onMessage: (connection, message) => { connection.send(message) } }

/** A route of the app beside the hub's. */
function addOtherRoute (app: FastifyInstance): void {
  app.get('/other', { websocket: true }, (socket) => {
    socket.on('message', (data: Buffer) => { socket.send(`other ${data.toString()}`) })
  })
}

t.test('other WebSocket routes of the app', async (t) => {
  const app = Fastify()
  await app.register(fastifyHub, echo)
  addOtherRoute(app)
  const address = await listen(t, app)
  const other = await connectWs(t, `ws://${address}/other`)
  const ours = await connectWs(t, `ws://${address}/ws`)
  other.send('a')
  ours.send('b')
  t.equal(await other.text(), 'other a')
  t.equal(await ours.text(), 'b')
  t.equal(app.hub.size, 1)
  await app.close()
  t.equal((await other.closed).code, 1001)
  t.equal((await ours.closed).code, 1012)
})

t.test('another route whose peer never answers does not hold the close', async (t) => {
  const app = Fastify()
  await app.register(fastifyHub, { deadlines: { close: 200 } })
  addOtherRoute(app)
  const other = await connectWs(t, `ws://${await listen(t, app)}/other`)
  other.ws.pause()
  await app.close()
  t.equal(app.websocketServer.clients.size, 0)
})

t.test('registered before us: reused', async (t) => {
  const { lines, options } = captureLogs()
  const app = Fastify({ logger: options })
  await app.register(fastifyWebsocket, { options: { maxPayload: MAX_MESSAGE } })
  addOtherRoute(app)
  const ended: number[] = []
  await app.register(fastifyHub, { ...echo, onDisconnect: (_, { code }) => { ended.push(code) } })
  const address = await listen(t, app)
  const clients = await Promise.all(Array.from({ length: 20 }, async () => await connectWs(t, `ws://${address}/ws`)))
  for (const client of clients) client.send('hello')
  t.same(await Promise.all(clients.map(async (client) => await client.text())), Array(20).fill('hello'))
  const other = await connectWs(t, `ws://${address}/other`)
  other.send('a')
  t.equal(await other.text(), 'other a')
  await t.rejects(connectWs(t, `ws://${address}/ws`, [], { origin: 'https://evil.test' }), /403/)
  await app.close()
  t.same(await Promise.all(clients.map(async ({ closed }) => await closed)), Array(20).fill({ code: 1012, reason: 'service restart' }))
  t.same(ended, Array(20).fill(1012))
  await other.closed
  t.same(lines.filter(({ level }) => level >= 40), [])
})

t.test('registered before us with a larger maxPayload', async (t) => {
  for (const options of [{}, { maxPayload: MAX_MESSAGE + 1 }, { maxPayload: 0 }]) {
    const app = Fastify()
    t.teardown(async () => { await app.close() })
    await app.register(fastifyWebsocket, { options })
    await t.rejects(async () => { await app.register(fastifyHub) }, { code: 'FST_HUB_INVALID_OPTIONS', message: /limits\.maxMessageBytes.*maxPayload/ })
  }
})

t.test('registered before us with a smaller maxPayload', async (t) => {
  const { lines, options } = captureLogs()
  const app = Fastify({ logger: options })
  await app.register(fastifyWebsocket, { options: { maxPayload: 1024 } })
  await app.register(fastifyHub)
  t.match(lines, [{ level: 40, msg: /refuses messages that limits.maxMessageBytes allows/ }])
  const client = await connectWs(t, `ws://${await listen(t, app)}/ws`)
  client.send('x'.repeat(1025))
  t.equal((await client.closed).code, 1009)
})

t.test('registered after us: the process does not start', async (t) => {
  // @fastify/websocket throws where nobody can catch it, so this needs a process of its own.
  const script = [['Fastify', 'fastify'], ['fastifyWebsocket', '@fastify/websocket'], ['fastifyHub', new URL('../../lib/index.js', import.meta.url).href]]
    .map(([name, from]) => `import ${name} from '${from}'`)
    .concat('const app = Fastify()', 'app.register(fastifyHub)', 'app.register(fastifyWebsocket)', 'await app.ready()').join('\n')
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], { encoding: 'utf8' })
  t.equal(status, 1)
  t.match(stderr, "The decorator 'ws' has already been added")
})

t.test('its options pass through ours', async (t) => {
  const app = Fastify()
  await app.register(fastifyHub, { ...echo, websocket: { options: { maxFragments: 2 } } })
  const client = await connectWs(t, `ws://${await listen(t, app)}/ws`)
  for (let i = 0; i < 3; i++) client.ws.send('part', { fin: i === 2 })
  t.match(await client.closed, { code: 1008 })
})

t.test('injectWS', async (t) => {
  const ends: number[] = []
  const app = Fastify()
  await app.register(fastifyHub, {
    ...echo,
    subprotocols: ['raw'],
    limits: { connectionsPerIp: 1, upgradesPerSecond: 0.001 },
    identify: ({ headers }) => ({ user: String(headers['x-user']) }),
    onDisconnect: (_, { code }) => { ends.push(code) }
  })
  t.teardown(async () => { await app.close() })
  await app.ready()
  const clients: WsClient[] = []
  for (const user of ['a', 'b', 'c']) {
    // What comes before the promise has resolved must not be lost.
    await app.injectWS('/ws', { headers: { 'x-user': user, 'sec-websocket-protocol': 'raw' } }, { onInit: (ws) => { clients.push(new WsClient(ws)) } })
  }
  t.same([...app.hub.connections()].map(({ user, ip, subprotocol }) => ({ user, ip, subprotocol })), ['a', 'b', 'c'].map((user) => ({ user, ip: null, subprotocol: 'raw' })))
  const [a, b, c] = clients as [WsClient, WsClient, WsClient]
  a.send('text')
  a.send(Buffer.from([1, 2, 3]))
  t.match(await a.next(), { isBinary: false, text: 'text' })
  t.match(await a.next(), { isBinary: true, data: Buffer.from([1, 2, 3]) })
  await app.hub.user('b').send({ hello: 'b' })
  t.equal(await b.text(), '{"hello":"b"}')
  a.ws.close(4000, 'bye')
  t.same(await a.closed, { code: 4000, reason: 'bye' })
  await app.hub.user('b').kick('out')
  t.same(await b.closed, { code: 4501, reason: 'out' })
  await t.rejects(app.injectWS('/nowhere'), /404/)
  await t.rejects(app.injectWS('/ws', { headers: { origin: 'https://evil.test' } }), /403/)
  await app.close()
  t.equal((await c.closed).code, 1012)
  t.same(ends, [4000, 4501, 1012])
})
