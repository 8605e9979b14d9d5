import t from 'tap'
import { MemoryBroker, MemoryBus } from '../../lib/memory/broker.js'
import { MemoryDirectory } from '../../lib/memory/directory.js'
import { MemoryPresence } from '../../lib/memory/presence.js'
import { TestClock } from '../../lib/testing/test-clock.js'
import { brokerContract } from './broker.js'
import { brokerHistoryContract } from './broker-history.js'
import type { BrokerFactory } from './broker-world.js'
import { directoryContract } from './directory.js'
import { presenceContract } from './presence.js'

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
  directoryContract(t, () => {
    const directory = new MemoryDirectory()
    return { node: () => directory, close: () => {} }
  })
})

t.test('MemoryPresence', async (t) => {
  presenceContract(t, () => {
    const presence = new MemoryPresence()
    return { node: () => presence, close: () => {} }
  })
})
