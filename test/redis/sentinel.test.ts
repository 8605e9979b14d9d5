import t, { type Test } from 'tap'
import type { RedisBroker } from '../../lib/redis/broker.js'
import type { Hub } from '../../lib/index.js'
import { connect, type TestPeer } from '../../lib/testing/index.js'
import { FakeListener } from '../helpers/fake-listener.js'
import { redisApps } from '../helpers/redis-apps.js'
import { askRedis, connectionsOfHubs, untilRedis, untilReplicated } from '../helpers/redis-asked.js'
import { newLink } from '../helpers/redis-link.js'
import { redisBroker, redisNode } from '../helpers/redis-node.js'
import { SentinelWorld } from '../helpers/redis-sentinel.js'
import { ownPrefix } from '../helpers/redis-server.js'
import { publishNumbers } from '../helpers/publishing.js'
import { LOG, range } from '../helpers/redis-world.js'
import { until } from '../helpers/until.js'

/** Milliseconds that a publication may wait: longer than any failover here. */
const TIMEOUT = 9_000

interface BrokerNode { readonly broker: RedisBroker, readonly listener: FakeListener, readonly offsets: () => number[] }

/** Two nodes in the room 'room', and in one where nothing happens. */
async function twoNodes (t: Test, world: SentinelWorld): Promise<[BrokerNode, BrokerNode]> {
  const prefix = ownPrefix()
  const start = async (): Promise<BrokerNode> => {
    const node = await redisNode({ client: world.client(), prefix, timeout: TIMEOUT })
    const listener = new FakeListener()
    const broker = redisBroker(node, () => LOG, listener, { timeout: TIMEOUT })
    t.teardown(async () => { await broker.close() })
    for (const room of ['room', 'quiet']) await broker.subscribe(room)
    return { broker, listener, offsets: () => listener.of('room').map(({ offset }) => offset) }
  }
  return [await start(), await start()]
}

const texts = ({ messages }: TestPeer): string[] => messages.map((message) => message.text())

// They mostly wait.
t.jobs = 4

t.test('FAULTS 54: the master is killed: the hubs go on with the new one, and what was acknowledged is delivered once', async (t) => {
  const world = await SentinelWorld.start(t)
  const { hubs } = await redisApps(t, 2, () => ({ client: world.client(), timeout: TIMEOUT }))
  const [one, two] = hubs as [Hub, Hub]
  const peers: TestPeer[] = []
  for (const [user, hub] of [['ann', one], ['bob', two]] as const) {
    const peer = await connect(hub, { user, kernel: Infinity })
    await peer.connection.join('lobby')
    peers.push(peer)
  }
  const before = await Promise.all(range(1, 20).map(async (i) => await (i % 2 === 0 ? one : two).room('lobby').publish(`${i}`)))
  await untilReplicated(world.master, world.replica)
  await world.master.stop('SIGKILL')
  const after = range(21, 40).map(async (i) => await (i % 2 === 0 ? one : two).room('lobby').publish(`${i}`))
  await world.failedOver()
  const all = [...before, ...await Promise.all(after)]
  t.same(all.map(({ offset = 0 }) => offset).sort((x, y) => x - y), range(1, 40))
  t.equal(new Set(all.map(({ epoch }) => epoch)).size, 2, 'one of each master')
  for (const peer of peers) {
    await until(() => texts(peer).length >= 40, () => `40, got ${texts(peer).length}`)
    t.same(texts(peer).map(Number).sort((x, y) => x - y), range(1, 40))
  }
  t.same(texts(peers[0] as TestPeer), texts(peers[1] as TestPeer))
  await untilRedis(world.replica, ['CLIENT', 'LIST'], /(name=fastify-hub-reader [^]*){2}/)
  t.same(await connectionsOfHubs([world.replica]), ['fastify-hub', 'fastify-hub', 'fastify-hub-reader', 'fastify-hub-reader'])
  await until(() => hubs.every((hub) => hub.health().status === 'ok'), 'both to be well')
  t.match(await one.user('bob').send('hello'), { delivered: 1 })
})

t.test('FAULTS 54: the new master lacks the latest: another epoch, a gap, and nothing is taken for something else', async (t) => {
  const world = await SentinelWorld.start(t)
  const [a, b] = await twoNodes(t, world)
  const kept = await publishNumbers(a.broker, 'room', 1, 10)
  await publishNumbers(a.broker, 'quiet', 1, 1)
  await untilReplicated(world.master, world.replica)
  world.replica.signal('SIGSTOP')
  await askRedis(world.master, 'CLIENT', 'KILL', 'TYPE', 'replica')
  const lost = await publishNumbers(a.broker, 'room', 11, 15)
  for (const { listener } of [a, b]) await listener.atLeast(16)
  await world.master.stop('SIGKILL')
  world.replica.signal('SIGCONT')
  for (const { listener } of [a, b]) await until(() => listener.gaps.length > 0, 'a gap')
  for (const { listener } of [a, b]) {
    t.match(listener.gaps, [{ room: 'room', from: { epoch: kept.epoch, offset: 15 } }])
    t.not(listener.gaps[0]?.to.epoch, kept.epoch)
  }
  t.equal((await a.broker.history('room', lost, 0)).recovered, false)
  const after = await publishNumbers(b.broker, 'room', 16, 18)
  t.same(after, { epoch: a.listener.gaps[0]?.to.epoch, offset: 13 })
  for (const { listener, offsets } of [a, b]) {
    await listener.atLeast(19)
    t.same(offsets(), [...range(1, 15), ...range(11, 13)])
    t.same(listener.texts('room'), range(1, 18).map(String))
    t.equal(listener.gaps.length, 1, 'only where something is lost')
  }
})

t.test('FAULTS 54: the master is cut off: the nodes go on with the new one, and hear nothing of the old one when it is back', async (t) => {
  const world = await SentinelWorld.start(t)
  const [a, b] = await twoNodes(t, world)
  await publishNumbers(a.broker, 'room', 1, 10)
  await untilReplicated(world.master, world.replica)
  world.master.signal('SIGSTOP')
  const waiting = [a.broker.publish('room', '11', {}), b.broker.publish('room', '12', {})]
  await world.failedOver()
  const offsets = (await Promise.all(waiting)).map(({ offset }) => offset)
  t.same(offsets.sort(), [11, 12])
  world.master.signal('SIGCONT')
  await publishNumbers(b.broker, 'room', 13, 20)
  for (const { listener, offsets } of [a, b]) {
    await listener.atLeast(20)
    t.same(offsets(), range(1, 20))
    t.same(listener.gaps, [])
  }
  t.same(a.listener.texts('room'), b.listener.texts('room'))
  await untilRedis(world.replica, ['CLIENT', 'LIST'], /(name=fastify-hub-reader [^]*){2}/)
  t.same(await connectionsOfHubs([world.replica]), ['fastify-hub', 'fastify-hub', 'fastify-hub-reader', 'fastify-hub-reader'])
  await untilRedis(world.master, ['CLIENT', 'LIST'], /^(?![^]*name=fastify-hub)/)
})

t.test('a Sentinel that does not answer is passed by', async (t) => {
  const world = await SentinelWorld.start(t, 2)
  const link = await newLink(t, world.client())
  world.sentinels[0]?.signal('SIGSTOP')
  await link.connect()
  t.equal(String(await link.call('PING')), 'PONG')
})
