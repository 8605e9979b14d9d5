import type { Clock, PresenceListener } from '../core/ports.js'
import type { PresenceRooms } from '../core/presence-rooms.js'
import type { Bus } from './bus.js'
import { readEntry, type PresenceChange } from './presence-codec.js'
import type { Due, PresenceLane, Step } from './presence-lane.js'
import type { PresenceSnapshot } from './presence-snapshot.js'
import { Rota, type InTurn } from './rota.js'
import { Turns } from './turns.js'

/** What the mirrors of a node need of it. */
export interface MirrorsHost {
  partitionOf (room: string): number
  /** The partition whose bus that of this one is. */
  busAt (partition: number): number
  laneOf (room: string): PresenceLane
  /** Asks Redis for all of a room. @throws FST_HUB_BROKER_UNAVAILABLE (as a rejection) */
  read (room: string): Promise<PresenceSnapshot>
}

/** A room that this node watches. */
class Mirror implements Due, InTurn {
  readonly room: string
  readonly partition: number
  slot = 0
  /** Until it is as the room is. */
  begun: Promise<void> = Promise.resolve()
  /** Whether its bus is held for it. */
  isHeld = false
  /** Whether there was a snapshot. */
  isFilled = false
  isOver = false
  /** Whether nobody will watch this room here again. */
  isLast = false
  /** Number of the entry of the bus up to which a snapshot has told everything. */
  number = 0
  /** What came while a snapshot was asked for; null: none is. */
  waiting: Array<{ number: number, change: PresenceChange }> | null = null
  /** From when on Redis is to be asked again, and from when on it is to be believed that somebody is not there. Monotonic milliseconds. */
  staleAt = Infinity
  completeAt = -Infinity
  /** Whether Redis may have been told that it is watched, and may have answered that it had forgotten. */
  isUnsure = false
  /** Whether that answer has to come before a snapshot: from one of a Redis that has forgotten nobody is missing. */
  isAsking = false
  readonly #onDone: (mirror: Mirror, isNew: boolean) => void

  constructor (room: string, partition: number, onDone: (mirror: Mirror, isNew: boolean) => void) {
    this.room = room
    this.partition = partition
    this.#onDone = onDone
  }

  step (): Step | null {
    if (this.isOver && !this.isLast) return null
    return { kind: this.isLast ? 'unwatch' : 'watch', room: this.room }
  }

  done (isNew: boolean): void {
    const isUnsure = this.isUnsure
    this.isUnsure = this.isAsking = false
    this.#onDone(this, isNew || isUnsure)
  }

  failed (): void { this.isUnsure = true }
}

/**
 * The rooms that this node watches, as Redis has them: a snapshot, and then what the bus tells. Of each, Redis is told again and
 * again that it is watched, or nobody would write to the bus what happens there.
 */
export class PresenceMirrors {
  readonly #host: MirrorsHost
  readonly #bus: Bus
  readonly #clock: Clock
  readonly #rooms: PresenceRooms
  readonly #listener: PresenceListener
  readonly #renewal: number
  readonly #mirrors = new Map<string, Mirror>()
  readonly #rota: Rota<Mirror>
  readonly #turns = new Turns()
  /** By partition, those that are to be read: one after the other. */
  readonly #stale = new Map<number, Set<Mirror>>()

  /** @param renewal milliseconds within which every node renews what is there @param turns in how many parts that is done */
  constructor (host: MirrorsHost, bus: Bus, clock: Clock, rooms: PresenceRooms, listener: PresenceListener, renewal: number, turns: number) {
    this.#host = host
    this.#bus = bus
    this.#clock = clock
    this.#rooms = rooms
    this.#listener = listener
    this.#renewal = renewal
    this.#rota = new Rota(turns)
  }

  /** Rooms that are watched. */
  get size (): number { return this.#mirrors.size }

  /** @throws FST_HUB_BROKER_UNAVAILABLE; then it is not watched (as a rejection) */
  async watch (room: string): Promise<void> {
    let mirror = this.#mirrors.get(room)
    if (mirror === undefined) {
      mirror = new Mirror(room, this.#host.partitionOf(room), (mirror, isNew) => { this.#renewed(mirror, isNew) })
      this.#mirrors.set(room, mirror)
      mirror.begun = this.#begin(mirror)
    }
    await mirror.begun
  }

  /** Nothing is told from now on. Redis forgets by itself who watches, should it not be told. */
  async unwatch (room: string): Promise<void> {
    const mirror = this.#mirrors.get(room)
    if (mirror === undefined) return
    this.#end(mirror)
    await this.#host.laneOf(room).push({ kind: 'unwatch', room }).catch(() => {})
  }

  /** Nothing is watched any more, and that is due. */
  unwatchAll (): void {
    for (const mirror of this.#mirrors.values()) {
      this.#end(mirror)
      mirror.isLast = true
      this.#host.laneOf(mirror.room).add(mirror)
    }
  }

  /** Those whose turn it is are due, and Redis is asked where it has to be asked again. */
  renewSome (): void {
    for (const mirror of this.#rota.next()) this.#host.laneOf(mirror.room).add(mirror)
    for (const mirror of this.#mirrors.values()) this.#readIfStale(mirror)
  }

  /** All are due, or those of one bus, and are read again then: nobody knows what has happened. */
  renewAll (bus?: number): void {
    for (const mirror of this.#mirrors.values()) {
      if (bus !== undefined && this.#host.busAt(mirror.partition) !== bus) continue
      mirror.staleAt = this.#clock.monotonic()
      mirror.isAsking = true
      this.#host.laneOf(mirror.room).add(mirror)
    }
  }

  /** @throws Error for an entry that cannot be read: then it is lost */
  onEntry (fields: readonly Buffer[]): void {
    if (this.#mirrors.size === 0) return
    const { number, changes } = readEntry(fields)
    for (const change of changes) {
      const mirror = this.#mirrors.get(change.room)
      if (mirror === undefined || !mirror.isHeld) continue
      if (mirror.waiting === null) this.#apply(mirror, number, change)
      else mirror.waiting.push({ number, change })
    }
  }

  async #begin (mirror: Mirror): Promise<void> {
    try {
      await this.#bus.hold(this.#host.busAt(mirror.partition))
      if (mirror.isOver) {
        this.#bus.release(this.#host.busAt(mirror.partition))
        return
      }
      mirror.isHeld = true
      // Before the snapshot: what changes after it is told.
      await this.#host.laneOf(mirror.room).push({ kind: 'watch', room: mirror.room })
      await this.#read(mirror)
      mirror.isFilled = true
      if (!mirror.isOver) this.#rota.add(mirror, this.#rota.start(), 0)
    } catch (error) {
      this.#end(mirror)
      throw error
    }
  }

  #end (mirror: Mirror): void {
    if (mirror.isOver) return
    mirror.isOver = true
    this.#mirrors.delete(mirror.room)
    this.#rota.delete(mirror)
    this.#rooms.forget(mirror.room)
    this.#host.laneOf(mirror.room).remove(mirror)
    if (mirror.isHeld) this.#bus.release(this.#host.busAt(mirror.partition))
  }

  #renewed (mirror: Mirror, isNew: boolean): void {
    if (mirror.isOver) return
    if (isNew) {
      mirror.staleAt = this.#clock.monotonic()
      this.#doubt(mirror)
    }
    this.#readIfStale(mirror)
  }

  /** Redis has lost what it had, or this node was away for long. Who lives has entered again when a renewal has passed. */
  #doubt (mirror: Mirror): void { mirror.completeAt = this.#clock.monotonic() + this.#renewal }

  #readIfStale (mirror: Mirror): void {
    if (!this.#isStale(mirror)) return
    const { partition } = mirror
    const stale = this.#stale.get(partition)
    if (stale !== undefined) {
      stale.add(mirror)
      return
    }
    this.#stale.set(partition, new Set([mirror]))
    // What fails stays stale, and waits for the next renewal with the others.
    this.#readStale(partition).catch(() => {}).finally(() => { this.#stale.delete(partition) })
  }

  #isStale (mirror: Mirror): boolean { return mirror.staleAt <= this.#clock.monotonic() && !mirror.isAsking && mirror.waiting === null && mirror.isFilled && !mirror.isOver }

  /** There may be thousands: neither Redis nor the event loop is asked for all at once. */
  async #readStale (partition: number): Promise<void> {
    const stale = this.#stale.get(partition) ?? new Set()
    for (const mirror of stale) {
      stale.delete(mirror)
      await this.#turns.next()
      if (this.#isStale(mirror)) await this.#read(mirror)
    }
  }

  async #read (mirror: Mirror): Promise<void> {
    const waiting: NonNullable<Mirror['waiting']> = mirror.waiting = []
    const startedAt = this.#clock.monotonic()
    mirror.staleAt = Infinity
    try {
      const snapshot = await this.#host.read(mirror.room)
      if (mirror.isOver) return
      // It has lost the latest, if not all, and perhaps nobody has noticed yet.
      if (snapshot.number < mirror.number) this.#doubt(mirror)
      const isComplete = startedAt >= mirror.completeAt
      if (!isComplete) mirror.staleAt = Math.min(mirror.staleAt, mirror.completeAt)
      this.#replace(mirror, snapshot, isComplete)
    } catch (error) {
      mirror.staleAt = this.#clock.monotonic()
      throw error
    } finally {
      mirror.waiting = null
      if (!mirror.isOver) for (const { number, change } of waiting) this.#apply(mirror, number, change)
    }
  }

  #replace (mirror: Mirror, { number, members, states }: PresenceSnapshot, isComplete: boolean): void {
    const { now } = this.#rooms
    mirror.number = number
    this.#rooms.begin(mirror.room, (room) => {
      room.replace(members, states.map(({ user, key, ttl }) => ({ user, key, end: now + ttl })), !isComplete)
      // The first time, what is there already is no change.
      room.watch(this.#listener)
    })
  }

  /** Repeating it is harmless. */
  #apply ({ number: known }: Mirror, number: number, change: PresenceChange): void {
    if (number <= known) return
    const { now } = this.#rooms
    this.#rooms.change(change.room, (room) => {
      switch (change.kind) {
        case 'enter': return room.enter(change.user, change.connectionId)
        case 'leave': return room.leave(change.user, change.connectionId)
        case 'state': return room.setState(change.user, change.key, now + change.ttl)
        case 'end': return room.endState(change.user, change.key)
      }
    })
  }
}
