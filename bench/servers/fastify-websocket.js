// @fastify/websocket and a loop.
import websocket from '@fastify/websocket'
import Fastify from 'fastify'
import { DEFLATE, DEFLATE_LEVEL, MAX_MESSAGE_BYTES, ready } from './shared.js'
import { wsLoop } from './ws-loop.js'

const app = Fastify()
await app.register(websocket, {
  options: { maxPayload: MAX_MESSAGE_BYTES, perMessageDeflate: DEFLATE ? { threshold: 1_024, zlibDeflateOptions: { level: DEFLATE_LEVEL } } : false }
})
const attend = wsLoop(app.websocketServer.clients)
app.register(async (scope) => {
  scope.get('/ws', { websocket: true }, (ws, request) => { attend(ws, request.url) })
})
await app.listen({ port: 0, host: '127.0.0.1' })
ready(app.server.address().port)
