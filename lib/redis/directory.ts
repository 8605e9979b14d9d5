import type { AskLogin, Clock, Directory, DirectoryEntry, DirectoryListener, Removal, SessionScope } from '../core/ports.js'
import { FST_HUB_BROKER_UNAVAILABLE } from '../errors.js'
import { DirectoryKeeper, type KeeperOptions } from './directory-keeper.js'
import { BATCH, DirectoryStore, type EntryKey } from './directory-store.js'
import { Gathered } from './gathered.js'
import type { Keys } from './keys.js'
import type { RedisLink } from './link.js'
import type { RedisClocks } from './redis-clock.js'

/** The directory of all nodes. What is here of another node is what that node renews. */
export class RedisDirectory implements Directory {
  readonly #clock: Clock
  readonly #store: DirectoryStore
  readonly #keeper: DirectoryKeeper
  /** Thousands of connections may end at once, and with a Redis that does not answer each call would have an end of its own. */
  readonly #removals: Gathered<EntryKey, boolean>
  /** Claims whose answer has not come. */
  readonly #claims = new Set<Promise<unknown>>()

  /** @param redisClocks others who ask Redis may tell them more of its time */
  constructor (link: RedisLink, keys: Keys, clock: Clock, redisClocks: RedisClocks, listener: DirectoryListener, options: KeeperOptions) {
    this.#clock = clock
    this.#store = new DirectoryStore(link, keys, clock, redisClocks, options.ttl)
    this.#removals = new Gathered((fn) => { clock.defer(fn) }, BATCH, async (_partition, entries) => await this.#store.remove(entries))
    this.#keeper = new DirectoryKeeper(this.#store, link, keys.partitions, clock, listener, options)
  }

  async claim (entry: DirectoryEntry, scope: SessionScope, isThere?: AskLogin): Promise<Removal> {
    const claim = this.#claim(entry, scope, isThere)
    this.#claims.add(claim)
    try {
      return await claim
    } finally {
      this.#claims.delete(claim)
    }
  }

  async removeUser (user: string): Promise<Removal> {
    const removal = await this.#store.removeUser(user)
    this.#forget(removal.removed)
    return removal
  }

  async remove (entry: EntryKey): Promise<boolean> {
    this.#keeper.drop(entry)
    try {
      return await this.#removals.ask(this.#store.partitionOf(entry), entry)
    } catch (error) {
      this.#keeper.leave(entry)
      throw error
    }
  }

  async user (user: string): Promise<readonly DirectoryEntry[]> { return await this.#store.user(user) }

  /** Removes what this node has entered. */
  async close (): Promise<void> {
    this.#removals.flush()
    await Promise.allSettled([...this.#claims])
    await this.#keeper.close()
  }

  async #claim (entry: DirectoryEntry, scope: SessionScope, isThere?: AskLogin): Promise<Removal> {
    const askedAt = this.#clock.monotonic()
    try {
      const { fence, world, now, removed } = await this.#store.claim(entry, scope, isThere)
      this.#keeper.add(entry, scope, { fence, world, now }, askedAt)
      this.#forget(removed)
      return { fence, removed }
    } catch (error) {
      if (error instanceof FST_HUB_BROKER_UNAVAILABLE && (scope === 'none' || entry.user === null)) this.#keeper.add(entry, scope, null, askedAt)
      throw error
    }
  }

  /** They are known to be gone: nobody need find that out. */
  #forget (removed: readonly DirectoryEntry[]): void {
    for (const entry of removed) this.#keeper.drop(entry)
  }
}
