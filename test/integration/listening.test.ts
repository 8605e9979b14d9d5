import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import fastifyHub, { type HubOptions } from '../../lib/index.js'
import { selfSigned } from '../helpers/self-signed.js'
import { until } from '../helpers/until.js'
import { connectWs } from '../helpers/ws-client.js'

const MiB = 1024 * 1024
const echo: HubOptions = { onMessage: (connection, message) => { connection.send(message) } }

t.test('localhost, which may be two servers', async (t) => {
  const app = Fastify()
  t.teardown(async () => { await app.close() })
  await app.register(fastifyHub, echo)
  await app.listen({ host: 'localhost', port: 0 })
  const clients = await Promise.all((app.addresses() as AddressInfo[]).map(async ({ address, port, family }) => await connectWs(t, `ws://${family === 'IPv6' ? `[${address}]` : address}:${port}/ws`)))
  for (const client of clients) {
    client.send('hello')
    t.equal(await client.text(), 'hello')
  }
  await app.close()
  for (const client of clients) t.equal((await client.closed).code, 1012)
})

t.test('a Unix domain socket: no address, no limits per address', async (t) => {
  const app = Fastify()
  t.teardown(async () => { await app.close() })
  await app.register(fastifyHub, { ...echo, limits: { connectionsPerIp: 1 } })
  // Not t.testdir: the path of a socket has room for about 100 bytes.
  const folder = await mkdtemp(join(tmpdir(), 'hub-'))
  t.teardown(async () => { await rm(folder, { recursive: true }) })
  const path = join(folder, 's')
  await app.listen({ path })
  const clients = [await connectWs(t, `ws+unix:${path}:/ws`), await connectWs(t, `ws+unix:${path}:/ws`)]
  for (const client of clients) {
    client.send('hello')
    t.equal(await client.text(), 'hello')
  }
  t.same([...app.hub.connections()].map(({ ip }) => ip), [null, null])
  await app.close()
  for (const client of clients) t.equal((await client.closed).code, 1012)
})

t.test('HTTPS', async (t) => {
  const { key, cert } = selfSigned()
  const app = Fastify({ https: { key, cert } })
  t.teardown(async () => { await app.close() })
  await app.register(fastifyHub as unknown as (app: object, options: HubOptions) => Promise<void>, {
    ...echo,
    queue: { maxBytes: 0, maxMessages: 0 },
    onConnect: (connection) => { connection.send(connection.ip) }
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const url = `wss://127.0.0.1:${(app.server.address() as AddressInfo).port}/ws`
  const options = { ca: cert }
  const client = await connectWs(t, url, [], options)
  t.equal(await client.text(), '127.0.0.1')
  client.send('hello')
  t.equal(await client.text(), 'hello')
  await t.rejects(connectWs(t, url, [], { ...options, origin: 'https://evil.test' }), /403/)
  await connectWs(t, url, [], { ...options, origin: url.replace('wss', 'https').replace('/ws', '') })

  const { hub } = app as unknown as FastifyInstance
  const [connection] = hub.connections()
  client.ws.pause()
  const messages = Array.from({ length: 24 }, () => randomBytes(MiB))
  for (const message of messages) {
    connection?.send(message)
    await new Promise((resolve) => { setImmediate(resolve) })
  }
  await until(() => (connection?.queued.messages ?? 0) > 0, 'backpressure')
  connection?.close(4000, 'after all that')
  client.ws.resume()
  for (const message of messages) t.ok((await client.next()).data.equals(message))
  t.same(await client.closed, { code: 4000, reason: 'after all that' })
  await until(() => hub.size === 1, 'the end')
  t.equal(hub.stats().queuedBytes, 0)
})
