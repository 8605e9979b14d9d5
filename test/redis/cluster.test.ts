import { createHash } from 'node:crypto'
import { Redis } from 'ioredis'
import t from 'tap'
import { connectionsTo } from '../../lib/redis/connections.js'
import { Keys } from '../../lib/redis/keys.js'
import { clusterClient, startCluster } from '../helpers/redis-cluster.js'
import { connectedLink, newLink } from '../helpers/redis-link.js'
import { until } from '../helpers/until.js'

const CODE = 'FST_HUB_BROKER_UNAVAILABLE'
const USERS = Array.from({ length: 50 }, (_, i) => `user ${i}`)

t.test('a Redis Cluster of two: every command finds the node of its partition, once', async (t) => {
  const servers = await startCluster(t, 2)
  // Of the application: none of it may change what we rely upon.
  const client = clusterClient(t, servers, { redisOptions: { keyPrefix: 'app:', commandTimeout: 1, stringNumbers: true }, enableOfflineQueue: true, clusterNodeRetryStrategy: () => 10 })
  const { keyPrefix, isCluster } = await connectionsTo({ url: undefined, client })
  t.same([keyPrefix, isCluster], ['app:', true])
  const link = await connectedLink(t, client)
  t.equal(link.isCluster, true)
  const keys = new Keys(`${keyPrefix}hub`, 16, true)

  t.test('keys have the prefix once, and those of a partition go into one script', async (t) => {
    const source = "redis.call('ZADD', KEYS[2], 1, 'x') return redis.call('RPUSH', KEYS[1], ARGV[1])"
    const script = { source, sha: createHash('sha1').update(source).digest('hex') }
    for (const round of [1, 2]) {
      const lengths = await Promise.all(USERS.map(async (user) => await link.run(script, [keys.offline(user), keys.offlineExpiry(user)], ['x'])))
      t.same(lengths, USERS.map(() => round))
    }
    const found: string[] = []
    for (const { url } of servers) {
      const admin = new Redis(url)
      const own = await admin.keys('*')
      t.ok(own.length > 0, 'each has a part')
      found.push(...own)
      admin.disconnect()
    }
    t.same(found.sort(), USERS.flatMap((user) => [keys.offline(user), keys.offlineExpiry(user)]).sort())
  })

  t.test('a node is killed: its commands fail, those for others do not, and nothing is sent twice', async (t) => {
    const [first, second] = servers as [typeof servers[0], typeof servers[0]]
    const admins = [first, second].map(({ url }) => new Redis(url))
    const [ofFirst, ofSecond] = await Promise.all(admins.map(async (admin) => (await admin.keys('*:offline:*'))[0] as string)) as [string, string]
    const waiting = link.call('BLPOP', `${ofFirst}:never`, 0).then(() => null, (error: unknown) => error)
    while (!(await admins[0]?.info('clients'))?.includes('blocked_clients:1')) t.comment('it is on its way')
    for (const admin of admins) admin.disconnect()
    await first.stop('SIGKILL')
    t.match(await waiting, { code: CODE })
    await t.rejects(link.call('RPUSH', ofFirst, 'y'), { code: CODE })
    t.equal(link.isReady, true)
    t.equal(await link.call('LLEN', ofSecond), 2)
  })
})

t.test('a Redis Cluster goes and comes back, and closing does not wait for it', async (t) => {
  const [server] = await startCluster(t, 1) as [Awaited<ReturnType<typeof startCluster>>[0]]
  const client = clusterClient(t, [server])
  const link = await connectedLink(t, client)
  const told: string[] = []
  link.listen({ onReady: () => { told.push('ready') }, onAway: () => { told.push('away') } })
  await server.stop('SIGKILL')
  await until(() => told.length === 1, 'the end')
  await t.rejects(link.call('PING'), { code: CODE })
  const late = await newLink(t, client)
  await t.rejects(late.connect(), { code: CODE })
  await late.close()
  await server.start()
  await until(() => told.length === 2, 'the connection')
  t.same(told, ['away', 'ready'])
  await link.close()
  await t.rejects(link.call('PING'), { code: CODE, message: /the hub has been closed/ })
})

t.test('a prefix that would spread a partition over the cluster is refused', async (t) => {
  for (const keyPrefix of ['{}', 'a{}:', '{}{a}']) {
    await t.rejects(connectionsTo({ url: undefined, client: clusterClient(t, [], { keyPrefix }) }), { code: 'FST_HUB_INVALID_OPTIONS', message: /^fastify-hub option redis\.client: expected an instance whose keyPrefix does not begin with empty braces.*, got "/ })
  }
  for (const keyPrefix of ['', 'a:', '{a}:', '{a}{}', '{', '}']) {
    t.equal((await connectionsTo({ url: undefined, client: clusterClient(t, [], { keyPrefix }) })).keyPrefix, keyPrefix)
  }
})

t.test('servers of a cluster that can not be reached where it says they are: the error says so', async (t) => {
  const servers = await startCluster(t, 1)
  const link = await newLink(t, clusterClient(t, servers, { natMap: Object.fromEntries(servers.map(({ port }) => [`127.0.0.1:${port}`, { host: '127.0.0.1', port: 1 }])) }))
  t.match(await link.connect().catch((error: Error) => error), { code: CODE, message: 'Redis is not available: connect ECONNREFUSED 127.0.0.1:1' })
})
