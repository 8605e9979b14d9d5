import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { inspect } from 'node:util'
import { Redis } from 'ioredis'
import t from 'tap'
import type { RedisLink, Reply } from '../../lib/redis/link.js'
import { isReply } from '../../lib/redis/failures.js'
import { connectedLink, newLink } from '../helpers/redis-link.js'
import { freePort, ownPrefix, RedisServer, redisUrl } from '../helpers/redis-server.js'
import { until } from '../helpers/until.js'

const CODE = 'FST_HUB_BROKER_UNAVAILABLE'

const rejection = async (promise: Promise<unknown>): Promise<Error & { code?: string }> => await promise.then(() => { throw new Error('it was not rejected') }, (error: Error) => error)
const text = (reply: Reply): string => String(reply)
/** What is told of a link. */
const log = (link: RedisLink): string[] => {
  const told: string[] = []
  link.listen({ onReady: () => { told.push('ready') }, onAway: (why) => { told.push(`away: ${why.message}`) } })
  return told
}
const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
/** One that does nothing else while the test looks on. */
const readsOf = async (link: RedisLink): Promise<number> => Number(/total_reads_processed:(\d+)/.exec(text(await link.call('INFO', 'stats')))?.[1])

t.test('calls of one turn leave in one write, in order, and each has its own answer', async (t) => {
  const server = await RedisServer.start(t)
  const link = await connectedLink(t, server.url)
  const before = await readsOf(link)
  const lengths = await Promise.all(Array.from({ length: 100 }, async (_, i) => await link.call('RPUSH', 'list', `${i}`)))
  const reads = await readsOf(link) - before
  t.ok(reads < 10, `${reads} reads of Redis for 100 commands`)
  t.same(lengths, Array.from({ length: 100 }, (_, i) => i + 1))
  t.same((await link.call('LRANGE', 'list', 0, -1) as Reply[]).map(text), Array.from({ length: 100 }, (_, i) => `${i}`))
})

t.test('bytes arrive and come back as they are', async (t) => {
  const link = await connectedLink(t, await redisUrl(t))
  const key = `${ownPrefix()}:bytes`
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
  const [, alone] = [await link.call('SET', key, bytes), await link.call('GET', key)]
  const [together, , nothing] = await Promise.all([link.call('GET', key), link.call('DEL', key), link.call('GET', key)])
  t.same(alone, bytes)
  t.same(together, bytes)
  t.equal(nothing, null)
})

t.test('a Redis in the file system, and another database', async (t) => {
  const folder = mkdtempSync(`${tmpdir()}/fastify-hub-socket-`)
  t.teardown(() => { rmSync(folder, { recursive: true }) })
  const server = await RedisServer.start(t, { args: ['--unixsocket', `${folder}/redis.sock`] })
  const [local, third, first] = [await connectedLink(t, `${folder}/redis.sock?db=3`), await connectedLink(t, `${server.url}/3`), await connectedLink(t, server.url)]
  await local.call('SET', 'key', 'value')
  t.equal(text(await third.call('GET', 'key')), 'value')
  t.equal(await first.call('GET', 'key'), null)
})

t.test('what Redis refuses is an error of its own, with the answer as its cause and without the arguments', async (t) => {
  const link = await connectedLink(t, await redisUrl(t))
  const key = `${ownPrefix()}:text`
  await link.call('SET', key, 'x')
  const alone = await rejection(link.call('RPUSH', key, 'confidential'))
  const [before, refused, after] = await Promise.allSettled([link.call('GET', key), link.call('RPUSH', key, 'confidential'), link.call('DEL', key)])
  for (const error of [alone, refused.status === 'rejected' ? refused.reason as typeof alone : null]) {
    t.match(error, { code: CODE, statusCode: 503, message: /^Redis is not available: WRONGTYPE / })
    t.ok(isReply(error, 'WRONGTYPE'))
    t.notMatch(inspect(error, { depth: null, showHidden: true }), /confidential/)
  }
  t.equal(before.status, 'fulfilled')
  t.equal(after.status, 'fulfilled')
  t.ok(link.isReady)
})

t.test('FAULTS 57: a Redis that does not answer: calls end, and later ones are answered when it goes on', async (t) => {
  const server = await RedisServer.start(t)
  const link = await connectedLink(t, server.url, 300)
  await link.call('SET', 'key', 'value')
  server.signal('SIGSTOP')
  const errors = await Promise.all([rejection(link.call('GET', 'key')), rejection(link.call('GET', 'key'))])
  for (const error of errors) t.match(error, { code: CODE, message: 'Redis is not available: no answer within 300 ms' })
  server.signal('SIGCONT')
  let answer: Reply = null
  while (answer === null) answer = await link.call('GET', 'key').catch(() => null)
  t.equal(text(answer), 'value', 'and not that of an earlier call')
})

t.test('a process that stands still for longer than a call waits has the answer all the same', async (t) => {
  const server = await RedisServer.start(t)
  const link = await connectedLink(t, server.url, 600)
  await link.call('SET', 'key', 'value')
  const answer = link.call('GET', 'key')
  await new Promise((resolve) => { setImmediate(resolve) })
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_000)
  t.equal(text(await answer), 'value')
})

t.test('connecting to one that does not answer ends, and is tried on', async (t) => {
  const server = await RedisServer.start(t)
  const link = await newLink(t, server.url, 300)
  const told = log(link)
  server.signal('SIGSTOP')
  t.match(await rejection(link.connect()), { code: CODE, message: 'Redis is not available: no answer within 300 ms' })
  t.notOk(link.isReady)
  server.signal('SIGCONT')
  await until(() => link.isReady, 'the connection')
  t.same(told, ['ready'])
})

t.test('FAULTS 52: Redis is killed and comes back: what was under way ends, nothing is sent again', async (t) => {
  const server = await RedisServer.start(t, { durable: true })
  const link = await connectedLink(t, server.url)
  const told = log(link)
  const other = link.another('test')
  other.on('error', () => {})
  await other.connect()
  const waiting = rejection(link.call('BLPOP', 'never', 0))
  const otherWaiting = rejection(other.call('BLPOP', 'never', 0) as Promise<unknown>)
  const together = [link.call('BLPOP', 'never', 0), link.call('RPUSH', 'list', 'once')].map(async (call) => await rejection(call))
  await server.stop('SIGKILL')
  for (const error of [await waiting, ...await Promise.all(together)]) t.match(error, { code: CODE })
  t.type(await otherWaiting, Error, 'one that blocks on a connection of its own ends too')
  t.match(await rejection(link.call('PING')), { code: CODE }, 'at once')
  await until(() => /ECONNREFUSED/.test(link.why.message), 'a try')
  await server.start()
  await until(() => link.isReady, 'the connection')
  t.equal(await link.call('EXISTS', 'list'), 0, 'it stood behind the one that blocked')
  t.match(told, [/^away: /, 'ready'])
  other.disconnect()
})

t.test('Redis is away from the start: the error says why, and the connection comes later', async (t) => {
  const server = await RedisServer.start(t)
  await server.stop()
  for (const host of ['127.0.0.1', 'localhost']) {
    const link = await newLink(t, `redis://${host}:${server.port}`)
    t.match(await rejection(link.connect()), { code: CODE, message: /^Redis is not available: connect ECONNREFUSED .*\d+$/ }, host)
    t.match(await rejection(link.call('PING')), { code: CODE, message: /ECONNREFUSED/ })
  }
  const link = await newLink(t, server.url)
  t.match(await rejection(link.call('PING')), { code: CODE, message: /it was not asked yet/ })
  await rejection(link.connect())
  await server.start()
  await until(() => link.isReady, 'the connection')
  t.equal(text(await link.call('PING')), 'PONG')
})

t.test('close: what is under way ends, and no timer is left, be Redis there, away or silent', async (t) => {
  const server = await RedisServer.start(t)
  await until(() => timers() === 0, 'the ends of tests before')
  const closed = async (prepare: (link: RedisLink) => Promise<void>): Promise<void> => {
    const link = await newLink(t, server.url)
    await prepare(link)
    const call = rejection(link.call('BLPOP', 'never', 0))
    await link.close()
    t.match(await call, { code: CODE })
    t.match(await rejection(link.call('PING')), { code: CODE, message: 'Redis is not available: the hub has been closed' })
    t.notOk(link.isReady)
    await link.close()
    t.equal(timers(), 0)
  }
  await closed(async () => {})
  await closed(async (link) => { await link.connect() })
  await closed(async (link) => {
    await link.connect()
    server.signal('SIGSTOP')
  })
  server.signal('SIGCONT')
  await closed(async (link) => {
    link.connect().catch(() => {})
  })
  await closed(async (link) => {
    await link.connect()
    await server.stop('SIGKILL')
    await until(() => !link.isReady, 'the end')
  })
  await closed(async (link) => { await rejection(link.connect()) })
})

t.test('no Sentinel is there: the error says so, it is tried on, and closing does not wait for one', async (t) => {
  const port = await freePort()
  const client = new Redis({ sentinels: [{ host: '127.0.0.1', port }], name: 'main', sentinelRetryStrategy: () => null, lazyConnect: true })
  const link = await newLink(t, client)
  const message = /^Redis is not available: All sentinels are unreachable\. Retrying/
  t.match(await rejection(link.connect()), { code: CODE, message })
  t.match(await rejection(link.call('PING')), { code: CODE, message })
  await link.close()
  t.match(await rejection(link.call('PING')), { message: /the hub has been closed/ })
})

t.test('a wrong password, or none: the error says so, and nobody sees the password', async (t) => {
  const server = await RedisServer.start(t, { args: ['--requirepass', 'the-right-one'] })
  for (const [credentials, word] of [[':the-wrong-one@', 'WRONGPASS'], ['somebody:the-wrong-one@', 'WRONGPASS'], ['', 'NOAUTH']] as const) {
    const link = await newLink(t, server.url.replace('//', `//${credentials}`))
    const error = await rejection(link.connect())
    t.match(error, { code: CODE, message: new RegExp(`^Redis is not available: ${word} `) })
    for (const shown of [error, link.why, await rejection(link.call('PING'))]) t.notMatch(inspect(shown, { depth: null, showHidden: true }), /the-wrong-one/)
  }
  const link = await connectedLink(t, server.url.replace('//', '//:the-right-one@'))
  t.equal(text(await link.call('PING')), 'PONG')
})

t.test('FAULTS 55: a Redis that can not write says why', async (t) => {
  const server = await RedisServer.start(t)
  const link = await connectedLink(t, server.url)
  for (const [setting, wrong, right, word] of [['maxmemory', '1', '0', 'OOM'], ['min-replicas-to-write', '1', '0', 'NOREPLICAS']] as const) {
    await link.call('CONFIG', 'SET', setting, wrong)
    const error = await rejection(link.call('SET', 'key', 'value'))
    t.match(error, { code: CODE, message: new RegExp(`^Redis is not available: ${word} `) })
    t.ok(isReply(error, word))
    await link.call('CONFIG', 'SET', setting, right)
    t.equal(text(await link.call('SET', 'key', 'value')), 'OK', `after ${word}`)
  }
})

t.test('FAULTS 55: a master that has become a replica is left for whoever is there now', async (t) => {
  const server = await RedisServer.start(t)
  const admin = await connectedLink(t, server.url)
  for (const [setting, command, word] of [['yes', ['SET', 'key', 'value'], 'READONLY'], ['no', ['GET', 'key'], 'MASTERDOWN']] as const) {
    const link = await connectedLink(t, server.url)
    const told = log(link)
    await admin.call('CONFIG', 'SET', 'replica-serve-stale-data', setting)
    await admin.call('REPLICAOF', '127.0.0.1', await freePort())
    const [name, ...args] = command
    t.match(await rejection(link.call(name, ...args)), { code: CODE, message: new RegExp(`^Redis is not available: ${word} `) })
    await until(() => told.length === 2, 'another connection')
    t.match(told, [new RegExp(`^away: ${word} `), 'ready'])
    await admin.call('REPLICAOF', 'NO', 'ONE')
    await link.call(name, ...args)
  }
})

t.test('FAULTS 64: a script that blocks Redis: calls end with BUSY, the connection stays', async (t) => {
  const server = await RedisServer.start(t, { args: ['--busy-reply-threshold', '50'] })
  const [link, busy] = [await connectedLink(t, server.url), await connectedLink(t, server.url)]
  const told = log(link)
  const killed = rejection(busy.call('EVAL', 'while true do end', 0))
  let error: Error | null = null
  while (error === null) error = await link.call('GET', 'key').then(() => null, (error: Error) => error)
  t.match(error, { code: CODE, message: /^Redis is not available: BUSY / })
  const insisted = link.insist(async () => await link.call('GET', 'key'))
  await link.call('SCRIPT', 'KILL')
  t.match(await killed, { code: CODE })
  t.equal(await insisted, null, 'what may be done twice is done afterwards')
  t.equal(await link.call('GET', 'key'), null)
  t.same(told, [])
})

t.test('what may be done twice is done when Redis is back, if that is in time', async (t) => {
  const server = await RedisServer.start(t)
  const link = await connectedLink(t, server.url)
  await server.stop('SIGKILL')
  let tries = 0
  const answer = link.insist(async () => {
    tries++
    return await link.call('PING')
  })
  await until(() => tries > 0 && !link.isReady, 'a try in vain')
  await server.start()
  t.equal(String(await answer), 'PONG')
  t.ok(tries < 10, `${tries} tries`)
  t.match(await rejection(link.insist(async () => await link.call('NO SUCH COMMAND'))), { code: CODE, message: /unknown command/ }, 'an answer is an answer')
  await server.stop('SIGKILL')
  const closed = rejection(link.insist(async () => await link.call('PING')))
  await link.close()
  t.match(await closed, { code: CODE })
})

t.test('a database that is not there is no reason to write into the first one', async (t) => {
  const server = await RedisServer.start(t, { args: ['--databases', '2'] })
  const link = await newLink(t, `${server.url}/2`)
  const told = log(link)
  for (let i = 0; i < 3; i++) t.match(await rejection(i === 0 ? link.connect() : link.call('SET', 'key', 'value')), { code: CODE, message: 'Redis is not available: ERR DB index is out of range' })
  const other = link.another('test')
  const tries: string[] = []
  other.on('error', ({ message }) => { tries.push(message) })
  other.connect().catch(() => {})
  await until(() => tries.length >= 3, 'it to be tried on')
  t.not(other.status, 'ready')
  other.disconnect()
  t.same(told, [])
  t.equal(await (await connectedLink(t, server.url)).call('DBSIZE'), 0)
})

t.test('a Redis that lets nobody in says why; one that closes without a word gets a few words of ours', async (t) => {
  const server = await RedisServer.start(t)
  const admin = await connectedLink(t, server.url)
  await admin.call('CONFIG', 'SET', 'maxclients', 1)
  const link = await newLink(t, server.url)
  // Whether what it said can be read is a race with the end of the connection.
  t.match(await rejection(link.connect()), { code: CODE, message: /max number of clients reached|without an answer.*maxclients/ })
  await admin.call('CONFIG', 'SET', 'maxclients', 100)
  await until(() => link.isReady, 'the connection')
  for (const [words, message] of [
    ['-DENIED Redis is running in protected mode because\r\n', /^Redis is not available: DENIED Redis is running in protected mode because$/],
    ['', /^Redis is not available: it has closed the connection without an answer.*protected mode.*TLS/]
  ] as const) {
    const stranger = createServer((socket) => {
      socket.on('error', () => {})
      socket.once('data', () => { socket.end(words) })
    })
    t.teardown(() => { stranger.close() })
    stranger.listen(0, '127.0.0.1')
    await once(stranger, 'listening')
    const refused = await newLink(t, `redis://127.0.0.1:${(stranger.address() as AddressInfo).port}`)
    t.match(await rejection(refused.connect()), { code: CODE, message })
    t.match(await rejection(refused.call('PING')), { code: CODE, message })
  }
})

t.test('FAULTS 55: a Redis that is loading its data: the error and the reason say so, and it is asked again soon', async (t) => {
  // So slow that it is seen, and with a look at its clients now and then.
  const server = await RedisServer.start(t, { durable: true, args: ['--key-load-delay', '50', '--loading-process-events-interval-bytes', '1024', '--enable-debug-command', 'yes'] })
  const admin = await connectedLink(t, server.url)
  await admin.call('DEBUG', 'POPULATE', 30_000)
  await admin.call('BGREWRITEAOF')
  const isWritten = async (): Promise<boolean> => /aof_rewrite_in_progress:0\r\naof_rewrite_scheduled:0/.test(text(await admin.call('INFO', 'persistence')))
  while (!await isWritten()) await new Promise((resolve) => { setTimeout(resolve, 10) })
  await server.stop('SIGKILL')
  const started = server.start()
  await until(() => /LOADING/.test(admin.why.message), 'the one that was there to say so')
  t.match(await rejection(admin.call('PING')), { code: CODE, message: 'Redis is not available: LOADING Redis is loading its data' })
  const link = await newLink(t, server.url, 300)
  t.match(await rejection(link.connect()), { code: CODE, message: 'Redis is not available: LOADING Redis is loading its data' })
  await started
  await until(() => link.isReady && admin.isReady, 'it to be loaded')
})
