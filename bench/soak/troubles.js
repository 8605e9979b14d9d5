// What breaks in the soak: `(world, random)`, resolves when all is whole again.
import { setTimeout as pause } from 'node:timers/promises'

const DIRECTIONS = [['up'], ['down'], ['up', 'down'], ['up', 'down']]

/** Of the network between one node and Redis. */
const LINK = {
  cut: async ({ node }) => { node.proxy.cut() },
  halfOpen: async ({ node }) => { node.proxy.halfOpen() },
  /** Nothing passes for a while; then what was on the way comes after all, or never. */
  hold: async ({ node: { proxy } }, random) => {
    const directions = random.pick(DIRECTIONS)
    for (const direction of directions) proxy.hold(direction)
    await pause(random.between(100, 4_000))
    const end = random.pick(['release', 'cut', 'halfOpen'])
    if (end === 'release') for (const direction of directions) proxy.release(direction)
    else proxy[end]()
  }
}

/** Of Redis: with every variant. */
const SERVER = {
  crash: async ({ servers }, random) => { await servers.crash(random.between(0, 1_500), random.between(0, 1_000)) },
  stall: async ({ servers }, random) => { await servers.stall(random.between(200, 1_200)) },
  clientKill: async ({ servers: { redis } }, random) => {
    if (random.chance(0.3)) return await redis.client('KILL', 'TYPE', 'normal')
    const clients = [...(await redis.client('LIST')).matchAll(/^id=(\d+) .* name=fastify-hub/gm)]
    if (clients.length > 0) await redis.client('KILL', 'ID', random.pick(clients)[1])
  },
  scripts: async ({ servers: { redis } }) => { await redis.script('FLUSH') },
  /** As when another node takes this one for dead. */
  reap: async ({ servers: { redis }, keys, node }, random) => {
    // There may be none.
    await redis.xgroup('DESTROY', keys.bus(random.between(0, keys.buses - 1)), node.name).catch(() => {})
  },
  full: async ({ servers }, random) => {
    await servers.setMemory(1)
    await pause(random.between(50, 1_000))
    await servers.setMemory(0)
  },
  /** A node comes, is in some rooms, publishes, and goes. */
  guest: async ({ invite }, random) => {
    const guest = await invite()
    if (guest === null) return
    await pause(random.between(300, 3_000))
    const end = random.pick(['close', 'cut', 'halfOpen'])
    if (end !== 'close') guest.proxy[end]()
    await guest.close()
  }
}

/** Of one variant each, or seldom. */
export const TROUBLES = {
  ...LINK,
  ...SERVER,
  /** What was begun on the first of two runs is lost with it. */
  crashes: async ({ servers }, random) => {
    for (const age of [random.between(0, 1_000), random.between(0, 400)]) {
      await servers.crash(random.between(0, 300), age)
      await pause(random.between(0, 500))
    }
  },
  /** A node knows of what Redis loses, and is not there until others have published. */
  apart: async ({ servers, node }, random) => {
    node.proxy.lose()
    await servers.crash(random.between(0, 500), random.between(0, 1_000))
    await pause(random.between(100, 2_000))
    node.proxy.restore()
    node.proxy.cut()
  },
  older: async ({ servers }, random) => { await servers.crash(random.between(0, 1_000), random.between(0, 5_000)) },
  failOver: async ({ servers }, random) => { await servers.failOver(random.between(0, 700), random.chance(0.3)) },
  trim: async ({ servers: { redis }, keys }, random) => { await redis.xtrim(keys.bus(random.between(0, keys.buses - 1)), 'MAXLEN', random.between(0, 3)) },
  flush: async ({ servers }) => { await servers.flush() },
  empty: async ({ servers }, random) => { await servers.crash(random.between(0, 1_000), Infinity) },
  forget: async ({ servers, keys, busy }, random) => {
    const room = random.pick(busy)
    await servers.forget(room, keys.meta(room))
  }
}
const SELDOM = ['flush', 'empty', 'forget']

/** What may break in a run. It is some of that each time, so that one trouble does not hide what another does. */
export function choose (variant, random) {
  const kinds = [...Object.keys(LINK), ...Object.keys(SERVER)]
  const own = [...variant.troubles, ...random.chance(0.25) ? [random.pick(SELDOM)] : []]
  return [...random.some(kinds, random.between(2, 5)), ...own]
}
