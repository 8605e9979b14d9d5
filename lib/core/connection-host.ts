import type { Ending } from '../protocol/disconnect.js'
import type { HubConnection } from './connection.js'
import type { DeadlineSettings } from './deadlines.js'
import type { InboundMessage } from './message.js'
import type { OutboundCounters, OutboundShared } from './outbound.js'
import type { PeerRateLimits } from './peer-rate.js'
import type { Clock } from './ports.js'
import type { Rooms } from './rooms.js'
import type { TimingWheel } from './timing-wheel.js'
import type { DisconnectInfo, Identity, Overflow } from './types.js'

/** The options that a connection obeys. */
export interface ConnectionSettings extends DeadlineSettings {
  readonly overflow: Overflow
  readonly maxPending: number
  readonly messages: 'any' | 'text' | 'binary'
  readonly rate: PeerRateLimits
}

/** What a connection needs of its hub. */
export interface ConnectionHost {
  readonly nodeId: string
  readonly clock: Clock
  readonly wheel: TimingWheel
  readonly settings: ConnectionSettings
  readonly outbound: OutboundShared
  readonly counters: OutboundCounters & { received: number, limited: number, throttled: number }
  readonly rooms: Rooms
  handleMessage (connection: HubConnection, message: InboundMessage): unknown
  kick (connection: HubConnection, why: Ending): Promise<boolean>
  onOverflow (connection: HubConnection, policy: Overflow, dropped: number): void
  /** Whether one more ping may go out in this look at the wheel. */
  mayPing (now: number): boolean
  /** The application failed. */
  report (error: unknown, connection: HubConnection): void
  /** The peer broke the protocol. */
  onPeerError (error: Error, connection: HubConnection): void
  /** Reading and writing are over: exactly once. */
  onEnd (connection: HubConnection, info: DisconnectInfo): void
}

/** What admission found out about a connection. */
export interface ConnectionInfo {
  readonly identity: Identity
  readonly ip: string | null
  readonly subprotocol: string | null
  /** Its admission slot, given back when it has ended. */
  readonly slot: { release (): void }
}
