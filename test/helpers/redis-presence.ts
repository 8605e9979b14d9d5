import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { systemClock } from '../../lib/core/clock.js'
import { RedisPresence } from '../../lib/redis/presence.js'
import { FakePresenceListener } from './fake-presence-listener.js'
import { redisNode, type RedisNode, type RedisNodeOptions } from './redis-node.js'
import { ownPrefix } from './redis-server.js'
import { until } from './until.js'

export interface PresenceNodeOptions extends RedisNodeOptions {
  /** Milliseconds. */
  interval?: number
  ttl?: number
  renewal?: number
}

/** One node with a presence on Redis, and what it needs of its own. */
export interface PresenceNode extends RedisNode {
  readonly presence: RedisPresence
  readonly listener: FakePresenceListener
  /** It is gone without a word, as after a kill: Redis is told nothing of it. */
  vanish: () => Promise<void>
}

/** Starts a node. */
export async function presenceNode (options: PresenceNodeOptions, listener = new FakePresenceListener()): Promise<PresenceNode> {
  const node = await redisNode(options)
  const { nodeId, link, bus, keys, close } = node
  const { clock = systemClock, interval = 50, ttl = 90_000, renewal = 30_000 } = options
  const presence = new RedisPresence({ nodeId, link, bus, keys, clock, interval, ttl, renewal, busLength: 10_000 }, listener)
  return {
    ...node,
    presence,
    listener,
    vanish: close,
    close: async () => {
      await presence.close()
      await close()
    }
  }
}

/** Nodes of one cluster, that the test ends. */
export function presenceCluster (t: Test, defaults: Omit<PresenceNodeOptions, 'prefix'>): (options?: Partial<PresenceNodeOptions>) => Promise<PresenceNode> {
  const prefix = ownPrefix()
  return async (options) => {
    const node = await presenceNode({ prefix, ...defaults, ...options })
    t.teardown(async () => { await node.close() })
    return node
  }
}

/** Waits until a node has heard all this of the room 'room', in whatever order, and nothing else. */
export async function hears ({ listener }: PresenceNode, ...story: string[]): Promise<void> {
  const heard = (): string => listener.story('room').sort().join()
  await until(() => heard() === [...story].sort().join(), () => `${story.join()}; got ${heard()}`)
}

/** Who is in a room, as a node is told by Redis: users, each with its number of connections, in the order of their names. */
export async function counts ({ presence }: PresenceNode, room: string): Promise<string> {
  return (await presence.list(room)).map(({ user, connections }) => `${user} ${connections}`).sort().join()
}

/** Waits until Redis says that these are in a room, and no others. */
export async function untilCounts (node: PresenceNode, room: string, expected: string): Promise<void> {
  const asked: { answer: string | null, isOver: boolean } = { answer: null, isOver: false }
  const ask = async (): Promise<void> => {
    while (asked.answer !== expected && !asked.isOver) {
      asked.answer = await counts(node, room).catch((error: Error) => error.message)
      await sleep(20)
    }
  }
  const asking = ask()
  try {
    await until(() => asked.answer === expected, () => `${expected}; got ${asked.answer}`)
  } finally {
    asked.isOver = true
    await asking
  }
}
