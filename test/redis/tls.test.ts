import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { Redis } from 'ioredis'
import t from 'tap'
import type { Hub } from '../../lib/index.js'
import { askRedis } from '../helpers/redis-asked.js'
import { redisApps } from '../helpers/redis-apps.js'
import { newLink } from '../helpers/redis-link.js'
import { freePort, RedisServer } from '../helpers/redis-server.js'
import { selfSigned } from '../helpers/self-signed.js'
import { until } from '../helpers/until.js'

const CODE = 'FST_HUB_BROKER_UNAVAILABLE'

t.test('rediss: with a certificate that is trusted, and with none', async (t) => {
  const folder = mkdtempSync(`${tmpdir()}/fastify-hub-tls-`)
  t.teardown(() => { rmSync(folder, { recursive: true }) })
  const { key, cert } = selfSigned()
  writeFileSync(`${folder}/key`, key)
  writeFileSync(`${folder}/cert`, cert)
  const port = await freePort()
  const server = await RedisServer.start(t, { args: ['--tls-port', `${port}`, '--tls-key-file', `${folder}/key`, '--tls-cert-file', `${folder}/cert`, '--tls-ca-cert-file', `${folder}/cert`, '--tls-auth-clients', 'no', '--requirepass', 'p@ss'] })
  const url = (at: number, scheme = 'rediss'): string => `${scheme}://:p%40ss@127.0.0.1:${at}`
  const client = (tls: object): Redis => new Redis(url(port), { lazyConnect: true, tls })

  for (const [what, target, message] of [
    ['an authority that nobody knows', url(port), /self-signed certificate/],
    ['another name', client({ ca: cert, servername: 'redis.example.com' }), /does not match certificate/],
    ['no TLS where it is wanted', url(port, 'redis'), /without an answer.*TLS/]
  ] as const) {
    const error = await (await newLink(t, target)).connect().then(() => null, (error: Error) => error)
    t.notOk('cert' in ((error?.cause ?? {}) as object), 'a log has no use for all of its bytes')
    t.match(error, { code: CODE, message }, what)
    t.notMatch(String(error), /p@ss|p%40ss/)
  }

  const { hubs } = await redisApps(t, 2, { client: client({ ca: cert }) })
  const [one, two] = hubs as [Hub, Hub]
  t.equal((await one.room('lobby').publish('1')).offset, 1)
  const admin = new Redis(server.url, { password: 'p@ss' })
  t.teardown(() => { admin.disconnect() })
  await admin.call('CLIENT', 'KILL', 'TYPE', 'NORMAL', 'SKIPME', 'YES')
  await until(() => hubs.every((hub) => hub.health().status === 'ok'), 'both to be back')
  t.equal((await two.room('lobby').publish('2')).offset, 2)
})

t.test('an address of IPv6', async (t) => {
  const server = await RedisServer.start(t, { args: ['--bind', '::1', '127.0.0.1'] })
  const { hubs: [hub] } = await redisApps(t, 1, { url: `redis://[::1]:${server.port}`, prefix: 'six' })
  t.equal((await hub?.room('lobby').publish('x'))?.offset, 1)
  t.equal(await askRedis(server, 'HGET', 'six:config', 'partitions'), '16')
})
