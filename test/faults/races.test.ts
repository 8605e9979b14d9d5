import t from 'tap'
import type { Connection } from '../../lib/index.js'
import { TestApp } from '../helpers/app.js'
import { inIdentify } from '../helpers/in-identify.js'
import { lives } from '../helpers/lives.js'
import { textFrame } from '../helpers/raw-frames.js'
import { handshakeText } from '../helpers/raw-client.js'
import { gate, until } from '../helpers/until.js'

t.test('a reset right behind the handshake, often', async (t) => {
  const { connected, ends, handlers } = lives()
  const app = await TestApp.start(t, { ...handlers, limits: { connectionsPerIp: 50 } })
  for (let round = 0; round < 20; round++) {
    const clients = await Promise.all(Array.from({ length: 10 }, async () => await app.open()))
    for (const client of clients) client.socket.write(Buffer.concat([Buffer.from(handshakeText()), textFrame('x')]), () => { client.reset() })
    await until(() => clients.every(({ socket }) => socket.destroyed), 'the resets')
  }
  await app.assertBaseline()
  t.equal(ends.length, connected.length)
})

t.test('the socket is destroyed by a hook of the user', async (t) => {
  const app = await TestApp.start(t, { route: { preHandler: async ({ headers, raw }) => { if (headers['x-healthy'] !== '1') raw.socket.destroy() } } })
  const client = await app.open()
  client.sendHandshake()
  t.equal((await client.ended()).code, null)
  await app.assertBaseline()
})

t.test('the app closes while upgrades are in identify', async (t) => {
  const { connected, handlers } = lives()
  const { app, client, answer } = await inIdentify(t, handlers)
  const closed = app.app.close()
  t.equal((await app.healthy.ended()).code, 1012)
  answer({})
  t.equal((await client.response()).status, 503)
  await closed
  t.equal(connected.length, 0)
  t.same([app.hub.admission.held, app.hub.wheel.size, app.sockets.size], [0, 0, 0])
})

t.test('the app closes while identify never answers, without a deadline', async (t) => {
  const { app } = await inIdentify(t, { deadlines: { admit: 0 }, drain: { spread: 0, timeout: 1_000 } })
  const closed = app.app.close()
  t.equal((await app.healthy.ended()).code, 1012)
  await closed
  t.same([app.hub.admission.held, app.hub.wheel.size, app.sockets.size], [0, 0, 0])
})

t.test('the app closes while onConnect is pending', async (t) => {
  const { ends, handlers } = lives()
  const connecting = gate()
  const late = gate()
  const app = await TestApp.start(t, {
    ...handlers,
    onConnect: async () => {
      connecting.open()
      await late.promise
    }
  })
  const client = await app.connect()
  await connecting.promise
  const closed = app.app.close()
  t.equal((await app.healthy.ended()).code, 1012)
  t.same(await client.ended(), { code: 1012, reason: 'service restart', tcp: 'fin' })
  late.open()
  await closed
  t.match(ends, [{ code: 1012, initiator: 'server' }])
  t.same([app.hub.admission.held, app.hub.wheel.size, app.sockets.size], [0, 0, 0])
})

t.test('closed twice, drained twice', async (t) => {
  const app = await TestApp.start(t)
  const client = await app.connect()
  const all = Promise.all([app.hub.drain(), app.hub.drain(), app.app.close(), app.app.close(), app.hub.drain()])
  t.equal((await app.healthy.ended()).code, 1012)
  t.equal((await client.ended()).code, 1012)
  await all
  t.equal(app.hub.size, 0)
})

for (const [how, end] of Object.entries({
  close: (connection: Connection) => { connection.close(4000) },
  kick: async (connection: Connection) => { await connection.kick('', { code: 4000 }) }
})) {
  t.test(`${how} while the socket is paused: the peer's answer is read`, async (t) => {
    const { ends, handlers } = lives()
    const busy = gate<Connection>()
    const late = gate()
    const app = await TestApp.start(t, {
      ...handlers,
      // Only the closing handshake itself can end the connection soon.
      deadlines: { close: 0, handler: 0 },
      inbound: { maxPending: 1 },
      onMessage: async (connection) => {
        busy.open(connection)
        await late.promise
      }
    })
    const client = await app.connect()
    client.write(Buffer.concat(['one', 'two', 'three'].map(textFrame)))
    const connection = await busy.promise
    await until(() => app.hub.stats().messages.received === 4, 'all messages')
    end(connection)
    t.same(await client.ended(), { code: 4000, reason: '', tcp: 'fin' })
    await until(() => app.size === 0, 'the end')
    late.open()
    await until(() => ends.length === 1, 'onDisconnect')
    t.match(ends, [{ code: 4000, initiator: 'server' }])
    await app.assertBaseline()
  })
}

t.test('a handler that fails while the socket is paused', async (t) => {
  const busy = gate()
  const late = gate()
  const app = await TestApp.start(t, {
    deadlines: { close: 0, handler: 0 },
    inbound: { maxPending: 1 },
    onMessage: async () => {
      busy.open()
      await late.promise
      throw new Error('failed on purpose')
    }
  })
  const client = await app.connect()
  client.write(Buffer.concat(['one', 'two', 'three'].map(textFrame)))
  await busy.promise
  await until(() => app.hub.stats().messages.received === 4, 'all messages')
  late.open()
  t.match(await client.ended(), { code: 1011, tcp: 'fin' })
  await app.assertBaseline({ errors: 1 })
})

t.test('a handler that hangs while the socket is paused', async (t) => {
  const app = await TestApp.start(t, {
    deadlines: { close: 0, handler: 1_000 },
    inbound: { maxPending: 1 },
    onMessage: async () => { await new Promise(() => {}) }
  })
  const client = await app.connect()
  client.write(Buffer.concat(['one', 'two', 'three'].map(textFrame)))
  t.match(await client.ended(), { code: 1011, tcp: 'fin' })
  await app.assertBaseline({ errors: 1 })
})

t.test('a slow reader is closed while its handler hangs', async (t) => {
  const { ends, handlers } = lives()
  const busy = gate<Connection>()
  const app = await TestApp.start(t, {
    ...handlers,
    queue: { maxBytes: 0, maxMessages: 0 },
    deadlines: { close: 1_000, handler: 1_000 },
    onMessage: async (connection) => {
      busy.open(connection)
      await new Promise(() => {})
    }
  })
  const client = await app.connect()
  client.socket.pause()
  client.sendText('hang')
  const connection = await busy.promise
  const chunk = Buffer.alloc(1024 * 1024)
  for (let i = 0; i < 12; i++) connection.send(chunk)
  connection.close(4000)
  await until(() => ends.length === 1, 'onDisconnect')
  t.match(ends, [{ code: 4000, initiator: 'server' }])
  await app.assertBaseline({ errors: 1 })
})

t.test('terminated in onMessage, with more messages waiting', async (t) => {
  const { ends, handlers } = lives()
  let handled = 0
  const app = await TestApp.start(t, {
    ...handlers,
    onMessage: (connection) => {
      handled++
      connection.terminate()
    }
  })
  const client = await app.connect()
  client.write(Buffer.concat(['one', 'two', 'three'].map(textFrame)))
  t.equal((await client.ended()).code, null)
  await until(() => ends.length === 1, 'onDisconnect')
  t.equal(handled, 1)
  t.match(ends, [{ code: 1006, initiator: 'server' }])
  await app.assertBaseline()
})

t.test('a user kicks its own connections while another comes', async (t) => {
  const { connected, ends, handlers } = lives()
  const app = await TestApp.start(t, {
    ...handlers,
    identify: () => ({ user: 'u' }),
    onMessage: async () => { await app.hub.user('u').kick() }
  })
  const first = await app.connect()
  first.sendText('kick')
  const second = await app.open()
  second.sendHandshake()
  t.equal((await first.ended()).code, 4501)
  await second.upgraded()
  await until(() => connected.length === 2, 'both')
  await app.assertBaseline()
  t.equal(ends.length, 2)
})

t.test('nothing is left on the socket after the 101', async (t) => {
  const app = await TestApp.start(t)
  const client = await app.connect()
  await client.roundTrip('settled')
  const [healthy, socket] = [...app.sockets]
  const names = socket?.eventNames() ?? []
  t.same(names.map((name) => [name, socket?.listenerCount(name)]), names.map((name) => [name, healthy?.listenerCount(name)]))
  t.equal(socket?.listenerCount('error'), 1, "ws's own")
  t.equal((socket as unknown as { _httpMessage: unknown })._httpMessage ?? null, null, 'the response is detached')
  await app.assertBaseline()
})
