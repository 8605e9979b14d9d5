import type { Clock, DirectoryEntry, DirectoryListener, RemovalCause, SessionScope, Timer } from '../core/ports.js'
import { inBatches, mayBeAlone, type DirectoryStore, type EntryKey, type Moment } from './directory-store.js'
import type { LinkListener, RedisLink } from './link.js'

export interface KeeperOptions {
  /** Milliseconds after which Redis forgets what is not renewed. */
  readonly ttl: number
  /** Milliseconds within which each entry is renewed once: a third of `ttl`, or less. */
  readonly interval: number
  /**
   * Milliseconds without a renewal after which others may have taken the place of logins here. Where logins may be alone, each is
   * renewed once within it: the word that another has taken its place may be lost.
   */
  readonly lease: number
}

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
  /** Monotonic milliseconds: when it came, and when it was asked for the last time. */
  readonly since: number
  askedAt: number
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
  /** Whether its logins were given up, as nothing could be renewed. */
  isLost: boolean
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
  #graceUntil = -Infinity
  /** Milliseconds within which each entry is renewed once. */
  #interval: number

  constructor (store: DirectoryStore, link: RedisLink, partitions: number, clock: Clock, listener: DirectoryListener, options: KeeperOptions) {
    this.#store = store
    this.#link = link
    this.#clock = clock
    this.#listener = listener
    this.#options = options
    this.#interval = options.interval
    this.#turn = Math.max(LOOKS, Math.floor(Math.min(options.interval, options.lease) / TURNS))
    this.#partitions = Array.from({ length: partitions }, (_, number) => ({
      number, kept: new Map<string, Kept>(), world: '', askedAt: 0, renewedAt: 0, isBehind: false, isBusy: false, isLost: false
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
    if (mayBeAlone(entry, scope)) this.#interval = Math.min(this.#options.interval, this.#options.lease)
    if (partition.kept.size === 0) {
      partition.askedAt = this.#phase(partition)
      partition.renewedAt = this.#clock.monotonic()
    }
    if (place === null) {
      partition.isBehind = true
      partition.kept.set(entry.id, { entry, scope, fence: 0, world: '', seenAt: 0, since: askedAt, askedAt })
    } else {
      this.#renewed(partition, askedAt)
      partition.kept.set(entry.id, { entry, scope, fence: place.fence, world: this.#see(partition, place.world), seenAt: place.now, since: askedAt, askedAt })
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
    const count = isAll ? kept.size : kept.size * (now - askedAt) / this.#interval
    partition.isBehind = false
    partition.askedAt = now
    for (const batch of inBatches(first(kept.values(), count, now - this.#interval + this.#turn))) await this.#refresh(partition, batch)
  }

  async #refresh (partition: Partition, batch: readonly Kept[]): Promise<void> {
    const askedAt = this.#clock.monotonic()
    const answer = await this.#store.refresh(partition.number, batch.map(({ entry }) => entry))
    this.#renewed(partition, askedAt)
    const world = this.#see(partition, answer.world)
    const removed: Kept[] = []
    const lost: Kept[] = []
    for (const [i, kept] of batch.entries()) {
      const { id } = kept.entry
      // It has left meanwhile.
      if (partition.kept.get(id) !== kept) continue
      partition.kept.delete(id)
      partition.kept.set(id, kept)
      kept.askedAt = askedAt
      if (answer.missing.has(i)) {
        const isLost = kept.world !== world || answer.now >= kept.seenAt + this.#options.ttl
        ;(isLost ? lost : removed).push(kept)
      } else {
        kept.world = world
        kept.seenAt = answer.now
      }
    }
    await Promise.all([this.#findCauses(partition, removed), this.#enter(partition, lost)])
  }

  /**
   * What was there, and is not. Without a kick that is behind it, a newer login has taken its place; where none may, Redis has dropped it
   * by itself (`maxmemory-policy`), or somebody else has.
   */
  async #findCauses (partition: Partition, removed: readonly Kept[]): Promise<void> {
    const dropped: Kept[] = []
    const results = await Promise.allSettled(removed.map(async (kept) => {
      const { entry: { id, user }, fence, scope } = kept
      const cause = user !== null && await this.#store.kickOf(user) < fence ? 'login' : 'kick'
      if (partition.kept.get(id) !== kept) return
      if (cause === 'login' && scope === 'none') {
        dropped.push(kept)
        return
      }
      partition.kept.delete(id)
      this.#tell([id], cause)
    }))
    this.#check(partition, results)
    await this.#enter(partition, dropped)
  }

  async #enter (partition: Partition, batch: readonly Kept[]): Promise<void> {
    const results = await Promise.allSettled(batch.map(async (kept) => {
      const { entry, scope, fence, since } = kept
      const answer = await this.#store.enter(entry, scope, fence, since)
      const { id } = entry
      if (partition.kept.get(id) !== kept) {
        // It has left meanwhile, and its removal may have come first.
        this.leave(entry)
      } else if (typeof answer === 'string') {
        partition.kept.delete(id)
        this.#tell([id], answer)
      } else {
        kept.fence = answer.fence
        kept.world = this.#see(partition, answer.world)
        kept.seenAt = answer.now
      }
    }))
    this.#check(partition, results)
  }

  /** Where Redis has gone in the midst of it, it is asked for all once more. */
  #check (partition: Partition, results: ReadonlyArray<PromiseSettledResult<unknown>>): void {
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
    for (const list of entries) {
      // Else once more in the next turn.
      this.#removeAll(inBatches(list)).catch(() => {})
    }
  }

  async #removeAll (batches: readonly Leaving[][]): Promise<void> {
    for (const batch of batches) {
      await this.#store.remove(batch)
      this.#left(batch)
    }
  }

  /** They are gone for certain: whoever asked for it and was told that it failed has what he asked for. */
  #left (entries: readonly EntryKey[]): void {
    this.#tell(entries.filter(({ id }) => this.#leaving.delete(id)).map(({ id }) => id), 'kick')
  }

  #judge (now: number): void {
    const ids: string[] = []
    for (const partition of this.#partitions) {
      if (now - partition.renewedAt < this.#options.lease) partition.isLost = false
      if (partition.isLost || now < this.#graceUntil || now - partition.renewedAt < this.#options.lease) continue
      partition.isLost = true
      for (const { entry, scope } of partition.kept.values()) if (mayBeAlone(entry, scope)) ids.push(entry.id)
    }
    this.#loseLease(inBatches(ids))
  }

  /** Each batch in a turn of its own: there may be tens of thousands, and others are served meanwhile. */
  #loseLease ([batch, ...rest]: string[][]): void {
    if (batch === undefined) return
    this.#listener.onLeaseLost(batch)
    this.#clock.defer(() => { this.#loseLease(rest) })
  }

  /* ---- both ---- */

  #partitionOf (entry: EntryKey): Partition { return this.#partitions[this.#store.partitionOf(entry)] as Partition }

  /** When a partition was to be asked for the last time, so that not all of them have their turn at once. */
  #phase ({ number }: Partition): number {
    return this.#clock.monotonic() - Math.floor(this.#turn * number / this.#partitions.length)
  }

  #renewed (partition: Partition, askedAt: number): void {
    partition.renewedAt = Math.max(partition.renewedAt, askedAt)
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

  #tell (removed: readonly string[], cause: RemovalCause): void { if (removed.length > 0) this.#listener.onRemoved(removed, cause) }
}

/** So many, that all have their turn in time, though there were more of them before; and those that were not asked for since that time. */
function first (kept: Iterable<Kept>, count: number, since: number): Kept[] {
  const list: Kept[] = []
  for (const one of kept) {
    if (list.length >= count && one.askedAt > since) break
    list.push(one)
  }
  return list
}
