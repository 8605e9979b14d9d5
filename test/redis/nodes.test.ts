import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { systemClock } from '../../lib/core/clock.js'
import { clusterClient, startCluster } from '../helpers/redis-cluster.js'
import { ownPrefix, RedisServer, redisUrl } from '../helpers/redis-server.js'
import { RegistryNode, type RegistryNodeOptions } from '../helpers/registry-node.js'
import { until } from '../helpers/until.js'

/** Milliseconds of Redis, after which a node is dead here. */
const DEAD_MS = 600
const UNAVAILABLE = { code: 'FST_HUB_BROKER_UNAVAILABLE' }

const url = await redisUrl(t)

async function nodes (t: Test, count: number, options: Partial<RegistryNodeOptions> = {}): Promise<RegistryNode[]> {
  const prefix = ownPrefix()
  const list: RegistryNode[] = []
  for (let i = 0; i < count; i++) list.push(await RegistryNode.start(t, { target: url, prefix, dead: DEAD_MS, ...options }))
  return list
}

const idsOf = (list: readonly RegistryNode[]): string[] => list.map(({ id }) => id).sort()

/** For certain. */
async function living (node: RegistryNode): Promise<string[]> {
  const { ids, complete } = await node.nodes.living()
  return complete ? [...ids].sort() : []
}

/** Time of Redis in which each node renews itself, so that it lives. */
async function live (list: readonly RegistryNode[], ms: number): Promise<void> {
  for (const end = performance.now() + ms; performance.now() < end;) {
    for (const node of list) await node.renew()
    await sleep(DEAD_MS / 20)
  }
}

t.test('who is there: all that have started and not closed', async (t) => {
  const list = await nodes(t, 3, { dead: 10_000 })
  const [one, , last] = list as [RegistryNode, RegistryNode, RegistryNode]
  for (const node of list) t.same(await living(node), idsOf(list))
  await last.nodes.close()
  t.same(await living(one), idsOf(list.slice(0, 2)))
  t.equal(last.clock.timers, 0)
  const { ids, complete } = await last.nodes.living()
  t.same([[...ids].sort(), complete], [idsOf(list), false], 'for itself it is there')
})

t.test('another number of partitions is an error at the start, and leaves nothing behind', async (t) => {
  const [one] = await nodes(t, 1) as [RegistryNode]
  const other = RegistryNode.start(t, { target: url, prefix: one.keys.prefix, partitions: 5 })
  await t.rejects(other, { code: 'FST_HUB_INVALID_OPTIONS', message: /redis\.partitions: expected 4, .*got 5/ })
  t.same(await one.entered(), [one.id])
})

t.test('FAULTS 61: what a dead node has left is cleared away', async (t) => {
  const [one, dead, other] = await nodes(t, 3) as [RegistryNode, RegistryNode, RegistryNode]
  for (const node of [one, dead, other]) await node.leaveTraces()
  const all = 2 * one.keys.partitions + 1
  t.equal(await one.tracesOf(dead.id), all)
  await live([one, other], 2 * DEAD_MS)
  t.same(await one.entered(), idsOf([one, other]))
  t.same(await living(one), idsOf([one, other]))
  t.equal(await one.tracesOf(dead.id), 0)
  for (const node of [one, other]) t.equal(await one.tracesOf(node.id), all)
  t.same([one.reaped, other.reaped], [0, 0])

  await dead.renew()
  t.equal(dead.reaped, 1, 'it lives after all')
  await dead.renew()
  t.equal(dead.reaped, 1)
  t.same(await one.entered(), idsOf([one, dead, other]))
})

t.test('a node that closes clears away what it has left itself', async (t) => {
  const [one, other] = await nodes(t, 2) as [RegistryNode, RegistryNode]
  await other.leaveTraces()
  await other.nodes.close()
  t.equal(await one.tracesOf(other.id), 0)
  t.same(await one.entered(), [one.id])
})

t.test('FAULTS 62: of reapers at once one clears away, and one only', async (t) => {
  const server = await RedisServer.start(t)
  const list = await nodes(t, 4, { target: server.url, dead: 60_000 })
  const [dead, ...others] = list as [RegistryNode, RegistryNode, RegistryNode, RegistryNode]
  await dead.leaveTraces()
  for (const node of others) await node.renew(3)
  await dead.link.call('ZADD', dead.keys.nodes, 1, dead.id)
  const destroyed = async (): Promise<number> => Number(/cmdstat_xgroup\|destroy:calls=(\d+)/.exec(String(await dead.link.call('INFO', 'commandstats')))?.[1] ?? 0)
  t.equal(await destroyed(), 0)
  await Promise.all(others.map(async (node) => { await node.renew() }))
  t.equal(await destroyed(), dead.keys.partitions)
  t.equal(await dead.tracesOf(dead.id), 0)
  t.same(await dead.entered(), idsOf(others))
})

t.test('a reaper that looks dead itself when it comes to it reaps nobody', async (t) => {
  const [one, dead] = await nodes(t, 2, { dead: 60_000 }) as [RegistryNode, RegistryNode]
  await one.renew(3)
  await dead.link.call('ZADD', dead.keys.nodes, 1, dead.id)
  const run = one.link.run.bind(one.link)
  one.link.run = async (script, ...rest) => {
    // Redis stood still in between.
    if (script.source.includes('Hands dead nodes over')) await one.link.call('ZADD', one.keys.nodes, 1, one.id)
    return await run(script, ...rest)
  }
  await one.renew(2)
  t.same(await one.entered(), idsOf([one, dead]))
  one.link.run = run
  await one.renew(3)
  t.same(await one.entered(), [one.id])
})

t.test('a node that lives after all stays, whatever is cleared away in this moment', async (t) => {
  const [one, late] = await nodes(t, 2, { dead: 60_000 }) as [RegistryNode, RegistryNode]
  await one.renew(3)
  await late.link.call('ZADD', late.keys.nodes, 1, late.id)
  const run = one.link.run.bind(one.link)
  let reaps = 0
  one.link.run = async (script, ...rest) => {
    if (!script.source.includes('Hands dead nodes over')) return await run(script, ...rest)
    // Between what it is given and what it gives back.
    if (reaps === 1) await late.renew()
    const reply = await run(script, ...rest)
    reaps++
    return reply
  }
  await one.renew()
  await until(() => reaps === 2, 'the reaper to be done')
  t.equal(late.reaped, 1)
  t.same(await one.entered(), idsOf([one, late]))
})

t.test('FAULTS 62: a reaper dies of it: another one finishes', async (t) => {
  const [one, other, dead] = await nodes(t, 3) as [RegistryNode, RegistryNode, RegistryNode]
  await dead.leaveTraces()
  const call = one.link.call.bind(one.link)
  one.link.call = async (command, ...args) => {
    if (command === 'XGROUP') throw new Error('Redis has gone')
    return await call(command, ...args)
  }
  await live([one], 1.5 * DEAD_MS)
  t.ok((await one.entered()).includes(dead.id), 'it is still there')
  t.not((await one.nodes.living()).ids.includes(dead.id), 'as a dead one')
  t.ok(await one.tracesOf(dead.id) > 0)
  await live([other], 3 * DEAD_MS)
  for (const { id } of [one, dead]) t.equal(await other.tracesOf(id), 0)
  t.same(await other.entered(), [other.id])
  t.equal(other.reaped, 1, 'that one was late itself')
})

t.test('FAULTS 64: after a stall of Redis all nodes look dead, and nobody is reaped for it', async (t) => {
  const server = await RedisServer.start(t)
  const list = await nodes(t, 3, { target: server.url })
  const [one, other, slow] = list as [RegistryNode, RegistryNode, RegistryNode]
  for (const node of list) await node.leaveTraces()
  for (const node of list) await node.renew(4)
  server.signal('SIGSTOP')
  for (const node of list) await node.clock.advance(3_000)
  await sleep(2 * DEAD_MS)
  // More of their time passes than one renewal.
  for (const node of list) await node.clock.advance(9_000)
  server.signal('SIGCONT')
  // The answer to the first has come.
  for (const node of list) for (let i = 0; i < 8; i++) await node.link.call('PING')
  await one.link.call('ZADD', one.keys.nodes, 1, slow.id)
  for (const node of [one, other]) await node.renew()
  t.same(await one.entered(), idsOf(list), 'nobody has renewed itself twice since, in time')
  await slow.renew()
  t.equal(Number(String(await one.link.call('ZSCORE', one.keys.nodes, slow.id))) > 1, true)
  for (const node of [one, other]) await node.renew(4)
  t.same(await one.entered(), idsOf(list))
  t.same(list.map(({ reaped }) => reaped), [0, 0, 0])
  for (const { id } of list) t.equal(await one.tracesOf(id), 2 * one.keys.partitions + 1)
})

t.test('FAULTS 64: the same where renewals fail meanwhile: the next one is the first again', async (t) => {
  const server = await RedisServer.start(t)
  const [one, other] = await nodes(t, 2, { target: server.url, timeout: 100 }) as [RegistryNode, RegistryNode]
  for (const node of [one, other]) await node.renew(4)
  server.signal('SIGSTOP')
  for (const end = performance.now() + 2 * DEAD_MS; performance.now() < end;) {
    await one.clock.advance(3_000)
    await sleep(20)
  }
  server.signal('SIGCONT')
  await until(() => one.link.isReady, 'Redis')
  // What it has sent and given up was done now: Redis has heard of it in time.
  await one.link.call('PING')
  await one.renew()
  t.same(await one.entered(), idsOf([one, other]), 'it has renewed itself once since, in time')
  await other.renew()
  await one.renew(4)
  t.same(await one.entered(), idsOf([one, other]))
  t.equal(other.reaped, 0)
})

t.test('FAULTS 64: a script that blocks Redis, with clocks that run', async (t) => {
  const server = await RedisServer.start(t)
  const list = await nodes(t, 3, { target: server.url, clock: systemClock, interval: 50 })
  const [one] = list as [RegistryNode]
  const renewed = async (): Promise<number[]> => await Promise.all(list.map(async ({ id, keys }) => Number(String(await one.link.call('ZSCORE', keys.nodes, id)))))
  /** Each node renews itself so often. */
  const untilRenewed = async (times: number): Promise<void> => {
    for (let i = 0; i < times; i++) {
      const before = await renewed()
      let now = before
      await until(() => {
        renewed().then((times) => { now = times }, () => {})
        return now.every((time, i) => time > (before[i] as number))
      }, 'all of them to live')
    }
  }
  await untilRenewed(4)
  await one.link.call('EVAL', "local now = function () local t = redis.call('TIME') return t[1] * 1000 + t[2] / 1000 end local e = now() + ARGV[1] while now() < e do end", 0, 2 * DEAD_MS)
  await untilRenewed(6)
  t.same(await one.entered(), idsOf(list))
  t.same(list.map(({ reaped }) => reaped), [0, 0, 0])
})

t.test('FAULTS 52: Redis restarts empty: each enters itself again at once, and is told', async (t) => {
  const server = await RedisServer.start(t)
  const list = await nodes(t, 2, { target: server.url })
  const [one, other] = list as [RegistryNode, RegistryNode]
  await server.stop('SIGKILL')
  await until(() => list.every(({ link }) => !link.isReady), 'the nodes to notice')
  await t.rejects(one.nodes.living(), UNAVAILABLE)
  for (const node of list) await node.clock.advance(30_000)
  await server.start()
  await until(() => list.every(({ reaped }) => reaped === 1), 'the nodes to enter themselves again')
  for (const node of list) {
    t.equal((await node.nodes.living()).complete, false, 'others may not have done so yet')
    await node.renew()
  }
  t.same(await living(other), idsOf(list))
  t.equal(String(await one.link.call('HGET', one.keys.config, 'partitions')), '4')
  t.same(list.map(({ errors }) => errors), [[], []])
})

t.test('Redis lost its data, and somebody with another number of partitions came first: an error', async (t) => {
  const [one] = await nodes(t, 1) as [RegistryNode]
  await one.link.call('DEL', one.keys.nodes)
  await one.link.call('HSET', one.keys.config, 'partitions', 8)
  await one.renew()
  t.match(one.errors, [{ code: 'FST_HUB_INVALID_OPTIONS' }])
  await one.renew()
  t.equal(one.errors.length, 1)
})

t.test('FAULTS 55: Redis is full: nodes live on. It refuses that, too: who lives is not known then, rather than that nobody does', async (t) => {
  const server = await RedisServer.start(t)
  const list = await nodes(t, 2, { target: server.url })
  const [one] = list as [RegistryNode]
  await one.link.call('CONFIG', 'SET', 'maxmemory', 1)
  await live(list, 2 * DEAD_MS)
  t.same(await living(one), idsOf(list))
  await one.link.call('CONFIG', 'SET', 'min-replicas-to-write', 1)
  await live(list, 2 * DEAD_MS)
  t.same(await one.nodes.living(), { ids: [one.id], complete: false })
  await one.link.call('CONFIG', 'SET', 'min-replicas-to-write', 0)
  await live(list, DEAD_MS)
  t.same(await living(one), idsOf(list))
  t.same(list.map(({ reaped }) => reaped), [0, 0])
})

t.test('FAULTS 63: clocks of nodes that are an hour apart change nothing', async (t) => {
  const list = await nodes(t, 2, { dead: 60_000 })
  const [one, other] = list as [RegistryNode, RegistryNode]
  one.clock.setWallClock(Date.now() - 3_600_000)
  other.clock.setWallClock(Date.now() + 3_600_000)
  for (const node of [...list, ...list]) {
    await node.renew(3)
    t.same(await living(node), idsOf(list))
  }
  t.same(list.map(({ reaped }) => reaped), [0, 0])
})

t.test('the bus is trimmed by age', async (t) => {
  const [one] = await nodes(t, 1, { streamTtl: 60_000, dead: 3_600_000 }) as [RegistryNode]
  const [seconds] = (await one.link.call('TIME') as Buffer[]).map(Number) as [number]
  // More than a node of the tree in which Redis keeps a stream: `~` leaves the last one that is not all old.
  for (let partition = 0; partition < one.keys.partitions; partition++) {
    for (let i = 0; i < 300; i++) await one.link.call('XADD', one.keys.bus(partition), `${(seconds - 120) * 1_000}-${i + 1}`, 'f', 'v')
    for (let i = 0; i < 50; i++) await one.link.call('XADD', one.keys.bus(partition), `${(seconds - 30) * 1_000}-${i}`, 'f', 'v')
  }
  await one.clock.advance(10_000)
  await one.renew()
  for (let partition = 0; partition < one.keys.partitions; partition++) {
    const length = Number(await one.link.call('XLEN', one.keys.bus(partition)))
    t.ok(length >= 50 && length < 200, `partition ${partition}: ${length}`)
  }
})

t.test('the bus goes by itself when no node is there any more', async (t) => {
  const [one, other] = await nodes(t, 2, { streamTtl: 60_000 }) as [RegistryNode, RegistryNode]
  const bus = one.keys.bus(0)
  const left = async (): Promise<number> => Number(await other.link.call('PTTL', bus))
  await one.link.call('XADD', bus, '*', 'f', 'v')
  t.equal(await left(), -1)
  await one.clock.advance(10_000)
  await one.renew()
  t.ok(await left() > 23 * 3_600_000)
  await one.link.call('PERSIST', bus)
  await one.nodes.close()
  t.ok(await left() > 23 * 3_600_000, 'also of one that was not there for long')
})

t.test('close does not wait for a Redis that is away, or does not answer', async (t) => {
  const server = await RedisServer.start(t)
  const [gone, mute] = await nodes(t, 2, { target: server.url, timeout: 300 }) as [RegistryNode, RegistryNode]
  server.signal('SIGSTOP')
  await mute.clock.advance(3_000)
  await mute.nodes.close()
  server.signal('SIGCONT')
  await server.stop('SIGKILL')
  await until(() => !gone.link.isReady, 'the node to notice')
  await gone.nodes.close()
  t.same([gone.clock.timers, mute.clock.timers], [0, 0])
})

t.test('on Redis Cluster: the same', async (t) => {
  const servers = await startCluster(t, 2)
  const list = await nodes(t, 3, { target: clusterClient(t, servers) })
  const [one, dead, other] = list as [RegistryNode, RegistryNode, RegistryNode]
  await dead.leaveTraces()
  await live([one, other], 2 * DEAD_MS)
  t.same(await living(one), idsOf([one, other]))
  t.equal(await one.tracesOf(dead.id), 0)
})
