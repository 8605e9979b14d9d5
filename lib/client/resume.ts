import type { ClientMessage } from '../protocol/hub-v1/schema.js'
import type { Room } from './room.js'

/** Of the largest message that the server takes: the rest is for the session, and for a codec that needs more than JSON. */
const SHARE = 0.5
/** It takes no more rooms in one message. */
const MAX_ROOMS = 1_000
/** Where the server has not said what it takes. */
const DEFAULT_MAX_BYTES = 64 * 1024

/**
 * The first message of a connection, with the position of each room that has one, and that there is space for.
 * @returns the rooms that are in it, and those that are to be joined one by one
 */
export function resumeMessage (rooms: Iterable<Room>, session: string | null, maxBytes: number, id: number): { message: ClientMessage<'resume'>, resumed: Room[], others: Room[] } {
  let space = (maxBytes > 0 ? maxBytes : DEFAULT_MAX_BYTES) * SHARE
  const resumed: Room[] = []
  const others: Room[] = []
  const positions: Array<[string, { epoch: string, offset: number }]> = []
  for (const room of rooms) {
    const { position } = room
    if (!room.wanted) continue
    const entry = JSON.stringify([room.name, position])
    // A UTF-16 unit is three bytes at most.
    if (position === null || resumed.length >= MAX_ROOMS || (space -= entry.length * 3) < 0) {
      others.push(room)
    } else {
      positions.push([room.name, position])
      resumed.push(room)
    }
  }
  // fromEntries makes members of its own of any names, __proto__ too.
  const message: ClientMessage<'resume'> = { op: 'resume', rooms: Object.fromEntries(positions), id }
  if (session !== null) message.session = session
  return { message, resumed, others }
}
