import { Redis } from 'ioredis'
import type { Test } from 'tap'
import type { HistoryPolicy } from '../../lib/core/ports.js'
import type { RedisBroker } from '../../lib/redis/broker.js'
import { FakeListener } from './fake-listener.js'
import { redisBroker, redisNode, type RedisNode } from './redis-node.js'
import { ownPrefix, RedisServer, type ServerOptions } from './redis-server.js'
import { TcpProxy } from './tcp-proxy.js'

/** A node whose network can be cut. */
export interface BrokerNode {
  readonly broker: RedisBroker
  readonly listener: FakeListener
  readonly node: RedisNode
  readonly proxy: TcpProxy
  /** Offsets that it has heard of a room. */
  readonly offsets: (room: string) => number[]
}

export interface BrokerWorldOptions extends ServerOptions {
  count?: number
  policy?: HistoryPolicy
  /** Where nodes have different ones: by their number. */
  policyOf?: (node: number) => HistoryPolicy
  /** Milliseconds that a publication may wait for Redis. */
  timeout?: number
  busLength?: number
  /** Default: one is started. */
  server?: RedisServer
}

/** A Redis of the test's own, and nodes that reach it through a network of theirs. */
export interface RedisWorld {
  readonly server: RedisServer
  readonly nodes: BrokerNode[]
  /** Speaks with Redis beside the nodes. */
  readonly redis: Redis
}

export const NO_HISTORY: HistoryPolicy = { size: 0, ttl: 0, mode: 'log' }
export const LOG: HistoryPolicy = { size: 1_000, ttl: 60_000, mode: 'log' }

export async function redisWorld (t: Test, { count = 2, policy = LOG, policyOf = () => policy, timeout, busLength, server: given, ...serverOptions }: BrokerWorldOptions = {}): Promise<RedisWorld> {
  const server = given ?? await RedisServer.start(t, serverOptions)
  const prefix = ownPrefix()
  const nodes: BrokerNode[] = []
  for (let i = 0; i < count; i++) {
    const proxy = await TcpProxy.start(t, () => server.port)
    const node = await redisNode({ url: `redis://127.0.0.1:${proxy.port}`, prefix, ...timeout !== undefined && { timeout } })
    const listener = new FakeListener()
    const broker = redisBroker(node, () => policyOf(i), listener, { ...timeout !== undefined && { timeout }, ...busLength !== undefined && { busLength } })
    nodes.push({ broker, listener, node, proxy, offsets: (room) => listener.of(room).map(({ offset }) => offset) })
  }
  const redis = new Redis(server.url, { retryStrategy: () => 50, maxRetriesPerRequest: null })
  redis.on('error', () => {})
  t.teardown(async () => {
    for (const { broker } of nodes) await broker.close()
    redis.disconnect()
  })
  return { server, nodes, redis }
}

export const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i)
