import type { Test } from 'tap'
import type { HistoryPolicy } from '../../lib/core/ports.js'
import type { RedisBroker } from '../../lib/redis/broker.js'
import { FakeListener } from './fake-listener.js'
import { clusterClient } from './redis-cluster.js'
import { redisBroker, redisNode, type RedisNode } from './redis-node.js'
import { ownPrefix, type RedisServer } from './redis-server.js'
import { LOG, NO_HISTORY, range } from './redis-world.js'
import { until } from './until.js'

/** Milliseconds that a publication may wait: longer than any failover of a test. */
const TIMEOUT = 30_000

/** A node that publishes on a Redis Cluster. */
export interface ClusterNode {
  readonly node: RedisNode
  readonly broker: RedisBroker
  readonly listener: FakeListener
  /** Offsets that it has heard of a room. */
  readonly offsets: (room: string) => number[]
}

/** Those whose names say so are without history. */
const policyOf = (room: string): HistoryPolicy => room.startsWith('no history') ? NO_HISTORY : LOG

/** Two nodes, that the test closes. */
export async function twoNodes (t: Test, servers: readonly RedisServer[]): Promise<[ClusterNode, ClusterNode]> {
  const prefix = ownPrefix()
  const client = clusterClient(t, servers)
  const start = async (): Promise<ClusterNode> => {
    const node = await redisNode({ client, prefix, timeout: TIMEOUT })
    const listener = new FakeListener()
    const broker = redisBroker(node, policyOf, listener, { timeout: TIMEOUT })
    t.teardown(async () => { await broker.close() })
    return { node, broker, listener, offsets: (room) => listener.of(room).map(({ offset }) => offset) }
  }
  return [await start(), await start()]
}

/** A room of the same partition as 'room', whose name begins with this. */
export function neighbour ({ node: { keys } }: ClusterNode, kind: string): string {
  return range(1, 1_000).map((i) => `${kind} ${i}`).find((name) => keys.partitionOf(name) === keys.partitionOf('room')) as string
}

/** Both nodes publish in all of the rooms while something is done, and for some time behind it. All of it must arrive everywhere, in one order. */
export async function publishMeanwhile (t: Test, nodes: readonly [ClusterNode, ClusterNode], rooms: readonly string[], fault: () => Promise<void>): Promise<void> {
  const [a, b] = nodes
  const counts = new Map<string, number>(rooms.map((room) => [room, 0]))
  const failed: unknown[] = []
  const isOver = new AbortController()
  const publish = async ({ broker }: ClusterNode, name: string, room: string): Promise<void> => {
    for (let i = 1; !isOver.signal.aborted; i++) {
      await broker.publish(room, `${name} ${i}`, {}).then(() => { counts.set(room, (counts.get(room) ?? 0) + 1) }, (error: unknown) => { failed.push(error) })
    }
  }
  for (const room of rooms) for (const { broker } of nodes) await broker.subscribe(room)
  const publishing = rooms.flatMap((room) => nodes.map(async (node, i) => { await publish(node, `node ${i}`, room) }))
  await fault()
  const before = rooms.map((room) => a.listener.of(room).length)
  await until(() => rooms.every((room, i) => a.listener.of(room).length > (before[i] as number) + 20), 'more of every room')
  isOver.abort()
  await Promise.all(publishing)
  t.same(failed, [])
  for (const room of rooms) {
    const count = counts.get(room) as number
    for (const { listener, offsets } of nodes) {
      await until(() => listener.of(room).length >= count, () => `${count} in ${room}, got ${listener.of(room).length}`)
      t.same(offsets(room), range(1, count), room)
      t.same(listener.gaps, [])
    }
    t.same(a.listener.texts(room), b.listener.texts(room))
  }
}
