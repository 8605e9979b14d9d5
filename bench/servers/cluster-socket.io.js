// A node of Socket.IO with its Redis Streams adapter, as its documentation has it.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createAdapter } from '@socket.io/redis-streams-adapter'
import { Redis } from 'ioredis'
import { Server } from 'socket.io'
import { options, serve } from './cluster-shared.js'
import { roomOf } from './shared.js'

const redis = new Redis(options.redis)
const http = createServer()
const io = new Server(http, { transports: ['websocket'], adapter: createAdapter(redis) })
io.on('connection', (socket) => {
  const room = roomOf(socket.request.url)
  if (room !== null) socket.join(room)
  socket.on('m', (text) => { io.to(text.slice(1, 3)).emit('m', text) })
})
http.listen(0, '127.0.0.1')
await once(http, 'listening')

const namespace = io.of('/')
const { adapter } = namespace
/** Its `emit` does not tell when Redis has it: this does. */
let last = Promise.resolve()
const doPublish = adapter.doPublish.bind(adapter)
adapter.doPublish = (message) => {
  last = doPublish(message)
  return last
}
serve({
  port: http.address().port,
  publish: async (room, text) => {
    io.to(room).emit('m', text)
    await last
  },
  join: async (room, onMessages) => {
    const id = `member of ${room}`
    namespace.sockets.set(id, { id, client: { writeToEngine: () => { onMessages(1) } } })
    adapter.addAll(id, new Set([room]))
  }
})
