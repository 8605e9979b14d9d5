import t from 'tap'
import { redisUrl } from '../helpers/redis-server.js'
import { offlineStoreContract } from './offline-store.js'
import { redisWorlds } from './redis-worlds.js'

t.test('RedisOfflineStore', async (t) => { offlineStoreContract(t, redisWorlds({ url: await redisUrl(t) }).offlineStore) })
