import dns from 'node:dns'
import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import t from 'tap'
import fastifyHub, { type Hub, type HubOptions } from '../../lib/index.js'
import { captureLogs, TestApp } from '../helpers/app.js'
import { RawClient } from '../helpers/raw-client.js'
import { selfSigned } from '../helpers/self-signed.js'
import { until } from '../helpers/until.js'
import { connectWs } from '../helpers/ws-client.js'

/** Beside them, a machine that is busy may be late. */
const dropReasons = (hub: Hub): string[] => hub.health().reasons.filter((reason) => reason.includes('dropped'))

t.test('limits.sockets: sockets that never upgrade count too, and those dropped are counted', async (t) => {
  const app = await TestApp.start(t, { limits: { sockets: 4 } })
  t.equal(app.app.server.maxConnections, 4)
  t.same(app.hub.stats().sockets, { open: 1, dropped: 0 }, 'the healthy one')
  const silent = await app.open()
  const half = await app.open()
  half.write('GET /ws HTTP/1.1\r\n')
  await app.connect()
  t.same(app.hub.stats().sockets, { open: 4, dropped: 0 })
  t.same(dropReasons(app.hub), [])
  for (let dropped = 1; dropped <= 3; dropped++) {
    t.equal((await (await app.open()).ended()).code, null)
    await until(() => app.hub.stats().sockets.dropped === dropped, 'the drop')
  }
  t.same(app.hub.stats().sockets, { open: 4, dropped: 3 })
  t.equal(app.hub.health().status, 'degraded')
  t.match(dropReasons(app.hub), [/^the server dropped 3 sockets so far, the last \d+ s ago: 4 are open, at most 4 may be$/])
  silent.destroy()
  await until(() => app.hub.stats().sockets.open === 3, 'a free place')
  await app.connect()
  t.equal(app.size, 2)
  t.equal((await app.app.inject('/ws')).statusCode, 426, 'inject has no socket')
  t.same(app.hub.stats().sockets, { open: 4, dropped: 3 })
  await app.assertBaseline()
})

t.test('without limits.sockets the server stays as it is, and is counted', async (t) => {
  const app = await TestApp.start(t)
  t.equal(app.app.server.maxConnections, undefined)
  await app.connect()
  await app.open()
  await until(() => app.hub.stats().sockets.open === 3, 'three sockets')
  await app.assertBaseline()
})

t.test('a maxConnections of the app stays, and it is told that limits.sockets does nothing', async (t) => {
  for (const [maxConnections, sockets, warned] of [[7, 9, 1], [7, 7, 0], [7, 0, 0], [undefined, 9, 0]] as const) {
    const { lines, options } = captureLogs()
    const app = Fastify({ logger: options })
    t.teardown(async () => { await app.close() })
    if (maxConnections !== undefined) app.server.maxConnections = maxConnections
    await app.register(fastifyHub, { limits: { sockets } })
    t.equal(app.server.maxConnections, maxConnections ?? sockets)
    t.match(lines, Array(warned).fill({ level: 40, maxConnections, sockets, msg: /^limits\.sockets is not applied/ }))
    t.equal(lines.length, warned)
  }
})

t.test('two hubs on one server share one limit and one count', async (t) => {
  const second: HubOptions = { path: '/second', decorateAs: 'second' }
  const app = Fastify()
  t.teardown(async () => { await app.close() })
  await app.register(fastifyHub, { limits: { sockets: 2 } })
  await app.register(fastifyHub, second)
  await app.register(fastifyHub, { path: '/third', decorateAs: 'third', limits: { sockets: 2 } })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  await connectWs(t, `ws://127.0.0.1:${port}/ws`)
  await connectWs(t, `ws://127.0.0.1:${port}/second`)
  const dropped = await RawClient.connect(port)
  await dropped.ended()
  for (const hub of [app.hub, app.getDecorator<Hub>('second'), app.getDecorator<Hub>('third')]) {
    await until(() => hub.stats().sockets.dropped === 1, 'the drop')
    t.same(hub.stats().sockets, { open: 2, dropped: 1 })
    t.equal(hub.health().status, 'degraded')
  }

  const torn = Fastify()
  t.teardown(async () => { await torn.close() })
  await torn.register(fastifyHub, { limits: { sockets: 2 } })
  await t.rejects(async () => { await torn.register(fastifyHub, { ...second, limits: { sockets: 3 } }) }, {
    code: 'FST_HUB_INVALID_OPTIONS',
    message: 'fastify-hub option limits.sockets: expected 2, as another hub of this server has set it, or 0, got 3'
  })
})

t.test('HTTPS', async (t) => {
  const { key, cert } = selfSigned()
  const app = Fastify({ https: { key, cert } })
  t.teardown(async () => { await app.close() })
  await app.register(fastifyHub as unknown as (app: object, options: HubOptions) => Promise<void>, { limits: { sockets: 2 } })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const { hub } = app as unknown as { hub: Hub }
  await connectWs(t, `wss://127.0.0.1:${port}/ws`, [], { ca: cert })
  const plain = await RawClient.connect(port)
  await until(() => hub.stats().sockets.open === 2, 'a socket that does not speak TLS yet')
  await (await RawClient.connect(port)).ended()
  await until(() => hub.stats().sockets.dropped === 1, 'the drop')
  plain.destroy()
  await until(() => hub.stats().sockets.open === 1, 'its end')
})

t.test('the second server that Fastify opens for localhost is neither counted nor limited', async (t) => {
  // Not every machine has two addresses for it.
  const { lookup } = dns
  t.teardown(() => { dns.lookup = lookup })
  dns.lookup = ((host: string, options: { all?: boolean }, done: (error: null, addresses: object[]) => void) => {
    if (host !== 'localhost' || options.all !== true) lookup(host, options as dns.LookupOptions, done as never)
    else done(null, [{ address: '127.0.0.1', family: 4 }, { address: '127.0.0.2', family: 4 }])
  }) as unknown as typeof lookup
  const app = Fastify()
  t.teardown(async () => { await app.close() })
  await app.register(fastifyHub, { limits: { sockets: 1 } })
  await app.listen({ host: 'localhost', port: 0 })
  const { address, port } = app.server.address() as AddressInfo
  t.equal(address, '127.0.0.1')
  for (const host of ['127.0.0.1', '127.0.0.2', '127.0.0.2']) await connectWs(t, `ws://${host}:${port}/ws`)
  t.equal(app.hub.size, 3)
  t.same(app.hub.stats().sockets, { open: 1, dropped: 0 })
})
