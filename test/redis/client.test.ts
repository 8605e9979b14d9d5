import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { createClient, type ClientOptions, type HubClient } from '../../lib/client/index.js'
import type { HubOptions } from '../../lib/index.js'
import { redisApps } from '../helpers/redis-apps.js'
import { RedisServer } from '../helpers/redis-server.js'
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
