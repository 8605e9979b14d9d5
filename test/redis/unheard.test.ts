import { Redis } from 'ioredis'
import t from 'tap'
import { TestClock } from '../../lib/testing/index.js'
import { redisApps } from '../helpers/redis-apps.js'
import { RedisServer } from '../helpers/redis-server.js'
import { until } from '../helpers/until.js'

const SILENT = 'the bus is silent: this node does not hear the others'

t.test('Redis lets only one of the two connections of a node in: health and log say so until it lets in both', async (t) => {
  const server = await RedisServer.start(t)
  const admin = new Redis(server.url)
  t.teardown(() => { admin.disconnect() })
  const clock = new TestClock()
  const { hubs: [hub], logs } = await redisApps(t, 1, { url: server.url }, { clock })
  const clients = async (): Promise<string> => await admin.client('LIST') as string
  const id = /^id=(\d+) .*name=fastify-hub-reader /m.exec(await clients())?.[1] ?? ''
  await admin.config('SET', 'maxclients', 2)
  await admin.client('KILL', 'ID', Number(id))
  const told = (msg: string): number => logs.filter((line) => line.msg === msg).length
  /** In steps, and what it asks for is answered between them: by this clock it would be late. */
  const pass = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 250) {
      await clock.advance(250)
      await clients()
    }
  }
  for (let seconds = 0; seconds < 60; seconds += 5) {
    await pass(5_000)
    if (seconds >= 20) t.match(hub?.health(), { status: 'degraded', reasons: [/^the bus is silent: this node has read nothing for \d+ s/] }, `after ${seconds} s`)
  }
  t.equal(told(SILENT), 1)
  // By its own clock, it tries again.
  await until(() => /(max number of clients|without an answer)/.test(hub?.health().reasons.join() ?? ''), 'the reason')
  await admin.config('SET', 'maxclients', 100)
  await until(() => {
    clock.advance(5_000).catch(() => {})
    return told('the bus is heard again') === 1
  }, 'the reader to be back')
  // By that clock, some calls were late.
  await pass(12_500)
  t.same(hub?.health(), { status: 'ok', reasons: [] })
  t.equal(told(SILENT), 1)
})
