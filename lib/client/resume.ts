import type { ClientMessage } from '../protocol/hub-v1/schema.js'
import type { Room } from './room.js'
import { jsonBytes } from './size.js'

/** Of the largest message that the server takes: it closes for good over one that is larger, and a codec may need more than JSON. */
const SHARE = 0.9
/** It takes no more rooms in one message. */
const MAX_ROOMS = 1_000

/**
 * The first message of a connection, with the position of each room that has one, and that there is space for.
 * @param maxBytes that the server takes; 0: not known, and no room is in it
 * @returns the rooms that are in it, and those that are to be joined one by one
 */
export function resumeMessage (rooms: Iterable<Room>, session: string | null, maxBytes: number, id: number): { message: ClientMessage<'resume'>, resumed: Room[], others: Room[] } {
  const message: ClientMessage<'resume'> = { op: 'resume', rooms: {}, id }
  if (session !== null) message.session = session
  let space = maxBytes * SHARE - jsonBytes(message)
  const resumed: Room[] = []
  const others: Room[] = []
  const positions: Array<[string, { epoch: string, offset: number }]> = []
  for (const room of rooms) {
    const { name, position } = room
    if (!room.wanted) continue
    // A position that the application has named may be refused, and all of `resume` with it.
    if (position === null || room.asked || resumed.length >= MAX_ROOMS || (space -= jsonBytes(name) + jsonBytes(position)) < 0) {
      others.push(room)
    } else {
      positions.push([name, position])
      resumed.push(room)
    }
  }
  // fromEntries makes members of its own of any names, __proto__ too.
  message.rooms = Object.fromEntries(positions)
  return { message, resumed, others }
}
