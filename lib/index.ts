import { fastifyHub } from './plugin.js'

export default fastifyHub
export { fastifyHub }
export * as errors from './errors.js'
export { disconnects } from './protocol/disconnect.js'
export type { Disconnect } from './protocol/disconnect.js'
export type { HubOptions, OriginRule, RedisClient } from './options.js'
export type { HubCluster } from './core/cluster/hub-cluster.js'
export type { Clock, Timer } from './core/ports.js'
export type * from './core/types.js'
export type * from './core/hub-v1/event-types.js'
export type * from '../types/fastify.js'
