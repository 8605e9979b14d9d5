import { randomBytes } from 'node:crypto'
import type { Clock, HistoryPolicy, Timer } from '../core/ports.js'
import type { StreamPosition } from '../core/types.js'
import { FST_HUB_BROKER_UNAVAILABLE } from '../errors.js'
import { isRefusal } from './failures.js'
import type { Keys } from './keys.js'
import type { Argument, RedisLink } from './link.js'
import type { Outgoing } from './outgoing.js'
import { encodeBatch, isEphemeral, type Section } from './publication-codec.js'
import { Script } from './script.js'

/** What a batch may hold: a script of more would keep Redis from everybody else for too long. */
const MAX_RECORDS = 512
const MAX_BATCH_BYTES = 256 * 1024
/** What may wait for Redis, of all rooms together; and as much of what is lost when it can not wait. */
const MAX_WAITING = 20_000
export const MAX_WAITING_BYTES = 32 * 1024 * 1024
/** Milliseconds: how often what waits is looked through, and between two tries with a Redis that says that it can not now. */
const LOOK_MS = 100

const publish = new Script('epoch-shared', 'publish')

/** What a node knows of a room, for a batch. */
export interface RoomTerms {
  /** Where it stood at least: when Redis has it before that, another epoch begins. Null: it is not known. */
  readonly known: StreamPosition | null
  readonly policy: HistoryPolicy
  /** Milliseconds for which its position is known after the last use; 0: no limit. */
  readonly lasting: number
}

interface Batch {
  readonly items: readonly Outgoing[]
  /** As publish.lua takes them. */
  readonly keys: readonly string[]
  readonly args: readonly Argument[]
  /** Those that get a position, room by room. */
  readonly groups: ReadonlyArray<readonly Outgoing[]>
}

/** What waits to be confirmed. */
interface Backlog { count: number, bytes: number }

/** The way to one bus: one batch at a time, so that calls take effect in their order, and what comes meanwhile is the next batch. */
interface Lane {
  readonly partition: number
  /** Of the latest batch: an id of a node is of one process, so there was none before. */
  number: number
  waiting: Outgoing[]
  batch: Batch | null
  /** Whether the batch is with Redis now. */
  isAsking: boolean
  /** Why the latest batch has to be sent again. */
  why: Error | null
}

export interface PublisherOptions {
  readonly keys: Keys
  readonly nodeId: string
  readonly clock: Clock
  /** Milliseconds after which a publication that Redis has not confirmed is rejected. */
  readonly timeout: number
  /** Entries that a bus keeps, about. */
  readonly busLength: number
  /** Asked when a batch leaves. */
  readonly termsOf: (room: string) => RoomTerms
  /** Redis has confirmed publications of one room: where the last one of its batch stands, and those, in order, for which somebody waits. */
  readonly onConfirmed: (room: string, position: StreamPosition, outgoing: readonly Outgoing[]) => void
}

/** Brings publications to Redis in batches: each once, also when an answer is lost. */
export class Publisher {
  readonly #link: RedisLink
  readonly #keys: Keys
  readonly #nodeId: string
  readonly #clock: Clock
  readonly #timeout: number
  readonly #busLength: number
  readonly #termsOf: PublisherOptions['termsOf']
  readonly #onConfirmed: PublisherOptions['onConfirmed']
  readonly #lanes = new Map<number, Lane>()
  /** Lanes with something to send, at the end of this turn. */
  readonly #dirty = new Set<Lane>()
  readonly #epochs = randomBytes(9).toString('base64url')
  #epoch = 0
  readonly #backlog: Backlog = { count: 0, bytes: 0 }
  readonly #ephemeral: Backlog = { count: 0, bytes: 0 }
  #looks: Timer | null = null
  #isClosed = false

  constructor (link: RedisLink, { keys, nodeId, clock, timeout, busLength, termsOf, onConfirmed }: PublisherOptions) {
    this.#link = link
    this.#keys = keys
    this.#nodeId = nodeId
    this.#clock = clock
    this.#timeout = timeout
    this.#busLength = busLength
    this.#termsOf = termsOf
    this.#onConfirmed = onConfirmed
    link.listen({ onReady: () => { this.#go(this.#lanes.values()) }, onAway: () => { this.#dropEphemeral() } })
  }

  /** Publications that are not confirmed yet. */
  get waiting (): number { return this.#backlog.count }

  /** The rest of an epoch that no room has had. */
  newEpoch (): string { return `${this.#epochs}${(this.#epoch++).toString(36)}` }

  /**
   * Publishes what takes an offset. It fails with FST_HUB_BROKER_UNAVAILABLE: Redis has refused it; or has not confirmed it in time, and
   * may have done it.
   */
  publish (outgoing: Outgoing): void {
    if (this.#isClosed) return outgoing.failed(new FST_HUB_BROKER_UNAVAILABLE('the hub has been closed'))
    if (isFull(this.#backlog, outgoing)) return outgoing.failed(new FST_HUB_BROKER_UNAVAILABLE(`${this.#backlog.count} publications wait for it already`))
    this.#add(outgoing)
  }

  /** Publishes what has no place in its room, and for which nobody waits: lost while Redis is away, or can not keep up. */
  send (outgoing: Outgoing): void {
    if (this.#link.isReady && !this.#isClosed && !isFull(this.#ephemeral, outgoing)) this.#add(outgoing)
  }

  close (): void {
    this.#isClosed = true
    this.#looks?.cancel()
    this.#looks = null
    for (const lane of this.#lanes.values()) {
      for (const item of [...lane.batch?.items ?? [], ...lane.waiting]) this.#reject(item, new FST_HUB_BROKER_UNAVAILABLE('the hub has been closed'))
      lane.batch = null
      lane.waiting = []
    }
  }

  #add (outgoing: Outgoing): void {
    const backlog = this.#backlogOf(outgoing)
    backlog.count++
    backlog.bytes += outgoing.record.length
    outgoing.deadline = this.#link.now + this.#timeout
    const lane = this.#laneOf(this.#keys.busOf(outgoing.room))
    lane.waiting.push(outgoing)
    this.#looks ??= this.#clock.every(LOOK_MS, () => { this.#look() })
    if (this.#dirty.size === 0) this.#clock.defer(() => { this.#flush() })
    this.#dirty.add(lane)
  }

  #backlogOf ({ record }: Outgoing): Backlog { return isEphemeral(record) ? this.#ephemeral : this.#backlog }

  #laneOf (partition: number): Lane {
    let lane = this.#lanes.get(partition)
    if (lane === undefined) this.#lanes.set(partition, lane = { partition, number: 0, waiting: [], batch: null, isAsking: false, why: null })
    return lane
  }

  #flush (): void {
    const dirty = [...this.#dirty]
    this.#dirty.clear()
    this.#go(dirty)
  }

  #go (lanes: Iterable<Lane>): void { for (const lane of lanes) this.#next(lane) }

  #next (lane: Lane): void {
    if (lane.isAsking || !this.#link.isReady || this.#isClosed || (lane.batch === null && lane.waiting.length === 0)) return
    const batch = lane.batch ??= this.#compose(lane)
    lane.isAsking = true
    this.#link.run(publish, batch.keys, batch.args).then(
      (reply) => {
        lane.isAsking = false
        lane.why = null
        if (lane.batch !== batch) return this.#next(lane)
        lane.batch = null
        // The next one leaves before those of this one are told.
        this.#next(lane)
        this.#confirm(batch, String(reply))
      },
      (error: Error) => {
        lane.isAsking = false
        if (lane.batch !== batch) return this.#next(lane)
        // It may have been done: the same number again, when Redis is there or at the next look, as long as somebody waits for it.
        if (!isRefusal(error)) {
          lane.why = error.cause instanceof Error ? error.cause : error
          return
        }
        // It was not done, and will not be.
        lane.batch = null
        for (const item of batch.items) this.#reject(item, error)
        this.#next(lane)
      }
    )
  }

  #compose (lane: Lane): Batch {
    let bytes = 0
    let count = 0
    for (const { record } of lane.waiting) {
      if (count === MAX_RECORDS || (count > 0 && bytes + record.length > MAX_BATCH_BYTES)) break
      bytes += record.length
      count++
    }
    const items = lane.waiting.splice(0, count)
    const byRoom = new Map<string, Outgoing[]>()
    for (const item of items) {
      const own = byRoom.get(item.room)
      if (own === undefined) byRoom.set(item.room, [item])
      else own.push(item)
    }
    const sections: Section[] = Array.from(byRoom, ([room, own]) => ({ room, records: own.map(({ record }) => record) }))
    const { bytes: encoded, places } = encodeBatch(sections)
    const keys = [this.#keys.bus(lane.partition), this.#keys.batches(lane.partition)]
    const args: Argument[] = [this.#nodeId, ++lane.number, this.#busLength, this.newEpoch(), encoded]
    const groups: Array<readonly Outgoing[]> = []
    for (const [i, [room, own]] of [...byRoom].entries()) {
      const lasting = own.filter(({ record }) => !isEphemeral(record))
      if (lasting.length === 0) continue
      groups.push(lasting)
      const { known, policy: { size, ttl, mode }, lasting: metaTtl } = this.#termsOf(room)
      keys.push(this.#keys.meta(room), this.#keys.log(room))
      args.push(known?.epoch ?? '', known?.offset ?? 0, lasting.length, mode === 'cache' ? Math.min(1, size) : size, ttl, metaTtl)
      if (size === 0) continue
      for (const [j, { record }] of own.entries()) {
        if (isEphemeral(record)) continue
        const of = places[i] as readonly number[]
        args.push(of[2 * j] as number + 1, of[2 * j + 1] as number)
      }
    }
    return { items, keys, args, groups }
  }

  #confirm ({ items, groups }: Batch, answer: string): void {
    const positions = answer.split(' ')
    for (const [i, group] of groups.entries()) {
      const epoch = positions[2 * i] as string
      const last = Number(positions[2 * i + 1])
      let offset = last - group.length
      const waitedFor: Outgoing[] = []
      for (const outgoing of group) {
        outgoing.confirmed(epoch, ++offset)
        if (this.#answered(outgoing)) waitedFor.push(outgoing)
      }
      this.#onConfirmed((group[0] as Outgoing).room, { epoch, offset: last }, waitedFor)
    }
    // Those without a place.
    for (const item of items) this.#answered(item)
  }

  #look (): void {
    const { now } = this.#link
    for (const lane of this.#lanes.values()) {
      const late = lane.waiting.filter(({ deadline }) => deadline <= now)
      if (late.length > 0) lane.waiting = lane.waiting.filter(({ deadline }) => deadline > now)
      const lateInBatch = lane.batch?.items.filter(({ deadline }) => deadline <= now) ?? []
      late.push(...lateInBatch)
      // As long as somebody waits for it, it is tried again.
      if (lateInBatch.length === lane.batch?.items.length) lane.batch = null
      if (late.length === 0) continue
      // One for all: with its trace, an error is most of what 20,000 of them take of this turn.
      const error = new FST_HUB_BROKER_UNAVAILABLE(`the publication was not confirmed within ${this.#timeout} ms: ${this.#link.isReady ? lane.why?.message ?? 'Redis did not answer' : this.#link.why.message}`)
      for (const item of late) this.#reject(item, error)
    }
    this.#go(this.#lanes.values())
    if (this.#backlog.count > 0) return
    for (const { waiting, batch } of this.#lanes.values()) if (waiting.length > 0 || batch !== null) return
    this.#looks?.cancel()
    this.#looks = null
  }

  #dropEphemeral (): void {
    for (const lane of this.#lanes.values()) lane.waiting = lane.waiting.filter((outgoing) => !isEphemeral(outgoing.record) || !this.#answered(outgoing))
  }

  #reject (outgoing: Outgoing, error: Error): void {
    if (this.#answered(outgoing)) outgoing.failed(error)
  }

  /** @returns whether it was not before */
  #answered (outgoing: Outgoing): boolean {
    if (outgoing.isAnswered) return false
    outgoing.isAnswered = true
    const backlog = this.#backlogOf(outgoing)
    backlog.count--
    backlog.bytes -= outgoing.record.length
    return true
  }
}

function isFull ({ count, bytes }: Backlog, { record }: Outgoing): boolean { return count >= MAX_WAITING || bytes + record.length > MAX_WAITING_BYTES }
