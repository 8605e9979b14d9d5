import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { createClient, type HubClient } from '../../lib/client/index.js'
import type { HubOptions } from '../../lib/index.js'
import { redisApps } from '../helpers/redis-apps.js'
import { RedisServer } from '../helpers/redis-server.js'
import { TcpProxy } from '../helpers/tcp-proxy.js'
import { until } from '../helpers/until.js'

const SIZE = 4
const OPEN: HubOptions = { authorize: { join: () => true, publish: () => true }, history: { size: SIZE, rooms: { none: { size: 0 } } } }

async function listen (app: FastifyInstance | undefined): Promise<string> {
  await app?.listen({ host: '127.0.0.1', port: 0 })
  return `ws://127.0.0.1:${(app?.server.address() as AddressInfo).port}/ws`
}

function opened (t: Test, url: () => string): HubClient {
  const client = createClient({ WebSocket, page: null, backoff: { min: 100, max: 200 }, url })
  t.teardown(() => { client.close() })
  client.on('error', () => {})
  client.open()
  return client
}

/** Of two nodes, the second hears late what the first has published; a client that has had it comes from there. */
async function moved (t: Test, name: string, missed: number): Promise<{ heard: unknown[], gaps: unknown[] }> {
  const server = await RedisServer.start(t)
  const proxies = [await TcpProxy.start(t, () => server.port), await TcpProxy.start(t, () => server.port)] as const
  const { apps: [near, far], hubs: [hub] } = await redisApps(t, 2, (node) => ({ url: `redis://127.0.0.1:${proxies[node === 0 ? 0 : 1].port}`, timeout: 9_000 }), OPEN)
  const urls = [await listen(near), await listen(far)] as const
  let at: 0 | 1 = 0
  const client = opened(t, () => urls[at])
  const other = opened(t, () => urls[1])
  const [room, late] = [client.room(name), other.room(name)]
  const heard: unknown[] = []
  const gaps: unknown[] = []
  room.on('message', (data) => { heard.push(data) })
  room.on('gap', (gap) => { gaps.push(gap) })
  await Promise.all([room.join(), late.join()])
  const publish = async (text: string): Promise<void> => { await hub?.room(name).publish(text) }
  await publish('1')
  await until(() => late.position?.offset === 1, 'the other node to hear')
  proxies[1].hold('down')
  await publish('2')
  await publish('3')
  await until(() => heard.length === 3, 'the client to hear')
  at = 1
  const before = client.state
  client.reconnect()
  for (let i = 0; i < missed; i++) await publish(`${4 + i}`)
  // There it is asked for, and perhaps already answered.
  await until(() => client.state.is === 'recovering' || (client.state.is === 'open' && client.state !== before), 'the other node')
  proxies[1].release('down')
  await until(() => client.state.is === 'open', 'the room')
  await publish('last')
  await until(() => heard.at(-1) === 'last', 'the last')
  return { heard, gaps }
}

t.test('a room without history: who comes to a node that has heard less has lost nothing, and hears nothing twice', async (t) => {
  const { heard, gaps } = await moved(t, 'none', 0)
  t.same(gaps, [])
  t.same(heard, ['1', '2', '3', 'last'])
})

t.test('a room whose log has lost what was missed: nothing of before comes again', async (t) => {
  const { heard, gaps } = await moved(t, 'short', SIZE + 1)
  t.equal(new Set(heard).size, heard.length, `each once: ${heard.join()}`)
  t.equal(gaps.length > 0, heard.length < 4 + SIZE + 1, 'a gap where something is missing')
})
