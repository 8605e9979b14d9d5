import type { NodePorts } from '../core/cluster/hub-cluster.js'
import type { Backend, HubLogger } from '../core/hub-config.js'
import type { Clock, HistoryPolicyOf, Timer } from '../core/ports.js'
import type { HubStats } from '../core/types.js'
import { FST_HUB_BROKER_UNAVAILABLE } from '../errors.js'
import { RedisBroker } from './broker.js'
import { Bus } from './bus.js'
import { Condition, seconds } from './condition.js'
import { connectionsTo, type RedisTarget } from './connections.js'
import { RedisDirectory } from './directory.js'
import { RedisInboxes } from './inboxes.js'
import { Keys } from './keys.js'
import { RedisLink } from './link.js'
import { RedisNodes } from './nodes.js'
import { RedisOfflineStore } from './offline-store.js'
import { RedisPresence } from './presence.js'
import { RedisClocks } from './redis-clock.js'
import { checkRequirements } from './requirements.js'
import { StreamReader } from './stream-reader.js'

/** Milliseconds after which Redis forgets what its node does not renew, and within which it does: two renewals may fail. */
const ENTRY_TTL_MS = 90_000
const RENEWAL_MS = 30_000
/** Milliseconds without a renewal after which single logins of a node end: others may take their place. */
const LEASE_MS = 10_000
/** Milliseconds after which a reader that hears nothing is told of: Redis answers every two seconds, also with nothing. */
const SILENCE_MS = 10_000
/** Milliseconds between two looks at whether this node hears the others, and two tries to enter one that Redis has refused. */
const LOOK_MS = 5_000
/** Milliseconds for all that a node takes out of Redis when it closes. */
const PARTING_MS = 1_500

/** Warnings are of settings of Redis. */
export type RedisLogger = HubLogger & { warn: (details: object, message: string) => void }

/** What the ports on Redis are made of. */
export interface RedisPortsOptions extends RedisTarget {
  readonly nodeId: string
  readonly clock: Clock
  readonly log: RedisLogger
  readonly prefix: string
  readonly partitions: number
  readonly timeout: number
  /** Entries of a partition of the bus, and milliseconds for which they are kept. */
  readonly stream: { readonly maxLength: number, readonly ttl: number }
  readonly policyOf: HistoryPolicyOf
  /** Milliseconds between two diffs of a room. */
  readonly presenceInterval: number
  /** Messages kept per user; 0: none. */
  readonly maxOffline: number
}

/** The ports of one node, on one Redis. */
export class RedisPorts implements Backend {
  /** For the hub. */
  readonly ports: NodePorts
  readonly #link: RedisLink
  readonly #keys: Keys
  readonly #reader: StreamReader
  readonly #bus: Bus
  readonly #nodes: RedisNodes
  readonly #clock: Clock
  readonly #log: RedisLogger
  readonly #condition: Condition
  #broker: RedisBroker | null = null
  #inboxes: RedisInboxes | null = null
  #started: Promise<void> | null = null
  #trimmed = 0
  /** Why this node could not be entered. */
  #fault: Error | null = null
  /** Whether somebody has been told what is wrong with the settings of Redis. */
  #isChecked = false
  /** Whether it is being found out what Redis refuses: who asks is told. */
  #isChecking = false
  #looks: Timer | null = null
  /** Whether the log has been told that nothing is heard. */
  #isSilent = false
  #isClosed = false

  private constructor (options: RedisPortsOptions, link: RedisLink, keys: Keys) {
    const { nodeId, clock, log, policyOf, timeout, stream: { maxLength: busLength, ttl: streamTtl }, presenceInterval, maxOffline } = options
    this.#link = link
    this.#keys = keys
    this.#clock = clock
    this.#log = log
    this.#condition = new Condition(link, clock, log)
    const onError = (error: unknown): void => { log.error({ err: error }, 'a part of Redis failed') }
    this.#reader = new StreamReader(link, nodeId, clock, {
      onTrimmed: (key, count) => {
        this.#trimmed += count
        log.error({ key, count }, 'entries were trimmed before this node had read them')
      },
      onFailure: (key, _fields, error) => { log.error({ err: error, key }, 'an entry could not be handled') },
      onRefused: (why) => { this.#onRefused(why) }
    })
    this.#bus = new Bus(link, this.#reader, keys, clock, (error) => { log.error({ err: error }, 'an entry of the bus could not be handled, and was parked') })
    const redisClocks = new RedisClocks(keys)
    this.#nodes = new RedisNodes(link, keys, nodeId, clock, {
      // The reader finds its groups gone, and recovers rooms and presence.
      onReaped: () => { log.error({ nodeId }, 'this node was taken for dead, or Redis has lost its data: it has entered itself again') },
      // Each node asks every few seconds, and before its first login: what the directory has heard may be old, or nothing.
      onTime: (askedAt, heardAt, now) => { redisClocks.ofNone?.heard(askedAt, heardAt, now) },
      onError
    }, { streamTtl })
    this.ports = {
      broker: (listener) => (this.#broker = new RedisBroker({ link, bus: this.#bus, keys, nodeId, clock, policyOf, timeout, busLength, onError }, listener)),
      directory: (listener) => new RedisDirectory(link, keys, clock, redisClocks, listener, { ttl: ENTRY_TTL_MS, interval: RENEWAL_MS, lease: LEASE_MS }),
      inboxes: (id, listener) => (this.#inboxes = new RedisInboxes({ link, keys, reader: this.#reader, clock, nodes: this.#nodes }, id, listener)),
      presence: (listener) => new RedisPresence({ nodeId, link, bus: this.#bus, keys, clock, interval: presenceInterval, ttl: ENTRY_TTL_MS, renewal: RENEWAL_MS, busLength }, listener),
      offlineStore: (listener) => new RedisOfflineStore(link, keys, { maxMessages: maxOffline }, listener)
    }
    link.bar(new Error('it is not known yet whether this node may take part'))
    link.listen({
      onFound: () => { this.#onFound() },
      onReady: () => {},
      onAway: (why) => { if (!this.#isClosed) this.#condition.lost(why) },
      onRefused: (why) => { this.#onRefused(why) },
      onUnanswered: (why) => { this.#condition.unanswered(why) }
    })
  }

  /** Nothing is connected yet. @throws FST_HUB_INVALID_OPTIONS without ioredis (as a rejection) */
  static async create (options: RedisPortsOptions): Promise<RedisPorts> {
    const connections = await connectionsTo(options)
    const link = new RedisLink(connections, options.clock, options.timeout)
    return new RedisPorts(options, link, new Keys(connections.keyPrefix + options.prefix, options.partitions, connections.isCluster))
  }

  /**
   * Connects, and enters this node.
   * @param isPatient whether what fails is logged, and tried again; otherwise all is to be closed
   * @throws FST_HUB_BROKER_UNAVAILABLE; FST_HUB_INVALID_OPTIONS when other nodes have another number of partitions (as rejections)
   */
  async begin (isPatient: boolean): Promise<void> {
    this.#looks = this.#clock.every(LOOK_MS, () => { this.#look() })
    try {
      await this.#link.connect()
      await this.#start()
    } catch (error) {
      if (!this.#link.isFound) this.#condition.missed()
      if (!isPatient) throw error
      // Else it is there, and what is wrong has been told.
      if (!this.#link.isFound) this.#log.error({ err: error }, 'Redis is not there yet: nodes do not hear of each other')
    }
  }

  troubles (): string[] {
    const { absence, complaint } = this.#condition
    if (absence !== null) return [absence]
    if (this.#fault !== null) return [`this node is no part of the cluster: ${this.#fault.message}`]
    const troubles = complaint === null ? [] : [complaint]
    const silence = this.#silence()
    if (silence > SILENCE_MS) troubles.push(`the bus is silent: this node has read nothing for ${seconds(silence)}${this.#link.otherWhy === null ? '' : `: ${this.#link.otherWhy.message}`}`)
    return troubles
  }

  counters (): HubStats['bus'] { return { waiting: this.#broker?.waiting ?? 0, trimmed: this.#trimmed, parked: this.#bus.counters.parked } }

  /**
   * Closes all. What is to be said to Redis before has one deadline for all of it: others find out by themselves that this node is gone.
   * @param closePorts closes the ports
   */
  async close (closePorts: () => Promise<void>): Promise<void> {
    this.#isClosed = true
    this.#looks?.cancel()
    this.#condition.close()
    // Without a link, nothing of it waits for Redis any longer.
    let cut: Promise<unknown> | undefined
    const deadline = setTimeout(() => { cut = Promise.all([this.#link.close(), this.#reader.close()]) }, PARTING_MS)
    try {
      await closePorts()
    } finally {
      await this.#reader.close()
      // A node that is just being entered would stay there.
      await this.#started?.catch(() => {})
      await this.#nodes.close()
      clearTimeout(deadline)
      await (cut ?? this.#link.close())
    }
  }

  async #start (): Promise<void> {
    this.#started ??= this.#enter()
    try {
      await this.#started
      if (this.#fault !== null) this.#log.info({}, 'this node has been entered')
      this.#fault = null
    } catch (error) {
      this.#started = null
      this.#fault = error as Error
      throw error
    }
  }

  /** Milliseconds for which nothing has been heard although something should. */
  #silence (): number { return this.#clock.monotonic() - Math.min(this.#reader.heardAt, this.#inboxes?.unansweredSince ?? Infinity) }

  #look (): void {
    if (!this.#link.isFound) return this.#condition.look()
    if (this.#fault !== null) this.#tryStart()
    const isSilent = this.#silence() > SILENCE_MS
    if (isSilent === this.#isSilent) return
    this.#isSilent = isSilent
    const { otherWhy } = this.#link
    if (isSilent) this.#log.error(otherWhy === null ? {} : { err: otherWhy }, 'the bus is silent: this node does not hear the others')
    else this.#log.info({}, 'the bus is heard again')
  }

  #tryStart (): void {
    const before = this.#fault?.message
    this.#start().catch((error: unknown) => { if ((error as Error).message !== before) this.#log.error({ err: error }, 'this node could not be entered') })
  }

  /** Its inbox is there before others can see it. */
  async #enter (): Promise<void> {
    await this.#askAdmission()
    await this.#inboxes?.start()
    await this.#nodes.start()
  }

  /** Until it may, nothing of this node goes to Redis: with another number of partitions it would have rooms of its own, told of on the bus of all. */
  async #askAdmission (): Promise<void> {
    this.#isChecking = true
    try {
      const settings = await checkRequirements(this.#link, this.#keys)
      if (!this.#isChecked) for (const setting of settings) this.#log.warn(setting, 'Redis is not set up for what the hub keeps there: see docs/operations.md')
      this.#isChecked = true
      if (this.#isClosed) throw new FST_HUB_BROKER_UNAVAILABLE('the hub has been closed')
      await this.#nodes.agree()
      this.#link.admit()
    } catch (error) {
      this.#link.bar(error instanceof FST_HUB_BROKER_UNAVAILABLE && error.cause instanceof Error ? error.cause : error as Error)
      throw error
    } finally {
      this.#isChecking = false
    }
  }

  #onFound (): void {
    this.#condition.found()
    if (!this.#isClosed) this.#tryStart()
  }

  #onRefused (why: Error): void { if (!this.#isChecking) this.#condition.refused(why) }
}
