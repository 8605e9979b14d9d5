import { noFanOut } from '../core/fan-out.js'
import { keep } from '../core/keep.js'
import { EVERYONE, type Broker, type BrokerListener, type Clock, type FanOut, type HistoryPolicyOf, type Publication, type PublicationOptions, type Timer } from '../core/ports.js'
import type { PublishResult, StreamPosition } from '../core/types.js'
import { FST_HUB_BROKER_UNAVAILABLE } from '../errors.js'
import type { Payload } from '../protocol/frame.js'
import type { Bus, BusListener } from './bus.js'
import type { Keys } from './keys.js'
import type { RedisLink } from './link.js'
import { Outgoing } from './outgoing.js'
import { Positions } from './positions.js'
import { decodeRecord, isEphemeral, placesOf, sectionsOf, type EncodedSection } from './publication-codec.js'
import { MAX_WAITING_BYTES, Publisher, type RoomTerms } from './publisher.js'
import { RecentPositions } from './recent-positions.js'
import { RoomLogs } from './room-logs.js'
import { RoomOrder } from './room-order.js'
import { RoomRepair } from './room-repair.js'
import { knownOf, latestOf, type RoomState } from './room-state.js'
import { SendOrder } from './send-order.js'

/** For how long a room keeps its position after its last use: without history, and with one; one without end is kept without end. */
export const POSITION_TTL_MS = 3_600_000
export const HISTORY_POSITION_TTL_MS = 24 * 3_600_000

/** How often confirmed publications are looked through for those whose turn has not come in time, and whether broadcasts are heard. */
const LOOK_MS = 100
const HEAR_MS = 5_000
/** Milliseconds within which each room is compared with Redis: a sixth of the shortest life of a position. */
const AUDIT_MS = POSITION_TTL_MS / 6

/** Where the values of a bus entry of publications are, behind what all entries begin with. */
const [POSITIONS, BATCH] = [1, 3]

/** Of publications that take no offset. */
const NO_POSITION: StreamPosition = { epoch: '', offset: 0 }

export interface RedisBrokerOptions {
  readonly link: RedisLink
  readonly bus: Bus
  readonly keys: Keys
  readonly nodeId: string
  readonly clock: Clock
  readonly policyOf: HistoryPolicyOf
  /** Milliseconds after which a publication that Redis has not confirmed is rejected. */
  readonly timeout: number
  /** Entries that a bus keeps, about. */
  readonly busLength: number
  /** Gets what nobody waits for, and is no outage. */
  readonly onError: (error: unknown) => void
}

/**
 * Rooms on Redis: order and history in a hash and a stream per room, fan-out over the bus of its partition. The members of
 * the publishing node need not wait for the bus.
 */
export class RedisBroker implements Broker, BusListener {
  readonly #options: RedisBrokerOptions
  readonly #listener: BrokerListener
  readonly #rooms = new Map<string, RoomState>()
  readonly #publisher: Publisher
  readonly #positions: Positions
  readonly #logs: RoomLogs
  readonly #order = new SendOrder()
  readonly #recent: RecentPositions
  readonly #repair: RoomRepair
  /** Those that have their place, and whose turn to go to the members here had not come when they got it. */
  #confirmed: Outgoing[] = []
  readonly #onUnkeptSettled = (room: string): void => { this.#order.settled(room) }
  readonly #timers: Timer[]
  /** Whether this node wants broadcasts, and whether those of others come. */
  #isEveryoneWanted = false
  #isEveryoneHeld = false

  constructor (options: RedisBrokerOptions, listener: BrokerListener) {
    const { link, bus, keys, nodeId, clock, policyOf, timeout, busLength, onError } = options
    this.#options = options
    this.#listener = listener
    const termsOf = (room: string): RoomTerms => this.#termsOf(room)
    this.#publisher = new Publisher(link, {
      keys, nodeId, clock, timeout, busLength, termsOf, onConfirmed: (room, position, own) => { this.#onConfirmed(room, position, own) }
    })
    this.#positions = new Positions(link, keys, termsOf, () => this.#publisher.newEpoch())
    this.#logs = new RoomLogs({ link, keys, policyOf, lastingOf: (room) => termsOf(room).lasting, newEpoch: () => this.#publisher.newEpoch() })
    this.#recent = new RecentPositions(clock)
    this.#repair = new RoomRepair({ link, bus, clock, positions: this.#positions, logs: this.#logs, policyOf, auditTime: AUDIT_MS, onError }, this.#rooms, this.#recent)
    this.#timers = [clock.every(LOOK_MS, () => { this.#settleLate() }), clock.every(HEAR_MS, () => { this.#hearEveryone() })]
    bus.listen('publications', this)
    link.listen({ onReady: () => { this.#recover() }, onAway: () => {} })
  }

  /** Publications that Redis has not confirmed yet. */
  get waiting (): number { return this.#publisher.waiting }

  async subscribe (room: string): Promise<StreamPosition> {
    if (room === EVERYONE) return await this.#holdEveryone()
    const known = this.#rooms.get(room)
    if (known !== undefined) return known.order.isLive ? known.order.position : { ...await known.begun }
    const partition = this.#options.keys.busOf(room)
    const order = new RoomOrder({
      deliver: (publications) => this.#listener.onPublications(room, publications),
      gap: (from, to) => { this.#tell(() => { this.#listener.onGap(room, from, to) }) },
      goesOn: (epoch) => { this.#tell(() => { this.#listener.onEpoch(room, epoch) }) },
      turned: () => { this.#repair.onTurned(state) },
      missing: (isPassed) => { this.#repair.onMissing(state, isPassed) }
    })
    const begun = this.#options.link.insist(async () => await this.#begin(room, partition, order))
    const state: RoomState = { name: room, partition, order, begun, missingSince: Infinity, awaited: null, verdict: null, isSought: false }
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
    this.#repair.forget(state)
    if (state.order.isLive) this.#recent.note(room, latestOf(state))
    state.order.end()
    // Not held when it could not begin.
    state.begun.then(() => { this.#options.bus.release(state.partition) }, () => {})
  }

  publish (room: string, payload: Payload, options: PublicationOptions): Promise<PublishResult> {
    return new Promise((resolve, reject) => { this.#publish(room, payload, options, resolve, reject) })
  }

  async history (room: string, since: StreamPosition | undefined, limit: number): Promise<{ position: StreamPosition, publications: readonly Publication[], recovered: boolean }> {
    const { position, publications, recovered } = await this.#options.link.insist(async () => await this.#logs.ask(room, since, limit))
    const state = this.#rooms.get(room)
    if (state !== undefined) {
      state.order.learn(position)
      state.order.hear(position)
    }
    return { position, publications, recovered }
  }

  async close (): Promise<void> {
    for (const timer of this.#timers) timer.cancel()
    this.#repair.close()
    for (const room of [...this.#rooms.keys()]) await this.unsubscribe(room)
    this.#releaseEveryone()
    this.#publisher.close()
  }

  /* ---- BusListener ---- */

  onEntry (_partition: number, node: string, rest: readonly Buffer[]): void {
    const positions = String(rest[POSITIONS]).split(' ')
    const batch = rest[BATCH] as Buffer
    let next = 0
    let failure: Error | null = null
    const isOwn = node === this.#options.nodeId
    for (const section of sectionsOf(batch)) {
      const { bound } = section
      const before = bound > 0 ? { epoch: positions[next] as string, offset: Number(positions[next + 1]) - bound } : NO_POSITION
      if (bound > 0) next += 2
      try {
        this.#onSection(batch, section, before, isOwn)
      } catch (error) {
        // It is parked for that, with all of the entry: other rooms must have had theirs.
        failure ??= error as Error
      }
    }
    if (failure !== null) throw failure
  }

  onLost (partition: number): void { this.#repair.onLost(partition) }

  /* ---- */

  /** @param before where the room stood before it */
  #onSection (batch: Buffer, section: EncodedSection, { epoch, offset: start }: StreamPosition, isOwn: boolean): void {
    const { room, bound } = section
    const state = this.#rooms.get(room)
    // Most have members on some nodes only.
    if (state === undefined && (room !== EVERYONE || !this.#isEveryoneWanted)) return
    const list: Publication[] = []
    // Its answer was faster than the bus: what is its own has been delivered.
    const isKnown = isOwn && state?.order.epoch === epoch && start + bound <= state.order.last
    const places = isKnown ? [] : placesOf(batch, section)
    for (let i = 0, offset = start; i < places.length; i += 2) {
      const at = places[i] as number
      if (!isEphemeral(batch, at)) list.push(decodeRecord(++offset, batch, at, places[i + 1]))
      else if (!isOwn) this.#deliverNow(room, decodeRecord(0, batch, at, places[i + 1]))
    }
    if (bound > 0) state?.order.fromStream(epoch, list, isOwn)
  }

  #publish (room: string, payload: Payload, options: PublicationOptions, resolve: (result: PublishResult) => void, reject: (error: unknown) => void): void {
    const isUnplaced = options.ephemeral === true || room === EVERYONE
    const outgoing = new Outgoing(room, isUnplaced ? payload : keep(payload), options, resolve, reject)
    const { length } = outgoing.record
    // Or it would come to the members here alone, where nobody waits for Redis.
    if (length > MAX_WAITING_BYTES) return outgoing.failed(new FST_HUB_BROKER_UNAVAILABLE(`a publication is of ${length} bytes, and ${MAX_WAITING_BYTES} may wait for it`))
    if (isUnplaced) {
      outgoing.gone(this.#deliverNow(room, outgoing.publication))
      this.#publisher.send(outgoing)
      return
    }
    // Where nothing is kept, nothing is promised over an outage: whoever is here gets it all the same.
    if (this.#options.policyOf(room).size > 0) this.#publisher.publish(outgoing)
    else if (this.#order.isBehind(room, !this.#options.link.isReady)) this.#order.turn(room, () => { this.#publishInTurn(outgoing) })
    else this.#publishUnkept(outgoing)
  }

  #publishInTurn (outgoing: Outgoing): void {
    try {
      this.#publishUnkept(outgoing)
    } catch (error) {
      outgoing.failed(error)
    }
  }

  #publishUnkept (outgoing: Outgoing): void {
    const { room } = outgoing
    if (!this.#options.link.isReady) return outgoing.done(this.#deliverNow(room, outgoing.publication))
    this.#order.sent(room)
    outgoing.onSettled = this.#onUnkeptSettled
    this.#publisher.publish(outgoing)
  }

  #onConfirmed (room: string, position: StreamPosition, own: readonly Outgoing[]): void {
    const { link, timeout, onError } = this.#options
    const state = this.#rooms.get(room)
    // Until its position is known, a room that is entered knows of nothing.
    if (state?.order.isLive !== true) this.#recent.note(room, position)
    if (state === undefined) {
      for (const outgoing of own) outgoing.done(noFanOut())
      return
    }
    state.order.learn(position)
    try {
      state.order.fromReply(position.epoch, own)
    } catch (error) {
      // Of the members: those who have published must not wait for that.
      onError(error)
    }
    const deadline = link.now + timeout
    for (const outgoing of own) {
      if (outgoing.isSettled) continue
      outgoing.deadline = deadline
      this.#confirmed.push(outgoing)
    }
  }

  async #begin (room: string, partition: number, order: RoomOrder): Promise<StreamPosition> {
    const { bus } = this.#options
    await bus.hold(partition)
    try {
      const { position } = await this.#positions.ask(room)
      if (this.#rooms.get(room)?.order === order) {
        order.begin(position)
        this.#recent.forget(room)
      }
      return position
    } catch (error) {
      bus.release(partition)
      throw error
    }
  }

  /** What fails here is the hub's: the order goes on. */
  #tell (step: () => void): void {
    try {
      step()
    } catch (error) {
      this.#options.onError(error)
    }
  }

  #termsOf (room: string): RoomTerms {
    const policy = this.#options.policyOf(room)
    const state = this.#rooms.get(room)
    const lasting = policy.size === 0 ? POSITION_TTL_MS : policy.ttl === 0 ? 0 : Math.max(HISTORY_POSITION_TTL_MS, 2 * policy.ttl)
    return { known: state?.order.isLive === true ? knownOf(state) : this.#recent.get(room), policy, lasting }
  }

  #deliverNow (room: string, publication: Publication): FanOut {
    const isHeard = room === EVERYONE ? this.#isEveryoneWanted : this.#rooms.get(room)?.order.isLive === true
    return isHeard ? { ...this.#listener.onPublications(room, [publication]) } : noFanOut()
  }

  /** Broadcasts have no position. Without Redis they are for this node, until it is there. */
  async #holdEveryone (): Promise<StreamPosition> {
    this.#isEveryoneWanted = true
    // What is refused now is asked for again.
    if (this.#options.link.isReady) await this.#hearBroadcasts().catch(() => {})
    return { epoch: '', offset: 0 }
  }

  /** Redis may have refused it, or was away. */
  #hearEveryone (): void {
    if (this.#isEveryoneWanted && this.#options.link.isReady) this.#hearBroadcasts().catch(() => { /* The next time, perhaps. */ })
  }

  async #hearBroadcasts (): Promise<void> {
    if (this.#isEveryoneHeld) return
    this.#isEveryoneHeld = true
    try {
      await this.#options.bus.hold(this.#options.keys.busOf(EVERYONE))
    } catch (error) {
      this.#isEveryoneHeld = false
      throw error
    }
  }

  #releaseEveryone (): void {
    if (this.#isEveryoneHeld) this.#options.bus.release(this.#options.keys.busOf(EVERYONE))
    this.#isEveryoneHeld = this.#isEveryoneWanted = false
  }

  /** Redis is there again, perhaps without what it had. */
  #recover (): void {
    this.#hearEveryone()
    this.#repair.recover()
  }

  #settleLate (): void {
    if (this.#confirmed.length === 0) return
    const { now } = this.#options.link
    for (const outgoing of this.#confirmed) if (outgoing.deadline <= now) outgoing.late()
    this.#confirmed = this.#confirmed.filter(({ isSettled }) => !isSettled)
  }
}
