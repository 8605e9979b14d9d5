import Fastify, { type FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import fastifyHub, { type Hub, type HubOptions } from '../../lib/index.js'
import { captureLogs } from './app.js'
import { ownPrefix } from './redis-server.js'

/** Whole apps that are nodes of one cluster. */
export interface RedisApps {
  readonly apps: readonly FastifyInstance[]
  readonly hubs: readonly Hub[]
  /** What was logged, by all of them. */
  readonly logs: ReadonlyArray<{ level: number, msg: string }>
  /** One more node, with these options beside. */
  readonly add: (more?: HubOptions) => Promise<Hub>
}

/** @param redis where Redis is: one for all nodes, or one for each */
export async function redisApps (t: Test, count: number, redis: NonNullable<HubOptions['redis']> | ((node: number) => NonNullable<HubOptions['redis']>), options: HubOptions = {}): Promise<RedisApps> {
  const prefix = ownPrefix()
  const apps: FastifyInstance[] = []
  const hubs: Hub[] = []
  const { lines: logs, options: logger } = captureLogs()
  t.teardown(async () => { await Promise.all(apps.map(async (app) => { await app.close() })) })
  const add = async (more: HubOptions = {}): Promise<Hub> => {
    const app = Fastify({ logger })
    apps.push(app)
    await app.register(fastifyHub, { subprotocols: ['hub.v1.json'], history: { size: 100 }, drain: { spread: 0, timeout: 5_000 }, redis: { prefix, ...typeof redis === 'function' ? redis(hubs.length) : redis }, ...options, ...more })
    await app.ready()
    hubs.push(app.hub)
    return app.hub
  }
  for (let i = 0; i < count; i++) await add()
  return { apps, hubs, logs, add }
}
