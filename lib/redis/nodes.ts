import type { Clock, Living, Timer } from '../core/ports.js'
import { FST_HUB_INVALID_OPTIONS } from '../errors.js'
import { isReply } from './failures.js'
import type { Keys } from './keys.js'
import type { LinkListener, RedisLink } from './link.js'
import { Script } from './script.js'

/** What the registry tells its node. */
export interface NodesListener {
  /**
   * This node was taken for dead, or Redis has lost its data: its groups and its inbox have gone, or may go in this moment. It has
   * entered itself again.
   */
  onReaped (): void
  /** What time it is for Redis: between two monotonic times of this node, in milliseconds. */
  onTime (askedAt: number, heardAt: number, time: number): void
  /** What nobody waits for has failed: another number of partitions, after Redis has lost its data. */
  onError (error: unknown): void
}

/** All in milliseconds. */
export interface NodesOptions {
  /** Between two signs of life. Default 3,000. */
  readonly interval?: number
  /** Without a sign of life, after which a node is dead. Default 10,000. */
  readonly dead?: number
  /** Between two times that the bus is trimmed. Default 10,000. */
  readonly trimInterval?: number
  /** For which an entry of the bus is kept. */
  readonly streamTtl: number
}

const scripts = { living: new Script('nodes-living'), reap: new Script('nodes-reap'), renew: new Script('nodes-renew') }

/** Milliseconds after which the bus goes when nobody trims it any more: no node has been there for as long, and none has a group. */
const BUS_MS = 24 * 3_600_000

/** In a row and in time: after a stall of Redis all nodes look dead, until each has had its turn. */
const RENEWALS = 2

/** Which nodes there are. Those that have died without a word are cleared away by one of the others. */
export class RedisNodes implements LinkListener {
  readonly #link: RedisLink
  readonly #keys: Keys
  readonly #nodeId: string
  readonly #clock: Clock
  readonly #listener: NodesListener
  readonly #interval: number
  readonly #dead: number
  readonly #trimInterval: number
  readonly #streamTtl: number
  #timers: readonly Timer[] = []
  #renewal: Promise<void> | null = null
  /** In a row and in time, after the first; null: the last one failed. */
  #renewals: number | null = null
  /** Whether the others have had the time to enter themselves. Not behind a break: Redis has lost them, or each comes back in its own time. */
  #isSettled = true
  /** Of Redis, at the last renewal: milliseconds since the Unix epoch. */
  #now = 0

  constructor (link: RedisLink, keys: Keys, nodeId: string, clock: Clock, listener: NodesListener, { interval = 3_000, dead = 10_000, trimInterval = 10_000, streamTtl }: NodesOptions) {
    this.#link = link
    this.#keys = keys
    this.#nodeId = nodeId
    this.#clock = clock
    this.#listener = listener
    this.#interval = interval
    this.#dead = dead
    this.#trimInterval = trimInterval
    this.#streamTtl = streamTtl
  }

  /**
   * Whether this node may take part: keys of one room would be in two places.
   * @throws FST_HUB_INVALID_OPTIONS when the others have another number of partitions; FST_HUB_BROKER_UNAVAILABLE (as rejections)
   */
  async agree (): Promise<void> {
    const own = String(this.#keys.partitions)
    await this.#link.early.call('HSETNX', this.#keys.config, 'partitions', own)
    const partitions = String(await this.#link.early.call('HGET', this.#keys.config, 'partitions'))
    if (partitions !== own) throw new FST_HUB_INVALID_OPTIONS('redis.partitions', `${partitions}, which all nodes with this prefix must have`, own)
  }

  /** Enters this node. @throws FST_HUB_BROKER_UNAVAILABLE (as a rejection) */
  async start (): Promise<void> {
    await this.#enter()
    this.#link.listen(this)
    this.#timers = [
      this.#clock.every(this.#interval, () => { this.#renew() }),
      this.#clock.every(this.#trimInterval, () => { this.#trim() })
    ]
  }

  /**
   * The nodes that live. These may not be all where this node itself does not seem to live, or has just come to life again: others may not have yet.
   * @throws FST_HUB_BROKER_UNAVAILABLE (as a rejection)
   */
  async living (): Promise<Living> {
    const ids = (await this.#link.run(scripts.living, [this.#keys.nodes], [this.#dead]) as readonly Buffer[]).map(String)
    const isHere = ids.includes(this.#nodeId)
    return { ids: isHere ? ids : [...ids, this.#nodeId], complete: isHere && this.#isSettled }
  }

  /**
   * Takes this node out, with all that others would have to clear away. Not while Redis is away: then they do. Last of all its
   * parts: one that reads or publishes still would bring some of it back.
   */
  async close (): Promise<void> {
    for (const timer of this.#timers) timer.cancel()
    this.#timers = []
    await this.#renewal
    if (!this.#link.isReady) return
    this.#trim()
    await Promise.allSettled([this.#link.call('ZREM', this.#keys.nodes, this.#nodeId), this.#clear(this.#nodeId)])
  }

  /* ---- LinkListener ---- */

  onReady (): void { if (this.#timers.length > 0) this.#renew() }

  onAway (): void {}

  /* ---- this node ---- */

  #renew (): void {
    if (!this.#link.isReady) this.#renewals = null
    // One at a time: those of a stalled Redis would all be answered at once, and seem to be in time.
    else this.#renewal ??= this.#live().catch(() => { this.#renewals = null }).finally(() => { this.#renewal = null })
  }

  async #live (): Promise<void> {
    if (!await this.#enter()) {
      this.#listener.onReaped()
      // Where it fails, Redis is gone again, or somebody has to hear of it.
      await this.agree().catch((error: unknown) => { if (error instanceof FST_HUB_INVALID_OPTIONS) this.#listener.onError(error) })
    }
    if (this.#renewals !== null && this.#renewals >= RENEWALS) await this.#reap()
  }

  /** @returns whether it was there */
  async #enter (): Promise<boolean> {
    const askedAt = this.#clock.monotonic()
    const [now, score] = await this.#link.run(scripts.renew, [this.#keys.nodes], [this.#nodeId]) as readonly [number, Buffer | null]
    this.#listener.onTime(askedAt, this.#clock.monotonic(), now)
    const before = score === null ? -1 : Number(String(score))
    this.#now = now
    const isInTime = before > 0 && now - before < this.#dead
    this.#renewals = isInTime && this.#renewals !== null ? this.#renewals + 1 : 0
    if (this.#timers.length > 0) this.#isSettled = isInTime
    return before > 0
  }

  /* ---- others ---- */

  async #reap (): Promise<void> {
    let cleared: string[] = []
    do {
      const [mark, ids] = await this.#link.run(scripts.reap, [this.#keys.nodes], [this.#nodeId, this.#dead, ...cleared]) as readonly [Buffer, readonly Buffer[]]
      cleared = []
      for (const id of ids.map(String)) if (await this.#clear(id)) cleared.push(String(mark), id)
    } while (cleared.length > 0)
  }

  /** @returns whether nothing is left of it */
  async #clear (nodeId: string): Promise<boolean> {
    const calls = [this.#link.call('DEL', this.#keys.inbox(nodeId))]
    for (let partition = 0; partition < this.#keys.buses; partition++) {
      calls.push(
        this.#link.call('XGROUP', 'DESTROY', this.#keys.bus(partition), nodeId),
        this.#link.call('HDEL', this.#keys.batches(partition), nodeId)
      )
    }
    const results = await Promise.allSettled(calls)
    // Of a stream that is not there Redis says ERR.
    return results.every((result) => result.status === 'fulfilled' || isReply(result.reason, 'ERR'))
  }

  /** What nobody can read any longer; about that much, which is cheaper. */
  #trim (): void {
    if (!this.#link.isReady) return
    for (let partition = 0; partition < this.#keys.buses; partition++) {
      const bus = this.#keys.bus(partition)
      // Else the next time.
      this.#link.call('XTRIM', bus, 'MINID', '~', this.#now - this.#streamTtl).catch(() => {})
      this.#link.call('PEXPIRE', bus, Math.max(BUS_MS, 2 * this.#streamTtl)).catch(() => {})
    }
  }
}
