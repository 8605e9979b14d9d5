import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import fastifyHub from '../../lib/index.js'

/*
 * A process of its own, which a test may stop: a node where a user has one login. Its arguments are the address of Redis and the
 * prefix; it tells its port, and lives until it is killed.
 */

const [url = '', prefix = ''] = process.argv.slice(2)
const app = Fastify()
await app.register(fastifyHub, {
  redis: { url, prefix },
  sessions: 'single-per-user',
  deadlines: { close: 500 },
  identify: ({ headers }) => ({ user: String(headers['x-user']) }),
  onConnect: (connection) => { connection.send('hello') }
})
await app.listen({ host: '127.0.0.1', port: 0 })
process.send?.({ port: (app.server.address() as AddressInfo).port })
