// A TypeScript program of someone who installed the package: test-pack.js compiles and runs it in an empty folder.
import Fastify, { type FastifyRequest } from 'fastify'
import fastifyHub, { disconnects, errors, fastifyHub as named, type Connection, type Hub, type HubOptions, type RedisClient } from 'fastify-hub'

declare module 'fastify-hub' {
  interface HubConnectionData { name?: string }
}

const app = Fastify()

const options: HubOptions = {
  path: '/ws',
  heartbeat: { interval: 10_000, timeout: 20_000 },
  identify: async (request: FastifyRequest) => request.headers['x-refuse'] === undefined ? { user: 'ada', data: { name: 'Ada' } } : null,
  onConnect: async (connection) => { await connection.join('lobby') },
  onMessage: async (connection, message) => {
    await app.hub.room('lobby').publish(`${greeting(connection)} ${message.text()}`)
  },
  onDisconnect: (_, { code }) => {
    if (code === disconnects.normal.code) app.close().catch((error: unknown) => { throw error })
  }
}

/** Types need no ioredis. */
export function onRedis (client: RedisClient): HubOptions { return { redis: { client, prefix: 'app' } } }

function greeting ({ data }: Connection): string {
  const name: string | undefined = data.name
  return `from ${name ?? 'nobody'}:`
}

if (named !== fastifyHub) throw new Error('the default export and the named one differ')
await app.register(fastifyHub, options)
const hub: Hub = app.hub
hub.on('error', (error, connection) => { throw error instanceof errors.FST_HUB_CLOSED ? error : new Error(connection?.id) })
console.log(await app.listen({ host: '127.0.0.1', port: 0 }))
