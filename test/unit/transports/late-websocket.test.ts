import { Socket } from 'node:net'
import { PassThrough, type Duplex } from 'node:stream'
import t from 'tap'
import { WebSocket } from 'ws'
import { expect, LateWebSocket } from '../../../lib/transports/late-websocket.js'

const HEAD = Buffer.from('early')

/** As ws makes one for a socket. */
function complete (socket: Duplex, head = Buffer.alloc(0), extensions: object = {}): LateWebSocket {
  const ws = new (LateWebSocket as unknown as new (address: null, protocols: undefined, options: object) => LateWebSocket)(null, undefined, {})
  Object.assign(ws, { _extensions: extensions })
  ws.setSocket(socket, head, { maxPayload: 0 })
  return ws
}

t.test('one that is expected gets no parser and no listener, and gives its socket away as ws would have it', (t) => {
  const socket = new Socket()
  expect(socket)
  const before = socket.eventNames()
  const ws = complete(socket, HEAD)
  t.same(socket.eventNames(), before)
  t.equal(ws.readyState, WebSocket.CONNECTING)
  const calls: unknown[][] = []
  Object.assign(socket, {
    setTimeout: (...args: unknown[]) => { calls.push(['setTimeout', ...args]) },
    setNoDelay: (...args: unknown[]) => { calls.push(['setNoDelay', ...args]) }
  })
  t.equal(ws.release(), socket)
  t.same(calls, [['setTimeout', 0], ['setNoDelay']])
  t.same(socket.read(), HEAD, 'what came with the handshake is read first')
  t.end()
})

t.test('nothing came with the handshake', (t) => {
  const socket = new Socket()
  expect(socket)
  t.equal(complete(socket).release(), socket)
  t.equal(socket.readableLength, 0)
  t.end()
})

t.test('others are as ws makes them', (t) => {
  const compressed = new Socket()
  const stream = new PassThrough()
  for (const socket of [compressed, stream]) expect(socket)
  for (const [ws, why] of [
    [complete(new Socket()), 'nobody expects it'],
    [complete(compressed, Buffer.alloc(0), { 'permessage-deflate': {} }), 'it compresses'],
    [complete(stream), 'the stream of injectWS']
  ] as const) {
    t.equal(ws.readyState, WebSocket.OPEN, why)
    t.equal(ws.release(), null, why)
  }
  t.end()
})
