import type { HistoryOptions } from '../history-policy.js'
import type { HubConfig, OfflineOptions } from '../hub-config.js'
import type { Clock } from '../ports.js'

/** The ports of one hub. */
export interface NodePorts extends Pick<HubConfig, 'directory' | 'presence' | 'broker' | 'inboxes'> {
  readonly offlineStore: NonNullable<OfflineOptions['store']>
}

/** Options of which all nodes have the same. */
export interface ClusterTerms {
  readonly history: HistoryOptions
  /** Milliseconds between two messages about changes in one room. */
  readonly presenceInterval: number
  /** Messages kept per user; 0: none. */
  readonly maxOffline: number
}

/** What hubs of one process have in common that are nodes of one cluster: the option `cluster`. */
export interface HubCluster {
  /** Of all its hubs. */
  readonly clock: Clock
  /** For the plugin: the ports of one more node. @throws FST_HUB_INVALID_OPTIONS where its terms are not those of the others */
  enter (terms: ClusterTerms): NodePorts
}
