import { Redis } from 'ioredis'
import t from 'tap'
import type { Hub } from '../../lib/index.js'
import { connect, TestClock } from '../../lib/testing/index.js'
import { redisApps } from '../helpers/redis-apps.js'
import { RedisServer } from '../helpers/redis-server.js'
import { until } from '../helpers/until.js'

t.test('lazy: a hub starts also where Redis is there and refuses, and is part of the cluster when it does not do so any more', async (t) => {
  const server = await RedisServer.start(t, { args: ['--maxmemory', '1'] })
  const admin = new Redis(server.url)
  t.teardown(() => { admin.disconnect() })
  const clock = new TestClock()
  const { hubs } = await redisApps(t, 2, { url: server.url, lazy: true }, { clock })
  const [one, two] = hubs as [Hub, Hub]
  t.match(one.health(), { status: 'degraded', reasons: [/OOM/] })
  const peer = await connect(one, { kernel: Infinity })
  t.match(await one.broadcast('here'), { sent: 1 })
  await admin.config('SET', 'maxmemory', '0')
  await until(() => {
    clock.advance(5_000).catch(() => {})
    two.broadcast('there').catch(() => {})
    return peer.messages.some((message) => message.text() === 'there')
  }, 'a broadcast of the other node')
})
