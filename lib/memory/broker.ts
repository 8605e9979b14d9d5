import { randomUUID } from 'node:crypto'
import { noFanOut } from '../core/fan-out.js'
import { keep } from '../core/keep.js'
import type { Broker, BrokerListener, Clock, FanOut, HistoryPolicyOf, Publication, PublicationOptions, Timer } from '../core/ports.js'
import type { PublishResult, StreamPosition } from '../core/types.js'
import type { Payload } from '../protocol/frame.js'
import { HistoryLog } from './history-log.js'

/** How long a room without history and subscribers keeps its position after its last publication, question or subscriber. */
export const POSITION_TTL_MS = 5 * 60_000

/** The same for a room with history: whoever comes back to a quiet room a day later has missed nothing. */
export const HISTORY_POSITION_TTL_MS = 24 * 3_600_000

/** How often rooms are looked through for that, and for publications that are too old. */
const SWEEP_MS = 60_000

interface RoomLog {
  readonly epoch: string
  offset: number
  readonly subscribers: Set<BrokerListener>
  /** Null where the policy is to keep nothing. */
  readonly history: HistoryLog | null
  /** Monotonic milliseconds: when it was last published to, asked for, subscribed to or left. That is now, for whoever does it. */
  lastUsed: number
}

/** What the hubs of one process share: the order of each room, and its history. Publications are fanned out inside `publish`. */
export class MemoryBus {
  readonly #clock: Clock
  readonly #policyOf: HistoryPolicyOf
  readonly #id = randomUUID()
  /** Rooms that were begun, ever. */
  #begun = 0
  readonly #rooms = new Map<string, RoomLog>()
  readonly #brokers = new Set<MemoryBroker>()
  #sweeper: Timer | null = null

  /** @param policyOf what is kept of a room; asked once, when the room begins */
  constructor (clock: Clock, policyOf: HistoryPolicyOf) {
    this.#clock = clock
    this.#policyOf = policyOf
  }

  /** Rooms whose position is known. */
  get rooms (): number { return this.#rooms.size }

  /** Publications that are held, some of which may have been too old since the last sweep. */
  get publications (): number {
    let count = 0
    for (const { history } of this.#rooms.values()) count += history?.size ?? 0
    return count
  }

  attach (broker: MemoryBroker): void {
    this.#brokers.add(broker)
    this.#sweeper ??= this.#clock.every(SWEEP_MS, () => { this.#sweep() })
  }

  detach (broker: MemoryBroker, listener: BrokerListener): void {
    this.#brokers.delete(broker)
    for (const room of this.#rooms.values()) room.subscribers.delete(listener)
    if (this.#brokers.size > 0) return
    this.#sweeper?.cancel()
    this.#sweeper = null
  }

  /** What is known of a room, without beginning anything. */
  peek (name: string): RoomLog | undefined { return this.#rooms.get(name) }

  room (name: string): RoomLog {
    let room = this.#rooms.get(name)
    if (room === undefined) {
      const policy = this.#policyOf(name)
      // A room that begins again after it was forgotten has lost its log: another epoch.
      room = { epoch: `${this.#id}-${++this.#begun}`, offset: 0, subscribers: new Set(), history: policy.size > 0 ? new HistoryLog(policy) : null, lastUsed: 0 }
      this.#rooms.set(name, room)
    }
    room.lastUsed = this.#clock.monotonic()
    return room
  }

  #sweep (): void {
    const now = this.#clock.monotonic()
    for (const [name, { history, subscribers, lastUsed }] of this.#rooms) {
      history?.expire(now)
      if (subscribers.size > 0 || (history?.size ?? 0) > 0) continue
      if (lastUsed + (history === null ? POSITION_TTL_MS : HISTORY_POSITION_TTL_MS) <= now) this.#rooms.delete(name)
    }
  }
}

/** The broker of one hub on a MemoryBus. */
export class MemoryBroker implements Broker {
  readonly #bus: MemoryBus
  readonly #listener: BrokerListener

  constructor (bus: MemoryBus, listener: BrokerListener) {
    this.#bus = bus
    this.#listener = listener
    bus.attach(this)
  }

  async subscribe (room: string): Promise<StreamPosition> {
    const log = this.#bus.room(room)
    log.subscribers.add(this.#listener)
    return positionOf(log)
  }

  async unsubscribe (room: string): Promise<void> {
    if (this.#bus.peek(room)?.subscribers.delete(this.#listener) === true) this.#bus.room(room)
  }

  async publish (room: string, payload: Payload, options: PublicationOptions): Promise<PublishResult> {
    const ephemeral = options.ephemeral === true
    const log = ephemeral ? this.#bus.peek(room) : this.#bus.room(room)
    if (log === undefined) return noFanOut()
    const offset = ephemeral ? 0 : ++log.offset
    let publication: Publication = { offset, payload, options }
    if (!ephemeral && log.history !== null) publication = retain(log.history, publication, log.lastUsed)
    const publications = [publication]
    let local: FanOut | null = null
    for (const subscriber of log.subscribers) {
      const counts = subscriber.onPublications(room, publications)
      if (subscriber === this.#listener) local = counts
    }
    const { sent, queued, dropped, rejected } = local ?? noFanOut()
    return ephemeral ? { sent, queued, dropped, rejected } : { epoch: log.epoch, offset, sent, queued, dropped, rejected }
  }

  async history (room: string, since: StreamPosition | undefined, limit: number): Promise<{ position: StreamPosition, publications: readonly Publication[], recovered: boolean }> {
    const log = this.#bus.room(room)
    log.history?.expire(log.lastUsed)
    const publications = since === undefined ? log.history?.all(limit) ?? [] : missed(log, since, limit)
    return { position: positionOf(log), publications: publications ?? [], recovered: publications !== null }
  }

  async close (): Promise<void> {
    this.#bus.detach(this, this.#listener)
  }
}

function positionOf ({ epoch, offset }: RoomLog): StreamPosition { return { epoch, offset } }

/** Null when they are not all there. */
function missed ({ epoch, offset, history }: RoomLog, since: StreamPosition, limit: number): Publication[] | null {
  if (since.epoch !== epoch || since.offset > offset) return null
  if (history !== null) return history.after(since.offset, limit)
  return since.offset === offset ? [] : null
}

/**
 * Keeps a publication.
 * @returns the one that goes to the members. It is the kept one, so that both have one encoding; but a message of a peer
 *   goes on as it came, because its bytes are a frame already
 */
function retain (history: HistoryLog, publication: Publication, now: number): Publication {
  const payload = keep(publication.payload)
  const kept = payload === publication.payload ? publication : { ...publication, payload }
  history.add(kept, now)
  return publication.payload instanceof Uint8Array ? kept : publication
}
