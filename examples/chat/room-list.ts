import type { FastifyInstance } from 'fastify'
import type { Hub } from 'fastify-hub'
import { CHAT, DIRECTORY, type Directory } from './events.js'

const MAX_ROOMS_LISTED = 100
/** Milliseconds: how often each node looks who of its own is where, and after which it also looks what others did not tell, being dead. */
const LOOK_EVERY = 250
const LOOK_ELSEWHERE_EVERY = 5_000

/**
 * Publishes the list of rooms whenever it has changed. Nobody tells when a client enters or leaves a room, and rooms fill and empty in
 * no time: so this looks, now and then. Each node does. What they list is what all nodes know, so they come to the same list, and it is
 * published by the first of them.
 */
export function tellRooms (app: FastifyInstance): void {
  let isBusy = false
  let known = ''
  let lookedAt = -Infinity

  async function look (): Promise<void> {
    const here = roomsHere(app.hub)
    const sizes = JSON.stringify([...here])
    const now = performance.now()
    if (sizes === known && now - lookedAt < LOOK_ELSEWHERE_EVERY) return
    known = sizes
    lookedAt = now
    try {
      await publishRooms(app.hub, here.keys())
    } catch (error) {
      // Redis is away, which the hub has told.
      app.log.debug(error)
      known = ''
      lookedAt = -Infinity
    }
  }

  const timer = setInterval(() => {
    if (isBusy) return
    isBusy = true
    look().catch((error: unknown) => { app.log.error(error) }).finally(() => { isBusy = false })
  }, LOOK_EVERY)
  app.addHook('onClose', async () => { clearInterval(timer) })
}

/** Rooms that this node has somebody in, and how many. */
function roomsHere (hub: Hub): Map<string, number> {
  const sizes = new Map<string, number>()
  for (const { rooms } of hub.connections()) {
    for (const room of rooms) if (room.startsWith(CHAT)) sizes.set(room, (sizes.get(room) ?? 0) + 1)
  }
  return sizes
}

async function publishRooms (hub: Hub, here: Iterable<string>): Promise<void> {
  const { publications } = await hub.room(DIRECTORY).history()
  const listed = (publications.at(-1)?.data as Directory | undefined)?.rooms ?? []
  const names = new Set([...here, ...listed.map(({ room }) => room)])
  const rooms = await Promise.all([...names].map(async (room) => ({ room, people: (await hub.room(room).presence()).length })))
  const list = rooms
    .filter(({ people }) => people > 0)
    .sort((a, b) => b.people - a.people || (a.room < b.room ? -1 : 1))
    .slice(0, MAX_ROOMS_LISTED)
  if (JSON.stringify(list) !== JSON.stringify(listed)) await hub.room(DIRECTORY).publish({ rooms: list } satisfies Directory)
}
