import { EventEmitter, once } from 'node:events'
import { connect, createServer, Server } from 'node:net'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { ServerSockets } from '../../../lib/transports/server-sockets.js'
import { TestClock } from '../../../lib/testing/test-clock.js'
import { until } from '../../helpers/until.js'

t.test('counts what is open and what is dropped, also what came before it looked', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  const { port } = await once(server, 'listening').then(() => server.address() as AddressInfo)
  const open = async (): Promise<ReturnType<typeof connect>> => {
    const socket = connect(port, '127.0.0.1')
    t.teardown(() => { socket.destroy() })
    await once(socket, 'connect')
    return socket
  }
  t.teardown(() => { server.close() })
  const early = await open()
  await until(() => (server as unknown as { _connections: number })._connections === 1, 'the first socket')
  const clock = new TestClock()
  const sockets = ServerSockets.of(server, clock)
  t.equal(ServerSockets.of(server, clock), sockets, 'one for each server')
  t.same([sockets.open, sockets.dropped, sockets.droppedAt, sockets.limit], [1, 0, -Infinity, 0])
  t.equal(sockets.restrict(2), true)
  t.equal(server.maxConnections, 2)
  await open()
  await until(() => sockets.open === 2, 'the second socket')
  clock.advanceSync(500)
  await once(await open(), 'close')
  t.same([sockets.open, sockets.dropped, sockets.droppedAt, sockets.limit], [2, 1, clock.monotonic(), 2])
  early.destroy()
  await until(() => sockets.open === 1, 'its end')
  await open()
  await until(() => sockets.open === 2, 'a socket in its place')
  t.equal(sockets.dropped, 1)
})

t.test('one limit for all hubs of a server', (t) => {
  const server = new Server()
  const sockets = ServerSockets.of(server, new TestClock())
  t.equal(sockets.restrict(10), true)
  t.equal(sockets.restrict(10), true)
  t.throws(() => sockets.restrict(11), { code: 'FST_HUB_INVALID_OPTIONS', message: /limits\.sockets: expected 10, as another hub of this server has set it, or 0, got 11/ })
  t.equal(server.maxConnections, 10)
  t.end()
})

t.test("the user's own number stays", (t) => {
  const server = new Server()
  server.maxConnections = 5
  const sockets = ServerSockets.of(server, new TestClock())
  t.equal(sockets.restrict(10), false)
  t.equal(sockets.restrict(5), true, 'the same number')
  t.same([server.maxConnections, sockets.limit], [5, 5])
  t.end()
})

t.test('what is no server of Node counts nothing', (t) => {
  t.equal(ServerSockets.of(new EventEmitter() as Server, new TestClock()).open, 0)
  t.end()
})
