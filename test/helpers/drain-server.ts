import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import fastifyHub from '../../lib/index.js'

/*
 * A process of its own: serves a hub, tells its port, closes the app when told to, and says how it went. It must then
 * exit by itself: nothing here calls process.exit.
 */

const app = Fastify()
const codes: Record<string, number> = {}
await app.register(fastifyHub, { drain: { spread: 1_000 }, onDisconnect: (_, { code }) => { codes[code] = (codes[code] ?? 0) + 1 } })
await app.listen({ host: '127.0.0.1', port: 0 })

process.once('message', () => {
  const connections = app.hub.size
  app.close().then(() => {
    process.send?.({ connections, codes, left: app.hub.size }, () => { process.disconnect() })
  }, (error: unknown) => { throw error })
})
process.send?.({ port: (app.server.address() as AddressInfo).port })
