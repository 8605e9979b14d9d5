import t from 'tap'
import { EVERYONE } from '../../lib/core/ports.js'
import { publishNumbers } from '../helpers/publishing.js'
import { LOG, NO_HISTORY, range, redisWorld, type BrokerNode } from '../helpers/redis-world.js'
import { until } from '../helpers/until.js'

type Two = [BrokerNode, BrokerNode]

t.test('FAULTS 51: Redis is restarted cleanly, with AOF: it goes on, and nothing is lost', async (t) => {
  const { server, nodes } = await redisWorld(t, { durable: true, timeout: 20_000 })
  const [a, b] = nodes as Two
  for (const { broker } of [a, b]) await broker.subscribe('room')
  await publishNumbers(a.broker, 'room', 1, 20)
  await server.stop('SIGTERM')
  await until(() => !a.node.link.isReady && !b.node.link.isReady, 'both nodes to notice')
  const waiting = range(21, 40).map(async (i) => (await (i % 2 === 0 ? a : b).broker.publish('room', `${i}`, {})).offset)
  await server.start()
  t.same((await Promise.all(waiting)).sort((x = 0, y = 0) => x - y), range(21, 40))
  for (const { listener, offsets } of [a, b]) {
    await listener.atLeast(40)
    t.same(offsets('room'), range(1, 40))
    t.same(listener.gaps, [])
  }
  t.same(a.listener.texts('room'), b.listener.texts('room'))
})

t.test('FAULTS 52: Redis is killed and comes back without its data: a new epoch, and everybody is told', async (t) => {
  const { server, nodes } = await redisWorld(t)
  const [a, b] = nodes as Two
  for (const { broker } of [a, b]) await broker.subscribe('room')
  await a.broker.subscribe(EVERYONE)
  const before = await publishNumbers(a.broker, 'room', 1, 5)
  await b.listener.atLeast(5)
  await server.stop('SIGKILL')
  await server.start()
  for (const { listener } of [a, b]) await until(() => listener.gaps.length > 0, 'a gap')
  const [gap] = a.listener.gaps
  t.same(gap?.from, before)
  t.not(gap?.to.epoch, before.epoch)
  t.same(b.listener.gaps, a.listener.gaps)
  t.equal((await a.broker.history('room', before, 0)).recovered, false)
  const after = await publishNumbers(b.broker, 'room', 6, 8)
  t.equal(after.epoch, gap?.to.epoch)
  for (const { listener } of [a, b]) {
    await listener.atLeast(8)
    t.same(listener.texts('room'), ['1', '2', '3', '4', '5', '6', '7', '8'])
    t.equal(listener.gaps.length, 1)
  }
  await b.broker.publish(EVERYONE, 'all', { ephemeral: true })
  await until(() => a.listener.texts(EVERYONE).length === 1, 'broadcasts to come again')
})

t.test('FAULTS 53: a blocked reader whose stream is deleted goes on', async (t) => {
  const { nodes, redis } = await redisWorld(t)
  const [a, b] = nodes as Two
  for (const { broker } of [a, b]) await broker.subscribe('room')
  await publishNumbers(a.broker, 'room', 1, 3)
  await b.listener.atLeast(3)
  await redis.del(a.node.keys.bus(a.node.keys.busOf('room')))
  await publishNumbers(a.broker, 'room', 4, 6)
  await b.listener.atLeast(6)
  for (const { listener, offsets } of [a, b]) {
    t.same(offsets('room'), range(1, 6))
    t.same(listener.gaps, [])
  }
})

t.test('FAULTS 55: what Redis refuses is rejected with a code, and it goes on when it does not any more', async (t) => {
  const { nodes, redis } = await redisWorld(t, { timeout: 2_500 })
  const [a, b] = nodes as Two
  for (const { broker } of [a, b]) await broker.subscribe('room')
  let done = 0
  const refusals: Array<[error: RegExp, refuse: string[], allow: string[]]> = [
    [/OOM/, ['CONFIG', 'SET', 'maxmemory', '1'], ['CONFIG', 'SET', 'maxmemory', '0']],
    [/not confirmed/, ['REPLICAOF', '127.0.0.1', '1'], ['REPLICAOF', 'NO', 'ONE']],
    [/not confirmed/, ['CONFIG', 'SET', 'min-replicas-to-write', '1'], ['CONFIG', 'SET', 'min-replicas-to-write', '0']]
  ]
  for (const [error, [refuse = '', ...refuseArgs], [allow = '', ...allowArgs]] of refusals) {
    await redis.call(refuse, ...refuseArgs)
    await t.rejects(a.broker.publish('room', 'refused', {}), { code: 'FST_HUB_BROKER_UNAVAILABLE', message: error })
    await redis.call(allow, ...allowArgs)
    await until(() => a.node.link.isReady, 'the link')
    t.equal((await a.broker.publish('room', 'taken', {})).offset, ++done)
    await b.listener.atLeast(done)
  }
  t.same(b.listener.texts('room'), ['taken', 'taken', 'taken'])
  t.same([...a.listener.gaps, ...b.listener.gaps], [])
})

t.test('FAULTS 56: a Redis that has forgotten the scripts is told them again', async (t) => {
  const { nodes: [a], redis } = await redisWorld(t, { count: 1 })
  const { broker } = a as BrokerNode
  await broker.subscribe('room')
  for (let i = 1; i <= 3; i++) {
    await redis.script('FLUSH')
    t.equal((await broker.publish('room', 'x', {})).offset, i)
    await redis.script('FLUSH')
    t.equal((await broker.history('room', undefined, 0)).publications.length, i)
    await redis.script('FLUSH')
    t.equal((await broker.subscribe(`room ${i}`)).offset, 0)
  }
})

t.test('FAULTS 57: a node that was cut off catches up without a gap', async (t) => {
  const { nodes } = await redisWorld(t, { timeout: 20_000 })
  const [a, b] = nodes as Two
  for (const { broker } of [a, b]) await broker.subscribe('room')
  await publishNumbers(a.broker, 'room', 1, 10)
  await b.listener.atLeast(10)
  b.proxy.hold('up')
  b.proxy.hold('down')
  const own = b.broker.publish('room', 'from the other side', {})
  await publishNumbers(a.broker, 'room', 11, 300)
  b.proxy.cut()
  t.ok(((await own).offset ?? 0) > 10)
  for (const { listener, offsets } of [a, b]) {
    await listener.atLeast(301)
    t.same(offsets('room'), range(1, 301))
    t.same(listener.gaps, [])
  }
  t.same(a.listener.texts('room'), b.listener.texts('room'))
})

t.test('FAULTS 57: a connection of which only Redis believes that it is there gets nothing instead of the node', async (t) => {
  const { nodes, redis } = await redisWorld(t, { policy: NO_HISTORY })
  const [a, b] = nodes as Two
  for (const { broker } of [a, b]) await broker.subscribe('room')
  await publishNumbers(a.broker, 'room', 1, 1)
  await b.listener.atLeast(1)
  const readers = async (): Promise<number> => String(await redis.client('LIST')).split('\n').filter((line) => line.includes(' name=fastify-hub-reader ') && line.includes(' cmd=xreadgroup ')).length
  b.proxy.halfOpen()
  while (await readers() < 3) await new Promise((resolve) => { setImmediate(resolve) })
  await publishNumbers(a.broker, 'room', 2, 2)
  await b.listener.atLeast(2)
  t.same(b.offsets('room'), [1, 2])
  t.same(b.listener.gaps, [])
})

t.test('FAULTS 57, 59: what the bus does not have any more comes from the log; without one, a gap is told', async (t) => {
  for (const policy of [LOG, NO_HISTORY]) {
    const { nodes, redis } = await redisWorld(t, { policy, timeout: 20_000 })
    const [a, b] = nodes as Two
    for (const { broker } of [a, b]) await broker.subscribe('room')
    await publishNumbers(a.broker, 'room', 1, 10)
    await b.listener.atLeast(10)
    b.proxy.hold('up')
    b.proxy.hold('down')
    await publishNumbers(a.broker, 'room', 11, 100)
    await redis.xtrim(a.node.keys.bus(a.node.keys.busOf('room')), 'MAXLEN', 5)
    b.proxy.cut()
    const last = await publishNumbers(a.broker, 'room', 101, 110)
    await until(() => b.offsets('room').at(-1) === 110, 'the last one')
    if (policy === LOG) {
      t.same(b.offsets('room'), range(1, 110))
      t.same(b.listener.gaps, [])
    } else {
      const [gap] = b.listener.gaps
      t.equal(b.listener.gaps.length, 1)
      t.same([gap?.from.offset, gap?.to.offset, gap?.to.epoch], [10, 95, last.epoch])
      t.same(b.offsets('room'), [...range(1, 10), ...range(96, 110)])
    }
  }
})

t.test('FAULTS 59: a quiet room whose last publications were trimmed is noticed by the next entry of its partition', async (t) => {
  const { nodes, redis } = await redisWorld(t, { timeout: 20_000 })
  const [a, b] = nodes as Two
  const { keys } = a.node
  const neighbour = range(1, 100).map((i) => `neighbour ${i}`).find((name) => keys.busOf(name) === keys.busOf('room')) as string
  for (const { broker } of [a, b]) await broker.subscribe('room')
  await publishNumbers(a.broker, 'room', 1, 3)
  await b.listener.atLeast(3)
  b.proxy.hold('up')
  b.proxy.hold('down')
  await publishNumbers(a.broker, 'room', 4, 6)
  await redis.xtrim(keys.bus(keys.busOf('room')), 'MAXLEN', 0)
  b.proxy.cut()
  await a.broker.publish(neighbour, 'somebody else', {})
  await b.listener.atLeast(6)
  t.same(b.offsets('room'), range(1, 6))
})

t.test('a stall of Redis: what has no position goes to the members here at once', async (t) => {
  const { server, nodes } = await redisWorld(t, { policy: NO_HISTORY })
  const [a, b] = nodes as Two
  for (const { broker } of [a, b]) {
    await broker.subscribe('room')
    await broker.subscribe(EVERYONE)
  }
  server.signal('SIGSTOP')
  t.notOk('offset' in await a.broker.publish('room', 'typing', { ephemeral: true }))
  t.notOk('offset' in await a.broker.publish(EVERYONE, 'all', { ephemeral: true }))
  t.same(a.listener.heard.map(({ payload }) => payload), ['typing', 'all'])
  server.signal('SIGCONT')
  await b.listener.atLeast(2)
  await server.stop('SIGKILL')
  await until(() => !a.node.link.isReady, 'the link to notice')
  t.notOk('offset' in await a.broker.publish('room', 'here only', {}), 'without history, nothing is promised over an outage')
  t.same(a.listener.texts('room'), ['typing', 'here only'])
})

t.test('a room without history: what is published when Redis has gone does not overtake what it was sent before', async (t) => {
  const { server, nodes } = await redisWorld(t, { policy: NO_HISTORY, durable: true })
  const [a, b] = nodes as Two
  for (const { broker } of [a, b]) await broker.subscribe('room')
  a.proxy.hold('down')
  const sent = a.broker.publish('room', '1', {})
  await b.listener.atLeast(1)
  await server.stop('SIGKILL')
  a.proxy.cut()
  await until(() => !a.node.link.isReady, 'the link to notice')
  const later = range(2, 1_001).map(async (i) => await a.broker.publish('room', `${i}`, {}))
  await t.rejects(a.broker.publish('room', 'one more', {}), { code: 'FST_HUB_BROKER_UNAVAILABLE' }, 'there is a bound')
  await server.start()
  t.equal((await sent).offset, 1)
  await Promise.all(later)
  await b.listener.atLeast(1_001)
  for (const { listener } of nodes) t.same(listener.texts('room'), range(1, 1_001).map(String))
})

t.test('a room with history: what Redis did not confirm in time is rejected, and bounded', async (t) => {
  const { server, nodes: [a] } = await redisWorld(t, { count: 1, timeout: 300 })
  const { broker, listener } = a as BrokerNode
  await broker.subscribe('room')
  await server.stop('SIGKILL')
  await t.rejects(broker.publish('room', 'x', {}), { code: 'FST_HUB_BROKER_UNAVAILABLE' })
  t.same(listener.heard, [])
  await t.rejects(broker.subscribe('another'), { code: 'FST_HUB_BROKER_UNAVAILABLE' })
  await t.rejects(broker.history('room', undefined, 0), { code: 'FST_HUB_BROKER_UNAVAILABLE' })
  t.equal((await broker.subscribe('room')).offset, 0, 'it is in this one')
  const big = 'x'.repeat(1024 * 1024)
  const results = await Promise.allSettled(range(1, 40).map(async () => await broker.publish('room', big, {})))
  const messages = results.map((result) => result.status === 'rejected' ? String(result.reason) : '')
  t.ok(messages.some((message) => message.includes('wait for it already')), 'some at once')
  t.ok(messages.some((message) => message.includes('not confirmed within 300 ms')), 'the others in time')
})
