import { noFanOut } from '../core/fan-out.js'
import { keep } from '../core/keep.js'
import { EVERYONE, type Broker, type BrokerListener, type Clock, type FanOut, type HistoryPolicyOf, type Publication, type PublicationOptions, type Timer } from '../core/ports.js'
import type { StreamPosition } from '../core/types.js'
import type { Payload } from '../protocol/frame.js'
import type { Bus, BusListener } from './bus.js'
import type { Keys } from './keys.js'
import type { RedisLink } from './link.js'
import { Positions } from './positions.js'
import { decodeRecord, encodeRecord, isEphemeral, sectionsOf } from './publication-codec.js'
import { Publisher, type RoomTerms } from './publisher.js'
import { RoomLogs } from './room-logs.js'
import { RoomOrder } from './room-order.js'

/** For how long a room keeps its position after its last use: without history, and with one; one without end is kept without end. */
export const POSITION_TTL_MS = 3_600_000
export const HISTORY_POSITION_TTL_MS = 24 * 3_600_000

/** Milliseconds without an entry of the stream after which the log is asked for what must come before an answer. */
const PATIENCE_MS = 200
/** How often what is missing is looked for, and how often rooms are compared with Redis, each in its turn within AUDIT_MS: a third of the shortest life of a position. */
const LOOK_MS = 100
const AUDIT_STEP_MS = 5_000
const AUDIT_MS = POSITION_TTL_MS / 6

/** Where the values of a bus entry of publications are, behind what all entries begin with. */
const [POSITIONS, BATCH] = [1, 3]

interface Room {
  readonly order: RoomOrder
  readonly partition: number
  /** Until the position is known. */
  readonly begun: Promise<StreamPosition>
  /** When something was found missing, in monotonic milliseconds; Infinity: nothing is. */
  missingSince: number
  /** Where the room was when its log was asked, and what the log did not have: lost, when the bus has been read up to this number. */
  verdict: { readonly position: StreamPosition, readonly sequence: number } | null
  isFilling: boolean
  /** Number of the latest entry of the bus that had something of it, and the offset up to which there was. */
  number: number
  brought: number
  /** The epoch of that; at first, the one in which it began here. */
  heard: string
  /** Where the latest publication of this node stands that Redis has confirmed. */
  confirmed: StreamPosition
  /** Number of the entry of the bus up to which there is nothing for it: what it was when the position was asked for. */
  since: number
  /** What the bus has brought before the position was known, by number. */
  early: Array<readonly [number: number, step: () => void]>
  /** The epoch in which offsets may mean two things: Redis has lost what this node has had, and gone on. */
  doubted: string
}

/** A publication of this node that has its place, and whose turn to go to the members here has not come. */
interface Confirmed {
  /** Monotonic milliseconds after which nobody waits for that. */
  readonly deadline: number
  readonly resolve: (local: FanOut) => void
}

export interface RedisBrokerOptions {
  readonly link: RedisLink
  readonly bus: Bus
  readonly keys: Keys
  readonly nodeId: string
  readonly clock: Clock
  readonly policyOf: HistoryPolicyOf
  /** Milliseconds after which a publication that Redis has not confirmed is rejected. */
  readonly timeout: number
  /** Entries that a partition of the bus keeps, about. */
  readonly busLength: number
}

/**
 * Rooms on Redis: order and history in a hash and a stream per room, fan-out over the bus of its partition. The members of
 * the publishing node need not wait for the bus.
 */
export class RedisBroker implements Broker, BusListener {
  readonly #options: RedisBrokerOptions
  readonly #listener: BrokerListener
  readonly #rooms = new Map<string, Room>()
  readonly #publisher: Publisher
  readonly #positions: Positions
  readonly #logs: RoomLogs
  /** Rooms in which something is missing. */
  readonly #missing = new Set<string>()
  /** In the order in which they were confirmed, and all with the same patience. */
  readonly #confirmed = new Set<Confirmed>()
  readonly #timers: Timer[]
  /** Rooms that are still to be compared with Redis in this round. */
  #audit: string[] = []
  /** Whether this node wants broadcasts, and whether those of others come. */
  #isEveryoneWanted = false
  #isEveryoneHeld = false

  constructor (options: RedisBrokerOptions, listener: BrokerListener) {
    const { link, bus, keys, nodeId, clock, policyOf, timeout, busLength } = options
    this.#options = options
    this.#listener = listener
    const termsOf = (room: string): RoomTerms => this.#termsOf(room)
    this.#publisher = new Publisher(link, { keys, nodeId, clock, timeout, busLength, termsOf })
    this.#positions = new Positions(link, keys, termsOf, () => this.#publisher.newEpoch())
    this.#logs = new RoomLogs({ link, keys, policyOf, lastingOf: (room) => termsOf(room).lasting, newEpoch: () => this.#publisher.newEpoch() })
    this.#timers = [clock.every(LOOK_MS, () => { this.#lookForMissing() }), clock.every(AUDIT_STEP_MS, () => { this.#auditSome() })]
    bus.listen('publications', this)
    link.listen({ onReady: () => { this.#recover() }, onAway: () => {} })
  }

  /** Publications that Redis has not confirmed yet. */
  get waiting (): number { return this.#publisher.waiting }

  async subscribe (room: string): Promise<StreamPosition> {
    if (room === EVERYONE) return await this.#holdEveryone()
    const known = this.#rooms.get(room)
    if (known !== undefined) return known.order.isLive ? known.order.position : { ...await known.begun }
    const partition = this.#options.keys.partitionOf(room)
    const order = new RoomOrder({
      deliver: (publications) => this.#listener.onPublications(room, publications),
      gap: (from, to) => { this.#listener.onGap(room, from, to) },
      missing: (isPassed) => { this.#onMissing(room, isPassed) },
      forked: () => { this.#onForked(room) }
    })
    const state: Room = { order, partition, begun: this.#options.link.insist(async () => await this.#begin(room, partition, order)), missingSince: Infinity, verdict: null, isFilling: false, number: 0, brought: 0, heard: '', confirmed: { epoch: '', offset: 0 }, since: 0, early: [], doubted: '' }
    this.#rooms.set(room, state)
    try {
      return { ...await state.begun }
    } catch (error) {
      if (this.#rooms.get(room) === state) this.#rooms.delete(room)
      order.end()
      throw error
    }
  }

  async unsubscribe (room: string): Promise<void> {
    if (room === EVERYONE) return this.#releaseEveryone()
    const state = this.#rooms.get(room)
    if (state === undefined) return
    this.#rooms.delete(room)
    this.#missing.delete(room)
    state.order.end()
    // Not held when it could not begin.
    state.begun.then(() => { this.#options.bus.release(state.partition) }, () => {})
  }

  async publish (room: string, payload: Payload, options: PublicationOptions): Promise<{ position: StreamPosition | null, local: FanOut }> {
    const record = encodeRecord(payload, options)
    const isBound = options.ephemeral !== true && room !== EVERYONE
    // Where nothing is kept, nothing is promised over an outage: whoever is here gets it all the same.
    if (!isBound || (!this.#options.link.isReady && this.#options.policyOf(room).size === 0)) {
      const local = this.#deliverNow(room, { offset: 0, payload, options })
      if (!isBound) this.#publisher.send(room, record)
      return { position: null, local }
    }
    const kept = keep(payload)
    const position = await this.#publisher.publish(room, record)
    const state = this.#rooms.get(room)
    if (state === undefined) return { position, local: noFanOut() }
    state.confirmed = position
    return { position, local: await this.#goOn(state.order, position, { offset: position.offset, payload: kept, options }) }
  }

  async history (room: string, since: StreamPosition | undefined, limit: number): Promise<{ position: StreamPosition, publications: readonly Publication[], recovered: boolean }> {
    const { position, publications, recovered } = await this.#options.link.insist(async () => await this.#logs.ask(room, since, limit))
    return { position, publications, recovered }
  }

  async close (): Promise<void> {
    for (const timer of this.#timers) timer.cancel()
    for (const room of [...this.#rooms.keys()]) await this.unsubscribe(room)
    this.#releaseEveryone()
    this.#publisher.close()
  }

  /* ---- BusListener ---- */

  onEntry (_partition: number, node: string, rest: readonly Buffer[], number: number): void {
    const positions = String(rest[POSITIONS]).split(' ')
    let next = 0
    const isOwn = node === this.#options.nodeId
    for (const { room, records } of sectionsOf(rest[BATCH] as Buffer)) {
      const bound = records.reduce((count, record) => isEphemeral(record) ? count : count + 1, 0)
      const epoch = bound > 0 ? positions[next] as string : ''
      let offset = bound > 0 ? Number(positions[next + 1]) - bound : 0
      if (bound > 0) next += 2
      const state = this.#rooms.get(room)
      // Most have members on some nodes only.
      if (state === undefined && (room !== EVERYONE || !this.#isEveryoneWanted)) continue
      const list: Publication[] = []
      // Its answer was faster than the bus: what is its own has been delivered.
      const isKnown = isOwn && state?.order.epoch === epoch && offset + bound <= state.order.last
      if (isKnown) offset += bound
      for (const record of isKnown ? [] : records) {
        if (!isEphemeral(record)) list.push({ offset: ++offset, ...decodeRecord(record) })
        else if (!isOwn) this.#deliverNow(room, { offset: 0, ...decodeRecord(record) })
      }
      // Of an earlier epoch, perhaps: who begins does not know that.
      if (state === undefined || bound === 0 || number <= state.since) continue
      state.number = number
      state.brought = offset
      state.heard = epoch
      if (state.order.isLive) state.order.fromStream(epoch, list, isOwn)
      else state.early.push([number, () => { state.order.fromStream(epoch, list, isOwn) }])
    }
  }

  onRewound (partition: number, number: number): void {
    for (const [room, state] of this.#rooms) {
      const { order } = state
      if (state.partition === partition) state.since = 0
      // Of the others, all that this node has had is still there.
      if (state.partition !== partition || !order.isLive || (state.number < number && !isAhead(state))) continue
      // Another epoch has begun meanwhile: nobody has two meanings in that.
      if (state.heard !== order.epoch) continue
      this.#doubt(room, state)
    }
  }

  onLost (partition: number): void {
    for (const [room, state] of this.#rooms) {
      if (state.partition !== partition) continue
      state.since = 0
      this.#compare(room, state, true)
    }
  }

  /* ---- */

  /** Resolves when it has gone to the members here, or never will, or is late: then it goes all the same, when what is before it has come. */
  async #goOn (order: RoomOrder, position: StreamPosition, publication: Publication): Promise<FanOut> {
    return await new Promise<FanOut>((resolve) => {
      const confirmed = { deadline: this.#options.clock.monotonic() + this.#options.timeout, resolve }
      this.#confirmed.add(confirmed)
      order.fromReply(position, publication, (local) => {
        this.#confirmed.delete(confirmed)
        resolve(local)
      })
    })
  }

  async #begin (room: string, partition: number, order: RoomOrder): Promise<StreamPosition> {
    const { bus } = this.#options
    await bus.hold(partition)
    try {
      const { position, sequence } = await this.#positions.ask(room)
      const state = this.#rooms.get(room)
      if (state?.order === order) {
        state.heard = position.epoch
        state.since = sequence
        order.begin(position)
        for (const [number, step] of state.early.splice(0)) if (number > sequence) step()
      }
      return position
    } catch (error) {
      bus.release(partition)
      throw error
    }
  }

  #termsOf (room: string): RoomTerms {
    const policy = this.#options.policyOf(room)
    const state = this.#rooms.get(room)
    const lasting = policy.size === 0 ? POSITION_TTL_MS : policy.ttl === 0 ? 0 : Math.max(HISTORY_POSITION_TTL_MS, 2 * policy.ttl)
    return { known: state?.order.isLive === true ? knownOf(state) : null, policy, lasting }
  }

  #deliverNow (room: string, publication: Publication): FanOut {
    const isHeard = room === EVERYONE ? this.#isEveryoneWanted : this.#rooms.get(room)?.order.isLive === true
    return isHeard ? { ...this.#listener.onPublications(room, [publication]) } : noFanOut()
  }

  /** Broadcasts have no position. Without Redis they are for this node, until it is there. */
  async #holdEveryone (): Promise<StreamPosition> {
    this.#isEveryoneWanted = true
    if (this.#options.link.isReady) await this.#hearEveryone()
    return { epoch: '', offset: 0 }
  }

  async #hearEveryone (): Promise<void> {
    if (this.#isEveryoneHeld) return
    this.#isEveryoneHeld = true
    try {
      await this.#options.bus.hold(this.#options.keys.partitionOf(EVERYONE))
    } catch (error) {
      this.#isEveryoneHeld = false
      throw error
    }
  }

  #releaseEveryone (): void {
    if (this.#isEveryoneHeld) this.#options.bus.release(this.#options.keys.partitionOf(EVERYONE))
    this.#isEveryoneHeld = this.#isEveryoneWanted = false
  }

  /** Redis is there again, perhaps without what it had. */
  #recover (): void {
    if (this.#isEveryoneWanted) this.#hearEveryone().catch(() => { /* It has gone again. */ })
    for (const [room, state] of this.#rooms) this.#compare(room, state, false)
  }

  /** @param isLost whether what it has missed is not known to be on its way */
  #compare (room: string, state: Room, isLost: boolean): void {
    if (!state.order.isLive) return
    this.#positions.ask(room).then(({ position: { epoch, offset } }) => {
      const { order } = state
      if (order.isLive && (epoch !== order.epoch || offset > order.last)) this.#onMissing(room, isLost || epoch !== order.epoch)
    }, () => {
      // Redis has gone again: it is compared when it is back.
    })
  }

  #onMissing (room: string, isPassed: boolean): void {
    const state = this.#rooms.get(room)
    if (state === undefined) return
    this.#missing.add(room)
    state.missingSince = Math.min(state.missingSince, this.#options.clock.monotonic())
    if (isPassed) this.#fill(room, state)
  }

  /** Offsets of its epoch may mean two things: another one begins. */
  #doubt (room: string, state: Room): void {
    state.doubted = state.order.epoch
    this.#compare(room, state, true)
  }

  #onForked (room: string): void {
    const state = this.#rooms.get(room)
    if (state === undefined) return
    this.#doubt(room, state)
  }

  #lookForMissing (): void {
    const { bus, clock } = this.#options
    const now = clock.monotonic()
    const before = now - PATIENCE_MS
    for (const confirmed of this.#confirmed) {
      if (confirmed.deadline > now) break
      this.#confirmed.delete(confirmed)
      confirmed.resolve(noFanOut())
    }
    for (const room of this.#missing) {
      const state = this.#rooms.get(room)
      if (state === undefined || state.isFilling) continue
      const { sequence, readAt } = bus.progress(state.partition)
      const { verdict, order } = state
      if (verdict !== null && sequence >= verdict.sequence) {
        state.verdict = null
        order.giveUp(verdict.position)
        this.#settle(room, state)
      } else if (verdict === null && Math.max(state.missingSince, readAt) <= before) {
        this.#fill(room, state)
      }
    }
  }

  #fill (room: string, state: Room): void {
    if (state.isFilling || !this.#options.link.isReady) return
    state.isFilling = true
    const { order } = state
    this.#logs.askBehind(room, order.position).then(({ position, publications, sequence }) => {
      state.isFilling = false
      if (this.#rooms.get(room) !== state) return
      order.fill(position, publications)
      state.verdict = order.epoch === position.epoch && order.last < position.offset ? { position, sequence } : null
      this.#settle(room, state)
    }, () => {
      // It stays missing, and is looked for again.
      state.isFilling = false
    })
  }

  /** Whether something is still missing. */
  #settle (room: string, state: Room): void {
    state.missingSince = Infinity
    if (state.verdict !== null) return
    this.#missing.delete(room)
    if (state.order.isHolding) this.#onMissing(room, false)
  }

  /** A room is compared now and then: what was lost with nothing behind it would not be noticed. This keeps its position alive, too. */
  #auditSome (): void {
    if (!this.#options.link.isReady) return
    if (this.#isEveryoneWanted) this.#hearEveryone().catch(() => { /* Redis refuses it: the next time, perhaps. */ })
    if (this.#audit.length === 0) this.#audit = [...this.#rooms.keys()]
    const count = Math.ceil(this.#rooms.size * AUDIT_STEP_MS / AUDIT_MS)
    for (const room of this.#audit.splice(0, count)) {
      const state = this.#rooms.get(room)
      if (state !== undefined) this.#compare(room, state, false)
    }
  }
}

/** More than any room has where offsets are in doubt: it begins a new epoch, unless it has done so already. */
function knownOf ({ order, doubted, confirmed }: Room): StreamPosition {
  if (order.epoch === doubted) return { epoch: doubted, offset: Number.MAX_SAFE_INTEGER }
  // What is confirmed may still wait for what is before it.
  return confirmed.epoch === order.epoch && confirmed.offset > order.last ? confirmed : order.position
}

/** Whether a publication of this node is confirmed that the bus has not brought yet. */
function isAhead ({ order, confirmed, brought }: Room): boolean { return confirmed.epoch === order.epoch && confirmed.offset > brought }
