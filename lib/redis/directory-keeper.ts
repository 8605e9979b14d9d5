import type { Clock, DirectoryEntry, DirectoryListener, SessionScope, Timer } from '../core/ports.js'
import type { DirectoryStore, EntryKey, Moment } from './directory-store.js'
import type { LinkListener, RedisLink } from './link.js'

export interface KeeperOptions {
  /** Milliseconds after which Redis forgets what is not renewed. */
  readonly ttl: number
  /** Milliseconds within which each entry is renewed once: a third of `ttl`, or less. */
  readonly interval: number
  /** Milliseconds without a renewal after which others may have taken the place of logins here. */
  readonly lease: number
}

/** Entries that one script renews, or removes. */
const BATCH = 100
/** Of the interval, or of the lease: after it, each partition is asked for. */
const TURNS = 4
/** Looks at the clock in one turn: partitions have turns of their own. */
const LOOKS = 10

/** What a claim answers. */
type Place = Moment & { readonly fence: number }

/** An entry of this node. */
interface Kept {
  readonly entry: DirectoryEntry
  readonly scope: SessionScope
  /** 0: it has not been entered yet. */
  fence: number
  /** When it was there the last time; `''`: never. */
  world: string
  seenAt: number
}

interface Partition {
  readonly number: number
  /** Those whose renewal is longest ago come first. */
  readonly kept: Map<string, Kept>
  world: string
  /** Monotonic milliseconds: of the latest turn, and of the latest that was answered. */
  askedAt: number
  renewedAt: number
  /** Whether all have to be asked for, and not only those whose turn it is. */
  isBehind: boolean
  isBusy: boolean
}

/** One that could not be removed. Redis forgets it by itself at the monotonic time `until`, if not before. */
interface Leaving extends EntryKey { readonly until: number }

/** Keeps the entries of this node alive, enters them again when Redis has lost them, and finds out which of them others have removed. */
export class DirectoryKeeper implements LinkListener {
  readonly #store: DirectoryStore
  readonly #link: RedisLink
  readonly #clock: Clock
  readonly #listener: DirectoryListener
  readonly #options: KeeperOptions
  /** Milliseconds between two times that a partition is asked for something. */
  readonly #turn: number
  readonly #partitions: readonly Partition[]
  readonly #leaving = new Map<string, Leaving>()
  readonly #looks: Timer
  /** Monotonic milliseconds. */
  #lookedAt: number
  #removedAt = -Infinity
  #renewedAt = -Infinity
  #lostAt = -Infinity
  #graceUntil = -Infinity
  #isLost = false

  constructor (store: DirectoryStore, link: RedisLink, partitions: number, clock: Clock, listener: DirectoryListener, options: KeeperOptions) {
    this.#store = store
    this.#link = link
    this.#clock = clock
    this.#listener = listener
    this.#options = options
    this.#turn = Math.max(LOOKS, Math.floor(Math.min(options.interval, options.lease) / TURNS))
    this.#partitions = Array.from({ length: partitions }, (_, number) => ({
      number, kept: new Map<string, Kept>(), world: '', askedAt: 0, renewedAt: 0, isBehind: false, isBusy: false
    }))
    this.#lookedAt = clock.monotonic()
    link.listen(this)
    this.#looks = clock.every(Math.floor(this.#turn / LOOKS), () => { this.#look() })
  }

  /**
   * From now on it is renewed.
   * @param place null: Redis could not be asked
   * @param askedAt monotonic milliseconds
   */
  add (entry: DirectoryEntry, scope: SessionScope, place: Place | null, askedAt: number): void {
    const partition = this.#partitionOf(entry)
    if (partition.kept.size === 0) {
      partition.askedAt = this.#phase(partition)
      partition.renewedAt = this.#clock.monotonic()
    }
    if (place === null) {
      partition.isBehind = true
      partition.kept.set(entry.id, { entry, scope, fence: 0, world: '', seenAt: 0 })
    } else {
      this.#renewed(partition, askedAt)
      partition.kept.set(entry.id, { entry, scope, fence: place.fence, world: this.#see(partition, place.world), seenAt: place.now })
    }
  }

  /** From now on it is not. */
  drop (entry: EntryKey): void { this.#partitionOf(entry).kept.delete(entry.id) }

  /** It could not be removed: that is tried again, and told when it is done. */
  leave ({ id, user }: EntryKey): void { this.#leaving.set(id, { id, user, until: this.#clock.monotonic() + this.#options.ttl }) }

  /** Removes all that is left, unless Redis is away. */
  async close (): Promise<void> {
    this.#looks.cancel()
    const entries: EntryKey[][] = this.#partitions.map(({ kept }) => [...kept.values()].map(({ entry }) => entry))
    for (const partition of this.#partitions) partition.kept.clear()
    for (const leaving of this.#leaving.values()) entries[this.#store.partitionOf(leaving)]?.push(leaving)
    this.#leaving.clear()
    if (!this.#link.isReady) return
    // What cannot be removed is forgotten by Redis.
    await Promise.allSettled(entries.flatMap(inBatches).map(async (batch) => await this.#store.remove(batch)))
  }

  /* ---- LinkListener ---- */

  onReady (): void {
    for (const partition of this.#partitions) {
      partition.isBehind = true
      partition.askedAt = this.#phase(partition)
    }
  }

  onAway (): void {}

  /* ---- by the clock ---- */

  #look (): void {
    const now = this.#clock.monotonic()
    // This process stood still: what Redis has to say is on its way.
    if (now - this.#lookedAt > this.#options.lease / 2) this.#graceUntil = now + this.#turn
    this.#lookedAt = now
    for (const partition of this.#partitions) {
      if (!this.#link.isReady || partition.isBusy || partition.kept.size === 0 || now - partition.askedAt < this.#turn) continue
      partition.isBusy = true
      // Where Redis is away, the link tells.
      this.#ask(partition, now).catch(() => { partition.isBehind = true }).finally(() => { partition.isBusy = false })
    }
    this.#judge(now)
    this.#removeLeaving(now)
  }

  async #ask (partition: Partition, now: number): Promise<void> {
    const { kept, isBehind, askedAt, renewedAt } = partition
    const isAll = isBehind || now - renewedAt > this.#options.lease
    const count = isAll ? kept.size : Math.ceil(kept.size * (now - askedAt) / this.#options.interval)
    partition.isBehind = false
    partition.askedAt = now
    for (const batch of inBatches(first(kept.values(), count))) await this.#refresh(partition, batch)
  }

  async #refresh (partition: Partition, batch: readonly Kept[]): Promise<void> {
    const askedAt = this.#clock.monotonic()
    const answer = await this.#store.refresh(partition.number, batch.map(({ entry }) => entry))
    this.#renewed(partition, askedAt)
    const world = this.#see(partition, answer.world)
    const removed: string[] = []
    const lost: Kept[] = []
    for (const [i, kept] of batch.entries()) {
      const { id } = kept.entry
      // It has left meanwhile.
      if (partition.kept.get(id) !== kept) continue
      partition.kept.delete(id)
      if (answer.missing.has(i) && kept.world === world && answer.now < kept.seenAt + this.#options.ttl) {
        removed.push(id)
        continue
      }
      partition.kept.set(id, kept)
      if (answer.missing.has(i)) {
        lost.push(kept)
      } else {
        kept.world = world
        kept.seenAt = answer.now
      }
    }
    this.#tell(removed)
    if (lost.length > 0) await this.#enter(partition, lost)
  }

  async #enter (partition: Partition, batch: readonly Kept[]): Promise<void> {
    const removed: string[] = []
    const results = await Promise.allSettled(batch.map(async (kept) => {
      const answer = await this.#store.enter(kept.entry, kept.scope, kept.fence)
      const { id } = kept.entry
      if (partition.kept.get(id) !== kept) {
        // It has left meanwhile, and its removal may have come first.
        this.leave(kept.entry)
      } else if (answer === null) {
        partition.kept.delete(id)
        removed.push(id)
      } else {
        kept.fence = answer.fence
        kept.world = this.#see(partition, answer.world)
        kept.seenAt = answer.now
      }
    }))
    this.#tell(removed)
    if (results.some(({ status }) => status === 'rejected')) partition.isBehind = true
  }

  #removeLeaving (now: number): void {
    if (this.#leaving.size === 0) return
    const forgotten = [...this.#leaving.values()].filter(({ until }) => until <= now)
    this.#left(forgotten)
    if (!this.#link.isReady || now - this.#removedAt < this.#turn) return
    this.#removedAt = now
    const entries: Leaving[][] = this.#partitions.map(() => [])
    for (const leaving of this.#leaving.values()) entries[this.#store.partitionOf(leaving)]?.push(leaving)
    for (const batch of entries.flatMap(inBatches)) {
      // Else once more in the next turn.
      this.#store.remove(batch).then(() => { this.#left(batch) }, () => {})
    }
  }

  /** They are gone for certain: whoever asked for it and was told that it failed has what he asked for. */
  #left (entries: readonly EntryKey[]): void {
    this.#tell(entries.filter(({ id }) => this.#leaving.delete(id)).map(({ id }) => id))
  }

  #judge (now: number): void {
    const { lease } = this.#options
    if (this.#partitions.some(({ kept, renewedAt }) => kept.size > 0 && now - renewedAt >= lease)) {
      if (this.#isLost || now < this.#graceUntil) return
      this.#isLost = true
      this.#lostAt = now
      this.#listener.onLeaseLost()
    } else if (this.#renewedAt > this.#lostAt) {
      this.#isLost = false
    }
  }

  /* ---- both ---- */

  #partitionOf (entry: EntryKey): Partition { return this.#partitions[this.#store.partitionOf(entry)] as Partition }

  /** When a partition was to be asked for the last time, so that not all of them have their turn at once. */
  #phase ({ number }: Partition): number {
    return this.#clock.monotonic() - Math.floor(this.#turn * number / this.#partitions.length)
  }

  #renewed (partition: Partition, askedAt: number): void {
    partition.renewedAt = Math.max(partition.renewedAt, askedAt)
    this.#renewedAt = Math.max(this.#renewedAt, askedAt)
  }

  /** @returns the same string for the same world: there are as many as entries */
  #see (partition: Partition, world: string): string {
    if (world === partition.world) return partition.world
    if (partition.world !== '') {
      partition.isBehind = true
      partition.askedAt = -Infinity
    }
    partition.world = world
    return world
  }

  #tell (removed: readonly string[]): void { if (removed.length > 0) this.#listener.onRemoved(removed) }
}

function first<T> (values: Iterable<T>, count: number): T[] {
  const list: T[] = []
  for (const value of values) if (list.push(value) >= count) break
  return list
}

function inBatches<T> (list: readonly T[]): T[][] {
  return Array.from({ length: Math.ceil(list.length / BATCH) }, (_, i) => list.slice(i * BATCH, (i + 1) * BATCH))
}
