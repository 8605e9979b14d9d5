import { Redis } from 'ioredis'
import type { Test } from 'tap'
import { RedisServer } from './redis-server.js'
import { askRedis, untilRedis } from './redis-asked.js'

const HOST = '127.0.0.1'
const NAME = 'main'

/** A master, its replica, and Sentinels that look after them. The test ends all. */
export class SentinelWorld {
  readonly master: RedisServer
  readonly replica: RedisServer
  readonly sentinels: readonly RedisServer[]
  readonly #t: Test

  private constructor (t: Test, master: RedisServer, replica: RedisServer, sentinels: readonly RedisServer[]) {
    this.#t = t
    this.master = master
    this.replica = replica
    this.sentinels = sentinels
  }

  /** @param count of Sentinels. One of them is enough to say that the master is gone */
  static async start (t: Test, count = 1): Promise<SentinelWorld> {
    const args = ['--repl-diskless-sync-delay', '0', '--repl-ping-replica-period', '1']
    const master = await RedisServer.start(t, { args })
    const replica = await RedisServer.start(t, { args: [...args, '--replicaof', HOST, `${master.port}`] })
    await untilRedis(replica, ['INFO', 'replication'], /master_link_status:up/)
    const sentinels: RedisServer[] = []
    for (let i = 0; i < count; i++) {
      sentinels.push(await RedisServer.start(t, {
        settings: [
          `sentinel monitor ${NAME} ${HOST} ${master.port} 1`,
          `sentinel down-after-milliseconds ${NAME} 500`,
          `sentinel failover-timeout ${NAME} 10000`
        ],
        args: ['--sentinel']
      }))
    }
    // It looks once in ten seconds.
    for (const sentinel of sentinels) await askRedis(sentinel, 'SENTINEL', 'DEBUG', 'info-period', 200)
    for (const sentinel of sentinels) await untilRedis(sentinel, ['SENTINEL', 'REPLICAS', NAME], /slave-repl-offset,[1-9]/)
    return new SentinelWorld(t, master, replica, sentinels)
  }

  /** As an application has it. The test ends it. */
  client (): Redis {
    const client = new Redis({ sentinels: this.sentinels.map(({ port }) => ({ host: HOST, port })), name: NAME, lazyConnect: true })
    this.#t.teardown(() => { client.disconnect() })
    return client
  }

  /** Waits until the replica is the master, for its Sentinels as well. */
  async failedOver (): Promise<void> {
    await untilRedis(this.replica, ['ROLE'], /^master/)
    for (const sentinel of this.sentinels) await untilRedis(sentinel, ['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', NAME], new RegExp(`${this.replica.port}$`))
  }
}
