import { randomBytes } from 'node:crypto'
import type { Clock, HistoryPolicy, Timer } from '../core/ports.js'
import type { StreamPosition } from '../core/types.js'
import { FST_HUB_BROKER_UNAVAILABLE } from '../errors.js'
import type { Keys } from './keys.js'
import { isRefusal, type Argument, type RedisLink } from './link.js'
import type { Outgoing } from './outgoing.js'
import type { Standing } from './positions.js'
import { encodeBatch, isEphemeral, type Section } from './publication-codec.js'
import { Script } from './script.js'

/** What a batch may hold: a script of more would keep Redis from everybody else for too long. */
const MAX_RECORDS = 512
const MAX_BATCH_BYTES = 256 * 1024
/** What may wait while Redis is away, of all rooms together. */
const MAX_WAITING = 20_000
const MAX_WAITING_BYTES = 32 * 1024 * 1024
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
  readonly bytes: number
  /** As publish.lua takes them: of the batch, and of its rooms. */
  readonly keys: readonly string[]
  readonly head: readonly Argument[]
  readonly rooms: readonly Argument[]
  /** Those that get a position, room by room. */
  readonly groups: ReadonlyArray<readonly Outgoing[]>
}

/** The way to one partition: one batch at a time, so that calls take effect in their order, and what comes meanwhile is the next batch. */
interface Lane {
  readonly partition: number
  /** Of the latest batch: an id of a node is of one process, so there was none before. */
  number: number
  waiting: Outgoing[]
  batch: Batch | null
  /** Whether the batch is with Redis now. */
  isAsking: boolean
}

export interface PublisherOptions {
  readonly keys: Keys
  readonly nodeId: string
  readonly clock: Clock
  /** Milliseconds after which a publication that Redis has not confirmed is rejected. */
  readonly timeout: number
  /** Entries that a partition of the bus keeps, about. */
  readonly busLength: number
  /** Asked when a batch leaves. */
  readonly termsOf: (room: string) => RoomTerms
  /** Redis has confirmed publications of one room: where the last one of its batch stands, and those, in order, for which somebody waits. */
  readonly onConfirmed: (room: string, standing: Standing, outgoing: readonly Outgoing[]) => void
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
  #waiting = 0
  #waitingBytes = 0
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
  get waiting (): number { return this.#waiting }

  /** The rest of an epoch that no room has had. */
  newEpoch (): string { return `${this.#epochs}${(this.#epoch++).toString(36)}` }

  /**
   * Publishes what takes an offset. It fails with FST_HUB_BROKER_UNAVAILABLE: Redis has refused it; or has not confirmed it in time, and
   * may have done it.
   */
  publish (outgoing: Outgoing): void {
    if (this.#isClosed) return outgoing.failed(new FST_HUB_BROKER_UNAVAILABLE('the hub has been closed'))
    const { length } = outgoing.record
    if (this.#waiting >= MAX_WAITING || this.#waitingBytes + length > MAX_WAITING_BYTES) return outgoing.failed(new FST_HUB_BROKER_UNAVAILABLE(`${this.#waiting} publications wait for it already`))
    this.#waiting++
    this.#waitingBytes += length
    this.#add(outgoing)
  }

  /** Publishes what has no place in its room, and for which nobody waits: lost while Redis is away. */
  send (outgoing: Outgoing): void {
    outgoing.isAnswered = true
    if (this.#link.isReady && !this.#isClosed) this.#add(outgoing)
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
    outgoing.deadline = this.#link.now + this.#timeout
    const lane = this.#laneOf(this.#keys.partitionOf(outgoing.room))
    lane.waiting.push(outgoing)
    this.#looks ??= this.#clock.every(LOOK_MS, () => { this.#look() })
    if (this.#dirty.size === 0) this.#clock.defer(() => { this.#flush() })
    this.#dirty.add(lane)
  }

  #laneOf (partition: number): Lane {
    let lane = this.#lanes.get(partition)
    if (lane === undefined) this.#lanes.set(partition, lane = { partition, number: 0, waiting: [], batch: null, isAsking: false })
    return lane
  }

  #flush (): void {
    const dirty = [...this.#dirty]
    this.#dirty.clear()
    this.#go(dirty)
  }

  /** Redis answers blocked readers behind a script: what of several partitions goes in one is read at once. On a Redis Cluster it cannot. */
  #go (lanes: Iterable<Lane>): void {
    if (!this.#link.isReady || this.#isClosed) return
    let together: Lane[] = []
    let records = 0
    let bytes = 0
    for (const lane of lanes) {
      if (lane.isAsking || (lane.batch === null && lane.waiting.length === 0)) continue
      const batch = lane.batch ??= this.#compose(lane)
      if (together.length > 0 && (this.#link.isCluster || records + batch.items.length > MAX_RECORDS || bytes + batch.bytes > MAX_BATCH_BYTES)) {
        this.#ask(together)
        together = []
        records = bytes = 0
      }
      together.push(lane)
      records += batch.items.length
      bytes += batch.bytes
    }
    if (together.length > 0) this.#ask(together)
  }

  #ask (lanes: readonly Lane[]): void {
    const batches = lanes.map(({ batch }) => batch as Batch)
    for (const lane of lanes) lane.isAsking = true
    const args = [this.#nodeId, this.#busLength, this.newEpoch(), lanes.length, ...batches.flatMap(({ head }) => head), ...batches.flatMap(({ rooms }) => rooms)]
    const isAsked = (lane: Lane, i: number): boolean => lane.batch === batches[i]
    this.#link.run(publish, batches.flatMap(({ keys }) => keys), args).then(
      (replies) => {
        const isWaitedFor = lanes.map(isAsked)
        for (const [i, lane] of lanes.entries()) {
          lane.isAsking = false
          if (isWaitedFor[i] === true) lane.batch = null
        }
        // The next ones leave before the promises of these are handled.
        this.#go(lanes)
        for (const [i, batch] of batches.entries()) if (isWaitedFor[i] === true) this.#confirm(batch, String((replies as readonly Buffer[])[i]))
      },
      (error: Error) => {
        for (const lane of lanes) lane.isAsking = false
        const asked = lanes.filter(isAsked)
        // It may have been done: the same number again, when Redis is there or at the next look, as long as somebody waits for it.
        if (isRefusal(error)) this.#refused(asked, error)
        this.#go(lanes.filter((lane) => !asked.includes(lane)))
      }
    )
  }

  #refused (lanes: readonly Lane[], error: Error): void {
    if (lanes.length > 1) {
      // Not all of it, perhaps: each says for itself.
      for (const lane of lanes) this.#ask([lane])
      return
    }
    for (const lane of lanes) {
      // It was not done, and will not be.
      const { items } = lane.batch as Batch
      lane.batch = null
      for (const item of items) this.#reject(item, error)
    }
    this.#go(lanes)
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
    const rooms: Argument[] = []
    const groups: Array<readonly Outgoing[]> = []
    for (const [i, [room, own]] of [...byRoom].entries()) {
      const lasting = own.filter(({ record }) => !isEphemeral(record))
      if (lasting.length === 0) continue
      groups.push(lasting)
      const { known, policy: { size, ttl, mode }, lasting: metaTtl } = this.#termsOf(room)
      keys.push(this.#keys.meta(room), this.#keys.log(room))
      rooms.push(known?.epoch ?? '', known?.offset ?? 0, lasting.length, mode === 'cache' ? Math.min(1, size) : size, ttl, metaTtl)
      if (size === 0) continue
      for (const [j, { record }] of own.entries()) {
        if (isEphemeral(record)) continue
        const of = places[i] as readonly number[]
        rooms.push(of[2 * j] as number + 1, of[2 * j + 1] as number)
      }
    }
    return { items, bytes, keys, head: [++lane.number, encoded, groups.length], rooms, groups }
  }

  #confirm ({ groups }: Batch, answer: string): void {
    const [number, ...positions] = answer.split(' ')
    const sequence = Number(number)
    for (const [i, group] of groups.entries()) {
      const epoch = positions[2 * i] as string
      const last = Number(positions[2 * i + 1])
      let offset = last - group.length
      const waitedFor: Outgoing[] = []
      for (const outgoing of group) {
        outgoing.confirmed(epoch, ++offset)
        if (this.#answered(outgoing)) waitedFor.push(outgoing)
      }
      this.#onConfirmed((group[0] as Outgoing).room, { position: { epoch, offset: last }, sequence }, waitedFor)
    }
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
      for (const item of late) this.#reject(item, new FST_HUB_BROKER_UNAVAILABLE(`the publication was not confirmed within ${this.#timeout} ms: ${this.#link.isReady ? 'Redis did not answer' : this.#link.why.message}`))
    }
    this.#go(this.#lanes.values())
    if (this.#waiting > 0) return
    for (const { waiting, batch } of this.#lanes.values()) if (waiting.length > 0 || batch !== null) return
    this.#looks?.cancel()
    this.#looks = null
  }

  #dropEphemeral (): void {
    for (const lane of this.#lanes.values()) lane.waiting = lane.waiting.filter(({ record }) => !isEphemeral(record))
  }

  #reject (outgoing: Outgoing, error: Error): void {
    if (this.#answered(outgoing)) outgoing.failed(error)
  }

  /** @returns whether somebody waited for that */
  #answered (outgoing: Outgoing): boolean {
    if (outgoing.isAnswered) return false
    outgoing.isAnswered = true
    this.#waiting--
    this.#waitingBytes -= outgoing.record.length
    return true
  }
}
