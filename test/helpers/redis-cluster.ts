import { Cluster } from 'ioredis'
import type { Test } from 'tap'
import { askRedis, untilRedis } from './redis-asked.js'
import { freePort, RedisServer } from './redis-server.js'

const SLOTS = 16_384
const HOST = '127.0.0.1'

/** A Redis Cluster of masters, each of which has as many slots as the others. The test ends it. */
export async function startCluster (t: Test, size: number, args: readonly string[] = []): Promise<RedisServer[]> {
  const servers: RedisServer[] = []
  for (let i = 0; i < size; i++) servers.push(await startNode(t, args))
  await Promise.all(servers.map(async (server, i) => {
    await askRedis(server, 'CLUSTER', 'SET-CONFIG-EPOCH', i + 1)
    await askRedis(server, 'CLUSTER', 'ADDSLOTSRANGE', Math.ceil(i * SLOTS / size), Math.ceil((i + 1) * SLOTS / size) - 1)
  }))
  const [first] = servers as [RedisServer]
  for (const server of servers.slice(1)) await meet(first, server)
  for (const server of servers) await untilRedis(server, ['CLUSTER', 'INFO'], new RegExp(`cluster_state:ok[^]*cluster_known_nodes:${size}\\b`))
  return servers
}

/** A replica of one of the masters. The test ends it. */
export async function addReplica (t: Test, servers: readonly RedisServer[], master: RedisServer, args: readonly string[] = []): Promise<RedisServer> {
  const replica = await startNode(t, args)
  const id = await askRedis(master, 'CLUSTER', 'MYID')
  const own = await askRedis(replica, 'CLUSTER', 'MYID')
  await meet(master, replica)
  await untilRedis(replica, ['CLUSTER', 'NODES'], new RegExp(id))
  await askRedis(replica, 'CLUSTER', 'REPLICATE', id)
  await untilRedis(replica, ['INFO', 'replication'], /master_link_status:up/)
  for (const server of [...servers, replica]) {
    await untilRedis(server, ['CLUSTER', 'NODES'], new RegExp(`^${own} .*slave ${id} `, 'm'))
    await untilRedis(server, ['CLUSTER', 'INFO'], /cluster_state:ok/)
  }
  return replica
}

/** A client of a cluster, as an application has it. The test ends it. */
export function clusterClient (t: Test, servers: readonly RedisServer[], options: ConstructorParameters<typeof Cluster>[1] = {}): Cluster {
  const client = new Cluster(servers.map(({ port }) => ({ host: HOST, port })), { lazyConnect: true, ...options })
  t.teardown(() => { client.disconnect() })
  return client
}

/** Which of the servers has the slot of a key, and which slot that is. */
export async function ownerOf (servers: readonly RedisServer[], key: string): Promise<{ owner: RedisServer, slot: number }> {
  const [first] = servers as [RedisServer]
  const slot = Number(await askRedis(first, 'CLUSTER', 'KEYSLOT', key))
  for (const owner of servers) if (await askRedis(owner, 'EXISTS', key).then(() => true, () => false)) return { owner, slot }
  throw new Error(`nobody has the slot ${slot}`)
}

/**
 * Moves a slot from one master to another, key by key, as redis-cli does.
 * @param between runs when half of the keys have been moved
 */
export async function moveSlot (servers: readonly RedisServer[], slot: number, from: RedisServer, to: RedisServer, between: () => Promise<void>): Promise<void> {
  const [fromId, toId] = [await askRedis(from, 'CLUSTER', 'MYID'), await askRedis(to, 'CLUSTER', 'MYID')]
  await askRedis(to, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', fromId)
  await askRedis(from, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', toId)
  const half = Math.ceil(Number(await askRedis(from, 'CLUSTER', 'COUNTKEYSINSLOT', slot)) / 2)
  for (let moved = 0; ; moved++) {
    if (moved === half) await between()
    const key = await askRedis(from, 'CLUSTER', 'GETKEYSINSLOT', slot, 1)
    if (key === '') break
    await askRedis(from, 'MIGRATE', HOST, to.port, key, 0, 5_000)
  }
  for (const server of [to, from, ...servers]) await askRedis(server, 'CLUSTER', 'SETSLOT', slot, 'NODE', toId)
}

async function startNode (t: Test, args: readonly string[]): Promise<RedisServer> {
  return await RedisServer.start(t, { args: ['--cluster-enabled', 'yes', '--cluster-announce-ip', HOST, '--cluster-port', `${await freePort()}`, '--repl-diskless-sync-delay', '0', ...args] })
}

async function meet (one: RedisServer, other: RedisServer): Promise<void> {
  const [, port] = /@(\d+)/.exec(await askRedis(other, 'CLUSTER', 'NODES')) ?? []
  await askRedis(one, 'CLUSTER', 'MEET', HOST, other.port, Number(port))
}
