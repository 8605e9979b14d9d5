import { Redis } from 'ioredis'
import t from 'tap'
import { TestClock } from '../../lib/testing/index.js'
import { pass } from '../helpers/pass.js'
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
  for (let seconds = 0; seconds < 60; seconds += 5) {
    await pass(clock, 5_000, clients)
    if (seconds >= 20) t.match(hub?.health(), { status: 'degraded', reasons: [/^the bus is silent: this node has read nothing for \d+ s/] }, `after ${seconds} s`)
  }
  t.equal(told(SILENT), 1)
  // By its own clock, it tries again.
  await until(() => /(max number of clients|without an answer)/.test(hub?.health().reasons.join() ?? ''), 'the reason')
  await admin.config('SET', 'maxclients', 100)
  while (told('the bus is heard again') === 0) await pass(clock, 5_000, clients)
  // For as long as that is told.
  await pass(clock, 12_500, clients)
  t.same(hub?.health(), { status: 'ok', reasons: [] })
  t.equal(told(SILENT), 1)
})
