import t from 'tap'
import { redisUrl } from '../helpers/redis-server.js'
import { inboxesContract } from './inboxes.js'
import { redisWorlds } from './redis-worlds.js'

t.test('RedisInboxes', async (t) => { inboxesContract(t, redisWorlds({ url: await redisUrl(t) }).inboxes) })
