import { Cluster, Redis } from 'ioredis'
import t from 'tap'
import { resolveOptions } from '../../lib/resolve-options.js'

const resolve = (redis: unknown): ReturnType<typeof resolveOptions>['redis'] => resolveOptions({ redis }, 5_000).redis
const message = (redis: unknown, options: object = { redis }): string => {
  try {
    resolveOptions(options, 5_000)
  } catch (error) {
    const { code, message } = error as Error & { code: string }
    if (code === 'FST_HUB_INVALID_OPTIONS') return message
    throw error
  }
  return 'accepted'
}
const DEFAULTS = { prefix: 'hub', lazy: false, partitions: 16, timeout: 5_000, stream: { maxLength: 100_000, ttl: 300_000 } }

t.test('without it, all is in this process', async (t) => {
  t.equal(resolve(undefined), undefined)
})

t.test('defaults', async (t) => {
  t.same(resolve({ url: 'redis://localhost' }), { url: 'redis://localhost', client: undefined, ...DEFAULTS })
  const given = Object.freeze({ url: 'redis://localhost', prefix: 'app', lazy: true, partitions: 1, timeout: 100, stream: Object.freeze({ maxLength: 100 }) })
  t.same(resolve(given), { ...given, client: undefined, stream: { maxLength: 100, ttl: 300_000 } })
})

t.test('a url, or a client, and not both', async (t) => {
  const client = new Redis({ lazyConnect: true })
  t.equal(message({}), 'fastify-hub option redis: expected either url or client, got none of them')
  t.equal(message({ prefix: 'x' }), 'fastify-hub option redis: expected either url or client, got none of them')
  t.equal(message({ url: 'redis://localhost', client }), 'fastify-hub option redis: expected either url or client, got both')
  t.equal(message({ url: undefined, client: undefined }), 'fastify-hub option redis: expected either url or client, got none of them')
})

t.test('a client is an instance of ioredis, and stays what it is', async (t) => {
  for (const client of [new Redis({ lazyConnect: true }), new Cluster([{ host: 'localhost' }], { lazyConnect: true })]) {
    t.equal(resolve({ client })?.client, client)
    t.equal(resolve({ client })?.url, undefined)
  }
  // node-redis has a duplicate() and options, too.
  for (const [client, got] of [[{}, 'an object'], [null, 'null'], ['redis://localhost', '"redis://localhost"'], [Redis, 'a function'], [{ options: {}, duplicate: () => {}, isOpen: true }, 'an object'], [new Map(), 'an instance of Map']] as const) {
    t.equal(message({ client }), `fastify-hub option redis.client: expected an instance of ioredis: Redis or Cluster, got ${got}`)
  }
})

t.test('urls as ioredis takes them', async (t) => {
  for (const url of [
    'redis://localhost', 'redis://localhost/', 'redis://localhost:6379', 'redis://localhost:6379/15', 'rediss://host', 'redis://[::1]:6379', 'redis://10.0.0.1',
    'redis://:password@host', 'redis://user:p%40ss%2Fword@host:1/2', 'redis://user:a@b@host', 'redis://host?family=6', 'redis://host?db=3', 'rediss://host/1?family=0',
    '/run/redis.sock', '/run/redis.sock?db=2', '/run/redis.sock?username=a&password=b'
  ]) t.equal(resolve({ url })?.url, url)
})

t.test('other urls are refused with the reason', async (t) => {
  const expected = "fastify-hub option redis.url: expected 'redis://user:password@host:6379/0', rediss:// for TLS, or the path of a socket, got "
  for (const [url, got] of [
    [5, '5'],
    ['', 'a string that does not begin like that'],
    ['localhost:6379', 'a string that does not begin like that'],
    ['http://host', 'a string that does not begin like that'],
    ['//host', 'a string that does not begin like that'],
    ['/', 'a string that does not begin like that'],
    ['REDISS://host', 'a string that does not begin like that'],
    ['redis:host', 'a string that does not begin like that'],
    ['unix:///run/redis.sock', 'a string that does not begin like that'],
    ['redis://', 'one without a host'],
    ['redis:///0', 'one without a host'],
    ['redis://host:port', 'one that can not be read: special characters of a password are percent-encoded'],
    ['redis://host:65536', 'one that can not be read: special characters of a password are percent-encoded'],
    ['redis://:a/b@host', 'one that can not be read: special characters of a password are percent-encoded'],
    ['redis://:a%zz@host', 'one that can not be read: special characters of a password are percent-encoded'],
    ['redis://host/main', 'one whose path is no number of a database'],
    ['redis://host/0/1', 'one whose path is no number of a database'],
    ['redis://host#x', 'one with a fragment'],
    ['redis://host?family=x', 'one with a parameter family that makes no sense'],
    ['redis://host?db=', 'one with a parameter db that makes no sense'],
    ['redis://host?enableOfflineQueue=true', 'one with other parameters than db, family, username, password: give a client in its place'],
    ['/run/redis.sock?keyPrefix=x', 'one with other parameters than db, family, username, password: give a client in its place'],
    ['redis://host?__proto__=x', 'one with other parameters than db, family, username, password: give a client in its place']
  ] as const) t.equal(message({ url }), `${expected}${got}`, String(url))
})

t.test('a password is in no message, wherever the url was put by mistake', async (t) => {
  const urls = ['redis://:secret@host/main', 'redis://user:secret@host:port', 'redis://:x/secret@host', 'REDIS://:secret@host', ':secret@host', '/run/redis.sock?password=secret&x=1', 'redis://host?password=secret@x&y=1', 'redis://host/main?password=secret']
  for (const url of urls) t.notMatch(message({ url }), /secret|accepted/, url)
  const full = 'redis://user:secret@host:6379'
  for (const options of [{ redis: full }, { redis: [full] }, { redis: { uri: full } }, { redis: { client: full } }, { redis: { url: [full] } }, { redis: { url: full, lazy: full } }, { redisUrl: full }, { redis: { url: full, prefix: `{${full}}` } }, { redis: { url: full, stream: full } }, { clock: full }]) {
    t.match(message(null, options), /got a (URL with|list of URLs with) credentials$/)
  }
})

t.test('bounds', async (t) => {
  const url = 'redis://localhost'
  for (const [redis, expected] of [
    [{ prefix: '' }, 'redis.prefix: expected a string that is not empty and has no braces, got ""'],
    [{ prefix: 'a{b}' }, 'redis.prefix: expected a string that is not empty and has no braces, got "a{b}"'],
    [{ prefix: '}' }, 'redis.prefix: expected a string that is not empty and has no braces, got "}"'],
    [{ prefix: 5 }, 'redis.prefix: expected a string that is not empty and has no braces, got 5'],
    [{ partitions: 0 }, 'redis.partitions: expected a whole number from 1 to 1024, got 0'],
    [{ partitions: 1_025 }, 'redis.partitions: expected a whole number from 1 to 1024, got 1025'],
    [{ timeout: 0 }, 'redis.timeout: expected a whole number of milliseconds from 100 to 9000, got 0'],
    [{ stream: { maxLength: 0 } }, 'redis.stream.maxLength: expected a whole number of at least 100, got 0'],
    [{ stream: { ttl: 0 } }, 'redis.stream.ttl: expected a whole number of milliseconds from 1000 to 2147483647, got 0'],
    [{ stream: 5 }, 'redis.stream: expected an object, got 5'],
    [{ stream: { length: 5 } }, 'redis.stream.length: expected no such option; there are maxLength, ttl, got 5'],
    [{ lazy: 'yes' }, 'redis.lazy: expected a boolean, got "yes"'],
    [{ keyPrefix: 'x' }, 'redis.keyPrefix: expected no such option; there are url, client, prefix, lazy, partitions, timeout, stream, got "x"']
  ] as const) t.equal(message({ url, ...redis }), `fastify-hub option ${expected}`)
  for (const prefix of ['a', 'app:hub', 'ü', ' ', '*', 'a\nb']) t.equal(resolve({ url, prefix })?.prefix, prefix)
})
