import { randomUUID } from 'node:crypto'
import { systemClock } from '../../lib/core/clock.js'
import type { InboxListener } from '../../lib/core/ports.js'
import { connectionsTo, type RedisTarget } from '../../lib/redis/connections.js'
import { RedisInboxes } from '../../lib/redis/inboxes.js'
import { Keys } from '../../lib/redis/keys.js'
import { RedisLink } from '../../lib/redis/link.js'
import { StreamReader } from '../../lib/redis/stream-reader.js'
import { ownPrefix } from './redis-server.js'

export interface RedisInboxNode { id: string, inboxes: RedisInboxes, link: RedisLink }

/** Nodes on one Redis, under a prefix of their own, whose list is kept here. */
export class RedisInboxWorld {
  readonly keys = new Keys(ownPrefix(), 16, false)
  readonly living = new Set<string>()
  /** Keys of streams whose entries could not be handled. */
  readonly failures: string[] = []
  /** Entries that were gone before they were read. */
  trimmed = 0
  readonly #target: RedisTarget
  readonly #ends: Array<() => Promise<void>> = []

  constructor ({ url, client }: Partial<RedisTarget>) {
    this.#target = { url, client }
  }

  async node (listener: InboxListener, id: string = randomUUID()): Promise<RedisInboxNode> {
    const link = new RedisLink(await connectionsTo(this.#target), systemClock, 5_000)
    await link.connect()
    const reader = new StreamReader(link, id, systemClock, {
      onRefused: () => {},
      onTrimmed: (_key, count) => { this.trimmed += count },
      onFailure: (key) => { this.failures.push(key) }
    })
    const inboxes = new RedisInboxes({ link, keys: this.keys, reader, clock: systemClock, nodes: { living: async () => ({ ids: [...this.living], complete: true }) } }, id, listener)
    await inboxes.start()
    this.living.add(id)
    this.#ends.push(async () => {
      await reader.close()
      await link.close()
    })
    const close = inboxes.close.bind(inboxes)
    inboxes.close = async () => {
      this.living.delete(id)
      await close()
    }
    return { id, inboxes, link }
  }

  async close (): Promise<void> {
    for (const end of this.#ends) await end()
  }
}
