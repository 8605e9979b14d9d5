import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { createClient, type ClientOptions, type HubClient } from '../../lib/client/index.js'
import type { HubOptions } from '../../lib/index.js'
import { redisApps } from '../helpers/redis-apps.js'
import { RedisServer } from '../helpers/redis-server.js'
import { TcpProxy } from '../helpers/tcp-proxy.js'
import { until } from '../helpers/until.js'

const OPEN: HubOptions = { authorize: { join: () => true, publish: () => true } }

async function listen (app: FastifyInstance | undefined): Promise<string> {
  await app?.listen({ host: '127.0.0.1', port: 0 })
  return `ws://127.0.0.1:${(app?.server.address() as AddressInfo).port}/ws`
}

function opened (t: Test, options: ClientOptions): HubClient {
  const client = createClient({ WebSocket, page: null, backoff: { min: 100, max: 200 }, ...options })
  t.teardown(() => { client.close() })
  client.on('error', () => {})
  client.open()
  return client
}

t.test('a room that is joined, and asked for from a position while Redis is away, is joined again when Redis is back', async (t) => {
  const server = await RedisServer.start(t, { durable: true })
  const { apps: [app], hubs: [hub] } = await redisApps(t, 1, { url: server.url, timeout: 2_000 }, OPEN)
  const client = opened(t, { url: await listen(app) })
  const room = client.room('a')
  const heard: unknown[] = []
  room.on('message', (data) => { heard.push(data) })
  const position = await room.join()
  await hub?.room('a').publish('1')
  await until(() => heard.length === 1, 'the first')
  await server.stop('SIGKILL')
  await t.rejects(room.join({ since: position }), { code: 'unavailable' })
  await server.start()
  await until(() => room.joined, 'the room')
  await hub?.room('a').publish('2')
  await until(() => heard.includes('2'), 'the second')
  t.same(heard, ['1', '2'])
})

t.test('who leaves while the login is still asked for, and is on another node by then, loses nothing by it', async (t) => {
  const server = await RedisServer.start(t)
  const proxy = await TcpProxy.start(t, () => server.port)
  const { apps, hubs } = await redisApps(t, 2, (node) => ({ url: node === 0 ? `redis://127.0.0.1:${proxy.port}` : server.url }), { ...OPEN, sessions: 'single-per-user', identify: () => ({ user: 'ann' }) })
  const [slow, fast] = hubs
  const urls = [await listen(apps[0]), await listen(apps[1])] as const
  let at: 0 | 1 = 0
  proxy.hold('up')
  const client = opened(t, { url: () => urls[at] })
  const codes: number[] = []
  client.on('state', (state) => { if (state.is === 'waiting' || state.is === 'closed') codes.push(state.code) })
  await until(() => client.state.is === 'recovering', 'the slow node')
  at = 1
  client.reconnect()
  await until(() => client.state.is === 'open' && fast?.size === 1, 'the fast node')
  proxy.release('up')
  // More questions to Redis than the claim has, which come behind its.
  for (let i = 0; i < 5; i++) t.match(await slow?.user('ann').send('hello'), { nodes: [fast?.nodeId] })
  t.same([client.state.is, codes], ['open', []])
})

t.test('a publication in a room without history has no position while Redis is away, and goes to who is here', async (t) => {
  const server = await RedisServer.start(t)
  const { apps: [app], hubs: [hub] } = await redisApps(t, 1, { url: server.url, timeout: 2_000 }, { ...OPEN, history: { size: 0 } })
  const room = opened(t, { url: await listen(app) }).room('a')
  const heard: unknown[] = []
  room.on('message', (data) => { heard.push(data) })
  await room.join()
  t.match(await room.publish('1'), { offset: 1 })
  await server.stop('SIGKILL')
  await until(() => hub?.health().status === 'degraded', 'the node to notice')
  t.strictSame(await room.publish('2'), {})
  await until(() => heard.length === 2, 'both')
})
