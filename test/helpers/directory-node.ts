import { randomUUID } from 'node:crypto'
import type { Test } from 'tap'
import { systemClock } from '../../lib/core/clock.js'
import type { Clock, DirectoryEntry, DirectoryListener, RemovalCause } from '../../lib/core/ports.js'
import { connectionsTo } from '../../lib/redis/connections.js'
import { RedisDirectory } from '../../lib/redis/directory.js'
import type { KeeperOptions } from '../../lib/redis/directory-keeper.js'
import type { Keys } from '../../lib/redis/keys.js'
import { RedisLink } from '../../lib/redis/link.js'
import { RedisClocks } from '../../lib/redis/redis-clock.js'
import { TestClock } from '../../lib/testing/test-clock.js'
import { pass } from './pass.js'

/** Answers that may follow from one step, one after the other. */
const ROUND_TRIPS = 6

export interface NodeOptions extends Partial<KeeperOptions> {
  /** Milliseconds within which Redis has to answer. Default 5,000. */
  timeout?: number
}

/** A node's directory, on a clock of the test's own: it renews nothing unless the test lets its time pass. */
export class DirectoryNode implements DirectoryListener {
  readonly id = randomUUID()
  readonly clock = new TestClock()
  readonly link: RedisLink
  readonly directory: RedisDirectory
  /** Ids that it was told of, and by what they were removed. */
  readonly removed: string[] = []
  readonly causes: RemovalCause[] = []
  /** Ids of logins that it was told to give up, one list for each time. */
  readonly lost: Array<readonly string[]> = []

  private constructor (link: RedisLink, keys: Keys, options: NodeOptions, clock: Clock | undefined) {
    this.link = link
    this.directory = new RedisDirectory(link, keys, clock ?? this.clock, new RedisClocks(keys), this, { ttl: 90_000, interval: 30_000, lease: 10_000, ...options })
  }

  /** @param clock in place of its own */
  static async start (t: Test, url: string, keys: Keys, options: NodeOptions = {}, clock?: Clock): Promise<DirectoryNode> {
    const link = new RedisLink(await connectionsTo({ url, client: undefined }), systemClock, options.timeout ?? 5_000)
    await link.connect()
    const node = new DirectoryNode(link, keys, options, clock)
    t.teardown(async () => {
      await node.directory.close()
      await link.close()
    })
    return node
  }

  /** An entry of this node. */
  entry (user: string | null, more: Partial<DirectoryEntry> = {}): DirectoryEntry {
    return { id: randomUUID(), nodeId: this.id, device: null, user, ip: '127.0.0.1', subprotocol: null, connectedAt: this.clock.now(), lastSeen: this.clock.now(), ...more }
  }

  /** Ids of a user's connections. */
  async ids (user: string): Promise<string[]> { return (await this.directory.user(user)).map(({ id }) => id).sort() }

  /** Lets time pass for this node, and waits for what Redis answers to what it does in it. */
  async pass (ms: number): Promise<void> {
    await pass(this.clock, ms, async () => { for (let i = 0; i < ROUND_TRIPS; i++) await this.link.call('PING') })
  }

  onRemoved (ids: readonly string[], cause: RemovalCause): void {
    this.removed.push(...ids)
    this.causes.push(...ids.map(() => cause))
  }

  onLeaseLost (ids: readonly string[]): void { this.lost.push(ids) }
}
