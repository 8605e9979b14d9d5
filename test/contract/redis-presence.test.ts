import t from 'tap'
import { redisUrl } from '../helpers/redis-server.js'
import { presenceContract } from './presence.js'
import { presenceChangesContract } from './presence-changes.js'
import { redisWorlds } from './redis-worlds.js'

t.test('RedisPresence', async (t) => {
  const { presence } = redisWorlds({ url: await redisUrl(t) })
  // They mostly wait.
  t.jobs = 4
  presenceContract(t, presence)
  presenceChangesContract(t, presence)
})
