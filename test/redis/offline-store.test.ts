import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { StoredMessage } from '../../lib/core/ports.js'
import { Keys } from '../../lib/redis/keys.js'
import type { RedisLink, Reply } from '../../lib/redis/link.js'
import { RedisOfflineStore } from '../../lib/redis/offline-store.js'
import { connectedLink } from '../helpers/redis-link.js'
import { ownPrefix, RedisServer } from '../helpers/redis-server.js'
import { until } from '../helpers/until.js'

const HOUR = 3_600_000
/** For which the keys outlive the last message. */
const LINGER = 60_000
const MANY = 2_500

const server = await RedisServer.start(t)

interface World {
  readonly link: RedisLink
  readonly prefix: string
  readonly keys: Keys
  readonly store: RedisOfflineStore
  readonly dropped: { evicted: number, expired: number }
  /** Another one that keeps another number of messages. */
  storeOf: (maxMessages: number) => RedisOfflineStore
  /** Milliseconds that the two keys of a user live; -1: for ever, -2: there is none. */
  ends: (user: string) => Promise<Reply[]>
}

async function world (t: Test, maxMessages = 5_000): Promise<World> {
  const link = await connectedLink(t, server.url)
  const prefix = ownPrefix()
  const keys = new Keys(prefix, 16, false)
  const dropped = { evicted: 0, expired: 0 }
  const storeOf = (maxMessages: number): RedisOfflineStore => new RedisOfflineStore(link, keys, { maxMessages }, { onDropped: (reason, count) => { dropped[reason] += count } })
  const ends = async (user: string): Promise<Reply[]> => await Promise.all([keys.offline(user), keys.offlineExpiry(user)].map(async (key) => await link.call('PTTL', key)))
  return { link, prefix, keys, store: storeOf(maxMessages), dropped, storeOf, ends }
}

const texts = (messages: readonly StoredMessage[]): unknown[] => messages.map(({ payload }) => payload)
const within = (t: Test, value: Reply | undefined, longest: number, message: string): void => { t.ok(Number(value) > longest - LINGER && Number(value) <= longest, `${message}: ${String(value)}`) }

t.test('nothing stays for ever: the keys end a minute after the last message, unless one lives for ever', async (t) => {
  const { store, ends, keys, link, prefix } = await world(t)
  const long = await store.put('ann', 'long', 2 * HOUR)
  const short = await store.put('ann', 'short', HOUR)
  for (const end of await ends('ann')) within(t, end, 2 * HOUR + LINGER, 'of the longer one')
  await store.acknowledge('ann', [long])
  for (const end of await ends('ann')) within(t, end, HOUR + LINGER, 'of the shorter one')
  const forever = await store.put('ann', 'for ever', 0)
  t.same(await ends('ann'), [-1, -1])
  await store.list('ann', undefined, 10)
  t.same(await ends('ann'), [-1, -1])
  await store.acknowledge('ann', [forever])
  for (const end of await ends('ann')) within(t, end, HOUR + LINGER, 'of the shorter one again')
  await store.acknowledge('ann', [short])
  const [stream, expiry] = await ends('ann')
  within(t, stream, LINGER, 'the last id is known for a while')
  t.equal(expiry, -2)
  await store.acknowledge('bob', ['1-1'])
  await store.list('bob', undefined, 10)
  t.same((await link.call('KEYS', `${prefix}*`) as Reply[]).map(String), [keys.offline('ann')], 'who has nothing has no key')
})

t.test('one that lives for ever, and is pushed out, keeps nothing alive', async (t) => {
  const { ends, storeOf, dropped } = await world(t)
  const store = storeOf(1)
  await store.put('ann', 'for ever', 0)
  await store.put('ann', 'new', HOUR)
  for (const end of await ends('ann')) within(t, end, HOUR + LINGER, 'of the new one')
  t.same(dropped, { evicted: 1, expired: 0 })
})

t.test('the end of the last message is counted by who comes soon, once', async (t) => {
  const { store, storeOf, dropped } = await world(t)
  await store.put('ann', 'short', 1)
  await sleep(20)
  const lists = await Promise.all([store, storeOf(1), store].map(async (store) => await store.list('ann', undefined, 10)))
  t.same(lists, [[], [], []])
  t.same(dropped, { evicted: 0, expired: 1 })
})

t.test('FAULTS 63: a clock of a node that is wrong changes nothing', async (t) => {
  const { store, dropped } = await world(t)
  const real = Date.now
  t.teardown(() => { Date.now = real })
  for (const error of [-24 * HOUR, 24 * HOUR]) {
    Date.now = () => real() + error
    await store.put('ann', 'text', HOUR)
  }
  t.equal((await store.list('ann', undefined, 10)).length, 2)
  t.same(dropped, { evicted: 0, expired: 0 })
})

t.test('an id does not come again when the data of Redis was lost', async (t) => {
  const { store, link, keys } = await world(t)
  const ids = new Set<string>()
  const rounds = 200
  for (let i = 0; i < rounds; i++) {
    const [id] = await Promise.all([store.put('ann', 'text', HOUR), link.call('DEL', keys.offline('ann'), keys.offlineExpiry('ann'))])
    ids.add(id)
  }
  t.equal(ids.size, rounds)
})

t.test('a clock of Redis that went back: ids go on, in order', async (t) => {
  const { store, link, keys } = await world(t)
  const ahead = String(await link.call('XADD', keys.offline('ann'), '9999999999999-5', 'p', Buffer.from([0])))
  const ids = [await store.put('ann', '1', HOUR), await store.put('ann', '2', HOUR)]
  t.same(ids, ['9999999999999-6', '9999999999999-7'])
  t.same(texts(await store.list('ann', ahead, 10)), ['1', '2'])
  t.equal(await store.acknowledge('ann', ids), 2)
})

t.test('FAULTS 69: ids are those of the store, in its spelling; others do not keep it from its own', async (t) => {
  const { store } = await world(t)
  const id = await store.put('ann', 'text', HOUR)
  const [ms = '', place = ''] = id.split('-')
  const hostile = [
    ms, `${ms}-`, `-${place}`, `0${id}`, `+${id}`, ` ${id}`, `${id} `, `${id}\n`, `${ms}-0${place}`, `${ms}-+${place}`, `${ms}-${place}-0`, `(${id}`, '-', '+', '$', '*', '>', '', '0', `${ms}-*`,
    '99999999999999999999-1', '1-99999999999999999999', '18446744073709551616-0', '0x1-1', '1e3-1', 'é-1', '\0', '__proto__', 'x'.repeat(100_000)
  ]
  t.equal(await store.acknowledge('ann', hostile), 0)
  for (const after of hostile) t.same(texts(await store.list('ann', after, 10)), ['text'], `after ${JSON.stringify(after.slice(0, 30))}`)
  t.equal(await store.acknowledge('ann', [...hostile, id, ...hostile]), 1)
})

t.test('many at once: acknowledged, too old, and over a limit that has become lower', async (t) => {
  const { store, storeOf, dropped, ends } = await world(t)
  const fill = async (ttl: number): Promise<string[]> => await Promise.all(Array.from({ length: MANY }, async (_, i) => await store.put('ann', `${i}`, ttl)))
  t.equal(await store.acknowledge('ann', await fill(HOUR)), MANY)
  await fill(HOUR)
  t.same(texts(await store.list('ann', undefined, MANY)), Array.from({ length: MANY }, (_, i) => `${i}`))
  await storeOf(3).put('ann', 'new', HOUR)
  t.same(texts(await store.list('ann', undefined, MANY)), [`${MANY - 2}`, `${MANY - 1}`, 'new'])
  t.same(dropped, { evicted: MANY - 2, expired: 0 })
  await fill(1)
  await sleep(20)
  t.same(texts(await store.list('ann', undefined, MANY)), [`${MANY - 2}`, `${MANY - 1}`, 'new'])
  t.equal(dropped.expired, MANY)
  for (const end of await ends('ann')) within(t, end, HOUR + LINGER, 'of those that are left')
  await storeOf(0).put('ann', 'none is kept', HOUR)
  t.same(await store.list('ann', undefined, MANY), [])
})

t.test('FAULTS 62: what this version can not read is left alone, and is not in the way', async (t) => {
  const { store, link, keys } = await world(t)
  const strange = async (): Promise<void> => { await link.call('XADD', keys.offline('ann'), '*', 'p', Buffer.from([9, 9])) }
  await store.put('ann', '1', HOUR)
  await strange()
  await strange()
  await store.put('ann', '2', HOUR)
  const third = await store.put('ann', '3', HOUR)
  await strange()
  for (const limit of [2, 3, 100]) t.same(texts(await store.list('ann', undefined, limit)), ['1', '2', '3'].slice(0, limit))
  t.same(await store.list('ann', third, 100), [])
  t.same(await store.list('ann', undefined, 0), [])
  t.equal(await link.call('XLEN', keys.offline('ann')), 6)
})

t.test('bytes that wait for a slow socket keep nothing else in memory', async (t) => {
  const { store } = await world(t)
  for (let i = 0; i < 3; i++) await store.put('ann', Buffer.from('bytes'), HOUR)
  const messages = await store.list('ann', undefined, 3)
  t.same(texts(messages), Array.from({ length: 3 }, () => Buffer.from('bytes')))
  t.ok(messages.every(({ payload }) => payload instanceof Uint8Array && payload.buffer.byteLength === 5))
})

t.test('Redis is away: every call says so, and later ones go on', async (t) => {
  const server = await RedisServer.start(t, { durable: true })
  const link = await connectedLink(t, server.url)
  const store = new RedisOfflineStore(link, new Keys('hub', 1, false), { maxMessages: 5 }, { onDropped: () => {} })
  const id = await store.put('ann', 'kept', HOUR)
  await server.stop('SIGKILL')
  for (const call of [async (): Promise<unknown> => await store.put('ann', 'text', HOUR), async () => await store.list('ann', undefined, 5), async () => await store.acknowledge('ann', [id])]) {
    await t.rejects(call(), { code: 'FST_HUB_BROKER_UNAVAILABLE' })
  }
  t.equal(await store.acknowledge('ann', []), 0, 'nothing was asked for')
  await server.start()
  await until(() => link.isReady, 'the connection')
  t.same(await store.list('ann', undefined, 5), [{ id, payload: 'kept' }])
  await store.close()
  t.ok(link.isReady, 'the connection is not its own')
})
