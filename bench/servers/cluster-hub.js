// A node of fastify-hub on Redis.
import Fastify from 'fastify'
import fastifyHub from '../../dist/lib/index.js'
import { options, serve } from './cluster-shared.js'
import { roomOf, targetOf } from './shared.js'

const app = Fastify({ logger: { level: 'error' } })
await app.register(fastifyHub, {
  origins: '*',
  limits: { messagesPerSecond: 0, bytesPerSecond: 0 },
  history: { size: options.history ?? 0 },
  redis: { url: options.redis },
  identify: (request) => ({ data: { room: roomOf(request.url) } }),
  onConnect: (connection) => connection.data.room === null ? undefined : connection.join(connection.data.room),
  onMessage: (connection, message) => { app.hub.room(targetOf(message.bytes)).publish(message) }
})
await app.listen({ port: 0, host: '127.0.0.1' })
const { hub } = app

/** The socket of a peer that reads at once, and looks at nothing. */
class NoSocket {
  blocked = false
  writable = true
  deflate = false
  #onMessages

  constructor (onMessages) { this.#onMessages = onMessages }

  attach () {}

  write (chunks) {
    let bytes = 0
    for (const chunk of chunks) bytes += chunk.length
    this.#onMessages(bytes / (options.bytes + HEADER_BYTES))
  }

  ping () {}
  pong () {}
  close () {}
  ignore () {}
  terminate () {}
  pause () {}
  resume () {}
}

/** RFC 6455 section 5.2, of a server's message of less than 126 bytes. */
const HEADER_BYTES = 2

serve({
  port: app.server.address().port,
  publish: (room, text) => hub.room(room).publish(text),
  join: async (room, onMessages) => {
    const slot = await new Promise((resolve, reject) => {
      const held = hub.admission.acquire(null, (error) => { if (error !== null) reject(error) })
      if (held.state === 'held') resolve(held)
    })
    const connection = hub.accept(new NoSocket(onMessages), { identity: { data: { room } }, ip: null, subprotocol: null, slot })
    while (!connection.rooms.has(room)) await new Promise((resolve) => { setImmediate(resolve) })
  }
})
