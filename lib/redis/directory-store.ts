import { randomUUID } from 'node:crypto'
import { FST_HUB_BROKER_UNAVAILABLE } from '../errors.js'
import { Outranked } from '../core/outranked.js'
import type { AskLogin, Clock, DirectoryEntry, Removal, RemovalCause, SessionScope } from '../core/ports.js'
import type { Keys } from './keys.js'
import type { Argument, RedisLink, Reply } from './link.js'
import type { RedisClocks, Span } from './redis-clock.js'
import { Script } from './script.js'

/** Entries that one script renews, or removes. */
export const BATCH = 100

/** By which an entry is found. */
export type EntryKey = Pick<DirectoryEntry, 'id' | 'user'>

/** When a step took place. */
export interface Moment {
  /** Another one than before: Redis may have lost data in between, as its mark has gone, or its history of replication is another one. */
  readonly world: string
  /** Milliseconds since the Unix epoch, by the clock of Redis. */
  readonly now: number
}

/** Milliseconds for which a kick is known to those who did not hear of it: a node may be cut off from Redis for long. */
const KICK_MS = 86_400_000

/** Why Redis does not do a claim. */
const refusals = {
  late: 'the claim came too late',
  older: 'a login that came later may be there',
  taken: 'its client does not answer, and another login may be there',
  kick: 'the user was kicked'
}
interface Refusal {
  readonly why: keyof typeof refusals
  /** Of the partition. */
  readonly fence: string
  /** The one that came later. */
  readonly later: DirectoryEntry | undefined
}
const everybodyIsThere: AskLogin = async () => true
/** Of a client that is there without having been asked: behind all kicks. */
const NOT_ASKED = String(Number.MAX_SAFE_INTEGER)

const scripts = {
  claim: new Script('directory-shared', 'directory-claim'),
  enter: new Script('directory-shared', 'directory-enter'),
  refresh: new Script('directory-shared', 'directory-refresh'),
  remove: new Script('directory-remove'),
  removeUser: new Script('directory-shared', 'directory-remove-user'),
  user: new Script('directory-shared', 'directory-user')
}

/** The steps of the directory, each a script: what they are given, and what they answer. All throw as RedisLink's `run` does. */
export class DirectoryStore {
  readonly #link: RedisLink
  readonly #keys: Keys
  readonly #ttl: number
  /** By partition, the highest fence that this node has seen: it is told to Redis, which may have lost it. */
  readonly #fences: number[]
  readonly #clock: Clock
  readonly #redisClocks: RedisClocks

  /** @param ttl milliseconds after which what is not renewed is forgotten */
  constructor (link: RedisLink, keys: Keys, clock: Clock, redisClocks: RedisClocks, ttl: number) {
    this.#link = link
    this.#keys = keys
    this.#clock = clock
    this.#ttl = ttl
    this.#fences = Array.from({ length: keys.partitions }, () => 0)
    this.#redisClocks = redisClocks
  }

  partitionOf ({ id, user }: EntryKey): number { return this.#keys.partitionOf(user ?? id) }

  /**
   * One that takes the place of others is done before it is given up, or not at all, and not when one of those has come later:
   * the same client, it may be, which did not wait for this. Nor does it take anybody's place before its client has been heard of:
   * what a node reads when it comes to itself again may be long ago, and none of its clocks tells that.
   * @throws as RedisLink's `run` does; Outranked, or FST_HUB_BROKER_UNAVAILABLE, when it was not done for that (as rejections)
   */
  async claim (entry: DirectoryEntry, scope: SessionScope, isThere: AskLogin = everybodyIsThere): Promise<Removal & Moment> {
    // In the turn of its 101: whoever is heard of later was there then.
    const cameAt = this.#clock.monotonic()
    let behind = isThere === everybodyIsThere ? NOT_ASKED : ''
    let silent: DirectoryEntry | undefined
    for (;;) {
      const answer = await this.#claimTwice(entry, scope, cameAt, behind)
      if (!('why' in answer)) return answer
      const { why, fence, later } = answer
      if (why === 'kick') throw new Outranked('kick')
      // It found the place free, it may be, and was not asked: an earlier try of the same client, which came late.
      const isNews = why === 'older' ? later?.id !== silent?.id : why === 'taken' && behind === ''
      if (isNews && later !== undefined && await isThere(later)) throw new Outranked('login')
      if (!isNews || (behind === '' && !await isThere(entry))) throw new FST_HUB_BROKER_UNAVAILABLE(refusals[why])
      silent = later
      if (behind === '') behind = fence
    }
  }

  /** What this node takes for the time of Redis may be wrong, or it does not know. By the first answer it does. */
  async #claimTwice (entry: DirectoryEntry, scope: SessionScope, cameAt: number, behind: string): Promise<Removal & Moment | Refusal> {
    const answer = await this.#claim(entry, scope, cameAt, behind)
    return 'why' in answer && (answer.why === 'late' || answer.why === 'older') ? await this.#claim(entry, scope, cameAt, behind) : answer
  }

  /**
   * @param behind the fence of the partition when its client was not known to be there; `''`: it is not
   * @returns why it was not done, where that is so
   */
  async #claim (entry: DirectoryEntry, scope: SessionScope, cameAt: number, behind: string): Promise<Removal & Moment | Refusal> {
    const partition = this.partitionOf(entry)
    const askedAt = this.#clock.monotonic()
    const came = this.#span(entry, scope, cameAt)
    // Of a Redis that this node has not heard of, any time is too late.
    const until = mayBeAlone(entry, scope) ? this.#span(entry, scope, askedAt + this.#link.timeout)?.earliest ?? 0 : ''
    const [text, world, now, removed] = await this.#link.run(scripts.claim, this.#keysWithKick(partition, entry), [
      entry.id, scope, this.#ttl, this.#fence(partition), randomUUID(), until, came?.latest ?? '', behind, ...fieldsOf(entry, came)
    ]) as readonly [Buffer, Buffer, number, ReadonlyArray<readonly Reply[]>]
    this.#redisClocks.of(partition).heard(askedAt, this.#clock.monotonic(), now)
    const why = String(text)
    if (why in refusals) return { why: why as Refusal['why'], fence: String(world), later: removed.map(toEntry)[0] }
    return { fence: this.#saw(partition, text), world: String(world), now, removed: removed.map(toEntry) }
  }

  /**
   * Enters it once more.
   * @param fence that it had; 0: none yet
   * @param cameAt monotonic milliseconds
   * @returns why it was not entered, where that is so
   */
  async enter (entry: DirectoryEntry, scope: SessionScope, fence: number, cameAt: number): Promise<{ fence: number } & Moment | RemovalCause> {
    const partition = this.partitionOf(entry)
    const [text, world, now] = await this.#link.run(scripts.enter, this.#keysWithKick(partition, entry), [
      entry.id, scope, this.#ttl, this.#fence(partition), randomUUID(), fence, this.#clock.monotonic() - cameAt, ...fieldsOf(entry, this.#span(entry, scope, cameAt))
    ]) as readonly [Buffer, Buffer, number]
    const why = String(text)
    if (why === 'kick' || why === 'login') return why
    return { fence: this.#saw(partition, text), world: String(world), now }
  }

  /** The place of the latest kick of a user; 0: none. */
  async kickOf (user: string): Promise<number> { return Number(String(await this.#link.call('GET', this.#keys.kick(user)) ?? 0)) }

  /** Renews entries of one partition. @returns also the indexes of those that are not there */
  async refresh (partition: number, entries: readonly DirectoryEntry[]): Promise<{ missing: ReadonlySet<number> } & Moment> {
    const keys = [this.#keys.fence(partition), this.#keys.mark(partition)]
    const args: Argument[] = [this.#ttl, this.#fence(partition), randomUUID()]
    const askedAt = this.#clock.monotonic()
    for (const entry of entries) {
      const own = this.#keysOf(entry)
      keys.push(...own)
      args.push(entry.id, own.length, entry.lastSeen)
    }
    const [fence, world, now, missing] = await this.#link.run(scripts.refresh, keys, args) as readonly [Buffer, Buffer, number, readonly number[]]
    this.#saw(partition, fence)
    this.#redisClocks.of(partition).heard(askedAt, this.#clock.monotonic(), now)
    return { world: String(world), now, missing: new Set(missing.map((number) => number - 1)) }
  }

  /** Removes entries of one partition. @returns which of them were there */
  async remove (entries: readonly EntryKey[]): Promise<boolean[]> {
    const keys: string[] = []
    const args: Argument[] = []
    for (const entry of entries) {
      const own = this.#keysOf(entry)
      keys.push(...own)
      args.push(entry.id, own.length)
    }
    return (await this.#link.run(scripts.remove, keys, args) as readonly number[]).map((count) => count > 0)
  }

  async removeUser (user: string): Promise<Removal> {
    const partition = this.#keys.partitionOf(user)
    const [fence, removed] = await this.#link.run(scripts.removeUser, [this.#keys.fence(partition), this.#keys.connection(user, ''), this.#keys.user(user), this.#keys.kick(user)], [
      this.#fence(partition), KICK_MS
    ]) as readonly [Buffer, ReadonlyArray<readonly Reply[]>]
    return { fence: this.#saw(partition, fence), removed: removed.map(toEntry) }
  }

  async user (user: string): Promise<readonly DirectoryEntry[]> {
    const entries = await this.#link.run(scripts.user, [this.#keys.connection(user, ''), this.#keys.user(user)], []) as ReadonlyArray<readonly Reply[]>
    return entries.map(toEntry)
  }

  #keysWithKick (partition: number, entry: EntryKey): string[] {
    const [own, ...user] = this.#keysOf(entry) as [string, ...string[]]
    const kick = entry.user === null ? [] : [this.#keys.kick(entry.user)]
    return [this.#keys.fence(partition), this.#keys.mark(partition), own, own.slice(0, own.length - entry.id.length), ...user, ...kick]
  }

  #keysOf ({ id, user }: EntryKey): string[] {
    const connection = this.#keys.connection(user, id)
    return user === null ? [connection] : [connection, this.#keys.user(user)]
  }

  /** Where a moment lies by the time of Redis; null for an entry that takes nobody's place: there it does not matter, and while that is not known. */
  #span (entry: DirectoryEntry, scope: SessionScope, monotonic: number): Span | null {
    return mayBeAlone(entry, scope) ? this.#redisClocks.of(this.partitionOf(entry)).at(monotonic) : null
  }

  #fence (partition: number): number { return this.#fences[partition] as number }

  #saw (partition: number, text: Buffer): number {
    const fence = Number(String(text))
    if (fence > this.#fence(partition)) this.#fences[partition] = fence
    return fence
  }
}

/** Whether a login may be the only one of its user, or device. */
export function mayBeAlone ({ user }: DirectoryEntry, scope: SessionScope): boolean { return scope !== 'none' && user !== null }

/** What one script does at once. */
export function inBatches<T> (list: readonly T[]): T[][] {
  return Array.from({ length: Math.ceil(list.length / BATCH) }, (_, i) => list.slice(i * BATCH, (i + 1) * BATCH))
}

/** What the hash of a connection holds beside its fence; what is null has no field. */
function fieldsOf ({ user, device, nodeId, ip, subprotocol, connectedAt, lastSeen }: DirectoryEntry, came: Span | null): Argument[] {
  const fields: Argument[] = ['node', nodeId, 'connectedAt', connectedAt, 'lastSeen', lastSeen]
  for (const [name, value] of Object.entries({ user, device, ip, subprotocol })) if (value !== null) fields.push(name, value)
  if (came !== null) fields.push('came', came.earliest)
  return fields
}

function toEntry ([id, user, device, node, ip, subprotocol, connectedAt, lastSeen]: readonly Reply[]): DirectoryEntry {
  return {
    id: String(id),
    nodeId: String(node),
    user: textOf(user),
    device: textOf(device),
    ip: textOf(ip),
    subprotocol: textOf(subprotocol),
    connectedAt: Number(textOf(connectedAt)),
    lastSeen: Number(textOf(lastSeen))
  }
}

function textOf (reply: Reply | undefined): string | null { return Buffer.isBuffer(reply) ? String(reply) : null }
