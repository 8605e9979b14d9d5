import t from 'tap'
import { systemClock } from '../../lib/core/clock.js'
import type { DirectoryEntry } from '../../lib/core/ports.js'
import { FST_HUB_BROKER_UNAVAILABLE } from '../../lib/errors.js'
import { Keys } from '../../lib/redis/keys.js'
import { DirectoryNode } from '../helpers/directory-node.js'
import { ownPrefix, RedisServer, redisUrl } from '../helpers/redis-server.js'
import { until } from '../helpers/until.js'

/** Each partition has been asked for. */
const TURN_MS = 2_750
const INTERVAL_MS = 30_000
const LEASE_MS = 10_000

const url = await redisUrl(t)
const ownKeys = (): Keys => new Keys(ownPrefix(), 4, false)

/** Waits for what only Redis' own time brings. */
async function untilIds (node: DirectoryNode, user: string, ids: readonly string[]): Promise<void> {
  let found: string[] = ['not asked']
  let isAsking = false
  await until(() => {
    if (!isAsking) {
      isAsking = true
      node.ids(user).then((answer) => { found = answer }, () => {}).finally(() => { isAsking = false })
    }
    return JSON.stringify(found) === JSON.stringify(ids)
  }, () => `${ids.length} connections of ${user}, there are ${found.length}`)
}

t.test('FAULTS 61: entries of a node that vanished are gone after their time; those of others stay', async (t) => {
  const keys = ownKeys()
  const options = { ttl: 400, interval: 100 }
  const vanished = await DirectoryNode.start(t, url, keys, options)
  const living = await DirectoryNode.start(t, url, keys, options, systemClock)
  const [ghost, anonymous, ann] = [vanished.entry('ann'), vanished.entry(null), living.entry('ann')]
  for (const entry of [ghost, anonymous]) await vanished.directory.claim(entry, 'none')
  await living.directory.claim(ann, 'none')
  t.same(await living.ids('ann'), [ghost.id, ann.id].sort())
  await untilIds(living, 'ann', [ann.id])
  t.equal(await living.directory.remove(ghost), false)
  t.equal(await living.directory.remove(anonymous), false)
  t.same((await living.directory.removeUser('ann')).removed.map(({ id }) => id), [ann.id])
  t.same(await living.link.call('KEYS', `${keys.prefix}:*:user:*`), [])
})

t.test('what has expired by the time of Redis is neither found nor removed, though nobody has swept', async (t) => {
  const keys = ownKeys()
  const node = await DirectoryNode.start(t, url, keys)
  const [old, young] = [node.entry('ann'), node.entry('ann')]
  for (const entry of [old, young]) await node.directory.claim(entry, 'none')
  await node.link.call('ZADD', keys.user('ann'), 1, old.id)
  t.same(await node.ids('ann'), [young.id])
  t.same((await node.directory.removeUser('ann')).removed.map(({ id }) => id), [young.id])
})

t.test('one that came while the client of another was asked is the later one', async (t) => {
  const node = await DirectoryNode.start(t, url, ownKeys(), {}, systemClock)
  await node.directory.claim(node.entry('ann'), 'user')
  const later = node.entry('ann')
  const earlier = node.directory.claim(node.entry('ann'), 'user', async () => {
    const cameAt = systemClock.monotonic()
    await until(() => systemClock.monotonic() > cameAt + 200, 'no doubt about who came later')
    await node.directory.claim(later, 'user')
    return true
  })
  await t.rejects(earlier, /came later/)
  t.same(await node.ids('ann'), [later.id])
})

t.test('a login replaces nobody who has expired', async (t) => {
  const keys = ownKeys()
  const node = await DirectoryNode.start(t, url, keys)
  const [old, young] = [node.entry('ann'), node.entry('ann')]
  await node.directory.claim(old, 'user')
  await node.link.call('DEL', keys.connection('ann', old.id))
  t.same((await node.directory.claim(young, 'user')).removed, [])
  t.equal(await node.link.call('ZCARD', keys.user('ann')), 1)
})

t.test('FAULTS 66: a kick whose word is lost is noticed by the node itself, and does not come back', async (t) => {
  const keys = ownKeys()
  const [one, other] = [await DirectoryNode.start(t, url, keys), await DirectoryNode.start(t, url, keys)]
  const [ann, anonymous, bob] = [one.entry('ann'), one.entry(null), one.entry('bob')]
  for (const entry of [ann, anonymous, bob]) await one.directory.claim(entry, 'none')
  t.same((await other.directory.removeUser('ann')).removed.map(({ id }) => id), [ann.id])
  t.equal(await other.directory.remove(anonymous), true)
  await one.pass(INTERVAL_MS)
  t.same([one.removed.sort(), one.causes], [[ann.id, anonymous.id].sort(), ['kick', 'kick']])
  await one.pass(INTERVAL_MS)
  t.equal(one.removed.length, 2, 'told once')
  t.same(await other.ids('ann'), [])
  t.same(await other.ids('bob'), [bob.id])
  t.equal(await other.link.call('EXISTS', keys.connection('ann', ann.id)), 0)
})

t.test('FAULTS 67: a newer login whose word is lost is noticed by the node itself within the lease, and told as such; also where its own answer was lost', async (t) => {
  const keys = ownKeys()
  const [one, other] = [await DirectoryNode.start(t, url, keys), await DirectoryNode.start(t, url, keys)]
  const users = Array.from({ length: 40 }, (_, i) => `user ${i}`)
  const entries = users.map((user) => one.entry(user))
  for (const entry of entries) await one.directory.claim(entry, 'user')
  await one.pass(TURN_MS)
  for (const user of users) {
    await other.directory.claim(other.entry(user), 'user')
    t.same((await other.directory.claim(other.entry(user), 'user')).removed.length, 1, 'of the first one nobody is told again')
  }
  // Who was kicked after he had been replaced has been kicked.
  await other.directory.removeUser('user 0')
  await one.pass(LEASE_MS + TURN_MS)
  t.same(one.removed.sort(), entries.map(({ id }) => id).sort())
  t.same(one.causes.sort(), ['kick', ...users.slice(1).map(() => 'login')])
})

t.test('Redis goes between the news that an entry is missing and the answer to why: it is asked for both again', async (t) => {
  const keys = ownKeys()
  const [one, other] = [await DirectoryNode.start(t, url, keys), await DirectoryNode.start(t, url, keys)]
  const [ann, bob] = [one.entry('ann'), one.entry('bob')]
  for (const entry of [ann, bob]) await one.directory.claim(entry, 'user')
  await one.pass(TURN_MS)
  await other.directory.claim(other.entry('ann'), 'user')
  await other.directory.removeUser('bob')
  const call = one.link.call.bind(one.link)
  let failures = 0
  one.link.call = async (command, ...args) => {
    if (command === 'GET' && failures++ < 2) throw new FST_HUB_BROKER_UNAVAILABLE('it has gone')
    return await call(command, ...args)
  }
  await one.pass(LEASE_MS + 2 * TURN_MS)
  t.ok(failures > 2)
  t.same(one.removed.map((id, i) => [id, one.causes[i]]).sort(), [[ann.id, 'login'], [bob.id, 'kick']].sort())
})

t.test('what a node has removed itself, or was told of, is no news to it', async (t) => {
  const keys = ownKeys()
  const node = await DirectoryNode.start(t, url, keys)
  const entries = Array.from({ length: 4 }, () => node.entry('ann'))
  const [a, b, c, d] = entries as [DirectoryEntry, DirectoryEntry, DirectoryEntry, DirectoryEntry]
  await node.directory.claim(a, 'none')
  t.equal(await node.directory.remove(a), true)
  await node.directory.claim(b, 'none')
  await node.directory.claim(c, 'user')
  await node.directory.removeUser('ann')
  await node.directory.claim(d, 'user')
  await node.pass(INTERVAL_MS)
  t.same(node.removed, [])
  t.same(await node.ids('ann'), [d.id])
  // The question whether it is still there is on its way.
  node.clock.advanceSync(TURN_MS)
  t.equal(await node.directory.remove(d), true)
  await node.pass(INTERVAL_MS)
  t.same(node.removed, [])
  t.same(await node.ids('ann'), [])
})

t.test('each entry is renewed once in an interval, a hundred at once at most, and says when its peer was heard', async (t) => {
  const keys = ownKeys()
  // Its commands are counted.
  const node = await DirectoryNode.start(t, (await RedisServer.start(t)).url, keys)
  const heard: { lastSeen: number } = { lastSeen: 0 }
  const entries = Array.from({ length: 900 }, (_, i) => {
    const { lastSeen, ...entry } = node.entry(i % 3 === 0 ? null : `user ${i % 7}`)
    return { ...entry, get lastSeen () { return heard.lastSeen === 0 ? lastSeen : heard.lastSeen } }
  })
  for (const entry of entries) await node.directory.claim(entry, 'none')
  const hashes = entries.map(({ id, user }) => keys.connection(user, id))
  const sets = [...new Set(entries.map(({ user }) => user))].filter((user) => user !== null).map((user) => keys.user(user))
  for (const key of [...hashes, ...sets]) await node.link.call('PEXPIRE', key, 60_000)
  heard.lastSeen = 1_800_000_000_000
  const calls = async (): Promise<number> => Number(/cmdstat_evalsha:calls=(\d+)/.exec(String(await node.link.call('INFO', 'commandstats')))?.[1])
  const before = await calls()
  let most = 0
  for (let passed = 0; passed < INTERVAL_MS; passed += 250) {
    const begin = await calls()
    await node.pass(250)
    most = Math.max(most, await calls() - begin)
  }
  for (const key of [...hashes, ...sets]) if (Number(await node.link.call('PTTL', key)) <= 60_000) t.fail(`${key} was not renewed`)
  for (const key of hashes) if (String(await node.link.call('HGET', key, 'lastSeen')) !== '1800000000000') t.fail(`${key} was not heard`)
  const count = await calls() - before
  t.ok(count >= 9, 'a hundred at most')
  t.ok(count <= 60, `in batches, not one by one: ${count}`)
  t.ok(most <= 4, `never many at once: ${most}`)
  t.same(node.removed, [])
})

t.test('those that end in one turn are removed together: each call is told of its own, also where they come to the end of the node', async (t) => {
  const keys = ownKeys()
  const node = await DirectoryNode.start(t, (await RedisServer.start(t)).url, keys, {}, systemClock)
  const entries = Array.from({ length: 900 }, (_, i) => node.entry(i % 3 === 0 ? null : `user ${i % 7}`))
  await Promise.all(entries.map(async (entry) => await node.directory.claim(entry, 'none')))
  const calls = async (): Promise<number> => Number(/cmdstat_evalsha:calls=(\d+)/.exec(String(await node.link.call('INFO', 'commandstats')))?.[1])
  await node.directory.remove(node.entry(null))
  const before = await calls()
  const results = await Promise.all([...entries.slice(0, 800), ...entries.slice(0, 10)].map(async (entry) => await node.directory.remove(entry)))
  t.equal(results.filter(Boolean).length, 800)
  t.ok(results.slice(0, 800).every(Boolean))
  t.ok(await calls() - before <= 12)
  const last = Promise.all(entries.slice(800).map(async (entry) => await node.directory.remove(entry)))
  await node.directory.close()
  t.ok((await last).every(Boolean))
})

t.test('FAULTS 63: clocks of nodes that are an hour apart change nothing', async (t) => {
  const keys = ownKeys()
  const [early, late] = [await DirectoryNode.start(t, url, keys), await DirectoryNode.start(t, url, keys)]
  early.clock.setWallClock(Date.now() - 3_600_000)
  late.clock.setWallClock(Date.now() + 3_600_000)
  const fences: number[] = []
  const entries: DirectoryEntry[] = []
  for (const node of [late, early, late, early]) {
    const entry = node.entry('ann')
    const { fence, removed } = await node.directory.claim(entry, 'user')
    fences.push(fence)
    t.same(removed, entries.slice(-1))
    entries.push(entry)
    for (const other of [early, late]) t.same(await other.ids('ann'), [entry.id])
    await node.pass(TURN_MS)
  }
  t.same(fences, [...fences].sort((a, b) => a - b))
  await early.pass(INTERVAL_MS)
  await late.pass(INTERVAL_MS)
  const [first, second, third, last] = entries.map(({ id }) => id)
  t.same([late.removed, early.removed], [[first, third], [second]])
  t.same(await late.ids('ann'), [last])
})

t.test('close removes what the node has entered, at once, and leaves no timer', async (t) => {
  const keys = ownKeys()
  const [one, other] = [await DirectoryNode.start(t, url, keys), await DirectoryNode.start(t, url, keys)]
  const bob = other.entry('bob')
  await other.directory.claim(bob, 'none')
  const users = Array.from({ length: 250 }, (_, i) => `user ${i}`)
  await Promise.all(users.map(async (user) => await one.directory.claim(one.entry(user), 'none')))
  await one.directory.claim(one.entry(null), 'none')
  // Its answer has not come when the node closes.
  const late = one.directory.claim(one.entry('late'), 'none')
  await one.directory.close()
  await late
  for (const user of [...users, 'late']) if ((await other.ids(user)).length > 0) t.fail(`${user} is still there`)
  t.same((await one.link.call('KEYS', `${keys.prefix}:*:conn:*`) as Buffer[]).map(String), [keys.connection('bob', bob.id)])
  t.equal(one.clock.timers, 0)
  t.same(one.removed, [])
})
