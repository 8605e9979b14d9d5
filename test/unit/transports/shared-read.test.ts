import { once } from 'node:events'
import { connect, createServer, Socket } from 'node:net'
import { connect as connectTls, createServer as createTlsServer } from 'node:tls'
import t, { type Test } from 'tap'
import { READ_BYTES, SharedRead } from '../../../lib/transports/shared-read.js'
import { selfSigned } from '../../helpers/self-signed.js'
import { until } from '../../helpers/until.js'

function sharedRead (): SharedRead {
  const read = SharedRead.create()
  if (read === null) throw new Error('this version of Node is not known')
  return read
}

/** Both ends of a connection. What the server reads flows, as it does behind a handshake. */
async function pair (t: Test): Promise<{ socket: Socket, peer: Socket }> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const peer = connect((server.address() as { port: number }).port, '127.0.0.1')
  const [socket] = await once(server, 'connection') as [Socket]
  socket.resume()
  t.teardown(() => {
    for (const one of [socket, peer]) one.on('error', () => {}).destroy()
    server.close()
  })
  return { socket, peer }
}

t.test('two sockets read into one memory, each its own bytes; end and close come as ever', async (t) => {
  const read = sharedRead()
  const pairs = [await pair(t), await pair(t)]
  const got = pairs.map(() => '')
  const memories = new Set<Buffer>()
  const ends: number[] = []
  function onRead (this: Socket, bytes: number, buffer: Buffer): void {
    const i = pairs.findIndex(({ socket }) => socket === this)
    got[i] += buffer.toString('utf8', 0, bytes)
    memories.add(buffer)
  }
  for (const [i, { socket }] of pairs.entries()) {
    t.equal(read.begin(socket, onRead), true)
    socket.on('end', () => { ends.push(i) })
  }
  for (const [i, { peer }] of pairs.entries()) peer.write(`hello ${i}`)
  await until(() => got.join('').length === 14, 'both')
  t.same(got, ['hello 0', 'hello 1'])
  const large = 'x'.repeat(5 * READ_BYTES)
  pairs[0]?.peer.end(large)
  await until(() => ends.length === 1, 'the end')
  t.same(ends, [0])
  t.equal(got[0] === `hello 0${large}`, true)
  pairs[1]?.socket.destroy()
  await once(pairs[1]?.socket as Socket, 'close')
  t.same([...memories].map(({ length }) => length), [READ_BYTES])
})

t.test('a pause leaves everything with the kernel', async (t) => {
  const { socket, peer } = await pair(t)
  let got = ''
  t.equal(sharedRead().begin(socket, (bytes, buffer) => {
    got += buffer.toString('utf8', 0, bytes)
    if (got === 'one') socket.pause()
  }), true)
  peer.write('one')
  await until(() => got === 'one', 'the first')
  const sent = new Promise((resolve) => { peer.write('two', resolve) })
  await sent
  for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate)
  t.equal(got, 'one')
  t.equal(socket.readableLength, 0)
  // It may have gone before it is read: Linux keeps what has come.
  peer.resetAndDestroy()
  // Versions of Node differ in whether they tell of the reset.
  socket.on('error', () => {})
  const closed = new Promise((resolve) => { socket.once('close', resolve) })
  socket.resume()
  await closed
  t.equal(got, 'onetwo')
})

t.test('sockets that are not for this stay as they are', async (t) => {
  const read = sharedRead()
  const never = (): never => { throw new Error('it was read') }
  for (const [what, spoil] of [
    ['somebody listens to its data', ({ socket }) => { socket.on('data', () => {}) }],
    ['it is paused', ({ socket }) => { socket.pause() }],
    ['something was read already', ({ socket }) => { socket.unshift(Buffer.from('early ')) }]
  ] as Array<[string, (pair: { socket: Socket }) => void]>) {
    const both = await pair(t)
    spoil(both)
    t.equal(read.begin(both.socket, never), false, what)
    let got = ''
    both.socket.on('data', (chunk: Buffer) => { got += chunk.toString() })
    both.socket.resume()
    both.peer.write('data')
    await until(() => got.endsWith('data'), what)
  }
  const { socket } = await pair(t)
  socket.destroy()
  t.equal(read.begin(socket, never), false, 'a socket that has gone')
  const { socket: unknown } = await pair(t)
  Object.assign((unknown as unknown as { _handle: object })._handle, { useUserBuffer: undefined })
  t.equal(read.begin(unknown, never), false, 'a handle of another kind')
})

t.test('nor is one of TLS', async (t) => {
  const server = createTlsServer(selfSigned()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const peer = connectTls({ port: (server.address() as { port: number }).port, host: '127.0.0.1', rejectUnauthorized: false })
  const [socket] = await once(server, 'secureConnection') as [Socket]
  socket.resume()
  t.equal(sharedRead().begin(socket, () => {}), false)
  peer.destroy()
  socket.destroy()
  server.close()
})

t.test('a Node that keeps the option in another way', (t) => {
  t.equal(SharedRead.create(class { readonly options: object; constructor (options: object) { this.options = options } }), null)
  class OnlyBuffer { constructor ({ onread: { buffer } }: { onread: { buffer: Buffer } }) { Object.assign(this, { [Symbol('kBuffer')]: buffer }) } }
  t.equal(SharedRead.create(OnlyBuffer as never), null)
  t.end()
})
