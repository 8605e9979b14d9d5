import type { Clock, Presence, PresenceListener, Timer } from '../core/ports.js'
import { PresenceRooms } from '../core/presence-rooms.js'
import type { Bus, BusListener } from './bus.js'
import { Contact } from './contact.js'
import type { Keys } from './keys.js'
import type { RedisLink } from './link.js'
import { pack } from './presence-codec.js'
import { PresenceLane } from './presence-lane.js'
import { PresenceMembers, type MembersHost } from './presence-members.js'
import { PresenceMirrors, type MirrorsHost } from './presence-mirrors.js'
import { PresenceQuestions } from './presence-questions.js'
import { readRoom, type Part, type PresenceSnapshot } from './presence-snapshot.js'
import { Turns } from './turns.js'

/** In how many parts is done what has to be done within a renewal. */
const TURNS = 30
/** In so many turns this node says once that it lives, by partition: by that it also learns that Redis has lost its data. */
const LIFE_TURNS = 5
/** Renewals within which everybody is entered again, against what Redis may have lost without telling. */
const ROUND = 10

const ALL: ReadonlySet<Part> = new Set(['members', 'states'])

/** Who is in a room, and what they are doing. One for all who ask at once, be it thousands. */
interface Answer {
  readonly users: ReadonlyArray<{ user: string, connections: number }>
  readonly states: ReadonlyArray<{ user: string, key: string }>
}

/** What a RedisPresence is made of. All nodes have the same times. */
export interface RedisPresenceOptions {
  readonly nodeId: string
  readonly link: RedisLink
  readonly bus: Bus
  readonly keys: Keys
  readonly clock: Clock
  /** Milliseconds between two diffs of a room. */
  readonly interval: number
  /** Milliseconds after which a node that has not said that it lives is dead. */
  readonly ttl: number
  /** Milliseconds within which it does, and within which Redis is told once what this node watches. A third of `ttl`, so that two may fail. */
  readonly renewal: number
  /** Entries of the bus of a partition, about as many as are kept (XADD MAXLEN ~). */
  readonly busLength: number
}

/**
 * Presence on Redis. Everybody in a room is there for as long as its node lives, which that renews; who watches a room has a mirror
 * of it, which the bus keeps up to date. What Redis could not be told while it was away it is told later.
 */
export class RedisPresence implements Presence, BusListener, MembersHost, MirrorsHost {
  readonly #options: RedisPresenceOptions
  readonly #listener: PresenceListener
  readonly #rooms: PresenceRooms
  readonly #lanes: readonly PresenceLane[]
  readonly #members: PresenceMembers
  readonly #mirrors: PresenceMirrors
  readonly #questions: PresenceQuestions<Answer>
  readonly #timer: Timer
  #turn = 0
  #isClosed = false

  /** It listens to the bus and to the link, which are the caller's to end after it. */
  constructor (options: RedisPresenceOptions, listener: PresenceListener) {
    const { link, bus, keys, clock, interval, ttl, renewal } = options
    this.#options = options
    this.#listener = listener
    this.#rooms = new PresenceRooms(clock, interval)
    const laneOptions = { ...options, kept: 2 * (ROUND * renewal + ttl), contact: new Contact(renewal), turns: new Turns() }
    this.#lanes = Array.from({ length: keys.partitions }, (_, partition) => new PresenceLane(link, keys, partition, laneOptions, (lane) => { this.#members.renewAll(new Set([lane])) }))
    this.#members = new PresenceMembers(this, ROUND * TURNS)
    this.#mirrors = new PresenceMirrors(this, bus, clock, this.#rooms, listener, renewal, TURNS)
    this.#questions = new PresenceQuestions((room) => this.laneOf(room), async (room, parts) => await this.#answer(room, parts))
    bus.listen('presence', this)
    link.listen({ onReady: () => { this.#renewAll() }, onAway: () => {} })
    this.#timer = clock.every(Math.ceil(renewal / TURNS), () => { this.#renewSome() })
  }

  /** @throws FST_HUB_BROKER_UNAVAILABLE; it is entered when Redis is back (as a rejection) */
  async enter (room: string, user: string, connectionId: string): Promise<void> { await this.#members.enter(room, user, connectionId) }

  /** @throws FST_HUB_BROKER_UNAVAILABLE; it leaves when Redis is back (as a rejection) */
  async leave (room: string, user: string, connectionId: string): Promise<void> { await this.#members.leave(room, user, connectionId) }

  /** @throws FST_HUB_BROKER_UNAVAILABLE (as a rejection) */
  async list (room: string): Promise<ReadonlyArray<{ user: string, connections: number }>> {
    return (await this.#questions.ask(room, 'members')).users
  }

  /** @throws FST_HUB_BROKER_UNAVAILABLE; then it is lost, as what nobody waits for (as a rejection) */
  async setState (room: string, user: string, key: string, ttl: number): Promise<void> {
    await this.laneOf(room).push({ kind: 'state', room, pair: pack(user, key), ttl })
  }

  /** @throws FST_HUB_BROKER_UNAVAILABLE (as a rejection) */
  async states (room: string): Promise<ReadonlyArray<{ user: string, key: string }>> {
    return (await this.#questions.ask(room, 'states')).states
  }

  /** @throws FST_HUB_BROKER_UNAVAILABLE; then it is not watched (as a rejection) */
  async watch (room: string): Promise<void> { await this.#mirrors.watch(room) }

  async unwatch (room: string): Promise<void> { await this.#mirrors.unwatch(room) }

  /** Takes everybody out who is still there. Resolves also when Redis is away: then it forgets them by itself. */
  async close (): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#timer.cancel()
    this.#mirrors.unwatchAll()
    this.#members.leaveAll()
    await Promise.all(this.#lanes.map(async (lane) => { await lane.close() }))
  }

  /* ---- BusListener ---- */

  onEntry (_partition: number, _node: string, rest: readonly Buffer[]): void { this.#mirrors.onEntry(rest) }

  /** With what the bus has lost Redis may have lost more. */
  onLost (bus: number): void {
    const lanes = new Set(this.#lanes.filter((_, partition) => this.busAt(partition) === bus))
    for (const lane of lanes) lane.beginAgain()
    this.#members.renewAll(lanes)
    this.#mirrors.renewAll(bus)
    for (const lane of lanes) lane.kick()
  }

  /* ---- MembersHost, MirrorsHost ---- */

  get isReady (): boolean { return this.#options.link.isReady }

  partitionOf (room: string): number { return this.#options.keys.partitionOf(room) }

  busAt (partition: number): number { return this.#options.keys.busAt(partition) }

  laneOf (room: string): PresenceLane { return this.#lanes[this.partitionOf(room)] as PresenceLane }

  async read (room: string): Promise<PresenceSnapshot> { return await readRoom(this.#options.link, this.#options.keys, room, ALL) }

  /** Whoever gets the answer sees more or less than the mirror has: what differs is told, in whatever way it goes on. */
  async #answer (room: string, parts: ReadonlySet<Part>): Promise<Answer> {
    const { members, states } = await readRoom(this.#options.link, this.#options.keys, room, parts)
    const users = new Map<string, number>()
    for (const { user } of members) users.set(user, (users.get(user) ?? 0) + 1)
    this.#rooms.change(room, (mirror) => {
      if (parts.has('members')) mirror.listed(this.#listener, users)
      if (parts.has('states')) mirror.statesListed(this.#listener, states)
    })
    return { users: Array.from(users, ([user, connections]) => ({ user, connections })), states: states.map(({ user, key }) => ({ user, key })) }
  }

  #renewSome (): void {
    if (!this.isReady) return
    this.#members.renewSome()
    this.#mirrors.renewSome()
    this.#turn++
    for (const [i, lane] of this.#lanes.entries()) {
      if ((this.#turn + i) % LIFE_TURNS === 0) lane.renewLife()
      lane.kick()
    }
  }

  /** Redis is back: with what it had, or without. First who is there, of whom then nobody has to be told. */
  #renewAll (): void {
    if (this.#isClosed) return
    this.#members.renewAll()
    this.#mirrors.renewAll()
    for (const lane of this.#lanes) {
      lane.beginAgain()
      lane.kick()
    }
  }
}
