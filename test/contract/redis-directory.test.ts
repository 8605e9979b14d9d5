import t from 'tap'
import { redisUrl } from '../helpers/redis-server.js'
import { directoryContract } from './directory.js'
import { redisWorlds } from './redis-worlds.js'

t.test('RedisDirectory', async (t) => { directoryContract(t, redisWorlds({ url: await redisUrl(t) }).directory) })
