import type { Clock, HistoryPolicyOf, Timer } from '../core/ports.js'
import { FST_HUB_BROKER_UNAVAILABLE } from '../errors.js'
import type { Bus } from './bus.js'
import type { RedisLink } from './link.js'
import type { Comparison, Positions, Standing } from './positions.js'
import type { RoomLogs } from './room-logs.js'
import type { RecentPositions } from './recent-positions.js'
import type { RoomState } from './room-state.js'

/** Milliseconds without an entry of the bus after which the log is asked: for what must come before an answer, and for what the bus should bring. */
const PATIENCE_MS = 200
const BUS_PATIENCE_MS = 2_000
/** How often what is missing is looked for, and how often some rooms are compared with Redis. */
const LOOK_MS = 100
const AUDIT_STEP_MS = 5_000
/** Milliseconds until what Redis could not answer is asked again. */
const AGAIN_MS = 1_000
/** Rooms that are compared at once, and logs that are asked: a node has 100,000 rooms, and all of them when Redis has lost its data. */
const COMPARED_AT_ONCE = 1_024
const SOUGHT_AT_ONCE = 64

export interface RoomRepairOptions {
  readonly link: Pick<RedisLink, 'isReady'>
  readonly bus: Pick<Bus, 'progress'>
  readonly clock: Clock
  readonly positions: Positions
  readonly logs: RoomLogs
  readonly policyOf: HistoryPolicyOf
  /** Milliseconds within which each room is compared once. */
  readonly auditTime: number
  /** Gets what is no outage. */
  readonly onError: (error: unknown) => void
}

/**
 * Finds what rooms have missed, by comparing them with Redis, and brings it from their logs; what nobody has kept is told
 * as a gap.
 */
export class RoomRepair {
  readonly #options: RoomRepairOptions
  readonly #rooms: ReadonlyMap<string, RoomState>
  readonly #recent: RecentPositions
  /** Rooms in which something is missing. */
  readonly #missing = new Set<RoomState>()
  /** Those whose turn to be compared, or sought, has not come. Of a room without members here, Redis is only told. */
  readonly #toCompare = new Map<RoomState, boolean>()
  readonly #toTell = new Set<string>()
  /** All of which Redis has not been told yet, though it may have been asked. */
  readonly #untold = new Set<string>()
  readonly #toSeek = new Set<RoomState>()
  /** Those with another epoch, of which Redis could not say what it is to theirs. */
  readonly #toSettle = new Set<RoomState>()
  #isComparing = false
  /** What could not be compared: until it is tried again, nothing else is. */
  readonly #again: Array<() => void> = []
  #seeking = 0
  /** Rooms that are still to be compared in this round. */
  #audit: string[] = []
  readonly #timers: Timer[]

  /** @param rooms all of this node @param recent those that it has left, or only publishes in */
  constructor (options: RoomRepairOptions, rooms: ReadonlyMap<string, RoomState>, recent: RecentPositions) {
    this.#options = options
    this.#rooms = rooms
    this.#recent = recent
    const { clock } = options
    this.#timers = [clock.every(LOOK_MS, () => { this.#look() }), clock.every(AUDIT_STEP_MS, () => { this.#auditSome() }), clock.every(AGAIN_MS, () => { this.#tryAgain() })]
  }

  close (): void { for (const timer of this.#timers) timer.cancel() }

  /** Something of it must be between what it had and what has come. @param isPassed whether the bus has gone past it */
  onMissing (state: RoomState, isPassed: boolean): void {
    this.#missing.add(state)
    state.missingSince = Math.min(state.missingSince, this.#options.clock.monotonic())
    if (isPassed) this.#seek(state)
  }

  /** There is another epoch of it. */
  onTurned (state: RoomState): void {
    const { positions, onError } = this.#options
    positions.ask(state.name, state.order.doubted).then((comparison) => {
      state.order.settle(comparison)
      state.order.learn(comparison.position)
    }, (error: unknown) => {
      this.#isOutage(error)
      if (state.order.isLive) this.#toSettle.add(state)
    }).catch(onError)
  }

  /** The bus has lost entries of a partition. */
  onLost (partition: number): void {
    for (const state of this.#rooms.values()) {
      if (state.partition !== partition) continue
      forgetNumbers(state)
      this.#compare(state, true)
    }
  }

  /** Redis is there again, perhaps without what it had. */
  recover (): void {
    for (const state of this.#rooms.values()) {
      forgetNumbers(state)
      this.#compare(state, false)
    }
    this.#settleAgain()
    this.#tell(this.#recent.renew())
  }

  /** It is no room of this node any more. */
  forget (state: RoomState): void {
    this.#missing.delete(state)
    this.#toCompare.delete(state)
    this.#toSeek.delete(state)
    this.#toSettle.delete(state)
  }

  /** @param isLost whether what it has missed is not known to be on its way */
  #compare (state: RoomState, isLost: boolean): void {
    this.#toCompare.set(state, isLost || this.#toCompare.get(state) === true)
    this.#begin()
  }

  #tell (rooms: readonly string[]): void {
    for (const room of rooms) {
      this.#toTell.add(room)
      this.#untold.add(room)
    }
    this.#begin()
  }

  #begin (): void {
    if (this.#isComparing) return
    this.#isComparing = true
    // Behind whatever else is to be compared for the same reason.
    queueMicrotask(() => { this.#compareNext() })
  }

  #compareNext (): void {
    // All are, when Redis is back.
    if (!this.#options.link.isReady) {
      this.#toCompare.clear()
      this.#toTell.clear()
      this.#untold.clear()
    }
    const asked: Array<Promise<unknown>> = []
    for (const room of this.#toTell) {
      if (asked.length === COMPARED_AT_ONCE) break
      this.#toTell.delete(room)
      const again = (): void => { this.#toTell.add(room) }
      asked.push(this.#options.positions.ask(room).then(() => { this.#untold.delete(room) }, (error: unknown) => { if (!this.#failed(error, again)) this.#untold.delete(room) }))
    }
    for (const [state, isLost] of this.#toCompare) {
      if (asked.length === COMPARED_AT_ONCE) break
      this.#toCompare.delete(state)
      if (!state.order.isLive) continue
      asked.push(this.#compareOne(state, isLost).catch((error: unknown) => { this.#failed(error, () => { this.#compare(state, isLost) }) }))
    }
    this.#isComparing = asked.length > 0
    if (asked.length > 0) Promise.all(asked).then(() => { if (this.#again.length === 0) this.#compareNext() }, () => {})
  }

  /**
   * Redis is there, and could not: another master of a cluster, which takes over, or one that is full. When it has gone, all are compared when it is back.
   * @returns whether it is tried again
   */
  #failed (error: unknown, again: () => void): boolean {
    const isLater = this.#isOutage(error) && this.#options.link.isReady
    if (isLater) this.#again.push(again)
    return isLater
  }

  /** What else has failed is reported. */
  #isOutage (error: unknown): boolean {
    if (error instanceof FST_HUB_BROKER_UNAVAILABLE) return true
    this.#options.onError(error)
    return false
  }

  #settleAgain (): void {
    const states = [...this.#toSettle]
    this.#toSettle.clear()
    for (const state of states) this.onTurned(state)
  }

  #tryAgain (): void {
    if (this.#options.link.isReady) this.#settleAgain()
    if (this.#again.length === 0) return
    for (const again of this.#again.splice(0)) again()
    this.#compareNext()
  }

  async #compareOne (state: RoomState, isLost: boolean): Promise<void> {
    const comparison = await this.#options.positions.ask(state.name)
    const { order } = state
    if (!order.isLive) return
    const { known, position: { epoch, offset }, held } = comparison
    // It has turned meanwhile, and was compared for that.
    if (known === order.epoch && held < 0) order.compare(comparison)
    order.learn(comparison.position)
    if (known !== order.epoch && epoch !== order.epoch) return
    if (epoch === order.epoch && offset <= order.last) return
    // An epoch that goes on from this one began with a publication: the bus brings that, behind what comes before it.
    if (state.verdict === null) state.awaited = comparison
    this.onMissing(state, isLost)
  }

  #hasLog ({ name }: RoomState): boolean { return this.#options.policyOf(name).size > 0 }

  /** What has not come up to there comes by the bus, or is lost. */
  #judge (state: RoomState, standing: Standing | Comparison): void {
    const { epoch, offset } = standing.position
    if (state.order.epoch === epoch && state.order.last >= offset) return this.#end(state)
    state.verdict = standing
    state.missingSince = Infinity
    state.awaited = null
    this.#missing.add(state)
  }

  /** What was looked for is there, or is lost. */
  #end (state: RoomState): void {
    this.#missing.delete(state)
    forgetNumbers(state)
    state.missingSince = Infinity
    if (state.order.isHolding) this.onMissing(state, false)
  }

  #look (): void {
    const { bus, clock } = this.#options
    const now = clock.monotonic()
    for (const state of this.#missing) {
      // What has come may wait for an answer.
      if (state.isSought || state.order.unknown !== null) continue
      const { sequence, readAt } = bus.progress(state.partition)
      const { verdict, awaited, order, missingSince } = state
      if (verdict !== null) {
        if (sequence < verdict.sequence) continue
        const isFinal = !('known' in verdict) || order.compare(verdict)
        order.giveUp(verdict.position)
        this.#end(state)
        if (!isFinal) this.onMissing(state, true)
      } else if (hasAll(state)) {
        this.#missing.delete(state)
        state.missingSince = Infinity
        state.awaited = null
      } else {
        const patience = order.isHolding ? PATIENCE_MS : BUS_PATIENCE_MS
        if ((awaited !== null && sequence >= awaited.sequence) || Math.max(missingSince, readAt) <= now - patience) this.#seek(state)
      }
    }
  }

  #seek (state: RoomState): void {
    if (state.isSought || !this.#options.link.isReady) return
    state.isSought = true
    this.#toSeek.add(state)
    this.#seekNext()
  }

  #seekNext (): void {
    if (!this.#options.link.isReady) {
      // They stay missing, and are looked for again.
      for (const state of this.#toSeek) state.isSought = false
      this.#toSeek.clear()
    }
    for (const state of this.#toSeek) {
      if (this.#seeking === SOUGHT_AT_ONCE) return
      this.#toSeek.delete(state)
      this.#seeking++
      // What fails stays missing, and is looked for again.
      this.#seekOne(state).catch((error: unknown) => { this.#isOutage(error) }).finally(() => {
        state.isSought = false
        this.#seeking--
        this.#seekNext()
      })
    }
  }

  async #seekOne (state: RoomState): Promise<void> {
    const { positions, logs } = this.#options
    const { order } = state
    const answer = this.#hasLog(state) ? await logs.askBehind(state.name, order.position) : null
    if (answer !== null && answer.position.epoch === order.epoch) {
      if (!order.isLive) return
      order.fill(answer.publications)
      order.learn(answer.position)
      return this.#judge(state, answer)
    }
    const comparison = await positions.ask(state.name)
    if (!order.isLive || comparison.known !== order.epoch) return
    // With a log, that is asked once more. Without, the bus may still bring what is before another epoch.
    if (answer !== null || comparison.held < 0) order.compare(comparison)
    order.learn(comparison.position)
    if (answer === null) this.#judge(state, comparison)
  }

  /** A room is compared now and then: what was lost with nothing behind it would not be noticed. This keeps its position alive, too. */
  #auditSome (): void {
    if (!this.#options.link.isReady) return
    this.#recent.sweep(this.#untold)
    if (this.#audit.length === 0) this.#audit = [...this.#rooms.keys()]
    const count = Math.ceil(this.#rooms.size * AUDIT_STEP_MS / this.#options.auditTime)
    for (const room of this.#audit.splice(0, count)) {
      const state = this.#rooms.get(room)
      if (state !== undefined) this.#compare(state, false)
    }
  }
}

/** Whether the bus has brought what was missing. */
function hasAll ({ order, awaited }: RoomState): boolean {
  return !order.isHolding && (awaited === null || awaited.position.epoch < order.epoch || (awaited.position.epoch === order.epoch && awaited.position.offset <= order.last))
}

/** Numbers of the bus are not what they were. */
function forgetNumbers (state: RoomState): void { state.awaited = state.verdict = null }
