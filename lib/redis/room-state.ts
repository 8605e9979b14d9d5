import type { StreamPosition } from '../core/types.js'
import type { Comparison, Standing } from './positions.js'
import type { RoomOrder } from './room-order.js'

/** A room in which this node has members. */
export interface RoomState {
  readonly name: string
  readonly partition: number
  readonly order: RoomOrder
  /** Until the position is known. */
  readonly begun: Promise<StreamPosition>
  /** When something was found missing, in monotonic milliseconds; Infinity: nothing is. */
  missingSince: number
  /** Where Redis said that the room stands: the bus brings what is missing up to there, or it is missing when that number has been read. */
  awaited: Standing | null
  /** What nobody has kept: it is lost, when the bus has been read up to this number without it. */
  verdict: Standing | Comparison | null
  /** Whether what is missing is being looked for. */
  isSought: boolean
}

/** As far as this node knows: what has been heard of may still wait for what is before it. */
export function knownOf ({ order: { epoch, furthest } }: RoomState): StreamPosition { return { epoch, offset: furthest } }

/** The same, with what was heard of a later epoch. */
export function latestOf (state: RoomState): StreamPosition {
  const { epoch, unknown } = state.order
  return unknown !== null && unknown.epoch > epoch ? unknown : knownOf(state)
}
