import { setTimeout as sleep } from 'node:timers/promises'
import { systemClock } from '../../lib/core/clock.js'
import type { RedisTarget } from '../../lib/redis/connections.js'
import { RedisDirectory } from '../../lib/redis/directory.js'
import { RedisClocks } from '../../lib/redis/redis-clock.js'
import { RedisOfflineStore } from '../../lib/redis/offline-store.js'
import { RedisPresence } from '../../lib/redis/presence.js'
import { RedisInboxWorld } from '../helpers/redis-inboxes.js'
import { redisBroker, redisNode, type RedisNode } from '../helpers/redis-node.js'
import { ownPrefix } from '../helpers/redis-server.js'
import type { BrokerFactory } from './broker-world.js'
import type { DirectoryFactory } from './directory-world.js'
import type { InboxesWorld } from './inboxes.js'
import type { OfflineFactory } from './offline-store.js'
import type { PresenceFactory } from './presence-world.js'

/** Worlds for the contracts of all ports, on one Redis, be it one server or a Redis Cluster: each with keys of its own. */
export interface RedisWorlds {
  readonly broker: BrokerFactory
  readonly directory: DirectoryFactory
  readonly inboxes: () => InboxesWorld
  readonly offlineStore: OfflineFactory
  readonly presence: PresenceFactory
}

/** @param target by either `url` or `client` */
export function redisWorlds (target: Partial<RedisTarget>): RedisWorlds {
  return {
    broker: (policyOf) => {
      const { node } = nodesOn(target)
      // Closing the broker closes the node.
      return { node: async (listener) => redisBroker(await node(), policyOf, listener), advance: async (ms) => { await sleep(ms) }, close: () => {} }
    },
    directory: () => {
      const { node, close } = nodesOn(target)
      return {
        node: async (listener) => {
          const { link, keys } = await node()
          return new RedisDirectory(link, keys, systemClock, new RedisClocks(keys), listener, { ttl: 90_000, interval: 30_000, lease: 10_000 })
        },
        close
      }
    },
    inboxes: () => new RedisInboxWorld(target),
    offlineStore: (options) => {
      const { node, close } = nodesOn(target)
      return {
        node: async (listener) => {
          const { link, keys } = await node()
          return new RedisOfflineStore(link, keys, options, listener)
        },
        // It is Redis' time that must pass.
        advance: async (ms) => { await sleep(ms + 50) },
        close
      }
    },
    presence: (interval) => {
      const { node, close } = nodesOn(target)
      return {
        node: async (listener) => new RedisPresence({ ...await node(), clock: systemClock, interval, ttl: 90_000, renewal: 30_000, busLength: 10_000 }, listener),
        advance: async (ms) => { await sleep(ms) },
        close
      }
    }
  }
}

/** Nodes that share a prefix which nobody else has. */
function nodesOn (target: Partial<RedisTarget>): { node: () => Promise<RedisNode>, close: () => Promise<void> } {
  const prefix = ownPrefix()
  const nodes: RedisNode[] = []
  return {
    node: async () => {
      const node = await redisNode({ ...target, prefix })
      nodes.push(node)
      return node
    },
    close: async () => { for (const node of nodes) await node.close() }
  }
}
