import t from 'tap'
import type { OfflineListener } from '../../lib/core/ports.js'
import { MemoryBroker, MemoryBus } from '../../lib/memory/broker.js'
import { MemoryDirectory } from '../../lib/memory/directory.js'
import { MemoryInboxes, MemoryMesh } from '../../lib/memory/inboxes.js'
import { MemoryOfflineStore } from '../../lib/memory/offline-store.js'
import { MemoryPresence, MemoryPresenceStore } from '../../lib/memory/presence.js'
import { TestClock } from '../../lib/testing/test-clock.js'
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

t.test('MemoryBroker', async (t) => {
  const factory: BrokerFactory = (policyOf) => {
    const clock = new TestClock()
    const bus = new MemoryBus(clock, policyOf)
    return { node: (listener) => new MemoryBroker(bus, listener), advance: async (ms) => { await clock.advance(ms) }, close: () => {} }
  }
  brokerContract(t, factory)
  brokerHistoryContract(t, factory)
})

// The nodes of one process share one.
t.test('MemoryDirectory', async (t) => {
  const factory: DirectoryFactory = () => {
    const directory = new MemoryDirectory()
    return { node: () => directory, close: () => {} }
  }
  directoryContract(t, factory)
  directoryLoginsContract(t, factory)
})

t.test('MemoryPresence', async (t) => {
  const factory: PresenceFactory = (interval) => {
    const clock = new TestClock()
    const store = new MemoryPresenceStore(clock, interval)
    return { node: (listener) => new MemoryPresence(store, listener), advance: async (ms) => { await clock.advance(ms) }, close: () => {} }
  }
  presenceContract(t, factory)
  presenceChangesContract(t, factory)
})

// The nodes of one process share one.
t.test('MemoryOfflineStore', async (t) => {
  offlineStoreContract(t, (options) => {
    const clock = new TestClock()
    let shared: MemoryOfflineStore | undefined
    const node = (listener: OfflineListener): MemoryOfflineStore => {
      shared ??= new MemoryOfflineStore(clock, options, listener)
      return shared
    }
    return { node, advance: async (ms) => { await clock.advance(ms) }, close: () => {} }
  })
})

t.test('MemoryInboxes', async (t) => {
  inboxesContract(t, () => {
    const mesh = new MemoryMesh(new TestClock())
    let nodes = 0
    return {
      node: (listener) => {
        const id = `node-${++nodes}`
        return { id, inboxes: new MemoryInboxes(mesh, id, listener) }
      },
      close: () => {}
    }
  })
})
