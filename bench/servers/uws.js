// uWebSockets.js: C++, with its own publish and subscribe.
import uws from '@trufflesuite/uws-js-unofficial/dist/uws.js'
import { BROADCAST, DEFLATE, ECHO, JSON_OBJECT, MAX_MESSAGE_BYTES, ready, roomOf, targetOf, toObject } from './shared.js'

const app = uws.App()
app.ws('/ws', {
  compression: DEFLATE ? uws.SHARED_COMPRESSOR : uws.DISABLED,
  maxPayloadLength: MAX_MESSAGE_BYTES,
  maxBackpressure: 1024 * 1024,
  idleTimeout: 120,
  upgrade: (response, request, context) => {
    response.upgrade({ room: roomOf(`?${request.getQuery()}`) }, request.getHeader('sec-websocket-key'), request.getHeader('sec-websocket-protocol'), request.getHeader('sec-websocket-extensions'), context)
  },
  open: (ws) => {
    ws.subscribe('all')
    if (ws.room !== null) ws.subscribe(`room ${ws.room}`)
  },
  message: (ws, data, isBinary) => {
    const bytes = new Uint8Array(data)
    const kind = bytes[0]
    if (kind === BROADCAST) app.publish('all', data, isBinary, DEFLATE)
    else if (kind === ECHO) ws.send(data, isBinary, DEFLATE)
    else if (kind === JSON_OBJECT) app.publish('all', JSON.stringify(toObject(bytes)), false, DEFLATE)
    else app.publish(`room ${targetOf(bytes)}`, data, isBinary, DEFLATE)
  }
})
app.listen('127.0.0.1', 0, (listening) => { ready(uws.us_socket_local_port(listening)) })
