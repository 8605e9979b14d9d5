import type { AdmissionLimits } from './admission.js'
import type { CompressionOptions } from './compression.js'
import type { ConnectionSettings } from './connection-host.js'
import type { DrainOptions } from './drain.js'
import type { SocketFigures } from './health.js'
import type { HubV1Options } from './hub-v1/hub-v1.js'
import type { Broker, BrokerListener, Clock, Directory, DirectoryListener, HistoryPolicyOf, InboxListener, Inboxes, OfflineListener, OfflineStore, Presence, PresenceListener } from './ports.js'
import type { QueueBudget } from './queue-budget.js'
import type { QueueLimits } from './send-queue.js'
import type { SessionPolicy } from './sessions.js'
import type { Connection, DisconnectInfo, HubStats, Message } from './types.js'

/** What the application does with connections. */
export interface Handlers {
  readonly onConnect: ((connection: Connection) => unknown) | undefined
  readonly onMessage: ((connection: Connection, message: Message) => unknown) | undefined
  readonly onDisconnect: ((connection: Connection, info: DisconnectInfo) => unknown) | undefined
}

export interface HubLogger {
  info (details: object, message: string): void
  error (details: object, message: string): void
}

/** Everything a hub is made of. */
export interface HubConfig {
  readonly nodeId: string
  readonly settings: ConnectionSettings
  readonly queue: QueueLimits & {
    /** Of the whole process; 0 is no limit, undefined the default. */
    readonly maxTotalBytes: number | undefined
  }
  readonly budget: QueueBudget
  readonly compression: CompressionOptions
  /** `maxLoopDelay`: milliseconds; 0 is no limit. */
  readonly limits: AdmissionLimits & { readonly maxLoopDelay: number }
  readonly sockets: SocketFigures
  readonly drain: DrainOptions
  readonly sessions: SessionPolicy
  readonly handlers: Handlers
  readonly log: HubLogger
  readonly clock: Clock
  readonly history: HistoryPolicyOf
  readonly hubV1: HubV1Options
  /** These get the hub as their listener. */
  readonly directory: (listener: DirectoryListener) => Directory
  readonly presence: (listener: PresenceListener) => Presence
  readonly broker: (listener: BrokerListener) => Broker
  readonly inboxes: (nodeId: string, listener: InboxListener) => Inboxes
  readonly offline: OfflineOptions
  readonly backend: Backend
}

/** What the ports rest upon, as far as an operator wants to know. */
export interface Backend {
  /** What is wrong with it, in words for `hub.health()`. */
  troubles (): readonly string[]
  counters (): HubStats['bus']
}

/** What is kept for users. */
export interface OfflineOptions {
  /** Milliseconds for which a message is kept, where its own `ttl` says nothing; 0: no limit. */
  readonly ttl: number
  /** null: nothing is kept. */
  readonly store: ((listener: OfflineListener) => OfflineStore) | null
}
