import { randomUUID } from 'node:crypto'
import type { Broker, BrokerListener, Clock, FanOut, PublicationOptions, Timer } from '../core/ports.js'
import type { StreamPosition } from '../core/types.js'
import type { Payload } from '../protocol/frame.js'

/** How long a room without subscribers keeps its position after its last publication or subscriber. */
export const POSITION_TTL_MS = 5 * 60_000

/** How often rooms are looked through for that. */
const SWEEP_MS = 60_000

interface RoomLog {
  readonly epoch: string
  offset: number
  readonly subscribers: Set<BrokerListener>
  /** Monotonic milliseconds: when it was last published to, asked for, subscribed to or left. */
  lastUsed: number
}

const NOTHING: FanOut = { sent: 0, queued: 0, dropped: 0, rejected: 0 }

/**
 * What the hubs of one process share: the order of each room. Publications are fanned out inside `publish`; none are
 * retained, so a room's history is empty and only its position counts.
 */
export class MemoryBus {
  readonly #clock: Clock
  readonly #id = randomUUID()
  /** Rooms that were begun, ever. */
  #begun = 0
  readonly #rooms = new Map<string, RoomLog>()
  readonly #brokers = new Set<MemoryBroker>()
  #sweeper: Timer | null = null

  constructor (clock: Clock) {
    this.#clock = clock
  }

  /** Rooms whose position is known. */
  get rooms (): number { return this.#rooms.size }

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
      // A room that begins again after it was forgotten has lost its log: another epoch.
      room = { epoch: `${this.#id}-${++this.#begun}`, offset: 0, subscribers: new Set(), lastUsed: 0 }
      this.#rooms.set(name, room)
    }
    room.lastUsed = this.#clock.monotonic()
    return room
  }

  #sweep (): void {
    const before = this.#clock.monotonic() - POSITION_TTL_MS
    for (const [name, room] of this.#rooms) {
      if (room.subscribers.size === 0 && room.lastUsed <= before) this.#rooms.delete(name)
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

  async publish (room: string, payload: Payload, options: PublicationOptions): Promise<{ position: StreamPosition | null, local: FanOut }> {
    const ephemeral = options.ephemeral === true
    const log = ephemeral ? this.#bus.peek(room) : this.#bus.room(room)
    if (log === undefined) return { position: null, local: { ...NOTHING } }
    const offset = ephemeral ? 0 : ++log.offset
    const position = ephemeral ? null : positionOf(log)
    const publications = [{ offset, payload, options }]
    let local = NOTHING
    for (const subscriber of log.subscribers) {
      const counts = subscriber.onPublications(room, publications)
      if (subscriber === this.#listener) local = counts
    }
    return { position, local: { ...local } }
  }

  async history (room: string, since: StreamPosition | undefined): Promise<{ position: StreamPosition, publications: [], recovered: boolean }> {
    const position = positionOf(this.#bus.room(room))
    const recovered = since === undefined || (since.epoch === position.epoch && since.offset === position.offset)
    return { position, publications: [], recovered }
  }

  async close (): Promise<void> {
    this.#bus.detach(this, this.#listener)
  }
}

function positionOf ({ epoch, offset }: RoomLog): StreamPosition { return { epoch, offset } }
