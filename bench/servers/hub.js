// fastify-hub, as an application would use it.
import Fastify from 'fastify'
import fastifyHub from '../../dist/lib/index.js'
import { BROADCAST, DEFLATE, DEFLATE_LEVEL, ECHO, JSON_OBJECT, MAX_CONNECTIONS, MAX_MESSAGE_BYTES, ready, roomOf, targetOf, toObject } from './shared.js'

const app = Fastify()
await app.register(fastifyHub, {
  origins: ['https://app.example.com'],
  limits: { connections: MAX_CONNECTIONS, messagesPerSecond: 0, bytesPerSecond: 0, maxMessageBytes: MAX_MESSAGE_BYTES },
  compression: { level: DEFLATE ? DEFLATE_LEVEL : 0 },
  identify: (request) => ({ user: request.query.user, data: { room: roomOf(request.url) } }),
  onConnect: (connection) => connection.data.room === null ? undefined : connection.join(connection.data.room),
  onMessage: (connection, message) => {
    const kind = message.bytes[0]
    if (kind === BROADCAST) app.hub.broadcast(message)
    else if (kind === ECHO) connection.send(message)
    else if (kind === JSON_OBJECT) app.hub.broadcast(toObject(message.bytes))
    else app.hub.room(targetOf(message.bytes)).publish(message)
  }
})
await app.listen({ port: 0, host: '127.0.0.1' })
ready(app.server.address().port)
