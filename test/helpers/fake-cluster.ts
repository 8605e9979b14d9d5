import type { Directory, InboxListener, Inboxes, NodeMessage, OfflineStore } from '../../lib/core/ports.js'
import { MemoryInboxes, MemoryMesh } from '../../lib/memory/inboxes.js'
import { MemoryOfflineStore } from '../../lib/memory/offline-store.js'
import { TestClock } from '../../lib/testing/test-clock.js'
import { startHub, type FakeHub, type FakeHubOptions } from './fake-hub.js'
import { PromisedDirectory } from './promised-directory.js'

/** A message on its way. */
export interface Passing { readonly from: string, readonly to: string, readonly message: NodeMessage }

/** FakeHubs that are nodes of one cluster, on one fake time, with a network that the test can break. */
export class FakeCluster {
  readonly clock = new TestClock()
  readonly mesh = new MemoryMesh(this.clock)
  readonly store: OfflineStore
  readonly directory: Directory
  readonly hubs: FakeHub[] = []
  /** Every message that has come somewhere. */
  readonly passed: Passing[] = []
  /** How often a message comes; 0: it is lost, unless the test delivers it. */
  copies: (passing: Passing) => number = () => 1
  /** Failures of the next calls, in order. */
  readonly sendFailures: Error[] = []
  readonly nodesFailures: Error[] = []
  /** Whether the nodes that live are known for certain. */
  isCertain = true
  readonly #options: FakeHubOptions
  readonly #listeners = new Map<string, InboxListener>()

  constructor (options: FakeHubOptions = {}) {
    this.#options = options
    this.directory = options.directory ?? new PromisedDirectory()
    this.store = new MemoryOfflineStore(this.clock, { maxMessages: 100 }, { onDropped: () => {} })
  }

  async add (options: FakeHubOptions = {}): Promise<FakeHub> {
    const hub = await startHub({
      clock: this.clock,
      directory: this.directory,
      offlineStore: this.store,
      inboxes: (nodeId, listener) => this.#inboxes(nodeId, listener),
      ...this.#options,
      ...options
    })
    this.hubs.push(hub)
    return hub
  }

  /** Lets everything happen that needs no time. */
  async settle (): Promise<void> { await this.clock.settle() }

  /** A message comes (again). */
  deliver ({ from, to, message }: Passing): void { this.#listeners.get(to)?.onNodeMessage(from, message) }

  #inboxes (to: string, listener: InboxListener): Inboxes {
    this.#listeners.set(to, listener)
    const inner = new MemoryInboxes(this.mesh, to, {
      onNodeMessage: (from, message) => {
        const passing = { from, to, message }
        this.passed.push(passing)
        for (let i = this.copies(passing); i > 0; i--) this.deliver(passing)
      }
    })
    return {
      nodes: async () => {
        const failure = this.nodesFailures.shift()
        if (failure !== undefined) throw failure
        return { ...await inner.nodes(), complete: this.isCertain }
      },
      send: async (nodeId, message) => {
        const failure = this.sendFailures.shift()
        if (failure !== undefined) throw failure
        return await inner.send(nodeId, message)
      },
      close: async () => { await inner.close() }
    }
  }
}

/** A cluster of as many nodes as are asked for. */
export async function startCluster (count: number, options?: FakeHubOptions): Promise<{ cluster: FakeCluster, nodes: FakeHub[] }> {
  const cluster = new FakeCluster(options)
  for (let i = 0; i < count; i++) await cluster.add()
  return { cluster, nodes: cluster.hubs }
}
