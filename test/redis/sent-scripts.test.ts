import { createHash } from 'node:crypto'
import t from 'tap'
import type { RedisLink, Reply } from '../../lib/redis/link.js'
import type { Script } from '../../lib/redis/script.js'
import { connectedLink } from '../helpers/redis-link.js'
import { RedisServer } from '../helpers/redis-server.js'
import { until } from '../helpers/until.js'

const scriptOf = (source: string): Script => ({ source, sha: createHash('sha1').update(source).digest('hex') })
const APPEND = scriptOf("return redis.call('RPUSH', KEYS[1], ARGV[1])")
const MANY = Array.from({ length: 20 }, (_, i) => `${i}`)

const list = async (link: RedisLink): Promise<string[]> => (await link.call('LRANGE', 'list', 0, -1) as Reply[]).map(String)
/** How often Redis was sent the source of a script, and the hash of one. */
const calls = async (link: RedisLink): Promise<{ eval: number, evalsha: number }> => {
  const stats = String(await link.call('INFO', 'commandstats'))
  const count = (name: string): number => Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(stats)?.[1] ?? 0)
  return { eval: count('eval'), evalsha: count('evalsha') }
}
const append = async (link: RedisLink): Promise<Reply[]> => await Promise.all(MANY.map(async (text) => await link.run(APPEND, ['list'], [text])))

t.test('the source of a script is sent once over a connection, and runs take effect in order', async (t) => {
  const server = await RedisServer.start(t)
  const link = await connectedLink(t, server.url)
  t.same(await append(link), MANY.map((_, i) => i + 1))
  t.same(await list(link), MANY)
  t.same(await calls(link), { eval: 1, evalsha: 19 })
  await server.stop()
  await server.start()
  await until(() => link.isReady, 'the connection')
  await append(link)
  t.same(await list(link), MANY)
  t.same(await calls(link), { eval: 1, evalsha: 19 }, 'of the new process')
})

t.test('FAULTS 56: a script that Redis has forgotten is sent again, once', async (t) => {
  const server = await RedisServer.start(t)
  const link = await connectedLink(t, server.url)
  await append(link)
  await link.call('DEL', 'list')
  await link.call('SCRIPT', 'FLUSH')
  await link.call('CONFIG', 'RESETSTAT')
  t.same(await append(link), MANY.map((_, i) => i + 1))
  t.same(await list(link), MANY)
  t.same(await calls(link), { eval: 1, evalsha: 39 }, 'twenty in vain')
})

t.test('a Redis that forgets a script all the time runs it all the same', async (t) => {
  const server = await RedisServer.start(t)
  const [link, other] = [await connectedLink(t, server.url), await connectedLink(t, server.url)]
  const test = { isOver: false }
  const flushes = (async () => { while (!test.isOver) await other.call('SCRIPT', 'FLUSH') })()
  for (let i = 0; i < 50; i++) {
    await append(link)
    await link.call('DEL', 'list')
  }
  test.isOver = true
  await flushes
  t.pass('no run was refused')
})

t.test('what a script refuses, or fails with, is no reason to send it again', async (t) => {
  const server = await RedisServer.start(t)
  const link = await connectedLink(t, server.url)
  const failing = scriptOf("return redis.error_reply('MINE is the error')")
  for (let i = 0; i < 2; i++) await t.rejects(link.run(failing, [], []), { code: 'FST_HUB_BROKER_UNAVAILABLE', message: 'Redis is not available: MINE is the error' })
  t.same(await calls(link), { eval: 1, evalsha: 1 })
  await server.stop('SIGKILL')
  await until(() => !link.isReady, 'the end')
  await t.rejects(link.run(APPEND, ['list'], ['x']), { code: 'FST_HUB_BROKER_UNAVAILABLE' })
  await server.start()
  await until(() => link.isReady, 'the connection')
  t.equal(await link.run(APPEND, ['list'], ['x']), 1)
})
