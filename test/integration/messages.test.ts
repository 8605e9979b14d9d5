import { createHash, randomBytes } from 'node:crypto'
import t from 'tap'
import type { Connection } from '../../lib/index.js'
import { TestApp } from '../helpers/app.js'
import { binaryFrame, encodeClientFrame, OPCODE, textFrame } from '../helpers/raw-frames.js'
import { handshakeText } from '../helpers/raw-client.js'
import { until } from '../helpers/until.js'
import { connectWs } from '../helpers/ws-client.js'

const MiB = 1024 * 1024

for (const subprotocol of [null, 'raw']) {
  t.test(`${subprotocol ?? 'no subprotocol'}: messages pass as they are`, async (t) => {
    const kinds: boolean[] = []
    const app = await TestApp.start(t, {
      ...subprotocol !== null && { subprotocols: [subprotocol] },
      onMessage: async (connection, message) => {
        kinds.push(message.isBinary)
        connection.send(message)
        connection.send(message.text())
        connection.send(message.bytes)
        await app.hub.broadcast(message, { except: [...app.hub.connections()].filter(({ id }) => id !== connection.id) })
      }
    })
    const client = await connectWs(t, `ws://127.0.0.1:${app.port}/ws`, subprotocol === null ? [] : [subprotocol])
    t.equal(client.ws.protocol, subprotocol ?? '')
    t.equal(app.connections()[0]?.subprotocol, subprotocol)
    client.send('tëxt {"not":"parsed"}')
    client.send(Buffer.from('bytes'))
    client.send('')
    client.send(Buffer.alloc(0))
    const got = []
    for (let i = 0; i < 16; i++) got.push(await client.next())
    t.same(got.map(({ isBinary, text }) => ({ isBinary, text })), [
      ['tëxt {"not":"parsed"}', [false, false, true, false]],
      ['bytes', [true, false, true, true]],
      ['', [false, false, true, false]],
      ['', [true, false, true, true]]
    ].flatMap(([text, binary]) => (binary as boolean[]).map((isBinary) => ({ isBinary, text: text as string }))))
    t.same(kinds, [false, true, false, true])
    client.ws.terminate()
    await app.assertBaseline()
  })
}

t.test('fragments, with control frames in between', async (t) => {
  const app = await TestApp.start(t, { onMessage: (connection, message) => { connection.send(message) } })
  const client = await app.connect()
  client.write(Buffer.concat([
    encodeClientFrame({ opcode: OPCODE.text, payload: Buffer.from('Ã').subarray(0, 1), fin: false }),
    encodeClientFrame({ opcode: OPCODE.ping, payload: 'between' }),
    encodeClientFrame({ opcode: OPCODE.continuation, payload: '', fin: false }),
    encodeClientFrame({ opcode: OPCODE.continuation, payload: Buffer.from('Ã').subarray(1) })
  ]))
  t.equal(await client.text(), 'Ã')
  t.same(client.pongs, ['between'])
  await client.writeSlowly(textFrame('byte by byte'))
  t.equal(await client.text(), 'byte by byte')
  await app.assertBaseline()
})

t.test("a browser's offer: the server's preference decides", async (t) => {
  const app = await TestApp.start(t, { subprotocols: ['v2', 'v1'] })
  const url = `ws://127.0.0.1:${app.port}/ws`
  t.equal((await connectWs(t, url, ['v1', 'v2', 'v3'])).ws.protocol, 'v2')
  t.equal((await connectWs(t, url, ['v3', 'v1'])).ws.protocol, 'v1')
  // As in a browser, the client itself fails the connection when it gets none of those it asked for.
  await t.rejects(connectWs(t, url, ['v3']), /no subprotocol/i)
  t.same(app.connections().slice(0, 2).map(({ subprotocol }) => subprotocol), ['v2', 'v1'])
})

t.test('rooms, broadcast and except', async (t) => {
  const app = await TestApp.start(t, {
    identify: ({ query }) => ({ user: (query as { user: string }).user }),
    onConnect: async (connection) => {
      connection.send(await connection.join('all'))
      if (connection.user !== 'c') await connection.join('ab')
    },
    onMessage: async (connection, message) => {
      const { room, text } = message.json<{ room: string, text: string }>()
      await app.hub.room(room).publish(`${connection.user}: ${text}`, { except: connection })
    },
    onDisconnect: async ({ user }) => { await app.hub.room('all').publish(`${user} left`) }
  })
  const url = `ws://127.0.0.1:${app.port}/ws`
  const [a, b, c] = [await connectWs(t, `${url}?user=a`), await connectWs(t, `${url}?user=b`), await connectWs(t, `${url}?user=c`)]
  for (const client of [a, b, c]) t.match(JSON.parse(await client.text()), { offset: 0 })
  a.send('{"room":"ab","text":"to b"}')
  t.equal(await b.text(), 'a: to b')
  b.send('{"room":"all","text":"to all"}')
  t.same([await a.text(), await c.text()], ['b: to all', 'b: to all'], 'c was not in ab, a is not told what it said')
  t.match(await app.hub.room('ab').publish({ json: true }), { offset: 2, sent: 2, queued: 0, dropped: 0, rejected: 0 })
  t.same([await a.text(), await b.text()], ['{"json":true}', '{"json":true}'])
  const [idOfC] = [...app.hub.user('c').connections()].map(({ id }) => id)
  t.match(await app.hub.broadcast('everyone but c', { except: idOfC as string }), { sent: 3 })
  t.same([await a.text(), await b.text(), await app.healthy.text()], ['everyone but c', 'everyone but c', 'everyone but c'])
  c.ws.close()
  t.same([await a.text(), await b.text()], ['c left', 'c left'])
  t.same([...app.hub.room('all').connections()].map(({ user }) => user).sort(), ['a', 'b'])
  a.ws.terminate()
  b.ws.terminate()
  await app.assertBaseline()
  t.equal(app.hub.rooms.size, 0)
})

t.test('order is the order of calls, whatever their kind', async (t) => {
  const app = await TestApp.start(t, {
    limits: { messagesPerSecond: 0 },
    onConnect: async (connection) => { await connection.join('room') },
    onMessage: (connection: Connection, message) => {
      const n = message.text()
      connection.send(`${n} direct`)
      app.hub.room('room').publish(`${n} room`).catch(t.error)
      app.hub.broadcast(`${n} all`).catch(t.error)
      connection.send(`${n} again`)
    }
  })
  const client = await connectWs(t, `ws://127.0.0.1:${app.port}/ws`)
  const numbers = Array.from({ length: 300 }, (_, i) => i)
  for (const n of numbers) client.send(String(n))
  t.same(await client.texts(1_200), numbers.flatMap((n) => ['direct', 'room', 'all', 'again'].map((kind) => `${n} ${kind}`)))
  client.ws.terminate()
  for (const n of numbers) t.equal(await app.healthy.text(), `${n} all`)
  await app.assertBaseline()
})

t.test('a message of 1 MiB arrives intact, as fragments', async (t) => {
  const app = await TestApp.start(t, { queue: { maxBytes: 2 * MiB } })
  const data = randomBytes(MiB)
  const text = 'ä'.repeat(MiB / 2)
  const raw = await app.connect()
  const ws = await connectWs(t, `ws://127.0.0.1:${app.port}/ws`)
  for (const connection of app.connections()) {
    connection.send('before')
    connection.send(data)
    connection.send(text)
    connection.send('after')
  }
  const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
  for (const next of [async () => await raw.message(), async () => ({ ...await ws.next(), fragments: null })]) {
    t.equal((await next()).text, 'before')
    const binary = await next()
    t.equal(digest(binary.data), digest(data))
    t.ok(binary.isBinary)
    if (binary.fragments !== null) t.equal(binary.fragments, 17, 'none of more than 64 KiB')
    const long = await next()
    t.equal(long.text === text, true)
    t.notOk(long.isBinary)
    t.equal((await next()).text, 'after')
  }
  ws.ws.terminate()
  await app.assertBaseline()
})

t.test('pings of the peer between the fragments of a blocked message', async (t) => {
  const app = await TestApp.start(t, { queue: { maxBytes: 0 } })
  const client = await app.connect()
  client.socket.pause()
  const data = randomBytes(12 * MiB)
  const [connection] = app.connections()
  connection?.send(data)
  connection?.send('last')
  for (let i = 0; i < 20; i++) client.write(encodeClientFrame({ opcode: OPCODE.ping, payload: `p${i}` }))
  await until(() => client.socket.writableLength === 0, 'the pings')
  client.socket.resume()
  t.ok((await client.message()).data.equals(data))
  t.equal(await client.text(), 'last')
  await client.roundTrip('end')
  t.ok(client.pongs.length > 1)
  await app.assertBaseline()
})

t.test('nothing is lost that comes with the handshake', async (t) => {
  for (const [what, late] of [['identify', 'identify'], ['onConnect', 'onConnect']] as const) {
    const received: string[] = []
    const wait = async (): Promise<object> => {
      await new Promise((resolve) => { setTimeout(resolve, 50) })
      return {}
    }
    const app = await TestApp.start(t, { [late]: wait, onMessage: (_, message) => { received.push(message.text()) } })
    const client = await app.open()
    client.write(Buffer.concat([Buffer.from(handshakeText({}, client.key)), textFrame('a'), binaryFrame(Buffer.from('b')), encodeClientFrame({ opcode: OPCODE.ping, payload: 'p' }), textFrame('c')]))
    await client.upgraded()
    await until(() => received.length === 3, what)
    t.same(received, ['a', 'b', 'c'])
    await client.roundTrip('q')
    t.same(client.pongs, ['p', 'q'])
    await app.assertBaseline()
  }
})
