import Fastify from 'fastify'
import { Redis } from 'ioredis'
import t from 'tap'
import fastifyHub, { type Connection, type Hub } from '../../lib/index.js'
import { connect, TestClock, type TestPeer } from '../../lib/testing/index.js'
import { captureLogs } from '../helpers/app.js'
import { pass } from '../helpers/pass.js'
import { redisApps } from '../helpers/redis-apps.js'
import { freePort, ownPrefix, RedisServer, redisUrl } from '../helpers/redis-server.js'
import { until } from '../helpers/until.js'

const V1 = { subprotocol: 'hub.v1.json', kernel: Infinity }

t.test('after the last node has closed, Redis has what docs/state.md says: no connection, no member, no group, no node', async (t) => {
  const url = await redisUrl(t)
  const redis = new Redis(url)
  t.teardown(() => { redis.disconnect() })
  const prefix = ownPrefix()
  const { apps, hubs, logs } = await redisApps(t, 2, { url, prefix, partitions: 1 }, { authorize: { join: () => true } })
  for (const hub of hubs) {
    const peer = await connect(hub, { user: 'ann', ...V1 })
    await peer.connection.join('lobby')
    peer.send(JSON.stringify({ op: 'presence', room: 'lobby', watch: true, id: 1 }))
    await until(() => peer.messages.some((message) => message.json<{ id?: number }>().id === 1), 'the answer')
    await hub.room('lobby').publish('hello')
  }
  await hubs[0]?.user('bob').send('while you were out', { offline: {} })
  await hubs[0]?.room('lobby').setEphemeral('ann', 'typing', 60_000)
  const kinds = async (): Promise<string[]> => (await redis.keys(`${prefix}:*`)).map((key) => key.slice(prefix.length + 1).replace('{0}:', '').replace(/[0-9a-f-]{36}/, '<id>')).sort()
  t.same(await kinds(), [
    'batches', 'bus', 'config', 'conn:<id>', 'conn:<id>', 'fence', 'lives', 'log:lobby', 'mark', 'meta:lobby', 'nodes', 'offline-expiry:bob', 'offline:bob',
    'presence-index:lobby', 'presence:lobby', 'states:lobby', 'user:ann', 'watch:lobby', '{inbox:<id>}', '{inbox:<id>}'
  ])
  for (const app of apps) await app.close()
  t.same(await kinds(), ['batches', 'bus', 'config', 'fence', 'log:lobby', 'mark', 'meta:lobby', 'offline-expiry:bob', 'offline:bob'])
  t.same(await redis.xinfo('GROUPS', `${prefix}:{0}:bus`), [])
  t.same(await redis.hkeys(`${prefix}:{0}:batches`), ['#'])
  t.same(logs.filter(({ level }) => level >= 50).map(({ msg }) => msg), [], 'and nobody is told that Redis is away')
})

t.test('a session is known to its node only: on another one the client is told that it is not', async (t) => {
  const { hubs } = await redisApps(t, 2, { url: await redisUrl(t) }, { resume: { secret: 'the same on all nodes, and of use to none' } })
  const [one, two] = hubs as [Hub, Hub]
  const resumed = async (hub: Hub, session?: string): Promise<{ told: unknown, token: string, peer: TestPeer }> => {
    const peer = await connect(hub, { user: 'ann', ...V1, resume: { id: 'r', ...session === undefined ? {} : { session } } })
    const all = (): Array<{ op: string, id?: string, session?: string, data?: unknown }> => peer.messages.map((message) => message.json())
    await until(() => all().some(({ id }) => id === 'r'), 'the reply')
    return { told: all().find(({ id }) => id === 'r')?.data, token: all()[0]?.session ?? '', peer }
  }
  const first = await resumed(one)
  t.same((await resumed(two, first.token)).told, { session: false })
  t.equal(first.peer.ended, null, 'nor is the half-open connection there known')
  t.same((await resumed(one, first.token)).told, { session: true })
})

t.test('a publication that takes a place is sent when it has it: what does not wait for Redis goes first', async (t) => {
  const { hubs: [hub] } = await redisApps(t, 1, { url: await redisUrl(t) })
  if (hub === undefined) throw new Error('no hub')
  const peer = await connect(hub, { kernel: Infinity })
  await peer.connection.join('lobby')
  const published = hub.room('lobby').publish('published')
  peer.connection.send('sent')
  await hub.room('lobby').publish('ephemeral', { ephemeral: true })
  t.same((await published).sent, 1)
  await until(() => peer.messages.length === 3, 'all of them')
  t.same(peer.messages.map((message) => message.text()), ['sent', 'ephemeral', 'published'])
})

t.test('Redis is away: a new connection is let in, and one whose onConnect waits for a new room is closed with 1013', async (t) => {
  const server = await RedisServer.start(t)
  const onConnect = async (connection: Connection): Promise<void> => { await connection.join(connection.user === 'ann' ? 'lobby' : 'nobody is there') }
  const { hubs: [hub] } = await redisApps(t, 1, { url: server.url, timeout: 300 }, { onConnect })
  if (hub === undefined) throw new Error('no hub')
  const before = await connect(hub, { user: 'ann', ...V1 })
  await before.opened()
  await server.stop('SIGKILL')
  await until(() => hub.health().status === 'degraded', 'the end of Redis')
  const [ann, bob] = [await connect(hub, { user: 'ann', kernel: Infinity }), await connect(hub, { user: 'bob', kernel: Infinity })]
  await ann.opened()
  t.match(await bob.closed, { code: 1013 })
  t.equal(ann.connection.rooms.has('lobby'), true, 'somebody on this node was there')
  t.match(await hub.broadcast('here'), { sent: 2 })
})

t.test('lazy: health tells for how long Redis has not been there', async (t) => {
  const clock = new TestClock()
  const { lines, options: logger } = captureLogs()
  const app = Fastify({ logger })
  t.teardown(async () => { await app.close() })
  await app.register(fastifyHub, { clock, redis: { url: `redis://127.0.0.1:${await freePort()}`, lazy: true } })
  await app.ready()
  await clock.advance(5_000)
  t.match(app.hub.health().reasons, [/^Redis is away for 5 s: /])
  t.equal(lines.filter(({ msg }) => msg.includes('Redis')).length, 1)
})

t.test('FAULTS 55: what Redis refuses is told by health, and logged now and then', async (t) => {
  const server = await RedisServer.start(t)
  const admin = new Redis(server.url)
  t.teardown(() => { admin.disconnect() })
  const clock = new TestClock()
  const { hubs: [hub], logs } = await redisApps(t, 1, { url: server.url }, { clock })
  if (hub === undefined) throw new Error('no hub')
  const refused = (): unknown[] => logs.filter(({ msg }) => msg === 'Redis refuses what it is asked for')
  const publish = async (): Promise<string> => await hub.room('lobby').publish('x').then(() => '', ({ code }: { code: string }) => code)
  t.equal(await publish(), '')
  await admin.config('SET', 'maxmemory', '1')
  for (let i = 0; i < 20; i++) t.equal(await publish(), 'FST_HUB_BROKER_UNAVAILABLE')
  t.match(hub.health(), { status: 'degraded', reasons: [/^Redis refuses what it is asked for: OOM /] })
  t.equal(refused().length, 1)
  await clock.advance(10_000)
  t.equal(await publish(), 'FST_HUB_BROKER_UNAVAILABLE')
  t.equal(refused().length, 2)
  await admin.config('SET', 'maxmemory', '0')
  t.equal(await publish(), '')
  await pass(clock, 10_500, async () => await admin.ping())
  t.same(hub.health(), { status: 'ok', reasons: [] })
})
