import t from 'tap'
import { lossyRedis } from '../helpers/lossy-redis.js'
import { publishNumbers } from '../helpers/publishing.js'
import { LOG, NO_HISTORY, range, redisWorld, type BrokerNode } from '../helpers/redis-world.js'
import { until } from '../helpers/until.js'

t.test('FAULTS 54: Redis loses its latest twice, the second time with the epoch that began after the first: yet another one begins, and nobody is deaf', async (t) => {
  const { server, save, lose } = await lossyRedis(t)
  const { nodes } = await redisWorld(t, { server, timeout: 20_000 })
  const [a, b] = nodes as [BrokerNode, BrokerNode]
  for (const { broker } of nodes) await broker.subscribe('room')
  await publishNumbers(a.broker, 'room', 1, 10)
  await b.listener.atLeast(10)
  save()
  await publishNumbers(a.broker, 'room', 11, 12)
  await b.listener.atLeast(12)
  await lose()
  await until(() => nodes.every(({ listener }) => listener.gaps.length === 1), 'a new epoch')
  await publishNumbers(a.broker, 'room', 13, 14)
  await b.listener.atLeast(14)
  await lose()
  const { epoch } = await publishNumbers(a.broker, 'room', 15, 16)
  for (const { listener } of nodes) {
    await listener.atLeast(16)
    t.same(listener.texts('room'), range(1, 16).map(String))
    const epochs = listener.gaps.map(({ from }) => from.epoch)
    t.same([epochs.length, new Set([...epochs, epoch]).size], [2, 3], 'three epochs, none of them twice')
    t.equal(listener.gaps[1]?.to.epoch, epoch)
  }
})

t.test('FAULTS 54: only nodes without members in the room know of what was lost: its offsets are not given once more', async (t) => {
  const { server, save, lose } = await lossyRedis(t)
  const { nodes } = await redisWorld(t, { server, timeout: 20_000 })
  const [a, b] = nodes as [BrokerNode, BrokerNode]
  for (const room of ['left', 'published']) {
    if (room === 'left') await b.broker.subscribe(room)
    await publishNumbers(a.broker, room, 1, 10)
  }
  await b.listener.atLeast(10)
  save()
  const lost = await Promise.all(['left', 'published'].map(async (room) => await publishNumbers(a.broker, room, 11, 12)))
  await b.listener.atLeast(12)
  await b.broker.unsubscribe('left')
  await lose()
  for (const [i, room] of ['left', 'published'].entries()) {
    // Of another node, which was told of nothing.
    const next = await publishNumbers(b.broker, room, 13, 14)
    t.not(next.epoch, lost[i]?.epoch, room)
    t.equal((await b.broker.history(room, lost[i], 0)).recovered, false, 'who had 12 is not told that 14 is what it has')
  }
})

t.test('a node that keeps nothing of a room, by another policy, makes no hole of which nobody is told', async (t) => {
  const { nodes, redis } = await redisWorld(t, { policyOf: (i) => i === 0 ? LOG : NO_HISTORY })
  const [a, b] = nodes as [BrokerNode, BrokerNode]
  const first = await publishNumbers(a.broker, 'room', 1, 1)
  await publishNumbers(a.broker, 'room', 2, 3)
  t.same((await a.broker.history('room', first, 1)).publications.map(({ offset }) => offset), [2])
  await publishNumbers(b.broker, 'room', 4, 4)
  for (const limit of [0, 3]) t.match(await a.broker.history('room', first, limit), { recovered: false, publications: [] }, 'the end is missing')
  const after = await publishNumbers(a.broker, 'room', 5, 6)
  for (const limit of [0, 3]) t.match(await a.broker.history('room', first, limit), { recovered: false, publications: [] }, 'one between is missing')
  t.match(await a.broker.history('room', { ...after, offset: 4 }, 0), { recovered: true, publications: [{ offset: 5 }, { offset: 6 }] })
  t.equal(await redis.xlen(a.node.keys.log('room')), 5)
})

t.test('a log that is further than its room begins anew', async (t) => {
  const { nodes: [a], redis } = await redisWorld(t, { count: 1 })
  if (a === undefined) throw new Error('there is one')
  const { keys } = a.node
  await publishNumbers(a.broker, 'room', 1, 2)
  await redis.xadd(keys.log('room'), '9-1', 'p', 'of nobody')
  const { epoch } = await publishNumbers(a.broker, 'room', 3, 4)
  t.same((await redis.xrange(keys.log('room'), '-', '+')).map(([id]) => Number.parseInt(id)), [3, 4])
  t.equal((await a.broker.history('room', { epoch, offset: 1 }, 0)).recovered, false)
  t.equal((await a.broker.history('room', { epoch, offset: 2 }, 0)).recovered, true)
})

t.test('a room whose publications are kept for ever has no end from before', async (t) => {
  const { nodes, redis } = await redisWorld(t, { policyOf: (i) => ({ size: 10, ttl: i === 0 ? 60_000 : 0, mode: 'log' }) })
  const [a, b] = nodes as [BrokerNode, BrokerNode]
  const kept = [a.node.keys.log('room'), a.node.keys.meta('room')]
  await publishNumbers(a.broker, 'room', 1, 1)
  for (const key of kept) t.ok(await redis.pttl(key) > 0, key)
  await publishNumbers(b.broker, 'room', 2, 2)
  for (const key of kept) t.equal(await redis.pttl(key), -1, key)
})

t.test('the clock of Redis is set back after its start: nobody waits until it is where it was', async (t) => {
  const { nodes: [a], redis } = await redisWorld(t, { count: 1 })
  const { broker, node: { keys } } = a as BrokerNode
  await publishNumbers(broker, 'room', 1, 1)
  const batches = keys.batches(keys.busOf('room'))
  const [server] = (await redis.hget(batches, '@') ?? '').split(' ')
  await redis.hset(batches, '@', `${server ?? ''} ${Date.now() + 300_000}`)
  t.equal((await broker.publish('room', '2', {})).offset, 2)
})

t.test('what Redis refuses to put on the bus is rejected, and not taken for done', async (t) => {
  const { nodes: [a], redis } = await redisWorld(t, { count: 1 })
  const { broker, node: { keys, nodeId } } = a as BrokerNode
  const bus = keys.busOf('room')
  await redis.set(keys.bus(bus), 'of somebody else')
  await t.rejects(broker.publish('room', 'x', {}), { code: 'FST_HUB_BROKER_UNAVAILABLE', message: /WRONGTYPE/ })
  t.equal(await redis.hget(keys.batches(bus), nodeId), null)
  await redis.del(keys.bus(bus))
  t.equal((await broker.publish('room', 'y', {})).offset, 2)
})

t.test('what is no position where a room has its own harms nobody: the room begins anew', async (t) => {
  const { nodes: [a], redis } = await redisWorld(t, { count: 1 })
  const { broker, node: { keys } } = a as BrokerNode
  for (const room of ['published', 'joined', 'asked']) await redis.set(keys.meta(room), 'of somebody else')
  await redis.hset(keys.meta('half'), 'e', 'an epoch')
  await redis.hset(keys.meta('odd'), 'e', 'an epoch', 'o', 'no number')
  t.match(await Promise.all(['published', 'good', 'half', 'odd'].map(async (room) => await broker.publish(room, 'x', {}))), [{ offset: 1 }, { offset: 1 }, { offset: 1 }, { offset: 1 }])
  t.equal((await broker.subscribe('joined')).offset, 0)
  t.equal((await broker.history('asked', undefined, 0)).position.offset, 0)
})
