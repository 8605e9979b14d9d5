import type { StreamPosition } from '../core/types.js'
import type { Standing } from './positions.js'
import type { RoomOrder } from './room-order.js'

/** A room in which this node has members. */
export interface RoomState {
  readonly name: string
  readonly partition: number
  readonly order: RoomOrder
  /** Until the position is known. */
  readonly begun: Promise<StreamPosition>
  /** Number of the latest entry of the bus of which this node knows something of it, by whatever way, and the epoch of that. */
  number: number
  heard: string
  /** Where the latest publication of this node stands that Redis has confirmed. */
  confirmed: StreamPosition
  /** Number of the entry of the bus up to which there is nothing for it: what it was when the position was asked for. */
  since: number
  /** What the bus has brought before the position was known, by number. */
  early: Array<readonly [number: number, step: () => void]>
  /** The epoch in which offsets may mean two things: Redis has lost what this node has had, and gone on. */
  doubted: string
  /** When something was found missing, in monotonic milliseconds; Infinity: nothing is. */
  missingSince: number
  /** Where Redis said that the room stands: the bus brings what is missing up to there, or it is missing when that number has been read. */
  awaited: Standing | null
  /** What nobody has kept: it is lost, when the bus has been read up to this number without it. */
  verdict: Standing | null
  /** Whether what is missing is being looked for. */
  isSought: boolean
}

/** As far as this node knows; more than any room has where offsets are in doubt: it begins a new epoch, unless it has done so already. */
export function knownOf ({ order, doubted, confirmed }: RoomState): StreamPosition {
  if (order.epoch === doubted) return { epoch: doubted, offset: Number.MAX_SAFE_INTEGER }
  // What is confirmed may still wait for what is before it.
  return confirmed.epoch === order.epoch && confirmed.offset > order.last ? confirmed : order.position
}

/** This node knows where it stood. */
export function learn (state: RoomState, { epoch }: StreamPosition, number: number): void {
  state.number = Math.max(state.number, number)
  // An earlier one is heard of late.
  if (epoch > state.heard) state.heard = epoch
}
