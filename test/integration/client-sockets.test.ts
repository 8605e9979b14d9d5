import { WebSocketServer, WebSocket, type RawData } from 'ws'
import t, { type Test } from 'tap'
import { createClient, type ClientCodec, type ClientState, type HubClient } from '../../lib/client/index.js'
import { jsonCodec } from '../../lib/client/json.js'
import { msgpack } from '../../lib/client/msgpack.js'
import { HELLO } from '../helpers/client-rig.js'
import { until } from '../helpers/until.js'

/** The client over the sockets of ws: what the fake of the unit tests claims of them. The server says only what the test needs. */
async function serve (t: Test, codec: ClientCodec): Promise<{ client: HubClient, server: WebSocketServer, states: ClientState[], peer: () => WebSocket }> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, handleProtocols: (offered) => [...offered][0] ?? false })
  await new Promise((resolve) => { server.once('listening', resolve) })
  server.on('connection', (socket) => {
    const send = (message: object): void => { socket.send(codec.encode(message as never)) }
    send(HELLO)
    socket.on('message', (data: RawData, isBinary) => {
      const bytes = data as Buffer
      const message = codec.decode(isBinary ? bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) : bytes.toString()) as { op: string, id: number, data: unknown }
      if (message.op === 'resume') send({ op: 'reply', id: message.id, data: { session: true } })
      if (message.op === 'event') send({ op: 'reply', id: message.id, data: message.data })
      if (message.op === 'publish') send({ op: 'reply', id: message.id, data: [...message.data as Uint8Array] })
    })
  })
  const { port } = server.address() as { port: number }
  const client = createClient({ url: `ws://127.0.0.1:${port}`, WebSocket, codec, backoff: { min: 1 } })
  const states: ClientState[] = []
  client.on('state', (state) => { states.push(state) })
  t.teardown(() => {
    client.close()
    for (const socket of server.clients) socket.terminate()
    server.close()
  })
  client.open()
  return { client, server, states, peer: () => [...server.clients].at(-1) as WebSocket }
}

for (const codec of [jsonCodec, msgpack()]) {
  t.test(`${codec.name}: opens, asks, is cut, comes back, and is told to go`, async (t) => {
    const { client, states, peer } = await serve(t, codec)
    const isOpen = (): boolean => client.state.is === 'open'
    await until(isOpen, 'the connection')
    t.equal(peer().protocol, codec.name)
    t.strictSame(await client.emit('echo', { text: '€' }), { text: '€' })
    t.strictSame(await client.room('a').publish(new Uint8Array([0, 255])), [0, 255])
    peer().terminate()
    await until(() => states.some(({ is }) => is === 'waiting') && isOpen(), 'the next connection')
    t.match(states.find(({ is }) => is === 'waiting'), { code: 1006 })
    t.strictSame(await client.emit('echo', 'again'), 'again')
    peer().close(4501, 'kicked')
    await until(() => client.state.is === 'closed', 'the end')
    t.match(client.state, { code: 4501, reason: 'kicked' })
  })
}

t.test('the server hears of the close, and a close before the handshake is over throws nothing', async (t) => {
  const { client, server, peer } = await serve(t, jsonCodec)
  for (let i = 0; i < 20; i++) {
    client.close()
    client.open()
    await new Promise<void>((resolve) => { setImmediate(resolve) })
  }
  await until(() => client.state.is === 'open', 'the connection')
  await until(() => server.clients.size === 1, 'the end of the others')
  const closed = new Promise<number>((resolve) => { peer().once('close', resolve) })
  client.close()
  t.equal(await closed, 1000)
})

t.test('nobody listens: it waits, and is told why', async (t) => {
  const client = createClient({ url: 'ws://127.0.0.1:1', WebSocket, maxTries: 2, backoff: { min: 1 } })
  const states: string[] = []
  client.on('state', ({ is }) => { states.push(is) })
  client.open()
  await until(() => client.state.is === 'closed', 'the end of the tries')
  t.strictSame(states, ['connecting', 'waiting', 'connecting', 'closed'])
  t.match(client.state, { code: 1006 })
})
