import Fastify from 'fastify'
import t from 'tap'
import fastifyHub from '../../lib/index.js'
import { TestApp } from '../helpers/app.js'
import { handshakeText, headerOf, type RawClient } from '../helpers/raw-client.js'
import { selfSigned } from '../helpers/self-signed.js'
import { gate, until } from '../helpers/until.js'

t.test('15: a slow handshake', async (t) => {
  const app = await TestApp.start(t, {}, { fastify: { http: { headersTimeout: 1_000, connectionsCheckingInterval: 100 } } })
  const slow = await app.open()
  const [first] = handshakeText().split('Upgrade')
  const writing = slow.writeSlowly(first as string)
  t.equal((await slow.response()).status, 408)
  await writing
  t.equal((await slow.ended()).tcp, 'fin')
  await app.assertBaseline()
})

t.test('15: a handshake that comes byte by byte, in time, is as good as any other', async (t) => {
  const app = await TestApp.start(t, { onMessage: (connection, message) => connection.send(message) })
  const slow = await app.open()
  await slow.writeSlowly(handshakeText({}, slow.key))
  await slow.upgraded()
  slow.sendText('made it')
  t.equal(await slow.text(), 'made it')
  await app.assertBaseline()
})

t.test('15: the limits that the plugin sets', async (t) => {
  const limits = async (http: object): Promise<unknown[]> => {
    const app = Fastify({ http })
    await app.register(fastifyHub)
    const { headersTimeout, connectionsCheckingInterval } = app.server as typeof app.server & { connectionsCheckingInterval: number }
    await app.close()
    return [headersTimeout, connectionsCheckingInterval]
  }
  t.same(await limits({}), [10_000, 5_000])
  t.same(await limits({ headersTimeout: 700, connectionsCheckingInterval: 300 }), [700, 300], 'those of the user stay')

  const ofTls = async (https: object): Promise<unknown> => {
    const app = Fastify({ https: { ...selfSigned(), ...https } })
    await app.register(fastifyHub)
    await app.close()
    const timeout = Object.getOwnPropertySymbols(app.server).find(({ description }) => description === 'handshake-timeout') as symbol
    return (app.server as typeof app.server & Record<symbol, unknown>)[timeout]
  }
  t.equal(await ofTls({}), 10_000, 'a handshake of TLS is one, too')
  t.equal(await ofTls({ handshakeTimeout: 700 }), 700)
})

t.test('16: identify never resolves', async (t) => {
  const app = await TestApp.start(t, { deadlines: { admit: 1_000 }, identify: async () => await new Promise(() => {}) })
  const response = await app.request()
  t.equal(response.status, 503)
  t.match(JSON.parse(response.body), { code: 'FST_HUB_ADMIT_TIMEOUT', statusCode: 503 })
  t.match(headerOf(response, 'retry-after'), [/^[1-9]\d*$/])
  t.equal(app.refusals().length, 1)
  await app.assertBaseline()
})

t.test('16: a hook of the user never resolves', async (t) => {
  const app = await TestApp.start(t, {
    deadlines: { admit: 1_000 },
    route: { preValidation: async ({ headers }) => { if (headers['x-healthy'] !== '1') await new Promise(() => {}) } }
  })
  t.equal((await app.request()).status, 503)
  await app.assertBaseline()
})

t.test('16: a function in origins never resolves, and its client leaves', async (t) => {
  const asked = gate()
  const app = await TestApp.start(t, {
    origins: async () => {
      asked.open()
      return await new Promise<boolean>(() => {})
    }
  })
  const client = await app.open()
  client.sendHandshake({ headers: { Origin: 'https://example.com' } })
  await asked.promise
  client.finish()
  t.equal((await client.ended()).code, null)
  await app.assertBaseline()
})

t.test('16: a function in origins never resolves', async (t) => {
  const app = await TestApp.start(t, { deadlines: { admit: 1_000 }, origins: async () => await new Promise<boolean>(() => {}) })
  t.equal((await app.request({ headers: { Origin: 'https://example.com' } })).status, 503)
  await app.assertBaseline()
})

t.test('16: identify resolves after the deadline', async (t) => {
  const late = gate<object>()
  const app = await TestApp.start(t, { deadlines: { admit: 1_000 }, identify: async () => await late.promise })
  t.equal((await app.request()).status, 503)
  late.open({})
  await app.assertBaseline()
  t.equal(app.hub.stats().admitted, 1, 'only the healthy one')
})

t.test('17: the cap', async (t) => {
  const app = await TestApp.start(t, { limits: { connections: 2 } })
  const first = await app.connect()
  await app.connect()
  const refused = await app.request()
  t.equal(refused.status, 503)
  t.match(JSON.parse(refused.body), { code: 'FST_HUB_FULL', error: 'Service Unavailable' })
  t.match(headerOf(refused, 'retry-after'), [/^[1-9]\d*$/])
  first.sendClose(1000)
  await first.ended()
  await until(() => app.held === 1, 'the slot')
  await app.connect()
  t.equal(app.held, 2)
  t.equal(app.hub.stats().refused['FST_HUB_FULL'], 1)
  await app.assertBaseline()
})

t.test('17: 500 upgrades at once against a cap of 100', async (t) => {
  const app = await TestApp.start(t, {
    limits: { connections: 100 },
    identify: async () => {
      await new Promise((resolve) => { setTimeout(resolve, 10) })
      return {}
    }
  })
  const clients = await Promise.all(Array.from({ length: 500 }, async () => await app.open()))
  for (const client of clients) client.sendHandshake()
  const statuses = await Promise.all(clients.map(async (client) => (await client.response()).status))
  t.equal(statuses.filter((status) => status === 101).length, 100)
  t.equal(statuses.filter((status) => status === 503).length, 400)
  await until(() => app.size === 100, 'all that got in')
  t.equal(app.held, 100)
  t.equal(app.refusals().length, 400)
  for (const client of clients) client.sendClose(1000)
  await app.assertBaseline()
})

t.test('17: 1,000 clients that leave in the middle of identify', async (t) => {
  const identified = gate()
  let asked = 0
  const app = await TestApp.start(t, {
    limits: { connections: 1_000 },
    identify: async () => {
      asked++
      await identified.promise
      return {}
    }
  })
  const leave: Array<(client: RawClient) => void> = [(client) => { client.finish() }, (client) => { client.reset() }, (client) => { client.destroy() }]
  const clients = await Promise.all(Array.from({ length: 1_000 }, async () => await app.open()))
  for (const client of clients) client.sendHandshake()
  await until(() => asked === 1_000, 'all in identify')
  t.equal(app.held, 1_000)
  t.equal((await app.request()).status, 503, 'the hub is full')
  clients.forEach((client, i) => { leave[i % leave.length]?.(client) })
  await until(() => app.held === 0, 'their slots')
  const next = await app.open()
  next.sendHandshake()
  identified.open()
  await next.upgraded()
  t.equal(app.hub.stats().admitted, 2, 'the healthy one and the last')
  await app.assertBaseline()
})

t.test('17: per address', async (t) => {
  const app = await TestApp.start(t, { limits: { connectionsPerIp: 2 } })
  const first = await app.connect()
  await app.connect({ headers: { 'X-Forwarded-For': '203.0.113.7' } })
  const refused = await app.request({ headers: { 'X-Forwarded-For': '203.0.113.8' } })
  t.equal(refused.status, 429, 'a forged X-Forwarded-For changes nothing')
  t.match(JSON.parse(refused.body), { code: 'FST_HUB_TOO_MANY_CONNECTIONS_PER_IP' })
  t.match(headerOf(refused, 'retry-after'), [/^[1-9]\d*$/])
  const other = await app.open({ localAddress: '127.0.0.3' })
  await other.upgrade()
  first.reset()
  await until(() => app.held === 2, 'the slot')
  await app.connect()
  t.same(app.connections().map(({ ip }) => ip).sort(), ['127.0.0.1', '127.0.0.1', '127.0.0.3'])
  await app.assertBaseline()
})

t.test('17: per address behind a trusted proxy', async (t) => {
  const app = await TestApp.start(t, { limits: { connectionsPerIp: 1 } }, { fastify: { trustProxy: '127.0.0.1' } })
  const from = (ip: string) => ({ headers: { 'X-Forwarded-For': ip } })
  await app.connect(from('203.0.113.7'))
  await app.connect(from('203.0.113.8'))
  t.equal((await app.request(from('203.0.113.7'))).status, 429)
  await app.connect(from('2001:db8::1'))
  t.equal((await app.request(from('2001:db8::2'))).status, 429, 'the same /64')
  await app.connect(from('2001:db8:0:1::1'))
  const direct = await app.open({ localAddress: '127.0.0.9' })
  await direct.upgrade(from('203.0.113.7'))
  t.same(app.connections().map(({ ip }) => ip).sort(), ['127.0.0.9', '2001:db8:0:1::1', '2001:db8::1', '203.0.113.7', '203.0.113.8'], 'who is not the proxy is not believed')
  await app.assertBaseline()
})

t.test('17: the rate of upgrades', async (t) => {
  const app = await TestApp.start(t, { limits: { upgradesPerSecond: 0.001 } })
  await app.connect()
  const refused = await app.request()
  t.equal(refused.status, 429)
  t.match(JSON.parse(refused.body), { code: 'FST_HUB_UPGRADE_RATE' })
  t.match(headerOf(refused, 'retry-after'), [/^[1-9]\d*$/])
  await app.assertBaseline()
})
