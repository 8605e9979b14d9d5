import { systemClock } from '../../core/clock.js'
import type { ClusterTerms, HubCluster, NodePorts } from '../../core/cluster/hub-cluster.js'
import { describe } from '../../core/describe.js'
import { historyPolicies } from '../../core/history-policy.js'
import type { Clock } from '../../core/ports.js'
import type { Hub } from '../../core/types.js'
import { FST_HUB_INVALID_ARGUMENT, FST_HUB_INVALID_OPTIONS } from '../../errors.js'
import { MemoryBus } from '../../memory/broker.js'
import { MemoryDirectory } from '../../memory/directory.js'
import { MemoryMesh } from '../../memory/inboxes.js'
import { MemoryPresenceStore } from '../../memory/presence.js'
import { Link } from './link.js'
import { LinkedBroker } from './linked-broker.js'
import { LinkedDirectory, type Kicks } from './linked-directory.js'
import { LinkedInboxes } from './linked-inboxes.js'
import { LinkedOfflineStore, SharedOfflineStore } from './linked-offline-store.js'
import { LinkedPresence } from './linked-presence.js'

/** What the nodes share, as long as there is one. */
interface Shared {
  /** As text. */
  readonly terms: string
  readonly bus: MemoryBus
  readonly directory: MemoryDirectory
  readonly kicks: Kicks
  readonly presence: MemoryPresenceStore
  readonly offline: SharedOfflineStore
  readonly mesh: MemoryMesh
  readonly links: Set<Link>
}

/**
 * The option `cluster` of several hubs in one process: they behave as nodes of one cluster, and the test can cut each off from
 * the others. What one node tells the others reaches them in a later turn of the event loop.
 */
export class TestCluster implements HubCluster {
  /** The clock of all its hubs. */
  readonly clock: Clock
  #shared: Shared | null = null
  /** By the id of the node. */
  readonly #links = new Map<string, Link>()

  /** @param options `clock`: a TestClock, whose time is that of all nodes. Default: the machine's time */
  constructor ({ clock = systemClock }: { clock?: Clock | undefined } = {}) {
    this.clock = clock
  }

  /**
   * Cuts a node off from the others. What they publish, whom they see come and go, and what they ask waits for it, up to 10,000 of all
   * that together: beyond, the oldest is lost. Its own calls that need the others reject with FST_HUB_BROKER_UNAVAILABLE; ephemeral
   * publications and broadcasts reach its own connections. Does nothing to a node that is cut already.
   * @throws FST_HUB_INVALID_ARGUMENT for a hub that is no node of this cluster, as all of these
   */
  cut (hub: Hub): void { this.#link(hub).cut() }

  /** Ends that: what has waited comes, in order. */
  heal (hub: Hub): void { this.#link(hub).heal() }

  /** From now on what comes from other nodes is late by so many milliseconds of the clock, and in order. Calls of the node itself are not. */
  delay (hub: Hub, ms: number): void {
    const link = this.#link(hub)
    if (!Number.isSafeInteger(ms) || ms < 0) throw new FST_HUB_INVALID_ARGUMENT('ms', 'a whole number of milliseconds of at least 0', describe(ms))
    link.delay(ms)
  }

  /** From now on whatever comes from other nodes comes twice, or once again. No handler may notice. */
  double (hub: Hub, on = true): void { this.#link(hub).double(on) }

  /** For the plugin. */
  enter (terms: ClusterTerms): NodePorts {
    const shared = this.#shared ??= this.#begin(terms)
    if (shared.terms !== JSON.stringify(terms)) {
      throw new FST_HUB_INVALID_OPTIONS('cluster', 'hubs with the same history, presence.interval and offline.maxMessages', 'one with others')
    }
    let id: string | null = null
    const link = new Link(this.clock, () => { this.#leave(shared, link, id) })
    shared.links.add(link)
    return {
      directory: (listener) => new LinkedDirectory(link, shared.directory, shared.kicks, listener),
      presence: (listener) => new LinkedPresence(link, shared.presence, listener),
      broker: (listener) => new LinkedBroker(link, shared.bus, listener),
      offlineStore: (listener) => new LinkedOfflineStore(link, shared.offline, listener),
      inboxes: (nodeId, listener) => {
        id = nodeId
        this.#links.set(nodeId, link)
        return new LinkedInboxes(link, shared.mesh, nodeId, listener)
      }
    }
  }

  #begin (terms: ClusterTerms): Shared {
    const { clock } = this
    return {
      terms: JSON.stringify(terms),
      bus: new MemoryBus(clock, historyPolicies(terms.history)),
      directory: new MemoryDirectory(),
      kicks: new Map(),
      presence: new MemoryPresenceStore(clock, terms.presenceInterval),
      offline: new SharedOfflineStore(clock, terms.maxOffline),
      mesh: new MemoryMesh(clock),
      links: new Set()
    }
  }

  /** Without a node, nothing is kept. */
  #leave (shared: Shared, link: Link, id: string | null): void {
    shared.links.delete(link)
    if (id !== null) this.#links.delete(id)
    if (shared.links.size > 0) return
    this.#shared = null
    Promise.all([shared.directory.close(), shared.offline.store.close()]).catch(() => {})
  }

  #link (hub: Hub): Link {
    const link = this.#links.get((hub as Partial<Hub> | null)?.nodeId ?? '')
    if (link === undefined) throw new FST_HUB_INVALID_ARGUMENT('hub', 'the hub of an app with this cluster, which has not been closed', describe(hub))
    return link
  }
}
