import type { Clock } from '../core/ports.js'
import type { Keys } from './keys.js'
import type { RedisLink } from './link.js'
import type { StreamReader } from './stream-reader.js'

/** What an entry of the bus is about. */
export type EntryKind = 'publications' | 'presence'

/** Who handles entries of one kind. */
export interface BusListener {
  /**
   * @param node who has made it, be it this one @param rest the fields behind those that every entry has: names and values in turns
   */
  onEntry (partition: number, node: string, rest: readonly Buffer[]): void
  /** Entries of this partition have been lost for this node: trimmed before they were read, or gone with the data of Redis. */
  onLost (partition: number): void
}

/** How the kinds are written. */
const KIND: Record<EntryKind, string> = { publications: 'm', presence: 'p' }

/*
 * An entry begins with these fields, in this order, so that they need not be looked for: `s` its number in the partition,
 * without a hole; `n` the node that made it; `k` its kind. Their values:
 */
const [SEQUENCE, NODE, VALUE_OF_KIND, REST] = [1, 3, 5, 6]

/** Entries that nobody could handle are kept for whoever looks for the cause: so many per partition, about. */
const MAX_PARKED = 100

interface Partition {
  readonly number: number
  holders: number
  /** Number of the last entry that was read, or of the one before the first that will be. */
  sequence: number
  /** When an entry was read last, in monotonic milliseconds. */
  readAt: number
  readonly begun: Promise<void>
}

/** The bus of the partitions in which this node has somebody: one stream each, read in order. */
export class Bus {
  readonly counters = { parked: 0 }
  readonly #link: RedisLink
  readonly #reader: StreamReader
  readonly #keys: Keys
  readonly #clock: Clock
  readonly #onError: (error: unknown) => void
  readonly #listeners = new Map<string, BusListener>()
  readonly #partitions = new Map<number, Partition>()

  /** @param onError gets what was wrong with an entry that is parked */
  constructor (link: RedisLink, reader: StreamReader, keys: Keys, clock: Clock, onError: (error: unknown) => void) {
    this.#link = link
    this.#reader = reader
    this.#keys = keys
    this.#clock = clock
    this.#onError = onError
  }

  /** Before anything is held. One per kind. */
  listen (kind: EntryKind, listener: BusListener): void { this.#listeners.set(KIND[kind], listener) }

  /**
   * Reads a partition. Whoever holds it releases it as often.
   * @returns when every entry from now on will come
   * @throws FST_HUB_BROKER_UNAVAILABLE; then it is not held (as a rejection)
   */
  async hold (partition: number): Promise<void> {
    let held = this.#partitions.get(partition)
    if (held === undefined) this.#partitions.set(partition, held = { number: partition, holders: 0, sequence: 0, readAt: -Infinity, begun: this.#begin(partition) })
    held.holders++
    try {
      await held.begun
    } catch (error) {
      if (this.#partitions.get(partition) === held) this.#partitions.delete(partition)
      throw error
    }
  }

  release (partition: number): void {
    const held = this.#partitions.get(partition)
    if (held === undefined || held.holders === 0 || --held.holders > 0) return
    this.#partitions.delete(partition)
    this.#reader.release(this.#keys.bus(partition))
  }

  /** Number of the last entry of a partition that was read here, and when that was in monotonic milliseconds. */
  progress (partition: number): { sequence: number, readAt: number } {
    return this.#partitions.get(partition) ?? { sequence: 0, readAt: -Infinity }
  }

  async #begin (partition: number): Promise<void> {
    const key = this.#keys.bus(partition)
    await this.#reader.hold(key, { onEntry: (fields) => { this.#onEntry(partition, fields) }, onLost: () => { this.#onStreamLost(partition) }, onBack: (isOlder) => { this.#onBack(partition, isOlder) } }, '$')
    try {
      await this.#startAfter(partition)
    } catch (error) {
      this.#reader.release(key)
      throw error
    }
  }

  /** The reader's place is right behind what the bus has now: what that is must be known, for an entry to be missed. */
  async #startAfter (partition: number): Promise<void> {
    const latest = await this.#link.call('HGET', this.#keys.batches(partition), '#')
    const held = this.#partitions.get(partition)
    if (held !== undefined) held.sequence = Math.max(held.sequence, Number(String(latest ?? 0)))
  }

  #onEntry (partition: number, fields: readonly Buffer[]): void {
    const held = this.#partitions.get(partition)
    if (held === undefined) return
    const sequence = Number(String(fields[SEQUENCE]))
    // 0: what the bus had when this began is not known yet.
    const isNext = held.sequence === 0 || sequence === held.sequence + 1
    held.readAt = this.#clock.monotonic()
    try {
      const listener = this.#listeners.get(String(fields[VALUE_OF_KIND]))
      if (listener === undefined || !Number.isSafeInteger(sequence)) throw new Error(`an entry of the bus that this version does not know: ${fields.slice(0, REST).join(' ')}`)
      listener.onEntry(partition, String(fields[NODE]), fields.slice(REST))
    } catch (error) {
      this.#park(partition, fields, error)
    }
    held.sequence = Number.isSafeInteger(sequence) ? sequence : 0
    // After the entry: what it brings need not be asked for.
    if (!isNext) this.#onLost(partition)
  }

  /** The stream was lost with its group, or entries of it before they were read. */
  #onStreamLost (partition: number): void {
    const held = this.#partitions.get(partition)
    if (held === undefined) return
    held.sequence = 0
    this.#startAfter(partition).catch(() => { /* Redis has gone again, and with it what was read. */ })
    this.#onLost(partition)
  }

  #onBack (partition: number, isOlder: boolean): void {
    const held = this.#partitions.get(partition)
    if (held === undefined) return
    // What came meanwhile is on its way.
    held.readAt = this.#clock.monotonic()
    // The numbers behind it will be given once more.
    if (isOlder) held.sequence = 0
    // Of one master of a cluster nothing else tells that it is another one.
    if (isOlder || this.#link.isCluster) this.#onLost(partition)
  }

  #onLost (partition: number): void {
    for (const listener of this.#listeners.values()) listener.onLost(partition)
  }

  /** Trying again would not help: it is the same entry. */
  #park (partition: number, fields: readonly Buffer[], error: unknown): void {
    this.counters.parked++
    this.#onError(error)
    this.#link.call('XADD', this.#keys.parked(partition), 'MAXLEN', '~', MAX_PARKED, '*', ...fields, 'error', String(error)).catch(this.#onError)
    this.#onLost(partition)
  }
}
