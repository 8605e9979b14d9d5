import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import { WebSocketServer } from 'ws'
import fastifyHub from '../../lib/index.js'
import { TestApp } from '../helpers/app.js'
import { RawClient } from '../helpers/raw-client.js'
import { gate } from '../helpers/until.js'
import { connectWs, listen } from '../helpers/ws-client.js'

/** Another library that handles upgrades of one path on the same server, as GraphQL or hot-reload servers do. */
function addForeignListener (app: FastifyInstance): void {
  const foreign = new WebSocketServer({ noServer: true })
  app.server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    if (request.url !== '/foreign') return
    foreign.handleUpgrade(request, socket, head, (ws) => {
      ws.on('message', (data: Buffer) => { ws.send(`foreign ${data.toString()}`) })
    })
  })
  app.addHook('preClose', (done) => {
    for (const ws of foreign.clients) ws.terminate()
    done()
  })
}

for (const first of ['the hub', 'the other']) {
  t.test(`guardUpgrades: false, ${first} first`, async (t) => {
    const app = Fastify()
    if (first === 'the other') addForeignListener(app)
    await app.register(fastifyHub, { guardUpgrades: false, onMessage: (connection, message) => { connection.send(message) } })
    if (first === 'the hub') addForeignListener(app)
    app.get('/plain', () => 'plain')
    const address = await listen(t, app)
    const foreign = await connectWs(t, `ws://${address}/foreign`)
    const ours = await connectWs(t, `ws://${address}/ws`)
    // A 404 that followed the 101 would be a broken frame for the client.
    for (const i of [1, 2, 3]) {
      foreign.send(String(i))
      ours.send(String(i))
    }
    t.same(await foreign.texts(3), ['foreign 1', 'foreign 2', 'foreign 3'])
    t.same(await ours.texts(3), ['1', '2', '3'])
    await t.rejects(connectWs(t, `ws://${address}/ws`, [], { origin: 'https://evil.test' }), /403/)
    await app.close()
    t.equal((await ours.closed).code, 1012)
  })
}

t.test('an upgrade of ours while the app closes is refused where another library listens, too', async (t) => {
  const app = Fastify()
  const leaving = gate()
  const goOn = gate()
  await app.register(fastifyHub, {
    guardUpgrades: false,
    onDisconnect: async () => {
      leaving.open()
      await goOn.promise
    }
  })
  addForeignListener(app)
  const address = await listen(t, app)
  await connectWs(t, `ws://${address}/ws`)
  const late = await RawClient.connect(Number(address.split(':')[1]))
  t.teardown(() => { late.destroy() })
  const closed = app.close()
  await leaving.promise
  late.sendHandshake()
  t.equal((await late.response()).status, 503)
  await late.ended()
  goOn.open()
  await closed
  t.same(app.hub.stats().refused, { FST_HUB_DRAINING: 1 })
})

t.test('with guardUpgrades each upgrade gets exactly one answer', async (t) => {
  const app = await TestApp.start(t)
  for (const path of ['/nowhere', '/ws/deeper', '//ws']) {
    const client = await app.open()
    client.sendHandshake({ path })
    t.equal((await client.response()).status, 404, path)
    t.same(await client.ended(), { code: null, reason: '', tcp: 'fin' })
  }
  await app.assertBaseline()
})

t.test('the answer to a handshake is that of RFC 6455', async (t) => {
  const app = await TestApp.start(t)
  const client = await app.open()
  // The example of section 1.3.
  client.sendHandshake({ headers: { 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==' } })
  const { status, headers } = await client.response()
  t.equal(status, 101)
  t.same(headers, [['Upgrade', 'websocket'], ['Connection', 'Upgrade'], ['Sec-WebSocket-Accept', 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=']])
  t.equal(createHash('sha1').update('dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64'), 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=')
  await app.assertBaseline()
})
