import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import type { RedisServer } from './redis-server.js'

/** Milliseconds between two questions, and for all of them. */
const PAUSE_MS = 50
const PATIENCE_MS = 60_000

/** Asks one server, over a connection for that alone, whatever is with others. @returns its answer as text, lists joined by commas */
export async function askRedis ({ url }: RedisServer, command: string, ...args: Array<string | number>): Promise<string> {
  const redis = new Redis(url, { retryStrategy: () => null, connectTimeout: 1_000, disableClientInfo: true })
  redis.on('error', () => {})
  try {
    return String(await redis.call(command, ...args))
  } finally {
    redis.disconnect()
  }
}

/** Asks one server again and again. */
export async function untilRedis (server: RedisServer, [command, ...args]: readonly [command: string, ...args: string[]], expected: RegExp): Promise<void> {
  const end = performance.now() + PATIENCE_MS
  for (;;) {
    const answer = await askRedis(server, command, ...args).catch(String)
    if (expected.test(answer)) return
    if (performance.now() > end) throw new Error(`waited in vain for ${String(expected)} from ${command}, got ${answer}`)
    await sleep(PAUSE_MS)
  }
}

/** Waits until a replica has what its master has now. (WAIT is about what one connection has written.) */
export async function untilReplicated (master: RedisServer, replica: RedisServer): Promise<void> {
  const offset = async (server: RedisServer): Promise<number> => Number(/master_repl_offset:(\d+)/.exec(await askRedis(server, 'INFO', 'replication'))?.[1])
  const expected = await offset(master)
  while (await offset(replica) < expected) await sleep(PAUSE_MS)
}

/** Names of the connections of hubs to these servers. */
export async function connectionsOfHubs (servers: readonly RedisServer[]): Promise<string[]> {
  const lists = await Promise.all(servers.map(async (server) => await askRedis(server, 'CLIENT', 'LIST')))
  return lists.flatMap((list) => [...list.matchAll(/ name=(fastify-hub\S*)/g)].map(([, name]) => name as string)).sort()
}
