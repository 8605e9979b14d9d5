import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import t from 'tap'
import { FST_HUB_BROKER_UNAVAILABLE } from '../../lib/errors.js'
import { Keys } from '../../lib/redis/keys.js'
import { DirectoryNode } from '../helpers/directory-node.js'
import { ownPrefix, RedisServer, redisUrl } from '../helpers/redis-server.js'
import { TcpProxy } from '../helpers/tcp-proxy.js'
import { until } from '../helpers/until.js'

/** Each partition has been asked for. */
const TURN_MS = 2_750
const INTERVAL_MS = 30_000

const ownKeys = (): Keys => new Keys(ownPrefix(), 4, false)

/** As FLUSHALL would, but of a prefix only. */
async function loseAll (node: DirectoryNode, keys: Keys): Promise<void> {
  for (const key of await node.link.call('KEYS', `${keys.prefix}:*`) as Buffer[]) await node.link.call('DEL', key)
}

t.test('FAULTS 52: Redis restarts empty: entries come back with the fences that they had, nobody is told of a kick, and fences do not go back', async (t) => {
  const server = await RedisServer.start(t)
  const keys = ownKeys()
  const nodes = [await DirectoryNode.start(t, server.url, keys), await DirectoryNode.start(t, server.url, keys)] as const
  const [one, other] = nodes
  const users = Array.from({ length: 150 }, (_, i) => `user ${i}`)
  const fences = new Map<string, number>()
  for (const [i, user] of users.entries()) {
    const node = nodes[i % 2] as DirectoryNode
    const entry = node.entry(user, { device: 'web', subprotocol: 'raw' })
    fences.set(entry.id, (await node.directory.claim(entry, 'user')).fence)
  }
  const anonymous = one.entry(null)
  await one.directory.claim(anonymous, 'user')
  const before = await Promise.all(users.map(async (user) => await one.directory.user(user)))
  await server.stop('SIGKILL')
  await until(() => nodes.every(({ link }) => !link.isReady), 'the nodes to notice')
  await server.start()
  await until(() => nodes.every(({ link }) => link.isReady), 'Redis')
  t.same(await one.ids('user 0'), [])
  for (const node of nodes) await node.pass(TURN_MS)
  t.same(await Promise.all(users.map(async (user) => await other.directory.user(user))), before)
  for (const [i, user] of users.entries()) {
    const [entry] = before[i] ?? []
    const fence = String(await one.link.call('HGET', keys.connection(user, entry?.id ?? ''), 'fence'))
    if (fence !== String(fences.get(entry?.id ?? ''))) t.fail(`${fence} is not the fence that ${user} had`)
  }
  t.equal(await other.directory.remove(anonymous), true)
  const { fence, removed } = await other.directory.claim(other.entry('user 0'), 'user')
  t.same(removed, before[0])
  t.ok(fence > Math.max(...fences.values()))
  await one.pass(INTERVAL_MS)
  t.same([one.removed.sort(), other.removed], [[anonymous.id, removed[0]?.id].sort(), []], 'what is missing now was removed by somebody')
})

t.test('Redis loses its data without a reconnect: the same', async (t) => {
  const keys = ownKeys()
  const node = await DirectoryNode.start(t, await redisUrl(t), keys)
  const entries = Array.from({ length: 20 }, (_, i) => node.entry(`user ${i}`))
  for (const entry of entries) await node.directory.claim(entry, 'none')
  await node.pass(TURN_MS)
  await loseAll(node, keys)
  // Somebody is there before this node notices: there is a mark again.
  for (let i = 0; i < 20; i++) await node.directory.claim(node.entry(`new user ${i}`), 'none')
  await node.pass(2 * TURN_MS)
  for (const { id, user } of entries) t.same(await node.ids(user as string), [id])
  t.same(node.removed, [])
})

t.test('Redis has lost its data: a login whose client is not heard of takes the place of nobody who is yet to be entered again', async (t) => {
  const keys = ownKeys()
  const [url, silent] = [await redisUrl(t), async (): Promise<boolean> => false]
  const [one, other] = [await DirectoryNode.start(t, url, keys), await DirectoryNode.start(t, url, keys)] as const
  const ann = one.entry('ann')
  await one.directory.claim(ann, 'user')
  await loseAll(one, keys)
  await t.rejects(other.directory.claim(other.entry('ann'), 'user', silent), FST_HUB_BROKER_UNAVAILABLE)
  await other.directory.claim(other.entry(null), 'user', silent)
  await one.pass(TURN_MS)
  t.same([await one.ids('ann'), one.removed], [[ann.id], []])
})

t.test('a login is not asked for its client where nobody is, and nobody may be yet to be entered again', async (t) => {
  const keys = ownKeys()
  const node = await DirectoryNode.start(t, await redisUrl(t), keys, { ttl: 300 })
  let tries = 0
  let asked = 1
  while (asked > 0) {
    asked = 0
    await node.directory.claim(node.entry(`user ${++tries}`), 'user', async () => { asked++; return true })
  }
  t.ok(tries > 1)
})

t.test('fences do not go back, though all is lost and the clock of Redis is behind', async (t) => {
  const keys = ownKeys()
  const url = await redisUrl(t)
  const [one, other] = [await DirectoryNode.start(t, url, keys), await DirectoryNode.start(t, url, keys)]
  const future = 2 ** 52
  await one.link.call('SET', keys.fence(keys.partitionOf('ann')), future)
  const ann = one.entry('ann')
  t.equal((await one.directory.claim(ann, 'user')).fence, future + 1)
  await loseAll(one, keys)
  t.equal((await one.directory.removeUser('ann')).fence, future + 2, 'by what this node has seen')
  await loseAll(one, keys)
  await one.pass(TURN_MS)
  t.same(await other.ids('ann'), [ann.id])
  const { fence, removed } = await other.directory.claim(other.entry('ann'), 'user')
  t.equal(fence, future + 3, 'another node: by what the first one has told')
  t.same(removed, [ann])

  await one.directory.claim(one.entry('bob'), 'none')
  await other.directory.claim(other.entry('bob'), 'none')
  const heard = future + 1_000
  for (let number = 0; number < keys.partitions; number++) await one.link.call('SET', keys.fence(number), heard)
  await one.pass(TURN_MS)
  for (let number = 0; number < keys.partitions; number++) await one.link.call('DEL', keys.fence(number))
  await one.pass(TURN_MS)
  t.ok((await other.directory.claim(other.entry('bob'), 'none')).fence > heard, 'by what the first one has heard, where nothing else was lost')
})

for (const order of ['newer', 'older'] as const) {
  t.test(`FAULTS 67: all is lost before a replaced login heard of it; the ${order} one is entered again first: the newer one stays`, async (t) => {
    const keys = ownKeys()
    const url = await redisUrl(t)
    const [one, other] = [await DirectoryNode.start(t, url, keys), await DirectoryNode.start(t, url, keys)]
    const [older, newer, phone] = [one.entry('ann', { device: 'web' }), other.entry('ann', { device: 'web' }), one.entry('ann', { device: 'phone' })]
    await one.directory.claim(older, 'device')
    await one.directory.claim(phone, 'device')
    await other.directory.claim(newer, 'device')
    await loseAll(one, keys)
    for (const node of order === 'newer' ? [other, one] : [one, other]) await node.pass(2 * TURN_MS)
    t.same(await one.ids('ann'), [newer.id, phone.id].sort())
    await one.pass(INTERVAL_MS)
    t.same([one.removed, other.removed, one.causes], [[older.id], [], ['login']])
  })
}

t.test('FAULTS 66: a kick that comes before those who were lost have been entered again ends them, and nobody who comes later', async (t) => {
  const keys = ownKeys()
  const url = await redisUrl(t)
  const [one, other] = [await DirectoryNode.start(t, url, keys), await DirectoryNode.start(t, url, keys)]
  const [ann, bob] = [one.entry('ann'), one.entry('bob')]
  for (const entry of [ann, bob]) await one.directory.claim(entry, 'none')
  await one.pass(TURN_MS)
  await loseAll(one, keys)
  t.same((await other.directory.removeUser('ann')).removed, [])
  const later = one.entry('ann')
  await one.directory.claim(later, 'none')
  await one.pass(2 * TURN_MS)
  t.same([one.removed, one.causes], [[ann.id], ['kick']])
  t.same(await other.ids('ann'), [later.id])
  await loseAll(one, keys)
  await one.pass(2 * TURN_MS)
  t.same([await other.ids('ann'), await other.ids('bob')], [[later.id], [bob.id]])
  t.same(one.removed, [ann.id])
})

t.test('FAULTS 66: a kick reaches those of a node that was away for longer than they were known', async (t) => {
  const keys = ownKeys()
  const url = await redisUrl(t)
  const away = await DirectoryNode.start(t, url, keys, { ttl: 1_000, interval: 1_000 })
  const other = await DirectoryNode.start(t, url, keys)
  const [ann, bob] = [away.entry('ann'), away.entry('bob')]
  for (const entry of [ann, bob]) await away.directory.claim(entry, 'none')
  await sleep(1_100)
  t.same((await other.directory.removeUser('ann')).removed, [])
  await away.pass(2_500)
  t.same([away.removed, away.causes], [[ann.id], ['kick']])
  t.same([await other.ids('ann'), await other.ids('bob')], [[], [bob.id]])
})

t.test('forgotten before it could be renewed: entered again; where a newer login is there by then, told', async (t) => {
  const keys = ownKeys()
  const url = await redisUrl(t)
  const late = await DirectoryNode.start(t, url, keys, { ttl: 1_000, interval: 1_000 })
  const other = await DirectoryNode.start(t, url, keys)
  const [ann, bob, anonymous] = [late.entry('ann'), late.entry('bob'), late.entry(null)]
  for (const entry of [ann, bob, anonymous]) await late.directory.claim(entry, 'user')
  await sleep(1_100)
  t.same(await other.ids('bob'), [])
  const newer = other.entry('ann')
  t.same((await other.directory.claim(newer, 'user')).removed, [])
  await late.pass(2_500)
  t.same(await other.ids('bob'), [bob.id])
  t.equal(await other.link.call('EXISTS', keys.connection(null, anonymous.id)), 1)
  t.same(late.removed, [ann.id])
  t.same(await other.ids('ann'), [newer.id])
})

t.test('dropped by Redis itself, as with an eviction: entered again where nobody can have taken its place', async (t) => {
  const keys = ownKeys()
  const url = await redisUrl(t)
  const [node, other] = [await DirectoryNode.start(t, url, keys), await DirectoryNode.start(t, url, keys)]
  const [ann, bob, eve] = [node.entry('ann'), node.entry('bob'), node.entry('eve')]
  await node.directory.claim(ann, 'none')
  await node.directory.claim(bob, 'user')
  await node.directory.claim(eve, 'none')
  await node.pass(2_500)
  await other.directory.removeUser('eve')
  for (const [user, { id }] of [['ann', ann], ['bob', bob]] as const) await node.link.call('DEL', keys.connection(user, id), keys.user(user))
  await node.pass(32_500)
  t.same(await other.ids('ann'), [ann.id])
  t.same(node.removed.map((id, i) => [id, node.causes[i]]).sort(), [[bob.id, 'login'], [eve.id, 'kick']].sort(), 'a login that may be alone is not sure any more')
})

t.test('FAULTS 54: what a failover has lost is entered again; nobody is told of a kick', async (t) => {
  const keys = ownKeys()
  const master = await RedisServer.start(t, { args: ['--repl-diskless-sync-delay', '0'] })
  const replica = await RedisServer.start(t, { args: ['--replicaof', `127.0.0.1 ${master.port}`] })
  let target = master.port
  const proxy = await TcpProxy.start(t, () => target)
  const node = await DirectoryNode.start(t, `redis://127.0.0.1:${proxy.port}`, keys)
  const admin = new Redis(replica.port, '127.0.0.1')
  t.teardown(() => { admin.disconnect() })
  const [kept, lost] = [node.entry('ann'), node.entry('bob')]
  await node.directory.claim(kept, 'user')
  await node.pass(TURN_MS)
  let copied = 0
  await until(() => {
    admin.exists(keys.connection('ann', kept.id)).then((count) => { copied = count }, () => {})
    return copied === 1
  }, 'the replica')
  await admin.call('REPLICAOF', 'NO', 'ONE')
  await node.directory.claim(lost, 'user')
  target = replica.port
  proxy.cut()
  await until(() => !node.link.isReady, 'the node to notice')
  await until(() => node.link.isReady, 'the node to connect again')
  t.same(await node.ids('bob'), [])
  await node.pass(TURN_MS)
  t.same(await node.ids('ann'), [kept.id])
  t.same(await node.ids('bob'), [lost.id])
  t.same(node.removed, [])
})

t.test('a user of Redis who may not ask about replication has a directory all the same', async (t) => {
  const server = await RedisServer.start(t)
  const keys = ownKeys()
  const admin = new Redis(server.port, '127.0.0.1')
  t.teardown(() => { admin.disconnect() })
  await admin.call('ACL', 'SETUSER', 'hub', 'on', 'nopass', '~*', '+@all', '-info')
  const node = await DirectoryNode.start(t, `redis://hub:x@127.0.0.1:${server.port}`, keys)
  await t.rejects(node.link.call('INFO'), { code: 'FST_HUB_BROKER_UNAVAILABLE' })
  const [ann, bob] = [node.entry('ann'), node.entry('bob')]
  await node.directory.claim(ann, 'user')
  await node.directory.claim(bob, 'user')
  await node.pass(TURN_MS)
  await admin.flushall()
  await node.pass(2 * TURN_MS)
  t.same([await node.ids('ann'), await node.ids('bob')], [[ann.id], [bob.id]])
  t.same(node.removed, [])
})
