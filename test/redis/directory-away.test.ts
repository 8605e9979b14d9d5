import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { systemClock } from '../../lib/core/clock.js'
import { FST_HUB_BROKER_UNAVAILABLE } from '../../lib/errors.js'
import { Keys } from '../../lib/redis/keys.js'
import { DirectoryNode } from '../helpers/directory-node.js'
import { ownPrefix, RedisServer } from '../helpers/redis-server.js'
import { TcpProxy } from '../helpers/tcp-proxy.js'
import { gate, until } from '../helpers/until.js'

/** Each partition has been asked for. */
const TURN_MS = 2_750
const INTERVAL_MS = 30_000
const LEASE_MS = 10_000
const TTL_MS = 90_000
/** Milliseconds within which Redis has to answer here. */
const TIMEOUT_MS = 300

const UNAVAILABLE = { code: 'FST_HUB_BROKER_UNAVAILABLE' }

/** Longer than clocks can differ in that time. */
const SURELY_MS = 200
const ownKeys = (): Keys => new Keys(ownPrefix(), 4, false)

/** Redis goes, and the node has noticed. */
async function stop (server: RedisServer, node: DirectoryNode): Promise<void> {
  await server.stop('SIGKILL')
  await until(() => !node.link.isReady, 'the node to notice')
}

async function start (server: RedisServer, node: DirectoryNode): Promise<void> {
  await server.start()
  await until(() => node.link.isReady, 'Redis')
}

t.test('the lease is lost when nothing could be renewed for so long: once for each time that Redis is away', async (t) => {
  const server = await RedisServer.start(t)
  const node = await DirectoryNode.start(t, server.url, ownKeys())
  await node.directory.claim(node.entry('ann'), 'user')
  await node.pass(LEASE_MS * 3)
  for (const count of [1, 2]) {
    await stop(server, node)
    await node.clock.advance(LEASE_MS - TURN_MS)
    t.equal(node.lost.length, count - 1, 'not yet')
    await node.clock.advance(TURN_MS)
    t.equal(node.lost.length, count)
    await node.clock.advance(10 * LEASE_MS)
    t.equal(node.lost.length, count)
    await start(server, node)
    await node.pass(TURN_MS)
    t.equal(node.lost.length, count)
  }
  t.same(node.removed, [])
})

t.test('only logins that may be alone lose it, of partitions that were not renewed; many in turns of their own', async (t) => {
  const keys = ownKeys()
  const node = await DirectoryNode.start(t, (await RedisServer.start(t)).url, keys)
  const users = Array.from({ length: 1_000 }, (_, i) => `user ${i}`)
  const entries = users.map((user) => node.entry(user))
  await Promise.all(entries.map(async (entry) => await node.directory.claim(entry, 'user')))
  for (let i = 0; i < 4; i++) await node.directory.claim(node.entry(null), 'user')
  await node.pass(TURN_MS)
  const run = node.link.run.bind(node.link)
  node.link.run = async (script, [key = '', ...more], args) => {
    if (key.startsWith(`${keys.prefix}:{0}:`)) throw new FST_HUB_BROKER_UNAVAILABLE('one of several servers is away')
    return await run(script, [key, ...more], args)
  }
  await node.pass(2 * LEASE_MS)
  const expected = entries.filter(({ user }) => keys.partitionOf(user as string) === 0).map(({ id }) => id)
  t.same(node.lost.flat().sort(), expected.sort())
  t.ok(expected.length > 200)
  for (const { length } of node.lost) t.ok(length <= 100)
})

t.test('the same where Redis takes commands and answers none', async (t) => {
  const server = await RedisServer.start(t)
  const node = await DirectoryNode.start(t, server.url, ownKeys(), { timeout: TIMEOUT_MS })
  await node.directory.claim(node.entry('ann'), 'user')
  await node.pass(TURN_MS)
  server.signal('SIGSTOP')
  for (let i = 0; i < 4; i++) {
    await node.clock.advance(TURN_MS)
    // For its answers Redis has real time.
    await sleep(TIMEOUT_MS)
  }
  t.equal(node.lost.length, 1)
  server.signal('SIGCONT')
  await node.pass(LEASE_MS)
  t.equal(node.lost.length, 1)
})

t.test('who has nothing in the directory has no lease to lose; who begins has time', async (t) => {
  const server = await RedisServer.start(t)
  const node = await DirectoryNode.start(t, server.url, ownKeys())
  await stop(server, node)
  await node.clock.advance(3 * LEASE_MS)
  t.equal(node.lost.length, 0)
  await t.rejects(node.directory.claim(node.entry('ann'), 'none'), UNAVAILABLE)
  await node.clock.advance(TURN_MS)
  t.equal(node.lost.length, 0)
})

t.test('a process that stood still for longer than the lease asks before it gives up its logins, and finds out what it has missed', async (t) => {
  const server = await RedisServer.start(t)
  const keys = ownKeys()
  const [node, other] = [await DirectoryNode.start(t, server.url, keys), await DirectoryNode.start(t, server.url, keys)]
  const entries = Array.from({ length: 20 }, (_, i) => node.entry(`user ${i}`))
  for (const entry of entries) await node.directory.claim(entry, 'user')
  await node.pass(TURN_MS)
  const taken = entries.slice(0, 10)
  for (const { user } of taken) await other.directory.claim(other.entry(user), 'user')
  node.clock.stall(LEASE_MS + TURN_MS)
  await node.pass(250)
  t.same(node.removed.sort(), taken.map(({ id }) => id).sort(), 'at once, and not within the interval')
  await node.pass(LEASE_MS)
  t.equal(node.lost.length, 0)

  await stop(server, node)
  node.clock.stall(6 * LEASE_MS)
  t.equal(node.lost.length, 0)
  await node.clock.advance(TURN_MS)
  t.equal(node.lost.length, 1, 'there is nobody to ask')
})

t.test('a claim while Redis is away is rejected; who takes nobody\'s place is entered when it is back, unless it has left by then', async (t) => {
  const server = await RedisServer.start(t)
  const keys = ownKeys()
  const node = await DirectoryNode.start(t, server.url, keys)
  await stop(server, node)
  const [many, single, anonymous, left] = [node.entry('many'), node.entry('single'), node.entry(null), node.entry('left')]
  await t.rejects(node.directory.claim(many, 'none'), UNAVAILABLE)
  await t.rejects(node.directory.claim(left, 'none'), UNAVAILABLE)
  await t.rejects(node.directory.claim(single, 'user'), UNAVAILABLE)
  await t.rejects(node.directory.claim(anonymous, 'user'), UNAVAILABLE)
  await t.rejects(node.directory.remove(left), UNAVAILABLE)
  await start(server, node)
  await node.pass(2 * TURN_MS)
  t.same(await node.directory.user('many'), [many])
  t.same([await node.ids('single'), await node.ids('left')], [[], []])
  t.equal(await node.link.call('EXISTS', keys.connection(null, anonymous.id)), 1)
  t.ok(Number(String(await node.link.call('HGET', keys.connection('many', many.id), 'fence'))) > 1e15, 'it has a place now')
  t.same(node.removed, [left.id], 'what was to be removed is: whoever lives still is told')
  await node.pass(INTERVAL_MS)
  t.same(await node.ids('many'), [many.id])
  t.equal((await node.directory.removeUser('many')).removed.length, 1)
})

t.test('FAULTS 66: a kick ends those who came before it and could not be entered yet, and nobody who came behind it', async (t) => {
  const server = await RedisServer.start(t)
  const keys = ownKeys()
  // On real time, by which the two are told from each other.
  const node = await DirectoryNode.start(t, server.url, keys, { interval: 200 }, systemClock)
  const other = await DirectoryNode.start(t, server.url, keys)
  const run = node.link.run.bind(node.link)
  node.link.run = async () => { throw new FST_HUB_BROKER_UNAVAILABLE('it is away') }
  const [before, behind] = [node.entry('ann'), node.entry('ann')]
  await t.rejects(node.directory.claim(before, 'none'), UNAVAILABLE)
  await sleep(20)
  await other.directory.removeUser('ann')
  await sleep(20)
  await t.rejects(node.directory.claim(behind, 'none'), UNAVAILABLE)
  node.link.run = run
  await until(() => node.removed.length > 0, 'news of the kick')
  // They were asked about together.
  await node.link.call('PING')
  t.same([node.removed, node.causes], [[before.id], ['kick']])
  t.same(await other.ids('ann'), [behind.id])
})

t.test('a claim that was done, but not answered in time: found, and not entered twice', async (t) => {
  const server = await RedisServer.start(t)
  const keys = ownKeys()
  const node = await DirectoryNode.start(t, server.url, keys, { timeout: TIMEOUT_MS })
  await node.directory.claim(node.entry('first'), 'none')
  server.signal('SIGSTOP')
  const [many, single] = [node.entry('many'), node.entry('single')]
  const claims = [node.directory.claim(many, 'none'), node.directory.claim(single, 'user')]
  for (const claim of claims) await t.rejects(claim, UNAVAILABLE)
  await t.rejects(node.directory.remove(single), UNAVAILABLE)
  server.signal('SIGCONT')
  await until(() => node.link.isReady, 'Redis')
  await node.link.call('PING')
  const fence = await node.link.call('HGET', keys.connection('many', many.id), 'fence')
  t.not(fence, null)
  await node.pass(2 * TURN_MS)
  t.same(await node.directory.user('many'), [many])
  t.same(await node.link.call('HGET', keys.connection('many', many.id), 'fence'), fence)
  t.same(await node.ids('single'), [], 'the hub has refused it')
  t.same(node.removed, [single.id])
})

t.test('what could not be removed is removed when Redis is back, and told: the one who asked may have been told that it failed', async (t) => {
  const server = await RedisServer.start(t, { durable: true })
  const keys = ownKeys()
  const [node, other] = [await DirectoryNode.start(t, server.url, keys), await DirectoryNode.start(t, server.url, keys)]
  const entries = Array.from({ length: 250 }, (_, i) => node.entry(i % 2 === 0 ? 'ann' : null))
  await Promise.all(entries.map(async (entry) => await node.directory.claim(entry, 'none')))
  const bob = node.entry('bob')
  await node.directory.claim(bob, 'none')
  await stop(server, node)
  for (const entry of entries) await t.rejects(node.directory.remove(entry), UNAVAILABLE)
  await server.start()
  await until(() => node.link.isReady && other.link.isReady, 'Redis')
  t.equal((await other.ids('ann')).length, 125)
  await node.pass(TURN_MS)
  t.same(await other.ids('ann'), [])
  t.same((await node.link.call('KEYS', `${keys.prefix}:*:conn:*`) as Buffer[]).map(String), [keys.connection('bob', bob.id)])
  t.same(node.removed.sort(), entries.map(({ id }) => id).sort())
})

t.test('what could not be removed until Redis must have forgotten it is told, too', async (t) => {
  const server = await RedisServer.start(t)
  const node = await DirectoryNode.start(t, server.url, ownKeys())
  const ann = node.entry('ann')
  await node.directory.claim(ann, 'none')
  await stop(server, node)
  await t.rejects(node.directory.remove(ann), UNAVAILABLE)
  await node.clock.advance(TTL_MS - TURN_MS)
  t.same(node.removed, [])
  await node.clock.advance(TURN_MS)
  t.same(node.removed, [ann.id])
})

t.test('a connection that leaves while it is entered again is not there afterwards', async (t) => {
  const server = await RedisServer.start(t)
  const keys = ownKeys()
  const [node, other] = [await DirectoryNode.start(t, server.url, keys), await DirectoryNode.start(t, server.url, keys)]
  const [ann, bob] = [node.entry('ann'), node.entry('bob')]
  for (const entry of [ann, bob]) await node.directory.claim(entry, 'none')
  await node.pass(TURN_MS)
  for (const key of await other.link.call('KEYS', `${keys.prefix}:*`) as Buffer[]) await other.link.call('DEL', key)
  // As when Redis does not know the script, and its source is sent behind what came meanwhile.
  const run = node.link.run.bind(node.link)
  const late = gate()
  let isEntering = false
  node.link.run = async (script, ...rest) => {
    if (rest[1].includes(ann.id) && script.source.includes('Enters a connection once more')) {
      isEntering = true
      await late.promise
    }
    return await run(script, ...rest)
  }
  await node.pass(2 * TURN_MS)
  t.ok(isEntering)
  t.equal(await node.directory.remove(ann), false)
  late.open()
  await node.pass(2 * TURN_MS)
  t.same(await other.ids('ann'), [])
  t.same(await other.ids('bob'), [bob.id])
})

t.test('close does not wait for a Redis that is away, or does not answer', async (t) => {
  const server = await RedisServer.start(t)
  const keys = ownKeys()
  const [gone, mute] = [await DirectoryNode.start(t, server.url, keys), await DirectoryNode.start(t, server.url, keys, { timeout: TIMEOUT_MS })]
  for (const node of [gone, mute]) for (let i = 0; i < 300; i++) await node.directory.claim(node.entry(`user ${i}`), 'none')
  server.signal('SIGSTOP')
  const claim = mute.directory.claim(mute.entry('late'), 'none')
  await Promise.all([t.rejects(claim, UNAVAILABLE), mute.directory.close()])
  t.equal(mute.clock.timers, 0)
  server.signal('SIGCONT')
  await stop(server, gone)
  await gone.directory.close()
  t.equal(gone.clock.timers, 0)
  t.same([gone.removed, mute.removed], [[], []])
})

t.test('a claim that comes to Redis when it was given up takes nobody\'s place', async (t) => {
  const server = await RedisServer.start(t)
  const keys = ownKeys()
  const proxy = await TcpProxy.start(t, () => server.port)
  const node = await DirectoryNode.start(t, `redis://127.0.0.1:${proxy.port}`, keys, { timeout: TIMEOUT_MS }, systemClock)
  const other = await DirectoryNode.start(t, server.url, keys)
  await node.directory.claim(node.entry('bob'), 'user')
  proxy.hold('up')
  const given = node.entry('ann')
  await t.rejects(node.directory.claim(given, 'user'), UNAVAILABLE)
  const ann = other.entry('ann')
  await other.directory.claim(ann, 'user')
  proxy.release('up')
  await until(() => node.link.isReady, 'Redis')
  await other.pass(LEASE_MS + TURN_MS)
  t.same([await other.ids('ann'), other.removed], [[ann.id], []])
})

t.test('FAULTS 67: of two logins the one that came later stays, though Redis has it first', async (t) => {
  const server = await RedisServer.start(t)
  const keys = ownKeys()
  const proxy = await TcpProxy.start(t, () => server.port)
  const held = await DirectoryNode.start(t, `redis://127.0.0.1:${proxy.port}`, keys, {}, systemClock)
  const other = await DirectoryNode.start(t, server.url, keys, {}, systemClock)
  for (const node of [held, other]) await node.directory.claim(node.entry('bob'), 'user')
  proxy.hold('up')
  const cameAt = systemClock.monotonic()
  const claims = [held.directory.claim(held.entry('ann'), 'user'), held.directory.claim(held.entry('ann', { device: 'phone' }), 'device')]
  const free = held.directory.claim(held.entry('ann'), 'none')
  await until(() => systemClock.monotonic() > cameAt + SURELY_MS, 'no doubt about who came later')
  const ann = other.entry('ann')
  await other.directory.claim(ann, 'user')
  proxy.release('up')
  t.match(await claims[0]?.catch((error: unknown) => error), { by: 'login' })
  t.same((await claims[1])?.removed, [], 'one of another device')
  t.same((await free).removed, [])
  t.equal((await held.ids('ann')).length, 3)
  t.match(await held.ids('ann'), new Set([ann.id]))
  const next = held.entry('ann')
  t.equal((await held.directory.claim(next, 'user')).removed.length, 3, 'whoever comes behind them takes their place')
  t.same(await other.ids('ann'), [next.id])
})

t.test('a clock of Redis that was set does not keep anybody out', async (t) => {
  const keys = ownKeys()
  const server = await RedisServer.start(t)
  const [one, other] = [await DirectoryNode.start(t, server.url, keys, {}, systemClock), await DirectoryNode.start(t, server.url, keys, {}, systemClock)]
  const ann = one.entry('ann')
  await one.directory.claim(ann, 'user')
  await one.link.call('HINCRBY', keys.connection('ann', ann.id), 'came', 3_600_000)
  t.same((await other.directory.claim(other.entry('ann'), 'user')).removed.map(({ id }) => id), [ann.id])
})
