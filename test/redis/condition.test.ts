import { Cluster, Redis } from 'ioredis'
import t from 'tap'
import type { Hub } from '../../lib/index.js'
import { redisApps } from '../helpers/redis-apps.js'
import { untilRedis } from '../helpers/redis-asked.js'
import { startCluster } from '../helpers/redis-cluster.js'
import { freePort, RedisServer } from '../helpers/redis-server.js'
import { until } from '../helpers/until.js'

t.test('a Redis that takes no writes any more is away until it does, in the log, too', async (t) => {
  const server = await RedisServer.start(t)
  const admin = new Redis(server.url)
  t.teardown(() => { admin.disconnect() })
  const { hubs: [hub], logs } = await redisApps(t, 1, { url: server.url, timeout: 300 })
  if (hub === undefined) throw new Error('no hub')
  const told = (): string[] => logs.map(({ msg }) => msg).filter((msg) => /^Redis is/.test(msg))
  await admin.replicaof('127.0.0.1', await freePort())
  for (let i = 0; i < 5; i++) await hub.room('lobby').publish('x').catch(() => {})
  t.equal(hub.health().status, 'degraded')
  t.same(told(), ['Redis is away: nodes do not hear of each other'])
  await admin.replicaof('NO', 'ONE')
  await until(() => told().length === 2, 'the log')
  t.equal(told()[1], 'Redis is back')
})

t.test('what the user of Redis may not do, and need not, is a warning and no refusal', async (t) => {
  const server = await RedisServer.start(t)
  const admin = new Redis(server.url)
  t.teardown(() => { admin.disconnect() })
  await admin.call('ACL', 'SETUSER', 'hub', 'on', '>secret', '~*', '+@all', '-xinfo|stream')
  const { hubs: [hub], logs } = await redisApps(t, 1, { url: server.url.replace('//', '//hub:secret@') })
  t.same(hub?.health(), { status: 'ok', reasons: [] })
  t.match(logs.filter(({ level }) => level >= 40), [{ level: 40, setting: 'ACL', got: 'a user that may not run xinfo|stream' }])
  t.equal(logs.filter(({ level }) => level >= 50).length, 0)
})

t.test('a Redis that stands still is told of by health and log as soon as a call has had no answer', async (t) => {
  const server = await RedisServer.start(t)
  const { hubs: [hub], logs } = await redisApps(t, 1, { url: server.url, timeout: 300 })
  server.signal('SIGSTOP')
  await hub?.user('ann').online().catch(() => {})
  t.match(hub?.health(), { status: 'degraded', reasons: ['Redis does not answer: no answer within 300 ms'] })
  t.match(logs.filter(({ level }) => level >= 50), [{ msg: 'Redis does not answer', err: { message: 'no answer within 300 ms' } }])
  server.signal('SIGCONT')
})

t.test('of a Redis Cluster, one master is not there', async (t) => {
  const servers = await startCluster(t, 3, ['--cluster-node-timeout', '2000'])
  const [first, second] = servers as [RedisServer, RedisServer]
  const client = new Cluster(servers.map(({ port }) => ({ host: '127.0.0.1', port })), { lazyConnect: true })
  const { hubs: [hub], logs } = await redisApps(t, 1, { client, timeout: 500 })
  await first.stop('SIGKILL')
  await untilRedis(second, ['CLUSTER', 'INFO'], /cluster_state:fail/)
  await (hub as Hub).room('lobby').publish('x').catch(() => {})
  await until(() => (hub?.health().reasons ?? []).some((reason) => reason.startsWith('Redis does not answer') && reason.includes(`${first.port}`)), () => `health to name it, got ${hub?.health().reasons.join()}`)
  t.ok(logs.some(({ level, msg }) => level >= 50 && /^Redis /.test(msg)))
})
