import type { BrokerListener, Clock, HistoryPolicyOf } from '../../lib/core/ports.js'
import { systemClock } from '../../lib/core/clock.js'
import { Bus } from '../../lib/redis/bus.js'
import { RedisBroker } from '../../lib/redis/broker.js'
import { connectionsTo, type RedisTarget } from '../../lib/redis/connections.js'
import { Keys } from '../../lib/redis/keys.js'
import { RedisLink } from '../../lib/redis/link.js'
import { StreamReader } from '../../lib/redis/stream-reader.js'

let nodes = 0

/** What one node has of Redis, without a hub. */
export interface RedisNode {
  readonly nodeId: string
  readonly link: RedisLink
  readonly reader: StreamReader
  readonly bus: Bus
  readonly keys: Keys
  /** What the reader has told: entries that were trimmed, and failures of listeners. */
  readonly trimmed: number[]
  readonly failures: unknown[]
  close: () => Promise<void>
}

/** Where Redis is, by either `url` or `client`. */
export interface RedisNodeOptions extends Partial<RedisTarget> {
  prefix: string
  clock?: Clock
  partitions?: number
  /** Milliseconds for an answer of Redis. */
  timeout?: number
}

/** Connects a node. */
export async function redisNode ({ url, client, prefix, clock = systemClock, partitions = 16, timeout = 5_000 }: RedisNodeOptions): Promise<RedisNode> {
  const nodeId = `node-${++nodes}`
  const connections = await connectionsTo({ url, client })
  const keys = new Keys(prefix, partitions, connections.isCluster)
  const link = new RedisLink(connections, clock, timeout)
  const trimmed: number[] = []
  const failures: unknown[] = []
  const reader = new StreamReader(link, nodeId, clock, { onTrimmed: (_key, count) => { trimmed.push(count) }, onFailure: (_key, _fields, error) => { failures.push(error) }, onRefused: (why) => { failures.push(why) } })
  await link.connect()
  return {
    nodeId,
    link,
    reader,
    bus: new Bus(link, reader, keys, clock, (error) => { failures.push(error) }),
    keys,
    trimmed,
    failures,
    close: async () => {
      await reader.close()
      await link.close()
    }
  }
}

/** The broker of a node. Closing it closes the node. */
export function redisBroker ({ nodeId, link, bus, keys, failures, close }: RedisNode, policyOf: HistoryPolicyOf, listener: BrokerListener, { clock = systemClock, timeout = 5_000, busLength = 10_000 } = {}): RedisBroker {
  const broker = new RedisBroker({ link, bus, keys, nodeId, clock, policyOf, timeout, busLength, onError: (error) => { failures.push(error) } }, listener)
  const closeBroker = broker.close.bind(broker)
  broker.close = async () => {
    await closeBroker()
    await close()
  }
  return broker
}
