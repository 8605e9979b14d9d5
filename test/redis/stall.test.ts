import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import type { DisconnectInfo, Hub } from '../../lib/index.js'
import { connect, type TestPeer } from '../../lib/testing/index.js'
import { redisApps } from '../helpers/redis-apps.js'
import { RedisServer } from '../helpers/redis-server.js'
import { range } from '../helpers/redis-world.js'
import { until } from '../helpers/until.js'

const texts = ({ messages }: TestPeer): string[] => messages.map((message) => message.text())

/**
 * Two hubs on a Redis of their own that somebody keeps from them: what of them goes on meanwhile, and what comes behind it.
 * @param pause milliseconds before rooms with history are published to: not more than `timeout` before the end
 * @param expected what is logged as an error
 */
async function stalled (t: Test, args: string[], pause: number, expected: string[], stall: (redis: Redis, other: Redis) => Promise<unknown>): Promise<void> {
  const server = await RedisServer.start(t, { args })
  const { hubs, logs } = await redisApps(t, 2, { url: server.url, timeout: 9_000 }, { heartbeat: { interval: 200, timeout: 1_000 } })
  const [one, two] = hubs as [Hub, Hub]
  const [ann, bob, eve] = [await connect(one, { user: 'ann', kernel: Infinity }), await connect(two, { user: 'bob', kernel: Infinity }), await connect(one, { user: 'eve', kernel: Infinity })]
  for (const { connection } of [ann, bob]) await connection.join('lobby')
  const [redis, busy] = [new Redis(server.url), new Redis(server.url)]
  t.teardown(() => { for (const client of [redis, busy]) client.disconnect() })
  const [nodes = ''] = await redis.keys('*:nodes')
  const before = { nodes: (await redis.zrange(nodes, '0', '-1')).sort(), groups: await groups(redis) }
  const log = logs.length

  const stalling = { isOver: false }
  const over = stall(busy, redis).finally(() => { stalling.isOver = true })
  const pings = ann.pings + bob.pings
  const ends: DisconnectInfo[] = []
  one.on('disconnect', (_, info) => { ends.push(info) })
  eve.vanish()
  await one.broadcast('to all')
  await one.room('lobby').publish('typing', { ephemeral: true })
  ann.connection.send('to ann')
  await until(() => texts(ann).length === 3, 'local traffic')
  t.same(texts(ann), ['to all', 'typing', 'to ann'])
  await until(() => ann.pings + bob.pings > pings + 4, 'pings')
  await until(() => ends.length > 0, 'the end of one that is silent')
  t.match(ends, [{ code: 4408 }])
  await sleep(pause)
  const waiting = range(1, 10).map(async (i) => await one.room('lobby').publish(`kept ${i}`))
  t.equal(stalling.isOver, false, 'all of that while Redis stood still')
  t.same(texts(bob), [])
  await over

  t.same((await Promise.all(waiting)).map(({ offset }) => offset), range(1, 10))
  await until(() => texts(bob).length === 12, () => `everything, got ${texts(bob).join()}`)
  const kept = range(1, 10).map((i) => `kept ${i}`)
  t.same(texts(bob).filter((text) => text.startsWith('kept')), kept)
  t.same(texts(bob).sort(), ['to all', 'typing', ...kept].sort())
  t.same(texts(ann), ['to all', 'typing', 'to ann', ...kept])
  t.match(await one.user('bob').send('hello'), { delivered: 1, nodes: [two.nodeId] })
  let stats = await two.stats({ cluster: true })
  t.match(stats, { total: { connections: 2 } })
  await until(() => {
    two.stats({ cluster: true }).then((answer) => { stats = answer }, t.threw)
    return !stats.partial
  }, 'all to be known')
  t.same({ nodes: (await redis.zrange(nodes, '0', '-1')).sort(), groups: await groups(redis) }, before, 'no node was reaped')
  t.same([ann.ended, bob.ended], [null, null])
  // Whether it was silent for long enough to be told depends on when it was asked, and the bus read, last.
  t.same([...new Set(logs.slice(log).filter(({ level, msg }) => level >= 50 && !SILENT.includes(msg)).map(({ msg }) => msg))], expected)
}

const SILENT = ['the bus is silent: this node does not hear the others', 'Redis does not answer']

/** Each consumer group of a stream, so of a node. */
async function groups (redis: Redis): Promise<string[]> {
  const found: string[] = []
  for (const key of await redis.keys('*:bus')) for (const group of await redis.xinfo('GROUPS', key) as string[][]) found.push(`${key} ${group[1] ?? ''}`)
  return found.sort()
}

t.jobs = 2

t.test('FAULTS 64: Redis does nothing for longer than nodes live without a sign', async (t) => {
  await stalled(t, ['--enable-debug-command', 'yes'], 3_000, [], async (redis) => await redis.call('DEBUG', 'SLEEP', '10.5'))
})

t.test('FAULTS 64: a script keeps Redis busy, which says so', async (t) => {
  await stalled(t, ['--busy-reply-threshold', '300'], 0, ['Redis refuses what it is asked for'], async (redis, other) => {
    const ended = redis.eval('while true do end', 0).catch(() => {})
    await sleep(3_000)
    await other.script('KILL')
    await ended
  })
})
