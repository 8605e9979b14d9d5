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
  const { hubs, logs } = await redisApps(t, 2, { url: server.url, lazy: true }, { clock })
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
  t.equal(logs.filter(({ msg }) => msg === 'this node has been entered').length, 2, 'which the log tells of both')
})

t.test('lazy: a node that is refused, as it has another number of partitions, does nothing to the rooms of the others', async (t) => {
  const server = await RedisServer.start(t)
  const clock = new TestClock()
  const { hubs: [one], add, logs } = await redisApps(t, 1, { url: server.url, prefix: 'ours', partitions: 8 }, { clock })
  const two = await add({ redis: { url: server.url, prefix: 'ours', partitions: 16, lazy: true } })
  await until(() => logs.some(({ msg }) => msg === 'this node could not be entered'), 'the log')
  t.match(two.health(), { status: 'degraded', reasons: [/^this node is no part of the cluster: .*redis\.partitions: expected 8/] })
  t.notOk(logs.some(({ msg }) => msg.includes('not there yet')), 'Redis is there')
  const peer = await connect(one as Hub, { user: 'ann', kernel: Infinity, subprotocol: 'hub.v1.json' })
  const rooms = Array.from({ length: 4 }, (_, i) => `room ${i}`)
  for (const room of rooms) {
    await peer.connection.join(room)
    await one?.room(room).publish('1')
    const refused = t.rejects(two.room(room).publish('2'), { code: 'FST_HUB_BROKER_UNAVAILABLE', message: /redis\.partitions/ })
    await clock.advance(10_000)
    await refused
    t.equal((await one?.room(room).publish('3'))?.offset, 2)
  }
  t.match(await two.broadcast('here'), { sent: 0 })
  t.notOk(peer.messages.some((message) => message.json<{ op: string }>().op === 'gap'))
})
