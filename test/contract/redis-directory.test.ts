import t from 'tap'
import { redisUrl } from '../helpers/redis-server.js'
import { directoryContract } from './directory.js'
import { directoryLoginsContract } from './directory-logins.js'
import { redisWorlds } from './redis-worlds.js'

t.test('RedisDirectory', async (t) => {
  const { directory } = redisWorlds({ url: await redisUrl(t) })
  directoryContract(t, directory)
  directoryLoginsContract(t, directory)
})
