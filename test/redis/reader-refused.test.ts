import { Redis } from 'ioredis'
import t from 'tap'
import type { Hub } from '../../lib/index.js'
import { connect } from '../../lib/testing/index.js'
import { redisApps } from '../helpers/redis-apps.js'
import { RedisServer } from '../helpers/redis-server.js'
import { until } from '../helpers/until.js'

t.test('a node whose user may not unblock others any more reads on after its connections were lost', async (t) => {
  const server = await RedisServer.start(t)
  const admin = new Redis(server.url)
  t.teardown(() => { admin.disconnect() })
  await admin.call('ACL', 'SETUSER', 'ours', 'on', '>pw', '~*', '+@all')
  const { hubs } = await redisApps(t, 2, (node) => ({ url: node === 0 ? `redis://ours:pw@127.0.0.1:${server.port}` : server.url }), { history: { size: 0 } })
  const [one, two] = hubs as [Hub, Hub]
  const peer = await connect(one, { user: 'ann', kernel: Infinity })
  const heard = (text: string): boolean => peer.messages.some((message) => message.text() === text)
  await peer.connection.join('lobby')
  await two.room('lobby').publish('before')
  await until(() => heard('before'), 'the first')
  await admin.call('ACL', 'SETUSER', 'ours', '-client|unblock')
  await admin.call('CLIENT', 'KILL', 'USER', 'ours')
  await until(() => one.health().status === 'ok', 'it to be back')
  await two.room('lobby').publish('after')
  await until(() => heard('after'), 'the second')
})
