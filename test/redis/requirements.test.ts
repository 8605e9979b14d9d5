import { readFileSync } from 'node:fs'
import Fastify from 'fastify'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import fastifyHub, { type Hub, type HubOptions } from '../../lib/index.js'
import { Keys } from '../../lib/redis/keys.js'
import type { RedisLink } from '../../lib/redis/link.js'
import { checkRequirements, NEEDED, NEEDED_ALONE, WANTED } from '../../lib/redis/requirements.js'
import { connect, TestClock } from '../../lib/testing/index.js'
import { redisApps } from '../helpers/redis-apps.js'
import { startCluster } from '../helpers/redis-cluster.js'
import { connectedLink } from '../helpers/redis-link.js'
import { RedisServer } from '../helpers/redis-server.js'
import { until } from '../helpers/until.js'

const INVALID = 'FST_HUB_INVALID_OPTIONS'
const UNAVAILABLE = 'FST_HUB_BROKER_UNAVAILABLE'
const SETTINGS = 'Redis is not set up for what the hub keeps there: see docs/operations.md'

const manual = readFileSync(new URL('../../../docs/operations.md', import.meta.url), 'utf8')
/** What the manual has a user of Redis allowed. */
const allowed = (/```acl\nuser hub on >secret ([^]*?)\n```/.exec(manual)?.[1] ?? '').split(/[\s\\]+/)
const nameOf = (command: string): string => command.split(' ').slice(0, /^(client|xgroup|xinfo) /.test(command) ? 2 : 1).join('|')

const adminOf = (t: Test, { url }: RedisServer): Redis => {
  const admin = new Redis(url)
  admin.on('error', () => {})
  t.teardown(() => { admin.disconnect() })
  return admin
}
const addUser = async (admin: Redis, server: RedisServer, name: string, rules: readonly string[]): Promise<string> => {
  await admin.call('ACL', 'SETUSER', name, 'reset', 'on', '>pw', ...rules)
  return `redis://${name}:pw@127.0.0.1:${server.port}`
}
/** What register says of it. */
const refusal = async (redis: HubOptions['redis']): Promise<{ code?: string, message: string }> => {
  const app = Fastify()
  try {
    await app.register(fastifyHub, { redis })
    return { message: 'it was registered' }
  } catch (error) {
    return error as Error
  } finally {
    await app.close()
  }
}

t.test('a user with the permissions of the manual is refused nothing, also when its connections were lost', async (t) => {
  const server = await RedisServer.start(t)
  const admin = adminOf(t, server)
  const url = await addUser(admin, server, 'ours', allowed)
  const { hubs } = await redisApps(t, 2, { url, prefix: 'hub' }, { authorize: { join: () => true } })
  const [one, two] = hubs as [Hub, Hub]
  const peer = await connect(one, { user: 'ann', subprotocol: 'hub.v1.json', kernel: Infinity })
  const heard = (text: string): boolean => peer.messages.some((message) => message.text().includes(text))
  const useAll = async (text: string): Promise<void> => {
    for (const room of ['a', 'b', 'c', 'd']) {
      await peer.connection.join(room)
      await two.room(room).publish(`${text} ${room}`)
      await until(() => heard(`${text} ${room}`), `${text} in ${room}`)
    }
    await one.room('a').setEphemeral('ann', 'typing', 60_000)
    await Promise.all([two.room('a').presence(), two.room('a').history(), two.user('ann').send('x'), two.user('bob').send('x', { offline: {} }), two.stats({ cluster: true })])
  }
  await useAll('first')
  await admin.call('CLIENT', 'KILL', 'USER', 'ours')
  await until(() => hubs.every((hub) => hub.health().status === 'ok'), 'both to be back')
  await useAll('second')
  const eve = await connect(two, { user: 'eve', subprotocol: 'hub.v1.json', kernel: Infinity })
  await two.user('eve').kick()
  await until(() => eve.ended !== null, 'the kick')
  const refused = (await admin.call('ACL', 'LOG') as string[][]).map((entry) => entry[7])
  t.same(refused.filter((what) => what !== 'client|setinfo'), [])
})

t.test('each permission of the manual is needed, and named where it is missing', async (t) => {
  const server = await RedisServer.start(t)
  const admin = adminOf(t, server)
  const names = [...NEEDED, ...NEEDED_ALONE, ...WANTED].map(nameOf)
  t.same(allowed.filter((rule) => rule.startsWith('+')).map((rule) => rule.slice(1)).sort(), [...names, 'client|setname', 'config|get', 'select'].sort(), 'the manual lists them')
  const keys = new Keys('hub', 16, false)
  for (const name of names) {
    const link = await connectedLink(t, await addUser(admin, server, 'almost', ['~hub:*', '+@all', `-${name}`]))
    const answer = checkRequirements(link, keys)
    if (WANTED.some((command) => nameOf(command) === name)) t.same(await answer, [{ setting: 'ACL', got: `a user that may not run ${name}`, expected: 'one that may' }])
    else await t.rejects(answer, { code: INVALID, message: `may not run ${/^eval/.test(name) ? 'eval' : `${name},`}` }, name)
    await link.close()
  }
  t.match(await refusal({ url: await addUser(admin, server, 'common', ['~*', '+@all', '-@dangerous']) }), { code: INVALID, message: /option redis: expected .*docs\/operations.md.* may not run info, client\|unblock, or not with keys that begin with hub:$/ })
  t.match(await refusal({ url: await addUser(admin, server, 'stranger', ['~other:*', '+@all']) }), { code: INVALID, message: /keys that begin with hub:$/ })
})

t.test('a command that was renamed is one that nobody may run; those that are not needed may be', async (t) => {
  const renamed = await RedisServer.start(t, { args: ['--rename-command', 'CLIENT', 'secret'] })
  t.match(await refusal({ url: renamed.url }), { code: INVALID, message: /may not run client\|id, client\|unblock,/ })
  const others = ['CONFIG', 'KEYS', 'FLUSHALL', 'FLUSHDB', 'DEBUG', 'SHUTDOWN', 'MONITOR', 'SCAN', 'SAVE', 'EXPIRE', 'XINFO'].flatMap((name) => ['--rename-command', name, ''])
  const server = await RedisServer.start(t, { args: others })
  const { hubs: [hub], logs } = await redisApps(t, 1, { url: server.url })
  t.equal((await hub?.room('lobby').publish('x'))?.offset, 1)
  t.match(logs.filter(({ msg }) => msg === SETTINGS), [{ level: 40, setting: 'ACL', got: /xinfo/ }])
})

t.test('what is no Redis of ours is refused with what it is', async (t) => {
  const old = { isCluster: false, early: { call: async () => await Promise.resolve(Buffer.from('redis_version:6.2.14\r\nredis_mode:standalone\r\n')) } } as unknown as RedisLink
  await t.rejects(checkRequirements(old, new Keys('hub', 16, false)), { code: INVALID, message: 'fastify-hub option redis: expected Redis 7.0 or later, or Valkey, got Redis 6.2.14' })
  const [master] = await startCluster(t, 1) as [RedisServer]
  t.match(await refusal({ url: master.url }), { code: INVALID, message: /redis\.client: expected an instance of Cluster, got a connection to one server of a Redis Cluster/ })
  const server = await RedisServer.start(t)
  const sentinel = await RedisServer.start(t, { args: ['--sentinel'], settings: [`sentinel monitor main 127.0.0.1 ${server.port} 1`] })
  t.match(await refusal({ url: sentinel.url }), { code: INVALID, message: /expected a Redis; .*sentinels, got a Sentinel/ })
})

t.test('settings with which the hub loses something are warned of at the start, each once', async (t) => {
  const server = await RedisServer.start(t, { args: ['--maxmemory-policy', 'allkeys-lru', '--timeout', '1', '--proto-max-bulk-len', '1mb', '--client-output-buffer-limit', 'normal 1mb 0 0', '--stream-node-max-bytes', '0', '--stream-node-max-entries', '0'] })
  const { logs } = await redisApps(t, 1, { url: server.url })
  const warnings = logs.filter(({ msg }) => msg === SETTINGS) as unknown as Array<{ level: number, setting: string }>
  // In what order Redis names its settings is its own affair.
  t.match(warnings.sort((a, b) => a.setting < b.setting ? -1 : 1), [
    { level: 40, setting: 'client-output-buffer-limit', got: /^normal 1048576 0 0 /, expected: 'normal 0 0 0' },
    { level: 40, setting: 'maxmemory-policy', got: 'allkeys-lru', expected: 'noeviction' },
    { level: 40, setting: 'proto-max-bulk-len', got: '1048576', expected: /^at least / },
    { level: 40, setting: 'stream-node-max-entries', got: '0', expected: '100' },
    { level: 40, setting: 'timeout', got: '1', expected: '0' }
  ])
})

t.test('a publication that is larger than Redis takes is rejected by itself', async (t) => {
  const server = await RedisServer.start(t, { args: ['--proto-max-bulk-len', '1mb'] })
  const { hubs: [hub], logs } = await redisApps(t, 1, { url: server.url })
  const results = await Promise.allSettled(['a', 'b', 'large', 'c', 'd'].map(async (room) => await (hub as Hub).room(room).publish(room === 'large' ? 'x'.repeat(1_100_000) : 'x')))
  t.same(results.map(({ status }) => status), ['fulfilled', 'fulfilled', 'rejected', 'fulfilled', 'fulfilled'])
  t.match(results[2], { reason: { code: UNAVAILABLE, message: /TOOBIG 1\d{6} bytes, and it takes 1048576 \(proto-max-bulk-len\)/, cause: { name: 'ReplyError' } } })
  t.same(logs.filter(({ msg }) => msg.includes('away')), [], 'and the connection stays')
})

t.test('keys of somebody else under names of ours: the error, the log and health say which', async (t) => {
  const server = await RedisServer.start(t)
  const admin = adminOf(t, server)
  for (const name of ['config', 'nodes']) {
    await admin.set(`hub:${name}`, 'of somebody else')
    t.match(await refusal({ url: server.url }), { code: UNAVAILABLE, message: new RegExp(`WRONGTYPE .*\\(hub:${name}\\)$`) })
    await admin.del(`hub:${name}`)
  }
  const { hubs: [hub], logs } = await redisApps(t, 1, { url: server.url, prefix: 'ours', partitions: 1 })
  await admin.set('ours:{0}:bus', 'of somebody else')
  for (let i = 0; i < 3; i++) await t.rejects((hub as Hub).room('lobby').publish('x'), { code: UNAVAILABLE, message: /WRONGTYPE .*ours:\{0\}:bus/ })
  t.match(hub?.health(), { status: 'degraded', reasons: [/WRONGTYPE .*ours:\{0\}:bus/] })
  t.equal(logs.filter(({ msg }) => msg === 'Redis refuses what it is asked for').length, 1)
  await admin.del('ours:{0}:bus')
  t.ok((await (hub as Hub).room('lobby').publish('x')).offset)
})

t.test('lazy: a node that Redis has refused is entered when Redis does not do so any more, over the same connection', async (t) => {
  const server = await RedisServer.start(t)
  const admin = adminOf(t, server)
  const url = await addUser(admin, server, 'ours', ['~*', '+@all', '-eval'])
  const clock = new TestClock()
  const { hubs: [hub], logs } = await redisApps(t, 1, { url, lazy: true }, { clock })
  const isOutside = (): boolean => hub?.health().reasons.some((reason) => /^this node is no part of the cluster: .*may not run eval/.test(reason)) === true
  t.ok(isOutside())
  await clock.advance(5_000)
  await admin.call('ACL', 'SETUSER', 'ours', '+eval')
  await clock.advance(5_000)
  await until(() => !isOutside(), 'the node to be entered')
  t.equal((await (hub as Hub).stats({ cluster: true })).nodes.length, 1)
  t.same(logs.filter(({ msg }) => msg.includes('away')), [])
})
