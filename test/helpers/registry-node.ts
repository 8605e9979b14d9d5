import { randomUUID } from 'node:crypto'
import type { Test } from 'tap'
import { systemClock } from '../../lib/core/clock.js'
import type { Clock } from '../../lib/core/ports.js'
import { connectionsTo } from '../../lib/redis/connections.js'
import { Keys } from '../../lib/redis/keys.js'
import { RedisLink } from '../../lib/redis/link.js'
import { RedisNodes, type NodesListener, type NodesOptions } from '../../lib/redis/nodes.js'
import { TestClock } from '../../lib/testing/test-clock.js'
import { until } from './until.js'

/** Answers that may follow from one step, one after the other. */
const ROUND_TRIPS = 8

export interface RegistryNodeOptions extends Partial<NodesOptions> {
  /** Default: made of `prefix` with 4 partitions. */
  partitions?: number
  /** Where Redis is: a URL, or a client of ioredis. */
  target: string | object
  prefix: string
  /** Default: its own, which stands still. */
  clock?: Clock
  /** Milliseconds within which Redis has to answer. Default 5,000. */
  timeout?: number
}

/** A node in the registry, on a clock of the test's own. */
export class RegistryNode implements NodesListener {
  readonly id = randomUUID()
  readonly clock = new TestClock()
  readonly keys: Keys
  readonly link: RedisLink
  readonly nodes: RedisNodes
  readonly errors: unknown[] = []
  reaped = 0
  readonly #interval: number

  private constructor (link: RedisLink, { partitions = 4, prefix, clock, timeout: _timeout, target: _target, ...options }: RegistryNodeOptions) {
    this.link = link
    // With a bus for each partition, as on a Redis Cluster: all of them are to be cleared, and trimmed.
    this.keys = new Keys(prefix, partitions, true)
    this.#interval = options.interval ?? 3_000
    this.nodes = new RedisNodes(link, this.keys, this.id, clock ?? this.clock, this, { streamTtl: 60_000, ...options })
  }

  /** @throws what `start` of the registry throws */
  static async start (t: Test, options: RegistryNodeOptions): Promise<RegistryNode> {
    const { target } = options
    const connections = await connectionsTo(typeof target === 'string' ? { url: target, client: undefined } : { url: undefined, client: target })
    const link = new RedisLink(connections, systemClock, options.timeout ?? 5_000)
    const node = new RegistryNode(link, options)
    t.teardown(async () => {
      await node.nodes.close()
      await link.close()
    })
    await link.connect()
    await until(() => link.isReady, 'the link')
    await node.nodes.agree()
    await node.nodes.start()
    return node
  }

  /** It renews itself so often, and does what follows from it. */
  async renew (times = 1): Promise<void> {
    for (let i = 0; i < times; i++) {
      await this.clock.advance(this.#interval)
      for (let i = 0; i < ROUND_TRIPS; i++) await this.link.call('PING')
    }
  }

  /** What a node leaves behind when it dies: a group on each partition of the bus, its latest batches, its inbox. */
  async leaveTraces (): Promise<void> {
    for (let partition = 0; partition < this.keys.partitions; partition++) {
      await this.link.call('XGROUP', 'CREATE', this.keys.bus(partition), this.id, '$', 'MKSTREAM')
      await this.link.call('HSET', this.keys.batches(partition), this.id, 'latest')
    }
    await this.link.call('XADD', this.keys.inbox(this.id), '*', 'field', 'value')
  }

  /** Of another node: groups, batches and inboxes that are there. */
  async tracesOf (id: string): Promise<number> {
    let count = Number(await this.link.call('EXISTS', this.keys.inbox(id)))
    for (let partition = 0; partition < this.keys.partitions; partition++) {
      count += Number(await this.link.call('HEXISTS', this.keys.batches(partition), id))
      if (await this.link.call('EXISTS', this.keys.bus(partition)) === 0) continue
      const groups = await this.link.call('XINFO', 'GROUPS', this.keys.bus(partition)) as ReadonlyArray<readonly Buffer[]>
      count += groups.filter((group) => String(group[1]) === id).length
    }
    return count
  }

  /** Ids that are in the registry, dead or alive. */
  async entered (): Promise<string[]> { return (await this.link.call('ZRANGE', this.keys.nodes, 0, -1) as Buffer[]).map(String).sort() }

  onTime (): void {}

  onReaped (): void { this.reaped++ }

  onError (error: unknown): void { this.errors.push(error) }
}
