import type { Keys } from './keys.js'
import type { RedisLink, Reply } from './link.js'
import { unpack } from './presence-codec.js'
import { Script } from './script.js'

/** What Redis knows of a room at one moment. */
export interface PresenceSnapshot {
  /** Number of the latest entry of its bus: what that tells is in here. */
  readonly number: number
  readonly members: ReadonlyArray<{ user: string, connectionId: string }>
  /** With the milliseconds that are left of them. */
  readonly states: ReadonlyArray<{ user: string, key: string, ttl: number }>
}

/** How lua/presence-read.lua is asked. */
const WHAT = { members: 'm', states: 's' }

export type Part = keyof typeof WHAT

const READ = new Script('presence-read')

/**
 * Asks who is in a room, and what they are doing.
 * @param parts the lists of others stay empty
 * @throws FST_HUB_BROKER_UNAVAILABLE (as a rejection)
 */
export async function readRoom (link: Pick<RedisLink, 'run'>, keys: Keys, room: string, parts: ReadonlySet<Part>): Promise<PresenceSnapshot> {
  const partition = keys.partitionOf(room)
  const roomKeys = [keys.presence(room), keys.presenceIndex(room), keys.states(room), keys.batches(keys.busAt(partition)), keys.lives(partition)]
  const [number, members, states] = await link.run(READ, roomKeys, [Array.from(parts, (part) => WHAT[part]).join('')]) as [number, ReadonlyArray<readonly Buffer[]>, readonly Reply[]]
  const read: Array<{ user: string, key: string, ttl: number }> = []
  for (let i = 0; i < states.length; i += 2) {
    const [user, key] = unpack(states[i] as Buffer)
    read.push({ user, key, ttl: states[i + 1] as number })
  }
  return {
    number,
    members: members.flat().map((pair) => {
      const [user, connectionId] = unpack(pair)
      return { user, connectionId }
    }),
    states: read
  }
}
