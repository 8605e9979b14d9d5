import Fastify from 'fastify'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import fastifyHub, { type Connection, type Hub } from '../../lib/index.js'
import { connect, TestClock, type TestPeer } from '../../lib/testing/index.js'
import { RedisServer, redisUrl } from '../helpers/redis-server.js'
import { redisApps } from '../helpers/redis-apps.js'
import { lives } from '../helpers/lives.js'
import { until } from '../helpers/until.js'

const texts = ({ messages }: TestPeer): string[] => messages.map((message) => message.text())

interface Told { op: string, ack?: string, epoch?: string, offset?: number, data?: unknown, recovered?: boolean }

/** Waits for the message with this index of those of hub.v1 of one kind. */
async function told (peer: TestPeer, op: string, index = 0): Promise<Told> {
  const all = (): Told[] => peer.messages.map((message) => message.json<Told>()).filter((message) => message.op === op)
  await until(() => all().length > index, () => `${op} ${index}, got ${texts(peer).join()}`)
  return all()[index] as Told
}

const V1 = { subprotocol: 'hub.v1.json', kernel: Infinity }

async function joined (hub: Hub, room: string, user: string): Promise<TestPeer> {
  const peer = await connect(hub, { user, kernel: Infinity })
  await peer.connection.join(room)
  return peer
}

t.test('several apps on one Redis are one hub', async (t) => {
  const url = await redisUrl(t)
  const three = async (t: Test, options = {}): Promise<[Hub, Hub, Hub]> => (await redisApps(t, 3, { url }, options)).hubs as [Hub, Hub, Hub]

  t.test('rooms and broadcasts reach everybody once, rooms in one order', async (t) => {
    const hubs = await three(t)
    const peers = [await joined(hubs[0], 'lobby', 'ann'), await joined(hubs[1], 'lobby', 'bob'), await joined(hubs[2], 'lobby', 'cid')] as const
    const results = await Promise.all(Array.from({ length: 60 }, async (_, i) => await (hubs[i % 3] as Hub).room('lobby').publish(`${i}`)))
    t.same(results.map(({ offset = 0 }) => offset).sort((a, b) => a - b), Array.from({ length: 60 }, (_, i) => i + 1))
    await until(() => peers.every((peer) => texts(peer).length === 60), 'everything everywhere')
    t.same(texts(peers[1]), texts(peers[0]))
    t.same(texts(peers[2]), texts(peers[0]))
    await hubs[1].broadcast('to all', { except: peers[2].connection })
    await until(() => peers.slice(0, 2).every((peer) => texts(peer).at(-1) === 'to all'), 'the broadcast')
    await hubs[0].room('lobby').publish('typing', { ephemeral: true })
    await until(() => peers.every((peer) => texts(peer).at(-1) === 'typing'), 'the ephemeral one')
    t.equal(texts(peers[2]).includes('to all'), false)
  })

  t.test('messages for a user, and a kick, go where its connections are', async (t) => {
    const hubs = await three(t)
    const peers = await Promise.all(hubs.map(async (hub) => await connect(hub, { user: 'ann', kernel: Infinity })))
    const result = await hubs[0].user('ann').send('hello')
    t.same([result.delivered, [...result.nodes].sort(), result.stored, result.partial], [3, hubs.map(({ nodeId }) => nodeId).sort(), false, undefined])
    for (const peer of peers) await until(() => texts(peer).length === 1, 'the message')
    t.equal(await hubs[2].user('ann').online(), true)
    t.equal(await hubs[1].user('ann').kick('out'), 3)
    for (const peer of peers) t.match(await peer.closed, { code: 4501, reason: 'out' })
    await until(() => hubs.every((hub) => hub.size === 0), 'all to be gone')
    t.equal(await hubs[0].user('ann').online(), false)
    t.same(await hubs[0].user('nobody').send('x'), { delivered: 0, nodes: [], stored: false })
  })

  t.test('FAULTS 67: of many logins at once on three nodes exactly one stays, the others get 4502', async (t) => {
    const { connected, left, handlers } = lives()
    const hubs = await three(t, { sessions: 'single-per-user', ...handlers })
    let last: TestPeer | undefined
    for (let round = 0; round < 5; round++) {
      const peers = await Promise.all(Array.from({ length: 9 }, async (_, i) => await connect(hubs[i % 3] as Hub, { user: 'ann', kernel: Infinity })))
      const all = last === undefined ? peers : [last, ...peers]
      await until(() => all.filter(({ ended }) => ended === null).length === 1, 'one to be left')
      const ended = all.filter((peer) => peer.ended !== null)
      t.same(ended.map((peer) => peer.ended?.code), ended.map(() => 4502))
      last = all.find((peer) => peer.ended === null)
      await until(() => hubs.reduce((sum, hub) => sum + hub.size, 0) === 1 && left.length === connected.length - 1, 'onDisconnect of each that has had its onConnect')
      t.equal(connected.at(-1), last?.connection)
    }
    t.equal(await hubs[0].user('ann').kick(), 1)
    await until(() => left.length === connected.length, 'onDisconnect of the last one')
    t.same(new Set(left), new Set(connected), 'once for each')
  })

  t.test('a message is kept for who is away, and comes on whatever node it is back', async (t) => {
    const hubs = await three(t)
    t.match(await hubs[0].user('ann').send('while you were out', { offline: { ttl: 60_000 } }), { delivered: 0, stored: true })
    const ann = await connect(hubs[2], { user: 'ann', ...V1 })
    const { ack, data } = await told(ann, 'direct')
    t.same([typeof ack, data], ['string', 'while you were out'])
    ann.send(JSON.stringify({ op: 'ack', ids: [ack] }))
    await until(() => hubs[2].stats().offline.acknowledged === 1, 'the acknowledgement')
    t.match(await hubs[1].user('ann').send('and now', { offline: { ttl: 60_000 } }), { delivered: 1, nodes: [hubs[2].nodeId], stored: true })
    t.match(await told(ann, 'direct', 1), { data: 'and now' })
  })

  t.test('who comes back to another node gets what was missed', async (t) => {
    const hubs = await three(t, { onConnect: async (connection: Connection) => await connection.join('lobby') })
    const before = await connect(hubs[0], { user: 'ann', ...V1 })
    const { epoch = '' } = await told(before, 'joined')
    await hubs[1].room('lobby').publish('1')
    t.match(await told(before, 'message'), { offset: 1 })
    before.reset()
    await hubs[0].room('lobby').publish('2')
    await hubs[1].room('lobby').publish('3')
    const after = await connect(hubs[2], { user: 'ann', ...V1, resume: { rooms: { lobby: { epoch, offset: 1 } } } })
    t.match(await told(after, 'joined'), { recovered: true })
    t.match([await told(after, 'message'), await told(after, 'message', 1)], [{ offset: 2, data: '2' }, { offset: 3, data: '3' }])
  })

  t.test('presence and figures are those of all nodes', async (t) => {
    const hubs = await three(t)
    await joined(hubs[0], 'lobby', 'ann')
    await joined(hubs[1], 'lobby', 'ann')
    await joined(hubs[2], 'lobby', 'bob')
    let present: unknown[] = []
    await until(() => {
      hubs[0].room('lobby').presence().then((list) => { present = [...list].sort((a, b) => a.user < b.user ? -1 : 1) }, () => {})
      return present.length === 2
    }, 'both')
    t.same(present, [{ user: 'ann', connections: 2 }, { user: 'bob', connections: 1 }])
    const { partial, nodes, total } = await hubs[1].stats({ cluster: true })
    t.same([partial, nodes.map(({ nodeId }) => nodeId).sort(), total.connections], [false, hubs.map(({ nodeId }) => nodeId).sort(), 3])
  })

  t.test('a client of the application is used for connections like it, and left alone', async (t) => {
    const client = new Redis(url, { keyPrefix: 'ours:' })
    const { hubs: [hub], apps: [app] } = await redisApps(t, 1, { client, prefix: 'chat' })
    await hub?.room('lobby').publish('x')
    const plain = client.duplicate({ keyPrefix: '' })
    t.equal((await plain.keys('ours:chat:{*}:meta:lobby')).length, 1)
    await app?.close()
    t.equal(await client.ping(), 'PONG')
    for (const one of [client, plain]) one.disconnect()
  })
})

t.test('an app that closes has no word about Redis: nothing is wrong', async (t) => {
  const { apps: [app], hubs: [hub], logs } = await redisApps(t, 1, { url: await redisUrl(t) })
  await joined(hub as Hub, 'lobby', 'ann')
  await app?.close()
  t.same(logs.filter(({ level }) => level >= 40), [])
})

t.test('register fails when Redis can not be reached, or refuses', async (t) => {
  const server = await RedisServer.start(t, { args: ['--requirepass', 'right'] })
  const attempts = [['redis://127.0.0.1:1', /ECONNREFUSED/], [`redis://:wrong@127.0.0.1:${server.port}`, /WRONGPASS/], [server.url, /NOAUTH/]] as const
  for (const [url, message] of attempts) {
    const app = Fastify()
    const clock = new TestClock()
    await t.rejects(async () => await app.register(fastifyHub, { clock, redis: { url } }), { code: 'FST_HUB_BROKER_UNAVAILABLE', message }, url)
    t.equal(clock.timers, 0, 'nothing of it goes on')
    await app.close()
  }
})

t.test('a node with another number of partitions is refused', async (t) => {
  const server = await RedisServer.start(t)
  const redis = { url: server.url, prefix: 'ours' }
  await redisApps(t, 1, { ...redis, partitions: 8 })
  const app = Fastify()
  await t.rejects(async () => await app.register(fastifyHub, { redis: { ...redis, partitions: 4 } }), { code: 'FST_HUB_INVALID_OPTIONS', message: /redis\.partitions: expected 8/ })
  await app.close()
})

t.test('lazy: the hub starts without Redis, and is part of the cluster when it is there', async (t) => {
  const server = await RedisServer.start(t)
  await server.stop()
  const { hubs, logs } = await redisApps(t, 2, { url: server.url, lazy: true, timeout: 500 }, { sessions: 'many' })
  const [one, two] = hubs as [Hub, Hub]
  t.match(one.health(), { status: 'degraded', reasons: [/^Redis is away for \d+ s: connect ECONNREFUSED/] })
  const ann = await connect(one, { user: 'ann', kernel: Infinity })
  t.match(await one.broadcast('here'), { sent: 1 })
  await t.rejects(ann.connection.join('lobby'), { code: 'FST_HUB_BROKER_UNAVAILABLE' })
  await server.start()
  await until(() => one.health().status === 'ok' && two.health().status === 'ok', 'both to be well')
  t.same((await ann.connection.join('lobby')).offset, 0)
  await two.room('lobby').publish('there')
  await two.broadcast('everywhere')
  await until(() => texts(ann).length === 3, () => `three messages, got ${texts(ann).join()}`)
  t.equal((await two.stats({ cluster: true })).nodes.length, 2)
  let found = 0
  await until(() => {
    two.user('ann').send('found').then(({ delivered }) => { found = delivered }, () => {})
    return found === 1
  }, 'the login of before to be in the directory')
  t.ok(logs.some(({ msg }) => msg.includes('Redis is not there yet')))
})

t.test('Redis goes and comes back: health and log tell it, and nothing has to be restarted', async (t) => {
  const server = await RedisServer.start(t)
  const { hubs, logs } = await redisApps(t, 2, { url: server.url, timeout: 5_000 })
  const [one, two] = hubs as [Hub, Hub]
  const [ann, bob] = [await joined(one, 'lobby', 'ann'), await joined(two, 'lobby', 'bob')]
  await one.room('lobby').publish('1')
  await until(() => texts(bob).length === 1, 'the first')
  await server.stop('SIGKILL')
  await until(() => one.health().status === 'degraded' && two.health().status === 'degraded', 'both to notice')
  const waiting = one.room('lobby').publish('2')
  await server.start()
  t.equal((await waiting).offset, 1, 'a new epoch: it was started empty')
  await until(() => texts(bob).at(-1) === '2' && texts(ann).at(-1) === '2', 'the second')
  await until(() => one.health().status === 'ok' && two.health().status === 'ok', 'both to be well')
  t.ok(logs.some(({ msg }) => msg.includes('Redis is away')))
  await until(() => logs.filter(({ msg }) => msg === 'Redis is back').length === 2, 'the log of both')
  let answer = await two.user('ann').send('hello')
  await until(() => {
    two.user('ann').send('hello').then((result) => { answer = result }, () => {})
    return answer.delivered === 1
  }, 'the directory to have it again')
})
