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
  /** When something was found missing, in monotonic milliseconds; Infinity: nothing is. */
  missingSince: number
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

/** Whether a publication of this node is confirmed that the bus has not brought yet. */
export function isAhead ({ order, confirmed, brought }: RoomState): boolean { return confirmed.epoch === order.epoch && confirmed.offset > brought }
