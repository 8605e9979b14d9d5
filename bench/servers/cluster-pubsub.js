// What one writes by hand: ws, and PUBLISH and SUBSCRIBE of Redis, with a channel per room.
import { once } from 'node:events'
import { Redis } from 'ioredis'
import { WebSocketServer } from 'ws'
import { options, serve } from './cluster-shared.js'
import { roomOf } from './shared.js'

const redis = new Redis(options.redis, { enableAutoPipelining: true })
const subscriber = new Redis(options.redis)
/** By room, who is told of its messages. */
const rooms = new Map()

async function join (room, onMessage) {
  let members = rooms.get(room)
  if (members === undefined) {
    rooms.set(room, members = new Set())
    await subscriber.subscribe(room)
  }
  members.add(onMessage)
}

subscriber.on('message', (room, text) => { for (const member of rooms.get(room)) member(text) })
const server = new WebSocketServer({ port: 0, host: '127.0.0.1', path: '/ws', perMessageDeflate: false })
server.on('connection', (ws, request) => {
  const room = roomOf(request.url)
  if (room !== null) join(room, (text) => { ws.send(text) })
  ws.on('error', () => {})
  ws.on('message', (data) => {
    const text = data.toString()
    redis.publish(text.slice(1, 3), text)
  })
})
await once(server, 'listening')
serve({
  port: server.address().port,
  publish: (room, text) => redis.publish(room, text),
  join: async (room, onMessages) => { await join(room, () => { onMessages(1) }) }
})
