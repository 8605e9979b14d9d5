// Bare ws and a loop.
import { once } from 'node:events'
import { WebSocketServer } from 'ws'
import { DEFLATE, DEFLATE_LEVEL, HEARTBEAT, MAX_MESSAGE_BYTES, ready } from './shared.js'
import { wsLoop } from './ws-loop.js'

const server = new WebSocketServer({
  port: 0,
  host: '127.0.0.1',
  path: '/ws',
  maxPayload: MAX_MESSAGE_BYTES,
  perMessageDeflate: DEFLATE ? { threshold: 1_024, zlibDeflateOptions: { level: DEFLATE_LEVEL } } : false
})
const attend = wsLoop(server.clients)
server.on('connection', (ws, request) => { attend(ws, request.url) })
if (HEARTBEAT) {
  // As the README of ws has it.
  server.on('connection', (ws) => {
    ws.isAlive = true
    ws.on('pong', () => { ws.isAlive = true })
  })
  setInterval(() => {
    for (const ws of server.clients) {
      if (!ws.isAlive) {
        ws.terminate()
        continue
      }
      ws.isAlive = false
      ws.ping()
    }
  }, 30_000)
}
await once(server, 'listening')
ready(server.address().port)
