import type { Test } from 'tap'
import type { Broker, BrokerListener, HistoryPolicy, HistoryPolicyOf } from '../../lib/core/ports.js'
import { FakeListener } from '../helpers/fake-listener.js'

/** Several nodes that share a broker. Each test gets its own, empty. */
export interface BrokerWorld {
  node (listener: BrokerListener): Broker | Promise<Broker>
  /** Lets that many milliseconds pass, or a little more. */
  advance (ms: number): Promise<void>
  /** Called after the test has closed its brokers. */
  close (): void | Promise<void>
}

export type BrokerFactory = (policyOf: HistoryPolicyOf) => BrokerWorld | Promise<BrokerWorld>

export interface Node { broker: Broker, listener: FakeListener }

/** Brokers for one test, which closes them. Where no room has a policy, nothing is kept. */
export async function brokerNodes (t: Test, factory: BrokerFactory, count: number, rooms: Record<string, HistoryPolicy> = {}): Promise<{ nodes: Node[], advance: BrokerWorld['advance'] }> {
  const world = await factory((room) => Object.hasOwn(rooms, room) ? rooms[room] as HistoryPolicy : { size: 0, ttl: 0, mode: 'log' })
  const nodes: Node[] = []
  t.teardown(async () => {
    for (const { broker } of nodes) await broker.close()
    await world.close()
  })
  for (let i = 0; i < count; i++) {
    const listener = new FakeListener()
    nodes.push({ broker: await world.node(listener), listener })
  }
  return { nodes, advance: async (ms) => { await world.advance(ms) } }
}
