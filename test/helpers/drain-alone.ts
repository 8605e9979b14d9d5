import { once } from 'node:events'
import Fastify from 'fastify'
import fastifyHub from '../../lib/index.js'

/* A process in which nothing but the drain is left to be done: a handler of it waits for what never comes. It says that it has been closed. */

const app = Fastify({ pluginTimeout: 200 })
const codes: number[] = []
await app.register(fastifyHub, {
  deadlines: { handler: 0 },
  drain: { spread: 0, timeout: 1_000 },
  onMessage: async () => { await new Promise(() => {}) },
  onDisconnect: (_, { code }) => { codes.push(code) }
})
await app.listen({ host: '127.0.0.1', port: 0 })
const socket = await app.injectWS('/ws')
const closed = once(socket, 'close')
socket.send('wait')
while (app.hub.stats().messages.received === 0) await new Promise((resolve) => { setImmediate(resolve) })
await app.close()
await closed
console.log(JSON.stringify(codes))
