import t from 'tap'
import type { NodePorts } from '../../lib/core/cluster/hub-cluster.js'
import type { HistoryPolicyOf } from '../../lib/core/ports.js'
import { TestClock, TestCluster } from '../../lib/testing/index.js'
import { Link } from '../../lib/testing/cluster/link.js'
import { LinkedBroker } from '../../lib/testing/cluster/linked-broker.js'
import { MemoryBus } from '../../lib/memory/broker.js'
import { brokerContract } from './broker.js'
import { brokerHistoryContract } from './broker-history.js'
import type { BrokerFactory } from './broker-world.js'
import { directoryContract } from './directory.js'
import { directoryLoginsContract } from './directory-logins.js'
import type { DirectoryFactory } from './directory-world.js'
import { inboxesContract } from './inboxes.js'
import { offlineStoreContract } from './offline-store.js'
import { presenceContract } from './presence.js'
import { presenceChangesContract } from './presence-changes.js'
import type { PresenceFactory } from './presence-world.js'

/* The ports of a TestCluster, as long as nobody disturbs them. */

const HISTORY = { size: 0, ttl: 0, mode: 'log', rooms: {} } as const

function start (terms: { presenceInterval?: number, maxOffline?: number } = {}): { enter: () => NodePorts, advance: (ms: number) => Promise<void>, close: () => void } {
  const clock = new TestClock()
  const cluster = new TestCluster({ clock })
  return {
    enter: () => cluster.enter({ history: HISTORY, presenceInterval: 1_000, maxOffline: 100, ...terms }),
    advance: async (ms) => { await clock.advance(ms) },
    close: () => {}
  }
}

t.test('LinkedBroker', async (t) => {
  // Its policies are functions here.
  const factory: BrokerFactory = (policyOf: HistoryPolicyOf) => {
    const clock = new TestClock()
    const bus = new MemoryBus(clock, policyOf)
    return { node: (listener) => new LinkedBroker(new Link(clock, () => {}), bus, listener), advance: async (ms) => { await clock.advance(ms) }, close: () => {} }
  }
  brokerContract(t, factory)
  brokerHistoryContract(t, factory)
})

t.test('LinkedDirectory', async (t) => {
  const factory: DirectoryFactory = () => {
    const { enter, close } = start()
    return { node: () => enter().directory({ onRemoved: () => {}, onLeaseLost: () => {} }), close }
  }
  directoryContract(t, factory)
  directoryLoginsContract(t, factory)
})

t.test('LinkedPresence', async (t) => {
  const factory: PresenceFactory = (presenceInterval) => {
    const { enter, ...world } = start({ presenceInterval })
    return { node: (listener) => enter().presence(listener), ...world }
  }
  presenceContract(t, factory)
  presenceChangesContract(t, factory)
})

t.test('LinkedOfflineStore', async (t) => {
  offlineStoreContract(t, ({ maxMessages }) => {
    const { enter, ...world } = start({ maxOffline: maxMessages })
    return { node: (listener) => enter().offlineStore(listener), ...world }
  })
})

t.test('LinkedInboxes', async (t) => {
  inboxesContract(t, () => {
    const { enter, close } = start()
    let nodes = 0
    return {
      node: (listener) => {
        const id = `node-${++nodes}`
        return { id, inboxes: enter().inboxes(id, listener) }
      },
      close
    }
  })
})
