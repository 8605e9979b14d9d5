import { once } from 'node:events'
import { connect, type AddressInfo, type Socket } from 'node:net'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import fastifyHub from '../../lib/index.js'
import { TestApp } from '../helpers/app.js'
import { until } from '../helpers/until.js'

/** In ms: enough for a handshake on a slow machine. */
const SHORT = 1_000

async function bareSocket (t: Test, port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => { socket.destroy() })
  await once(socket, 'connect')
  return socket
}

async function end (socket: Socket): Promise<void> {
  await new Promise<void>((resolve) => { socket.resume().on('error', () => {}).once('close', () => { resolve() }) })
}

t.test("Fastify's timeouts do not end an upgraded socket", async (t) => {
  const app = await TestApp.start(t, { onMessage: (connection, message) => { connection.send(message) } }, {
    fastify: {
      connectionTimeout: SHORT,
      requestTimeout: SHORT,
      keepAliveTimeout: SHORT,
      handlerTimeout: SHORT,
      http: { headersTimeout: SHORT, connectionsCheckingInterval: SHORT / 10 }
    }
  })
  const client = await app.connect()
  /** Sockets that came later, and to which nothing happened either, until the timeouts have ended them. */
  const othersEnd = async (): Promise<void> => {
    // A bare socket: Node says 408 to it, or nothing, depending on which of its timeouts comes first.
    const silentEnds = end(await bareSocket(t, app.port))
    const idle = await app.open()
    idle.write('GET /no/such/route HTTP/1.1\r\nHost: hub.test\r\n\r\n')
    t.equal((await idle.response()).status, 404)
    await Promise.all([silentEnds, idle.ended()])
  }
  await othersEnd()
  client.sendText('alive')
  t.equal(await client.text(), 'alive')
  await othersEnd()
  await client.roundTrip('still')
  await app.assertBaseline()
})

t.test('a request that does not come to its end does not keep the app from closing', async (t) => {
  const app = Fastify({ http: { headersTimeout: SHORT, connectionsCheckingInterval: SHORT / 10 } })
  await app.register(fastifyHub)
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const begun = ['', 'GET /ws HTTP/1.1\r\nHost: hub.test\r\n', 'GET /no/such/route HTTP/1.1\r\nHost: hub.test\r\n\r\nGET /no']
  const peers = await Promise.all(begun.map(async (bytes) => {
    const peer = await bareSocket(t, port)
    peer.write(bytes)
    return peer
  }))
  // Of the last one, the first request was complete.
  await once(peers[2] as Socket, 'data')
  const ends = peers.map(end)
  await app.close()
  await Promise.all(ends)
})

t.test("Fastify's handlerTimeout ends a slow identify as the app asked", async (t) => {
  const app = await TestApp.start(t, { identify: async () => await new Promise(() => {}) }, { fastify: { handlerTimeout: SHORT } })
  t.equal((await app.request()).status, 503)
  await app.assertBaseline({ errors: app.errors().length })
})

t.test('a silent peer is pinged, and stays as long as it answers', async (t) => {
  const app = await TestApp.start(t, { heartbeat: { interval: 100, timeout: 5_000 }, onMessage: (connection, message) => { connection.send(message) } })
  const client = await app.connect()
  const answer = client.text()
  const [connection] = app.connections()
  const pongs = app.healthy.text()
  await until(() => client.pings >= 5 && app.healthy.pings >= 5, 'pings')
  t.equal(connection?.state, 'open')
  client.sendText('alive')
  app.healthy.sendText('alive')
  t.equal(await answer, 'alive')
  t.equal(await pongs, 'alive')
  await app.assertBaseline()
})

t.test('a silent peer that does not answer is ended', async (t) => {
  const ends: unknown[] = []
  const app = await TestApp.start(t, { heartbeat: { interval: 100, timeout: 1_500 }, onDisconnect: (_, info) => { ends.push(info) } })
  const client = await app.connect()
  client.polite = false
  const alive = app.healthy.text()
  t.equal((await client.ended()).code, 4408)
  app.healthy.sendText('alive')
  t.equal(await alive, 'alive')
  await app.assertBaseline()
  t.match(ends, [{ code: 4408, initiator: 'server' }])
})
