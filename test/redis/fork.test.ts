import { Redis } from 'ioredis'
import t from 'tap'
import { positionOf, publishNumbers } from '../helpers/publishing.js'
import { redisNode } from '../helpers/redis-node.js'
import { ownPrefix, RedisServer } from '../helpers/redis-server.js'
import { LOG, NO_HISTORY, range, redisWorld, type BrokerNode } from '../helpers/redis-world.js'
import { TcpProxy } from '../helpers/tcp-proxy.js'
import { until } from '../helpers/until.js'

/* What a master that took over and lacks the latest looks like, made by hand on one server: real ones are in sentinel.test.ts and cluster-failover.test.ts. */

t.test('FAULTS 54: another node publishes what takes the place of what was lost, before anybody has noticed: in another epoch, and all are told when one who knew is heard', async (t) => {
  for (const policy of [LOG, NO_HISTORY]) {
    const { nodes, redis } = await redisWorld(t, { policy, timeout: 20_000 })
    const [a, b] = nodes as [BrokerNode, BrokerNode]
    const { keys, nodeId } = a.node
    const partition = keys.busOf('room')
    for (const { broker } of [a, b]) await broker.subscribe('room')
    const kept = await publishNumbers(a.broker, 'room', 1, 10)
    await b.listener.atLeast(10)
    for (const direction of ['up', 'down'] as const) b.proxy.hold(direction)
    const lost = positionOf(await a.broker.publish('room', 'lost', {}))
    t.equal(lost.offset, 11)
    for (const direction of ['up', 'down'] as const) a.proxy.hold(direction)
    const [[id = ''] = []] = await redis.xrevrange(keys.bus(partition), '+', '-', 'COUNT', 1)
    await redis.multi()
      .xdel(keys.bus(partition), id)
      .hset(keys.meta('room'), 'o', 10, 'r', 'of the one before')
      .xdel(keys.log('room'), (await redis.xrevrange(keys.log('room'), '+', '-', 'COUNT', 1))[0]?.[0] ?? '0-1')
      .hincrby(keys.batches(partition), '#', -1)
      .hdel(keys.batches(partition), nodeId)
      .exec()
    b.proxy.cut()
    const other = positionOf(await b.broker.publish('room', 'other', {}))
    t.equal(other.offset, lost.offset)
    t.not(other.epoch, lost.epoch)
    await b.listener.atLeast(11)
    a.proxy.cut()
    for (const { listener } of [a, b]) await until(() => listener.gaps.length > 0, 'a gap')
    t.match(a.listener.gaps, [{ from: lost, to: { offset: 11 } }])
    const after = await publishNumbers(b.broker, 'room', 12, 14)
    t.same(after, { epoch: a.listener.gaps[0]?.to.epoch, offset: 14 })
    for (const { listener } of [a, b]) await until(() => listener.texts('room').at(-1) === '14', 'the last one')
    t.same(a.offsets('room'), range(1, 14))
    t.same(b.offsets('room'), a.offsets('room'))
    t.same([a.listener.texts('room')[10], b.listener.texts('room')[10]], ['lost', 'other'])
    t.same([a.listener.epochs, b.listener.epochs], [[], [{ room: 'room', epoch: other.epoch }]], 'for who knew of nothing it went on first')
    for (const { listener } of [a, b]) t.equal(listener.gaps.length, 1)
    for (const since of [lost, kept, other]) t.equal((await b.broker.history('room', since, 0)).recovered, false)
  }
})

t.test('FAULTS 54: a master that lacks entries and whose clock is behind gives ids that were read already: they are not taken for those', async (t) => {
  const server = await RedisServer.start(t)
  const proxy = await TcpProxy.start(t, () => server.port)
  const node = await redisNode({ url: `redis://127.0.0.1:${proxy.port}`, prefix: ownPrefix() })
  const redis = new Redis(server.url)
  t.teardown(async () => {
    await node.close()
    redis.disconnect()
  })
  const read: string[] = []
  const back: boolean[] = []
  const key = node.keys.inbox('somebody')
  await redis.xadd(key, '1-1', 'field', 'before')
  await node.reader.hold(key, { onEntry: ([, value], id) => { read.push(`${id} ${String(value)}`) }, onLost: () => {}, onBack: (isOlder) => { back.push(isOlder) } }, '$')
  await redis.xadd(key, '10-1', 'field', 'first')
  await redis.xadd(key, '20-1', 'field', 'lost')
  await until(() => read.length === 2, 'both')
  proxy.cut()
  await until(() => back.length === 1, 'the connection')
  await redis.xadd(key, '20-2', 'field', 'lost as well')
  await until(() => read.length === 3, 'the third')
  for (const direction of ['up', 'down'] as const) proxy.hold(direction)
  await redis.multi().del(key).xadd(key, '10-1', 'field', 'first').xgroup('CREATE', key, node.nodeId, '1-1').exec()
  proxy.cut()
  await until(() => back.length === 2, 'the connection')
  t.same(back, [false, true])
  await redis.xadd(key, '20-1', 'field', 'another')
  await until(() => read.length === 4, () => `the other one, got ${read.join()}`)
  t.same(read, ['10-1 first', '20-1 lost', '20-2 lost as well', '20-1 another'], 'and the one that was sent again not twice')
})
