// Socket.IO 4 without polling. Events are called 'm'.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { Server } from 'socket.io'
import { BROADCAST, DEFLATE, DEFLATE_LEVEL, ECHO, JSON_OBJECT, MAX_MESSAGE_BYTES, ready, roomOf, targetOf, toObject } from './shared.js'

const http = createServer()
const io = new Server(http, {
  transports: ['websocket'],
  maxHttpBufferSize: MAX_MESSAGE_BYTES,
  perMessageDeflate: DEFLATE ? { threshold: 1_024, zlibDeflateOptions: { level: DEFLATE_LEVEL } } : false
})
io.on('connection', (socket) => {
  const room = roomOf(socket.request.url)
  if (room !== null) socket.join(room)
  socket.on('m', (text) => {
    const kind = text.charCodeAt(0)
    if (kind === BROADCAST) io.emit('m', text)
    else if (kind === ECHO) socket.emit('m', text)
    else if (kind === JSON_OBJECT) io.emit('m', toObject(Buffer.from(text)))
    else io.to(targetOf(Buffer.from(text))).emit('m', text)
  })
})
http.listen(0, '127.0.0.1')
await once(http, 'listening')
ready(http.address().port)
