import t from 'tap'
import { positionOf, publishNumbers } from '../helpers/publishing.js'
import { range, redisWorld, type BrokerNode } from '../helpers/redis-world.js'
import { until } from '../helpers/until.js'

type Two = [BrokerNode, BrokerNode]

t.test('FAULTS 54: a master that took over, and lacks what the node that publishes knows of, begins another epoch', async (t) => {
  const { nodes, redis } = await redisWorld(t)
  const [a, b] = nodes as Two
  const { keys } = a.node
  for (const { broker } of [a, b]) await broker.subscribe('room')
  const before = await publishNumbers(a.broker, 'room', 1, 10)
  await b.listener.atLeast(10)
  // What a replica has that was two publications behind.
  await redis.hset(keys.meta('room'), 'o', 8)
  await redis.xtrim(keys.log('room'), 'MAXLEN', 0)
  await redis.del(keys.bus(keys.busOf('room')))
  const after = await publishNumbers(b.broker, 'room', 11, 12)
  t.not(after.epoch, before.epoch)
  t.equal(after.offset, 10, 'from where it stands')
  for (const { listener } of [a, b]) {
    await listener.atLeast(12)
    t.same(listener.texts('room'), range(1, 12).map(String))
    t.same(listener.gaps.map(({ from, to }) => [from, to.epoch]), [[before, after.epoch]], 'and everybody is told')
  }
  t.equal((await a.broker.history('room', before, 0)).recovered, false)
})

t.test('FAULTS 54: a Redis that was killed and has lost its last second gives no offset a second time, to whomever', async (t) => {
  const { server, nodes, redis } = await redisWorld(t, { durable: true, timeout: 20_000 })
  const [a, b] = nodes as Two
  const { keys } = a.node
  await a.broker.subscribe('room')
  const before = await publishNumbers(a.broker, 'room', 1, 10)
  // What an append-only file has that was last written a second ago.
  await redis.hset(keys.meta('room'), 'o', 8)
  await server.stop('SIGKILL')
  await until(() => !a.node.link.isReady && !b.node.link.isReady, 'both nodes to notice')
  // This one knows nothing of the room, and is the first.
  const own = b.broker.publish('room', 'the first', {})
  await server.start()
  const { epoch, offset } = positionOf(await own)
  t.not(epoch, before.epoch)
  t.equal(offset, 9)
  await until(() => a.listener.gaps.length > 0, 'who knows of more to be told')
  t.equal((await a.broker.history('room', before, 0)).recovered, false)
})

t.test('FAULTS 54: more is published than was lost, by a node that knew of nothing: no place means two things, and those who knew of more are told, with all others', async (t) => {
  const { nodes, redis } = await redisWorld(t, { count: 3 })
  const [a, b, c] = nodes as [BrokerNode, BrokerNode, BrokerNode]
  const { keys } = a.node
  const partition = keys.busOf('room')
  const quiet = range(1, 100).map((i) => `neighbour ${i}`).find((name) => keys.busOf(name) === partition) as string
  for (const { broker } of [a, b]) {
    await broker.subscribe(quiet)
    await broker.subscribe('room')
  }
  const untouched = await publishNumbers(b.broker, quiet, 1, 2)
  const before = await publishNumbers(a.broker, 'room', 1, 10)
  for (const { listener } of [a, b]) await listener.atLeast(12)
  // What a replica has that was two publications behind.
  await redis.hset(keys.meta('room'), 'o', 8, 'r', 'of the one before')
  await redis.hset(keys.batches(partition), '#', 10)
  for (const key of [keys.log('room'), keys.bus(partition)]) {
    const [last, , older] = await redis.xrevrange(key, '+', '-', 'COUNT', 3) as unknown as [[string], [string], [string]]
    await redis.xtrim(key, 'MAXLEN', 0)
    // Ids of a bus grow with the time, those of a log do not.
    await redis.call('XSETID', key, key === keys.log('room') ? older[0] : last[0])
  }
  const between = await Promise.all(range(11, 15).map(async (i) => positionOf(await c.broker.publish('room', `${i}`, {}))))
  t.ok(between.every(({ epoch, offset }, i) => epoch !== before.epoch && offset === 9 + i))
  for (const { listener } of [a, b]) await until(() => listener.gaps.length > 0, 'it to be noticed')
  const after = await publishNumbers(c.broker, 'room', 16, 17)
  t.not(after.epoch, before.epoch)
  for (const { listener } of [a, b]) {
    await until(() => listener.texts('room').at(-1) === '17', 'the last one')
    t.same(listener.gaps.map(({ room, to }) => [room, to.epoch]), [['room', after.epoch]])
  }
  t.equal((await a.broker.history('room', before, 0)).recovered, false)
  t.same((await b.broker.history(quiet, untouched, 0)), { position: untouched, publications: [], recovered: true }, 'of a room that has lost nothing, nobody is told')
})

t.test('FAULTS 58: a publication whose answer is lost is sent again, and delivered once', async (t) => {
  const { nodes } = await redisWorld(t, { timeout: 20_000 })
  const [a, b] = nodes as Two
  for (const { broker } of [a, b]) await broker.subscribe('room')
  let expected = 0
  for (let round = 0; round < 5; round++) {
    await publishNumbers(a.broker, 'room', ++expected, expected)
    a.proxy.hold('down')
    const own = a.broker.publish('room', `${++expected}`, {})
    // Redis has done it: the other node has it.
    await b.listener.atLeast(expected)
    a.proxy.cut()
    t.equal((await own).offset, expected)
  }
  for (const { listener, offsets } of [a, b]) {
    await listener.atLeast(expected)
    t.same(offsets('room'), range(1, expected))
    t.same(listener.texts('room'), range(1, expected).map(String))
  }
})

t.test('FAULTS 60: what was sent to a node but is gone when it asks again is acknowledged, counted, and taken from the log', async (t) => {
  const { nodes, redis } = await redisWorld(t)
  const [a, b] = nodes as Two
  const { keys } = a.node
  const stream = keys.bus(keys.busOf('room'))
  for (const { broker } of [a, b]) await broker.subscribe('room')
  await publishNumbers(a.broker, 'room', 1, 2)
  await b.listener.atLeast(2)
  b.proxy.lose()
  await publishNumbers(a.broker, 'room', 3, 4)
  // Its reader got them, as Redis sees it.
  await redis.xreadgroup('GROUP', b.node.nodeId, 'hub', 'COUNT', 10, 'STREAMS', stream, '>')
  await redis.xtrim(stream, 'MAXLEN', 0)
  b.proxy.restore()
  b.proxy.cut()
  await b.listener.atLeast(4)
  t.same(b.offsets('room'), range(1, 4))
  t.same(b.listener.gaps, [])
  await until(() => b.node.trimmed.length > 0, 'the count')
  t.equal(b.node.trimmed.reduce((sum, count) => sum + count), 2)
  let pending = NaN
  await until(() => {
    redis.xpending(stream, b.node.nodeId).then(([count]) => { pending = Number(count) }, () => {})
    return pending === 0
  }, () => `all to be acknowledged, ${pending} are not`)
})

t.test('FAULTS 62: an entry that nobody can decode is parked and counted, and what follows is delivered', async (t) => {
  const { nodes, redis } = await redisWorld(t)
  const [a, b] = nodes as Two
  const { keys } = a.node
  const partition = keys.busOf('room')
  for (const { broker } of [a, b]) await broker.subscribe('room')
  await publishNumbers(a.broker, 'room', 1, 1)
  const wrong = [['garbage', 'x'], ['s', '2', 'n', 'somebody', 'k', 'm', 'o', 'x', 'b', '\0\u0004roo'], ['s', '3', 'n', 'somebody', 'k', '?']]
  for (const fields of wrong) await redis.xadd(keys.bus(partition), '*', ...fields)
  await redis.hincrby(keys.batches(partition), '#', 2)
  await publishNumbers(b.broker, 'room', 2, 3)
  for (const { listener, offsets, node } of [a, b]) {
    await listener.atLeast(3)
    await until(() => node.bus.counters.parked === wrong.length, () => `${wrong.length} to be parked, ${node.bus.counters.parked} are`)
    t.same(offsets('room'), [1, 2, 3])
    t.equal(node.failures.length, wrong.length)
  }
  let parked: Array<[id: string, fields: string[]]> = []
  await until(() => {
    redis.xrange(keys.parked(partition), '-', '+').then((entries) => { parked = entries }, () => {})
    return parked.length === 2 * wrong.length
  }, () => `each of them from each node, there are ${parked.length}`)
  t.ok(parked.every(([, fields]) => fields.at(-2) === 'error'))
})

t.test('nothing is left of a node that has closed', async (t) => {
  const { nodes, redis } = await redisWorld(t)
  const [a, b] = nodes as Two
  for (const { broker } of [a, b]) await broker.subscribe('room')
  await publishNumbers(a.broker, 'room', 1, 1)
  const stream = a.node.keys.bus(a.node.keys.busOf('room'))
  t.equal((await redis.xinfo('GROUPS', stream) as unknown[]).length, 2)
  await a.broker.close()
  const groups = await redis.xinfo('GROUPS', stream) as string[][]
  t.equal(groups.length, 1)
  t.ok(groups[0]?.includes(b.node.nodeId))
})

t.test('rooms that come and go on one node leave no publication out', async (t) => {
  const { nodes } = await redisWorld(t)
  const [a, b] = nodes as Two
  const rooms = range(1, 40).map((i) => `room ${i}`)
  const published = new Map<string, number>()
  const state = { isDone: false }
  const publishing = (async () => {
    for (let i = 0; !state.isDone; i++) {
      const room = rooms[i % rooms.length] as string
      await a.broker.publish(room, `${i}`, {})
      published.set(room, (published.get(room) ?? 0) + 1)
    }
  })()
  for (let round = 0; round < 5; round++) {
    const positions = await Promise.all(rooms.map(async (room) => await b.broker.subscribe(room)))
    const counts = rooms.map((room) => b.listener.of(room).length)
    await until(() => rooms.every((room, i) => b.listener.of(room).length >= (counts[i] as number) + 3), 'three of each room')
    for (const [i, room] of rooms.entries()) {
      const heard = b.offsets(room).slice(b.offsets(room).indexOf((positions[i]?.offset ?? 0) + 1))
      t.same(heard, range((positions[i]?.offset ?? 0) + 1, heard.at(-1) as number), room)
    }
    await Promise.all(rooms.map(async (room) => { await b.broker.unsubscribe(room) }))
  }
  state.isDone = true
  await publishing
  t.same(b.listener.gaps, [])
})
