// One node of a cluster on Redis, in a process of its own: `fork('servers/node.js', [JSON of { redis, port, ...options of the hub }])`. It tells
// its port, and answers what it is asked (lib.js).
import Fastify from 'fastify'
import { answer } from '../lib.js'
import fastifyHub from '../../dist/lib/index.js'

const { redis, port = 0, userByQuery = false, ...options } = JSON.parse(process.argv[2])
/** Lines of the log, from errors on, by what they say. */
const logged = {}
const stream = {
  write: (line) => {
    const { msg, err } = JSON.parse(line)
    const text = err === undefined ? msg : `${msg}: ${err.message}`
    const kind = text.replace(/\d+/g, 'N').slice(0, 160)
    logged[kind] = (logged[kind] ?? 0) + 1
    if (process.env.BENCH_VERBOSE === '1') console.error(process.pid, line.trim())
  }
}
const app = Fastify({ logger: { level: 'error', stream } })
await app.register(fastifyHub, {
  subprotocols: ['hub.v1.json'],
  authorize: { join: () => true, publish: () => true },
  ...options,
  ...userByQuery && { identify: (request) => ({ user: request.query.user }) },
  redis: { url: redis, ...options.redis }
})
await app.listen({ port, host: '127.0.0.1', backlog: 4_096 })

answer({
  drain: async () => { await app.close() },
  broadcast: async (data) => await app.hub.broadcast(data),
  /** Each of the rooms gets the numbers from 1 on. */
  publish: async ({ rooms, each }) => {
    for (let n = 1; n <= each; n++) await Promise.all(rooms.map((room) => app.hub.room(room).publish(n)))
  },
  figures: () => {
    const { user, system } = process.cpuUsage()
    const { rss, heapUsed, external } = process.memoryUsage()
    return { stats: app.hub.stats(), health: app.hub.health(), rss, heap: heapUsed + external, cpu: user + system, logged }
  },
  gc: () => { for (let i = 0; i < 4; i++) globalThis.gc() }
})
process.send({ port: app.server.address().port })
