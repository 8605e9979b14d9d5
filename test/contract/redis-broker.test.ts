import t from 'tap'
import { redisUrl } from '../helpers/redis-server.js'
import { brokerContract } from './broker.js'
import { brokerHistoryContract } from './broker-history.js'
import { redisWorlds } from './redis-worlds.js'

t.test('RedisBroker', async (t) => {
  const { broker } = redisWorlds({ url: await redisUrl(t) })
  brokerContract(t, broker)
  brokerHistoryContract(t, broker)
})
