import type { Clock, Timer } from '../core/ports.js'
import type { RedisLink } from './link.js'
import { ReadLoop } from './read-loop.js'

/** What comes of the streams that a node reads. */
export interface StreamListener {
  /** An entry: names and values of its fields in turns. In order, and each once. @param id `<milliseconds>-<number>` */
  onEntry (fields: readonly Buffer[], id: string): void
  /** Entries may have been lost before the next one. */
  onLost (): void
  /** The connection was lost, and is back: perhaps with another master. @param isOlder whether that lacks entries which were read here */
  onBack (isOlder: boolean): void
}

/** What the reader tells of itself. */
export interface ReaderReport {
  /** Entries that were gone before they were read: trimmed, or lost with the stream. */
  onTrimmed (key: string, count: number): void
  /** A listener failed with an entry, which is not read again. */
  onFailure (key: string, fields: readonly Buffer[], error: unknown): void
  /** Redis does not let it read. */
  onRefused (why: Error): void
}

/** For how long a stream that nobody here needs is read all the same: rooms come and go. */
const LINGER_MS = 30_000

interface Held {
  holders: number
  readonly loop: ReadLoop
  /** Until there is a group. */
  readonly begun: Promise<void>
  /** Monotonic milliseconds since when nobody needs it. */
  idleSince: number
}

/**
 * Reads streams through a consumer group of this node's own, so that every node reads everything (a group that nodes share
 * would divide it among them): XREADGROUP on connections of its own, XACK a moment after the listener has had an entry, for many
 * at once, and after a lost connection what was not acknowledged, once more.
 */
export class StreamReader {
  readonly #link: RedisLink
  readonly #group: string
  readonly #report: ReaderReport
  readonly #clock: Clock
  readonly #held = new Map<string, Held>()
  readonly #loops = new Set<ReadLoop>()
  #sweeper: Timer | null = null

  /** @param group name of the consumer group: the id of the node */
  constructor (link: RedisLink, group: string, clock: Clock, report: ReaderReport) {
    this.#link = link
    this.#group = group
    this.#clock = clock
    this.#report = report
  }

  /** Streams that are read. */
  get size (): number { return this.#held.size }

  /** When the last answer came of the connection that is waiting longest: monotonic milliseconds, Infinity when none is. */
  get heardAt (): number { return Math.min(Infinity, ...[...this.#loops].map(({ heardAt }) => heardAt)) }

  /**
   * Reads a stream. Whoever holds it releases it as often.
   * @param from `'$'`: what comes later; `'0'`: also what is there
   * @returns when every entry from now on will come
   * @throws FST_HUB_BROKER_UNAVAILABLE; then it is not held (as a rejection)
   */
  async hold (key: string, listener: StreamListener, from: '$' | '0'): Promise<void> {
    let held = this.#held.get(key)
    if (held === undefined) {
      const loop = this.#loopFor()
      held = { holders: 0, loop, begun: loop.add(key, listener, from), idleSince: 0 }
      this.#held.set(key, held)
    }
    held.holders++
    try {
      await held.begun
    } catch (error) {
      if (this.#held.get(key) === held) this.#drop(key, held)
      throw error
    }
  }

  release (key: string): void {
    const held = this.#held.get(key)
    if (held === undefined || held.holders === 0 || --held.holders > 0) return
    held.idleSince = this.#clock.monotonic()
    this.#sweeper ??= this.#clock.every(LINGER_MS / 4, () => { this.#sweep() })
  }

  /** Stops reading a stream at once, whoever holds it. */
  drop (key: string): void {
    const held = this.#held.get(key)
    if (held !== undefined) this.#drop(key, held)
  }

  /** Nothing comes although it should: its connections are made anew. */
  reconnect (): void { for (const loop of this.#loops) loop.reconnect() }

  async close (): Promise<void> {
    this.#sweeper?.cancel()
    this.#sweeper = null
    this.#held.clear()
    await Promise.all([...this.#loops].map(async (loop) => { await loop.close() }))
    this.#loops.clear()
  }

  /** One for all; but on a Redis Cluster a command cannot span slots. */
  #loopFor (): ReadLoop {
    const [shared] = this.#loops
    if (shared !== undefined && !this.#link.isCluster) return shared
    const loop = new ReadLoop(this.#link, this.#group, this.#clock, this.#report)
    this.#loops.add(loop)
    return loop
  }

  #sweep (): void {
    const before = this.#clock.monotonic() - LINGER_MS
    let idle = 0
    for (const [key, held] of this.#held) {
      if (held.holders > 0) continue
      if (held.idleSince > before) idle++
      else this.#drop(key, held)
    }
    if (idle > 0) return
    this.#sweeper?.cancel()
    this.#sweeper = null
  }

  #drop (key: string, { loop }: Held): void {
    this.#held.delete(key)
    loop.remove(key)
    if (!this.#link.isCluster) return
    this.#loops.delete(loop)
    loop.close().catch(() => { /* Its connection has gone already. */ })
  }
}
