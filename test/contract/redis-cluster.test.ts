import t from 'tap'
import { clusterClient, startCluster } from '../helpers/redis-cluster.js'
import { brokerContract } from './broker.js'
import { brokerHistoryContract } from './broker-history.js'
import { directoryContract } from './directory.js'
import { directoryLoginsContract } from './directory-logins.js'
import { inboxesContract } from './inboxes.js'
import { offlineStoreContract } from './offline-store.js'
import { presenceContract } from './presence.js'
import { presenceChangesContract } from './presence-changes.js'
import { redisWorlds } from './redis-worlds.js'

/* The ports on a Redis Cluster of three: every one of them, on one cluster, since starting it takes its time. */

t.test('the ports on a Redis Cluster', async (t) => {
  const { broker, directory, inboxes, offlineStore, presence } = redisWorlds({ client: clusterClient(t, await startCluster(t, 3)) })
  // They mostly wait.
  t.jobs = 4
  brokerContract(t, broker)
  brokerHistoryContract(t, broker)
  directoryContract(t, directory)
  directoryLoginsContract(t, directory)
  inboxesContract(t, inboxes)
  offlineStoreContract(t, offlineStore)
  presenceContract(t, presence)
  presenceChangesContract(t, presence)
})
