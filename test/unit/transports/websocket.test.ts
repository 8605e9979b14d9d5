import { PassThrough } from 'node:stream'
import t from 'tap'
import type { WebSocket } from 'ws'
import { WebSocketTransport } from '../../../lib/transports/websocket.js'

t.test('one that is ignored is never read again, whoever resumes it', (t) => {
  const calls: string[] = []
  const ws = { _socket: new PassThrough(), extensions: '', pause: () => { calls.push('pause') }, resume: () => { calls.push('resume') } }
  const transport = new WebSocketTransport(ws as unknown as WebSocket, false, 5_000)
  transport.pause()
  transport.resume()
  t.same(calls.splice(0), ['pause', 'resume'])
  transport.pause()
  transport.ignore()
  transport.resume()
  t.same(calls, ['pause', 'pause'])
  t.end()
})
