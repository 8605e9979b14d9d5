import { setTimeout as sleep } from 'node:timers/promises'
import type { Connection, Hub, Room } from 'fastify-hub'
import { MAX_NAME, NAME } from './events.js'

/** A connection that has just ended may still be known on another node: looks again so often, and this many milliseconds later. */
const LOOKS = 3
const LOOK_AGAIN = 250

/** @returns null for what is no name of a person or a room */
export function cleanName (value: unknown): string | null {
  if (typeof value !== 'string') return null
  // Composed, so that the two ways to write é are one name.
  const name = value.trim().normalize('NFC')
  return name.length <= MAX_NAME && NAME.test(name) ? name : null
}

/**
 * Whether a connection may have its name, on whatever node others with that name are: not if one of them is of another tab. There
 * is a room for each name and one for each tab, in which nothing is ever said. Their presence is what all nodes know of it, and
 * goes with the connection; of those on a node that died, some time later.
 */
export async function claimName (hub: Hub, connection: Connection): Promise<boolean> {
  const ofTab = hub.room(`tab:${connection.device}`)
  const ofName = hub.room(roomOfName(connection))
  // In before it looks: of two who come at once, neither can overlook the other.
  for (const { name } of [ofTab, ofName]) await connection.join(name)
  for (let look = 1; ; look++) {
    const mine = await connections(ofTab, connection)
    if (mine >= await connections(ofName, connection)) return true
    if (look === LOOKS) return false
    await sleep(LOOK_AGAIN)
  }
}

/** Whether it has not left it: a client may leave any room. */
export function hasName (connection: Connection): boolean {
  return connection.rooms.has(roomOfName(connection))
}

function roomOfName ({ user }: Connection): string { return `name:${user}` }

async function connections (room: Room, connection: Connection): Promise<number> {
  const people = await room.presence()
  return people.find(({ user }) => user === connection.user)?.connections ?? 0
}
