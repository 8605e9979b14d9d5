import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import type { HistoryPolicy } from '../../lib/core/ports.js'
import type { StreamPosition } from '../../lib/core/types.js'
import type { Keys } from '../../lib/redis/keys.js'
import { RedisLink } from '../../lib/redis/link.js'
import { Script } from '../../lib/redis/script.js'
import { lossyRedis } from '../helpers/lossy-redis.js'
import { positionOf, publishNumbers } from '../helpers/publishing.js'
import { LOG, NO_HISTORY, range, redisWorld, type BrokerNode, type RedisWorld } from '../helpers/redis-world.js'
import { until } from '../helpers/until.js'

/* Epochs of rooms: one for each run of Redis in which something was published there (lib/redis/lua/epoch-shared.lua). */

const CACHE: HistoryPolicy = { size: 1, ttl: 60_000, mode: 'cache' }

interface World extends RedisWorld {
  readonly a: BrokerNode
  readonly b: BrokerNode
  /** It is killed, and comes back with all that it had. */
  readonly restart: () => Promise<void>
}

async function world (t: Test, policy: HistoryPolicy): Promise<World> {
  const made = await redisWorld(t, { policy, durable: true, timeout: 20_000 })
  const [a, b] = made.nodes as [BrokerNode, BrokerNode]
  return {
    ...made,
    a,
    b,
    restart: async () => {
      await made.server.stop('SIGKILL')
      await made.server.start()
      await back(a, b)
    }
  }
}

/** In a room without history, what is published before that has no place. */
async function back (...nodes: BrokerNode[]): Promise<void> { for (const { node: { link } } of nodes) await until(() => link.isReady, 'Redis') }

t.test('FAULTS 51: a room in which something is published in each of 18 runs: positions of the latest 16 epochs before are good, older ones are not, and members lose nothing', async (t) => {
  const { a, b, restart } = await world(t, LOG)
  await b.broker.subscribe('room')
  const places: StreamPosition[] = []
  for (let run = 1; run <= 18; run++) {
    if (run > 1) await restart()
    places.push(positionOf(await a.broker.publish('room', `${run}`, {})))
  }
  t.same(places.map(({ offset }) => offset), range(1, 18))
  t.same(places.map(({ epoch }) => epoch).toSorted(), places.map(({ epoch }) => epoch), 'later ones are greater')
  t.equal(new Set(places.map(({ epoch }) => epoch)).size, 18)
  await b.listener.atLeast(18)
  t.same(b.listener.texts('room'), range(1, 18).map(String))
  t.same(b.listener.gaps, [])
  // It may hear of several at once, of which it needs the latest.
  const heard = b.listener.epochs.map(({ epoch }) => epoch)
  t.equal(heard.at(-1), places[17]?.epoch)
  t.same(heard, places.map(({ epoch }) => epoch).filter((epoch) => heard.includes(epoch)))
  for (const [i, since] of places.entries()) {
    const { recovered, publications, position } = await b.broker.history('room', since, 0)
    t.same(position, places[17])
    t.same([recovered, publications.map(({ payload }) => payload)], i === 0 ? [false, []] : [true, range(i + 2, 18).map(String)], `of run ${i + 1}`)
  }
})

t.test('FAULTS 51: who knows of an epoch that is not kept any more has missed what came since, and is told', async (t) => {
  const { a, b, redis, server } = await world(t, LOG)
  await b.broker.subscribe('room')
  const first = await publishNumbers(a.broker, 'room', 1, 2)
  await b.listener.atLeast(2)
  b.proxy.lose()
  for (let run = 3; run <= 20; run++) {
    await server.stop('SIGKILL')
    await server.start()
    await a.broker.publish('room', `${run}`, {})
  }
  // Or it would have read all of it.
  await redis.xtrim(a.node.keys.bus(0), 'MAXLEN', 0)
  b.proxy.restore()
  b.proxy.cut()
  await until(() => b.listener.texts('room').at(-1) === '20', 'the latest')
  const [gap, ...more] = b.listener.gaps
  t.match(gap, { from: first })
  t.same(more, [])
  const behind = (gap as NonNullable<typeof gap>).to.offset
  t.same(b.listener.texts('room'), [...range(1, 2), ...range(behind + 1, 20)].map(String))
  t.ok(behind >= 2)
})

for (const [name, policy] of [['in cache mode', CACHE], ['without history', NO_HISTORY]] as const) {
  t.test(`FAULTS 51: a room ${name} over two restarts: who is where it stands has missed nothing`, async (t) => {
    const { a, b, restart } = await world(t, policy)
    await b.broker.subscribe('room')
    const places: StreamPosition[] = []
    for (const run of range(1, 3)) {
      if (run > 1) await restart()
      places.push(await publishNumbers(a.broker, 'room', 2 * run - 1, 2 * run))
    }
    await b.listener.atLeast(6)
    t.same([b.listener.texts('room'), b.listener.gaps, b.listener.epochs.at(-1)], [range(1, 6).map(String), [], { room: 'room', epoch: places[2]?.epoch }])
    const [first, second, last] = places as [StreamPosition, StreamPosition, StreamPosition]
    await restart()
    const asked = async (since: StreamPosition): Promise<unknown> => {
      const { recovered, publications } = await b.broker.history('room', since, 0)
      return [recovered, publications.map(({ payload }) => payload)]
    }
    t.same(await asked(last), [true, []])
    t.same(await asked({ ...last, offset: 7 }), [false, []])
    t.same(await asked({ ...second, offset: 6 }), [false, []], 'that was not of it')
    for (const since of [first, second]) t.same(await asked(since), policy.size > 0 ? [true, ['6']] : [false, []])
  })
}

t.test('FAULTS 54: what began and was lost again, and another one has begun since: all are told when one who knows is back, and nobody gets the log once more', async (t) => {
  for (const policy of [LOG, NO_HISTORY]) {
    const { server, save, lose } = await lossyRedis(t)
    const { nodes } = await redisWorld(t, { server, count: 3, policy, timeout: 20_000 })
    const [a, b, c] = nodes as [BrokerNode, BrokerNode, BrokerNode]
    for (const { broker } of [a, b]) await broker.subscribe('room')
    const kept = await publishNumbers(a.broker, 'room', 1, 3)
    await b.listener.atLeast(3)
    save()
    b.proxy.lose()
    b.proxy.cut()
    await lose()
    await until(() => !b.node.link.isReady, 'the loss')
    await back(a)
    const lost = await publishNumbers(a.broker, 'room', 4, 5)
    t.not(lost.epoch, kept.epoch)
    await a.listener.atLeast(5)
    a.proxy.lose()
    a.proxy.cut()
    await lose()
    b.proxy.restore()
    b.proxy.cut()
    await back(b, c)
    const other = await publishNumbers(c.broker, 'room', 6, 6)
    t.equal(other.offset, 4)
    await until(() => b.listener.texts('room').at(-1) === '6', 'the other one')
    a.proxy.restore()
    a.proxy.cut()
    await until(() => a.listener.gaps.length > 0, 'the gap')
    const after = await publishNumbers(c.broker, 'room', 7, 7)
    t.equal(after.offset, 5)
    for (const { listener } of [a, b]) {
      await until(() => listener.texts('room').at(-1) === '7', 'the last')
      t.equal(listener.gaps.length, 1)
      t.match(listener.gaps[0]?.to, { epoch: after.epoch, offset: 4 })
    }
    t.same(a.listener.texts('room'), ['1', '2', '3', '4', '5', '7'])
    t.same(b.listener.texts('room'), ['1', '2', '3', '6', '7'])
    for (const since of [kept, lost, other]) t.equal((await b.broker.history('room', since, 0)).recovered, false)
  }
})

t.test('FAULTS 54: an epoch of which a member has heard nothing but its own answer when Redis loses it: all are told', async (t) => {
  const { server, save, lose } = await lossyRedis(t)
  const { nodes } = await redisWorld(t, { server, policy: LOG, timeout: 20_000 })
  const [a, b] = nodes as [BrokerNode, BrokerNode]
  for (const { broker } of [a, b]) await broker.subscribe('room')
  await publishNumbers(a.broker, 'room', 1, 3)
  await b.listener.atLeast(3)
  save()
  await lose()
  b.proxy.lose()
  await back(a)
  // Its word of the new epoch comes, and what follows from that does not.
  const run = a.node.link.run.bind(a.node.link)
  let isAsked = false
  a.node.link.run = async (script, keys, args) => {
    if (!script.source.includes('Where rooms stand') || args[1] === '' || isAsked) return await run(script, keys, args)
    isAsked = true
    await lose()
    a.proxy.cut()
    return await run(script, keys, args)
  }
  const lost = a.broker.publish('room', '4', {})
  await until(() => isAsked, 'the question')
  b.proxy.restore()
  b.proxy.cut()
  await until(() => a.listener.gaps.length > 0, 'the gap')
  const after = await publishNumbers(b.broker, 'room', 5, 5)
  t.match(await lost, { offset: 4, sent: 0 })
  for (const { listener } of [a, b]) {
    await until(() => listener.texts('room').at(-1) === '5', 'the last')
    t.equal(listener.gaps.length, 1)
    t.equal(listener.gaps[0]?.to.epoch, after.epoch)
  }
})

t.test('one batch that is done on two servers begins an epoch on each, be it that their clocks are behind', async (t) => {
  const { a, b, server } = await world(t, LOG)
  const other = await redisWorld(t, { count: 1 })
  const keys: Keys = a.node.keys
  const script = new Script('epoch-shared', 'publish')
  const epochs = await Promise.all([[server.url, b.node.link], [other.server.url, (other.nodes[0] as BrokerNode).node.link]].map(async ([url, link]) => {
    const redis = new Redis(url as string)
    t.teardown(() => { redis.disconnect() })
    await redis.hset(keys.meta('room'), { e: '9999999999999.x', o: 3, r: 'of the one before' })
    return String(await (link as RedisLink).run(script, [keys.bus(0), keys.batches(0), keys.meta('room'), keys.log('room')], ['node', 1, 100, 'rest', '', '', 0, 1, 0, 0, 0]))
  }))
  t.equal(new Set(epochs).size, 2)
  for (const answer of epochs) t.match(answer, /^10000000000000\.rest\w{12} 4$/)
})
