import { randomUUID } from 'node:crypto'
import type { Slot } from '../../lib/core/admission.js'
import type { HubConnection } from '../../lib/core/connection.js'
import type { ConnectionSettings } from '../../lib/core/connection-host.js'
import { historyPolicies, type HistoryOptions } from '../../lib/core/history-policy.js'
import { LocalHub } from '../../lib/core/hub.js'
import type { Handlers, HubConfig } from '../../lib/core/hub-config.js'
import { EventRegistry } from '../../lib/core/hub-v1/events.js'
import type { HubV1Options } from '../../lib/core/hub-v1/hub-v1.js'
import type { Broker, BrokerListener, Directory, DirectoryListener, OfflineStore, Presence } from '../../lib/core/ports.js'
import { QueueBudget } from '../../lib/core/queue-budget.js'
import type { Identity } from '../../lib/core/types.js'
import { MemoryBroker, MemoryBus } from '../../lib/memory/broker.js'
import { MemoryInboxes, MemoryMesh } from '../../lib/memory/inboxes.js'
import { MemoryOfflineStore } from '../../lib/memory/offline-store.js'
import { MemoryPresence, MemoryPresenceStore } from '../../lib/memory/presence.js'
import { TestClock } from '../../lib/testing/test-clock.js'
import { NO_HISTORY } from './fake-broker.js'
import { PromisedDirectory } from './promised-directory.js'
import { settled } from './until.js'
import { FakeTransport } from './fake-transport.js'

export interface FakeHubOptions extends Partial<Handlers> {
  settings?: Partial<ConnectionSettings>
  queue?: Partial<HubConfig['queue']>
  budget?: QueueBudget
  compression?: Partial<HubConfig['compression']>
  limits?: Partial<HubConfig['limits']>
  sockets?: HubConfig['sockets']
  drain?: Partial<HubConfig['drain']>
  sessions?: HubConfig['sessions']
  history?: Partial<HistoryOptions>
  application?: HubV1Options['application']
  resume?: HubV1Options['resume']
  offline?: { maxMessages: number, ttl: number }
  offlineStore?: OfflineStore
  clock?: TestClock
  directory?: Directory
  presence?: Presence
  broker?: (listener: BrokerListener) => Broker
  inboxes?: HubConfig['inboxes']
}

export interface LogLine { level: 'info' | 'error', details: { err?: unknown, connection?: string, room?: string }, message: string }

export interface FakePeer { connection: HubConnection, transport: FakeTransport, slot: Slot }

/** A LocalHub on fake time, whose peers are FakeTransports. */
export class FakeHub {
  readonly clock: TestClock
  readonly hub: LocalHub
  readonly log: LogLine[] = []
  #directoryListener: DirectoryListener | null = null

  constructor (options: FakeHubOptions = {}) {
    const clock = this.clock = options.clock ?? new TestClock()
    const policyOf = historyPolicies({ ...NO_HISTORY, rooms: {}, ...options.history })
    const bus = new MemoryBus(clock, policyOf)
    const presences = new MemoryPresenceStore(clock, 1_000)
    const offline = options.offline ?? { maxMessages: 100, ttl: 86_400_000 }
    const logAt = (level: LogLine['level']) => (details: object, message: string): void => { this.log.push({ level, details, message }) }
    this.hub = new LocalHub({
      nodeId: randomUUID(),
      backend: { troubles: () => [], counters: () => ({ waiting: 0, trimmed: 0, parked: 0 }) },
      clock,
      log: { info: logAt('info'), error: logAt('error') },
      queue: { maxMessages: 64, maxBytes: 1024 * 1024, maxTotalBytes: undefined, ...options.queue },
      budget: options.budget ?? new QueueBudget(undefined, clock),
      compression: { level: 0, threshold: 0, ...options.compression },
      limits: { connections: 0, connectionsPerIp: 0, upgradesPerSecond: 0, onFull: 'reject', waitTimeout: 0, maxWaiting: 0, maxLoopDelay: 0, ...options.limits },
      sockets: options.sockets ?? { open: 0, dropped: 0, droppedAt: -Infinity, limit: 0 },
      drain: { spread: 5_000, timeout: 15_000, ...options.drain },
      sessions: options.sessions ?? 'many',
      handlers: { onConnect: options.onConnect, onMessage: options.onMessage, onDisconnect: options.onDisconnect },
      settings: {
        heartbeat: { interval: 0, timeout: 0 },
        deadlines: { write: 10_000, handler: 30_000, close: 5_000 },
        overflow: 'drop-oldest',
        maxPending: 4,
        messages: 'any',
        rate: { messagesPerSecond: 0, burst: 1, bytesPerSecond: 0, violations: 0 },
        ...options.settings
      },
      directory: (listener) => {
        this.#directoryListener = listener
        return options.directory ?? new PromisedDirectory()
      },
      history: policyOf,
      hubV1: {
        application: options.application ?? { join: () => true, publish: () => true },
        events: new EventRegistry(),
        resume: options.resume ?? { ttl: 120_000, secret: undefined },
        terms: { heartbeat: { interval: 30_000, timeout: 60_000 }, limits: { maxMessageBytes: 65_536, messagesPerSecond: 0, burst: 1 } },
        violations: 10
      },
      presence: (listener) => options.presence ?? new MemoryPresence(presences, listener),
      offline: { ttl: offline.ttl, store: offline.maxMessages > 0 ? (listener) => options.offlineStore ?? new MemoryOfflineStore(clock, offline, listener) : null },
      broker: options.broker ?? ((listener) => new MemoryBroker(bus, listener)),
      inboxes: options.inboxes ?? ((nodeId, listener) => new MemoryInboxes(new MemoryMesh(clock), nodeId, listener))
    })
  }

  /** The errors in the log. */
  get errors (): unknown[] { return this.log.filter(({ level }) => level === 'error').map(({ details }) => details.err) }

  /** What the directory tells its hub through. */
  get directoryListener (): DirectoryListener { return this.#directoryListener as DirectoryListener }

  async start (): Promise<this> {
    await this.hub.start()
    return this
  }

  /** Accepts a socket; the connection enters the hub when promises have settled. */
  accept (identity: Identity = {}, ip: string | null = null, subprotocol: string | null = null): FakePeer {
    const slot = this.hub.admission.acquire(ip, () => {})
    const transport = new FakeTransport(this.clock)
    const connection = this.hub.accept(transport, { identity, ip, subprotocol, slot })
    return { connection, transport, slot }
  }

  /** Accepts a socket of a client that shows that it is there when it is asked, and waits until it is in the hub. */
  async connect (identity?: Identity, ip?: string | null): Promise<FakePeer> {
    const peer = this.accept(identity, ip)
    await settled()
    if (peer.transport.pings > 0) {
      peer.transport.peerPong()
      await settled()
    }
    return peer
  }

  /** Ends the turn, and lets promises settle. */
  async turn (): Promise<void> {
    this.clock.turn()
    await settled()
  }

  /** Lets time pass, and promises settle after each timer. */
  async advance (ms: number): Promise<void> { await this.clock.advance(ms) }
}

export async function startHub (options?: FakeHubOptions): Promise<FakeHub> {
  return await new FakeHub(options).start()
}
