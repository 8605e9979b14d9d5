import { disconnects, type Ending } from '../protocol/disconnect.js'
import { hubCodecOf } from '../protocol/hub-v1/codecs.js'
import { checkName, toBroadcast, toPublicationOptions } from './arguments.js'
import { Admission } from './admission.js'
import { Cluster, type ClusterHost } from './cluster/cluster.js'
import { Compression } from './compression.js'
import { HubConnection } from './connection.js'
import type { ConnectionHost, ConnectionInfo, ConnectionSettings } from './connection-host.js'
import { drainConnections } from './drain.js'
import { HubEmitter } from './events.js'
import { disconnectFor } from './failure.js'
import { FailureLog } from './failure-log.js'
import { fanOut, noFanOut } from './fan-out.js'
import { Flusher } from './flusher.js'
import { judge } from './health.js'
import type { HubConfig } from './hub-config.js'
import { Endpoint } from './hub-v1/endpoint.js'
import type { EventAnswer, EventDefinition, EventSchema } from './hub-v1/event-types.js'
import { HubV1, type HubV1Host } from './hub-v1/hub-v1.js'
import type { OfflineShared } from './hub-v1/offline-delivery.js'
import type { InboundMessage } from './message.js'
import type { OutboundShared } from './outbound.js'
import { toPayload } from './payload.js'
import { EVERYONE, type Broker, type BrokerListener, type Clock, type Directory, type FanOut, type OfflineListener, type Presence, type PresenceDiff, type PresenceListener, type Publication, type Transport } from './ports.js'
import { PingPace } from './ping-pace.js'
import { Registry } from './registry.js'
import { HubRoom } from './room.js'
import { Rooms } from './rooms.js'
import { Sessions } from './sessions.js'
import { CALM_MS, TICK_MS, TimingWheel } from './timing-wheel.js'
import type { BroadcastOptions, ClusterStats, ClusterStatsOptions, Connection, DisconnectInfo, Hub, HubEvents, HubHealth, HubStats, Overflow, PublishOptions, PublishResult, Room, StreamPosition, User } from './types.js'
import { isThenable } from './thenable.js'
import { HubUser } from './user.js'

/** The owner of all connections of this node. Public methods are those of Hub; the others serve the plugin and connections. */
export class LocalHub implements Hub, ConnectionHost, BrokerListener, PresenceListener, OfflineListener, HubV1Host, ClusterHost {
  readonly nodeId: string
  readonly clock: Clock
  readonly wheel: TimingWheel
  readonly settings: ConnectionSettings
  readonly outbound: OutboundShared
  readonly counters = { admitted: 0, received: 0, limited: 0, throttled: 0, sent: 0, queued: 0, dropped: 0, rejected: 0, replaced: 0, queuedBytes: 0 }
  readonly offlineCounters = { stored: 0, delivered: 0, acknowledged: 0, evicted: 0, expired: 0 }
  readonly refused = new Map<string, number>()
  readonly admission: Admission
  readonly rooms: Rooms
  readonly broker: Broker
  readonly directory: Directory
  readonly presence: Presence
  readonly registry = new Registry()
  readonly cluster: Cluster
  readonly sessions: Sessions
  readonly offline: OfflineShared | null
  readonly hubV1: HubV1
  readonly #config: HubConfig
  readonly #events: HubEmitter
  readonly #pingPace: PingPace
  /** Queues that were full in this turn. */
  readonly #overflows = new Map<HubConnection, HubEvents['overflow'][1]>()
  /** Ended, but their onDisconnect has not, or still waits for a handler. */
  readonly #leaving = new Set<HubConnection>()
  /** Whether drain waits for them. */
  #patient = true
  #quiet: (() => void) | null = null
  #drained: Promise<void> | null = null
  readonly #drainListeners: Array<() => void> = []

  constructor (config: HubConfig) {
    const { clock, settings, queue, limits } = config
    this.#config = config
    this.nodeId = config.nodeId
    this.clock = clock
    this.settings = settings
    const failures = new FailureLog(clock, config.log)
    this.#events = new HubEmitter((error, connection) => { failures.tell(error, connection?.id) })
    const report = (error: unknown): void => { this.#events.report(error, null) }
    // How late the loop is has to be known sooner where upgrades are refused for it.
    this.wheel = new TimingWheel(clock, report, limits.maxLoopDelay > 0 ? TICK_MS : CALM_MS)
    this.outbound = { flusher: new Flusher(clock, report), compression: new Compression(config.compression), limits: queue, budget: config.budget, counters: this.counters }
    this.#pingPace = new PingPace(settings.heartbeat)
    this.admission = new Admission(limits, clock, this.wheel)
    this.cluster = new Cluster(this, config.inboxes)
    this.sessions = new Sessions(config.sessions, config.directory, this.registry, this.cluster.logins)
    this.directory = this.sessions.directory
    this.presence = config.presence(this)
    this.broker = config.broker(this)
    const store = config.offline.store?.(this)
    this.offline = store === undefined ? null : { store, counters: this.offlineCounters, onError: report }
    this.rooms = new Rooms({ clock, broker: this.broker, presence: this.presence, policyOf: config.history, onError: (error, connection) => { this.#events.report(error, connection) } })
    this.hubV1 = new HubV1(this, config.hubV1)
  }

  /* ---- Hub ---- */

  get size (): number { return this.registry.size }
  get (id: string): Connection | undefined { return this.registry.get(id) }
  connections (): IterableIterator<Connection> { return this.registry.all() }
  room (name: string): Room { return new HubRoom(this, checkName('room', name)) }
  user (id: string): User { return new HubUser(this, checkName('user', id)) }

  async broadcast (data: unknown, options?: BroadcastOptions): Promise<PublishResult> {
    return await this.publish(EVERYONE, data, toBroadcast(options))
  }

  event<const S extends EventSchema, const Answer extends EventAnswer<S>> (name: string, definition: EventDefinition<S, Answer>): this {
    this.#config.hubV1.events.define(name, definition)
    return this
  }

  stats (): HubStats
  stats (options: ClusterStatsOptions): Promise<ClusterStats>
  stats (options?: ClusterStatsOptions): HubStats | Promise<ClusterStats> {
    if (options !== undefined) return this.cluster.survey(options)
    const { admitted, received, sent, queued, dropped, rejected, replaced, limited, throttled, queuedBytes } = this.counters
    return {
      nodeId: this.nodeId,
      connections: this.size,
      waiting: this.admission.waiting,
      rooms: this.rooms.size,
      users: this.registry.users,
      sockets: { open: this.#config.sockets.open, dropped: this.#config.sockets.dropped },
      admitted,
      refused: Object.fromEntries(this.refused),
      messages: { received, sent, queued, dropped, rejected, replaced, limited, throttled },
      recovery: { ...this.rooms.counters },
      offline: { ...this.offlineCounters },
      bus: this.#config.backend.counters(),
      queuedBytes
    }
  }

  health (): HubHealth {
    const { budget, limits, sockets, backend } = this.#config
    const { draining, held, waiting } = this.admission
    return judge({ now: this.clock.monotonic(), draining, connections: this.size, loopDelay: this.wheel.delay.current, held, waiting, limits, sockets, budget, troubles: backend.troubles() })
  }

  async drain (): Promise<void> {
    await (this.#drained ??= this.#drain())
  }

  on<E extends keyof HubEvents> (event: E, listener: (...args: HubEvents[E]) => void): this {
    this.#events.on(event, listener)
    return this
  }

  once<E extends keyof HubEvents> (event: E, listener: (...args: HubEvents[E]) => void): this {
    this.#events.once(event, listener)
    return this
  }

  off<E extends keyof HubEvents> (event: E, listener: (...args: HubEvents[E]) => void): this {
    this.#events.off(event, listener)
    return this
  }

  /* ---- for the plugin ---- */

  async start (): Promise<void> {
    await this.broker.subscribe(EVERYONE)
    this.wheel.start()
    this.#config.budget.join(this, this.#config.queue.maxTotalBytes)
  }

  /** Frees everything. All connections must have ended. */
  async stop (): Promise<void> {
    this.wheel.stop()
    this.#config.budget.leave(this)
    this.hubV1.stop()
    await this.cluster.close()
    await this.broker.close()
    await this.presence.close()
    await this.directory.close()
    await this.offline?.store.close()
  }

  /** Whether the event loop is so late that upgrades are refused. */
  get overloaded (): boolean {
    const { maxLoopDelay } = this.#config.limits
    return maxLoopDelay > 0 && this.wheel.delay.current > maxLoopDelay
  }

  /** Counts a refused upgrade: by code where it is one of ours, for those of an application may be without number. */
  refuse ({ code = '', statusCode = 500 }: { code?: string, statusCode?: number }): void {
    const key = code.startsWith('FST_HUB_') ? code : String(statusCode)
    this.refused.set(key, (this.refused.get(key) ?? 0) + 1)
  }

  /** Calls `fn` when the hub begins to drain. */
  onDrain (fn: () => void): void { this.#drainListeners.push(fn) }

  /** Default of `offline.ttl` of one message. */
  get offlineTtl (): number { return this.#config.offline.ttl }

  /** Takes over a socket that has just become a WebSocket. */
  accept (transport: Transport, info: ConnectionInfo): HubConnection {
    const connection = new HubConnection(this, transport, info)
    this.counters.admitted++
    const codec = hubCodecOf(info.subprotocol)
    if (codec !== null) connection.speak(codec, new Endpoint(this.hubV1, connection, codec))
    connection.attach()
    this.#claim(connection)
    return connection
  }

  /* ---- for rooms and users ---- */

  /** @throws FST_HUB_INVALID_ARGUMENT, FST_HUB_INVALID_NAME (not as a rejection) */
  publish (room: string, data: unknown, options?: PublishOptions): Promise<PublishResult> {
    const checked = toPublicationOptions(options)
    return this.broker.publish(room, toPayload(data), checked)
  }

  /* ---- BrokerListener ---- */

  onPublications (room: string, publications: readonly Publication[]): FanOut {
    if (room !== EVERYONE) return this.rooms.deliver(room, publications)
    const counts = noFanOut()
    for (const publication of publications) fanOut(room, this.registry.all(), publication, counts, null)
    return counts
  }

  onGap (room: string, from: StreamPosition, to: StreamPosition): void {
    // Raw connections have no way to be told.
    this.#config.log.error({ room, from, to }, 'publications of a room were lost')
    this.rooms.gap(room, from, to)
  }

  onEpoch (room: string, epoch: string): void { this.rooms.turn(room, epoch) }

  /* ---- PresenceListener, OfflineListener ---- */

  onPresence (room: string, diff: PresenceDiff): void { this.hubV1.presence.onPresence(room, diff) }

  onDropped (reason: 'evicted' | 'expired', count: number): void { this.offlineCounters[reason] += count }

  /* ---- ConnectionHost ---- */

  handleMessage (connection: HubConnection, message: InboundMessage): unknown {
    if (connection.endpoint !== null) return connection.endpoint.handle(message.bytes)
    return this.#config.handlers.onMessage?.(connection, message)
  }

  async kick (connection: HubConnection, why: Ending): Promise<boolean> {
    // Whether the entry was still there does not matter: an earlier kick whose answer was lost may have removed it.
    await this.directory.remove(connection)
    return connection.disconnect(why)
  }

  onOverflow (connection: HubConnection, policy: Overflow, dropped: number): void {
    if (!this.#events.has('overflow')) return
    // In a turn of its own: what a listener sends must not overtake the message that is on its way to other receivers.
    if (this.#overflows.size === 0) this.clock.defer(() => { this.#tellOverflows() })
    const before = this.#overflows.get(connection)?.dropped ?? 0
    this.#overflows.set(connection, { policy, dropped: before + dropped, bytes: connection.queued.bytes })
  }

  mayPing (now: number): boolean { return this.#pingPace.take(now, this.size) }

  report (error: unknown, connection: HubConnection | null): void { this.#events.report(error, connection) }

  onPeerError (error: Error, connection: HubConnection): void {
    this.#config.log.info({ err: error, connection: connection.id }, 'the peer broke the WebSocket protocol')
  }

  onEnd (connection: HubConnection, info: DisconnectInfo): void {
    connection.slot.release()
    this.sessions.entered(connection)
    if (connection.registered) {
      this.registry.remove(connection)
      this.rooms.leaveAll(connection)
      this.sessions.forget(connection).catch((error: unknown) => { this.report(error, connection) })
      this.#leaving.add(connection)
      if (!this.#patient) connection.abandon()
      connection.whenIdle(() => {
        connection.endpoint?.done()
        this.#farewell(connection, info).catch((error: unknown) => { this.report(error, connection) })
      })
    } else {
      connection.endpoint?.done()
    }
    this.#settleQuiet()
  }

  #tellOverflows (): void {
    const overflows = [...this.#overflows]
    this.#overflows.clear()
    for (const [connection, info] of overflows) this.#events.emit('overflow', connection, info)
  }

  #claim (connection: HubConnection): void {
    const failed = (error: unknown): void => {
      this.report(error, connection)
      connection.disconnect(disconnectFor(error))
      this.#enter(connection)
    }
    let claimed: Promise<void> | null
    try {
      claimed = this.sessions.claim(connection)
    } catch (error) {
      return failed(error)
    }
    const { endpoint } = connection
    if (endpoint !== null) {
      this.sessions.entering.add(connection)
      claimed = Promise.all([claimed, endpoint.begin()]).then(async () => { await endpoint.deliverKept() })
    }
    if (claimed === null) this.#enter(connection)
    else claimed.then(() => { this.#enter(connection) }, failed).catch((error: unknown) => { this.report(error, connection) })
  }

  #enter (connection: HubConnection): void {
    if (this.admission.draining) {
      connection.endpoint?.goodbye(Math.floor(Math.random() * this.#config.drain.spread))
      connection.disconnect(disconnects.restart)
    }
    if (connection.expire() || !connection.live) {
      // It ended before it began: the directory must not keep what onEnd could not remove yet. It may have taken a claim that failed here, too.
      this.sessions.forget(connection).catch((error: unknown) => { this.report(error, connection) })
      // The hub waits for its end all the same.
      if (connection.state !== 'closed') this.sessions.entering.add(connection)
      return
    }
    this.sessions.entered(connection)
    connection.registered = true
    this.registry.add(connection)
    // What was stored since the last look did not find it.
    connection.endpoint?.offline?.deliver().catch((error: unknown) => { this.report(error, connection) })
    this.#events.emit('connect', connection)
    connection.begin(() => this.#config.handlers.onConnect?.(connection))
  }

  async #farewell (connection: HubConnection, info: DisconnectInfo): Promise<void> {
    try {
      const result = this.#config.handlers.onDisconnect?.(connection, info)
      if (isThenable(result)) await result
    } catch (error) {
      this.report(error, connection)
    }
    this.#leaving.delete(connection)
    this.#events.emit('disconnect', connection, info)
    this.#settleQuiet()
  }

  async #drain (): Promise<void> {
    this.admission.drain()
    for (const fn of this.#drainListeners) fn()
    const quiet = new Promise<void>((resolve) => { this.#quiet = resolve })
    const stop = drainConnections([...this.registry.all()], this.#config.drain, this.wheel, () => { this.#cutShort() })
    this.#settleQuiet()
    await quiet
    stop()
  }

  /** Too late for good manners: sockets end now, and nobody waits for a handler or an onDisconnect that hangs. */
  #cutShort (): void {
    this.#patient = false
    for (const connection of this.#leaving) connection.abandon()
    for (const connection of [...this.registry.all(), ...this.sessions.entering.all()]) connection.terminate()
    this.#settleQuiet()
  }

  /** Drain waits until nothing is left. */
  #settleQuiet (): void {
    if (this.#quiet === null || this.size > 0 || this.sessions.entering.size > 0 || (this.#patient && this.#leaving.size > 0)) return
    this.#quiet()
    this.#quiet = null
  }
}
