import t from 'tap'
import type { Connection, HubOptions } from '../../lib/index.js'
import { TestApp } from '../helpers/app.js'
import { lives } from '../helpers/lives.js'
import { closeFrame, textFrame } from '../helpers/raw-frames.js'
import { headerOf, RawClient } from '../helpers/raw-client.js'
import { gate, until } from '../helpers/until.js'

t.test('39: both sides close together, ours first', async (t) => {
  const { ends, connected, handlers } = lives()
  const app = await TestApp.start(t, handlers)
  const client = await app.connect()
  await until(() => connected.length === 1, 'onConnect')
  client.polite = false
  client.sendClose(4001, 'peer')
  // Our Close is decided in this turn, before the peer's can have been read.
  connected[0]?.close(4000, 'server')
  t.equal((await client.ended()).code, 4000)
  client.destroy()
  await until(() => ends.length > 0, 'onDisconnect')
  await app.assertBaseline()
  t.same(ends, [{ code: 4000, reason: 'server', initiator: 'server' }])
})

t.test("39: both sides close together, the peer's first", async (t) => {
  const { ends, handlers } = lives()
  const app = await TestApp.start(t, { ...handlers, onMessage: (connection) => { setImmediate(() => { connection.close(4000, 'server') }) } })
  const client = await app.connect()
  client.polite = false
  client.write(Buffer.concat([textFrame('close'), closeFrame(4001, 'peer')]))
  t.equal((await client.ended()).code, 4001)
  client.destroy()
  await until(() => ends.length > 0, 'onDisconnect')
  await app.assertBaseline()
  t.same(ends, [{ code: 4001, reason: 'peer', initiator: 'peer' }])
})

t.test('39: everybody ends it at once', async (t) => {
  const { ends, connected, handlers } = lives()
  const app = await TestApp.start(t, handlers)
  const client = await app.connect()
  await until(() => connected.length === 1, 'onConnect')
  const [connection] = connected as [Connection]
  client.sendClose(4001)
  connection.close(4000)
  const kicked = connection.kick('out')
  connection.terminate()
  connection.close(4002)
  connection.terminate()
  client.reset()
  await kicked
  t.equal(await connection.kick(), false, 'a kick afterwards ends nothing')
  await until(() => ends.length > 0, 'onDisconnect')
  await app.assertBaseline()
  t.match(ends, [{ code: 4000, initiator: 'server' }], 'the first decision counts')
})

t.test('40: a reset in the middle of a write', async (t) => {
  const { ends, connected, handlers } = lives()
  const app = await TestApp.start(t, { ...handlers, queue: { maxBytes: 0, maxMessages: 0 } })
  const client = await app.connect()
  client.socket.pause()
  await until(() => connected.length === 1, 'onConnect')
  const [connection] = connected as [Connection]
  const chunk = Buffer.alloc(256 * 1024)
  while (connection.queued.messages === 0) {
    connection.send(chunk)
    await new Promise((resolve) => { setImmediate(resolve) })
  }
  client.reset()
  await until(() => ends.length > 0, 'onDisconnect')
  t.equal(connection.send('late'), 'closed')
  t.ok(app.hub.stats().messages.dropped > 0, 'what was not written is counted as dropped')
  t.equal(app.hub.stats().queuedBytes, 0)
  await app.assertBaseline()
  t.match(ends, [{ code: 1006, initiator: 'network' }])
})

t.test("40: 'error' on the server's socket", async (t) => {
  const { ends, connected, handlers } = lives()
  const app = await TestApp.start(t, handlers)
  const client = await app.connect()
  await until(() => connected.length === 1, 'onConnect')
  const socket = [...app.sockets].at(-1)
  socket?.destroy(new Error('broken'))
  t.equal((await client.ended()).code, null)
  await until(() => ends.length > 0, 'onDisconnect')
  await app.assertBaseline()
  t.match(ends, [{ code: 1006, initiator: 'network' }])
})

const failures: Array<[what: string, options: HubOptions]> = [
  ['onMessage throws', { onMessage: () => { throw new Error('failed on purpose') } }],
  ['onMessage rejects', { onMessage: async () => { throw new Error('failed on purpose') } }],
  ['onMessage throws what is no Error', { onMessage: () => { throw 'failed on purpose' } }], // eslint-disable-line no-throw-literal
  ['onConnect throws', { onConnect: () => { throw new Error('failed on purpose') } }],
  ['onConnect rejects', { onConnect: async () => { throw new Error('failed on purpose') } }]
]

for (const [what, options] of failures) {
  t.test(`41: ${what}`, async (t) => {
    const { ends, handlers } = lives()
    const app = await TestApp.start(t, { ...handlers, ...options })
    const client = await app.connect()
    client.sendText('one')
    client.sendText('two')
    t.same(await client.ended(), { code: 1011, reason: 'internal error', tcp: 'fin' })
    await until(() => ends.length > 0, 'onDisconnect')
    await app.assertBaseline({ errors: 1 })
    t.match(ends, [{ code: 1011, initiator: 'server' }])
    t.match(JSON.stringify(app.errors()[0]), 'failed on purpose')
  })
}

t.test('41: onDisconnect fails, and a listener of the hub', async (t) => {
  const app = await TestApp.start(t, { onDisconnect: async () => { throw new Error('failed on purpose') } })
  app.hub.on('connect', () => { throw new Error('listener') })
  app.hub.on('disconnect', async () => { throw new Error('listener') })
  const client = await app.connect()
  client.sendClose(1000)
  t.equal((await client.ended()).code, 1000)
  await until(() => app.errors().length === 3, 'three failures')
  await app.assertBaseline({ errors: 3 })
})

t.test('44: the peer closes during a pending onConnect', async (t) => {
  const { ends, handlers } = lives()
  const connecting = gate<Connection>()
  const late = gate()
  const app = await TestApp.start(t, {
    ...handlers,
    onConnect: async (connection) => {
      connecting.open(connection)
      await late.promise
      await connection.join('room')
    }
  })
  const client = await app.connect()
  const connection = await connecting.promise
  client.sendClose(4001)
  t.equal((await client.ended()).code, 4001)
  await until(() => app.size === 0, 'the registry')
  t.equal(app.hub.get(connection.id), undefined)
  t.equal(ends.length, 0, 'onDisconnect waits for onConnect')
  late.open()
  await until(() => ends.length > 0, 'onDisconnect')
  t.equal(app.hub.get(connection.id), undefined, 'never registered afterwards')
  t.equal(app.hub.room('room').size, 0)
  t.equal(connection.state, 'closed')
  await app.assertBaseline()
  t.match(app.errors(), [], 'that its join was refused is no failure of the application')
  t.match(ends, [{ code: 4001, initiator: 'peer' }])
})

t.test('44: closed and kicked in onConnect', async (t) => {
  for (const end of ['close', 'kick', 'terminate'] as const) {
    const { ends, handlers } = lives()
    const app = await TestApp.start(t, { ...handlers, onConnect: async (connection) => { await connection[end]() } })
    const client = await app.connect()
    t.equal((await client.ended()).code, { close: 1000, kick: 4501, terminate: null }[end])
    await until(() => ends.length > 0, 'onDisconnect')
    await app.assertBaseline()
    t.match(ends, [{ code: { close: 1000, kick: 4501, terminate: 1006 }[end], initiator: 'server' }])
  }
})

t.test('45: upgrades during a drain', async (t) => {
  const leaving = gate()
  const goOn = gate()
  const app = await TestApp.start(t, {
    drain: { spread: 0, timeout: 0 },
    onDisconnect: async () => {
      leaving.open()
      await goOn.promise
    }
  })
  const kept = await app.open()
  kept.write('GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n')
  t.equal((await kept.response()).status, 404)
  const fresh = await app.open()
  const client = await app.connect()
  const { port } = app
  const closed = app.app.close()
  t.equal((await client.ended()).code, 1012)
  t.equal((await app.healthy.ended()).code, 1012)
  await leaving.promise
  for (const [what, late] of [['kept-alive', kept], ['fresh', fresh]] as const) {
    late.sendHandshake()
    const response = await late.response()
    t.equal(response.status, 503, what)
    t.match(headerOf(response, 'retry-after'), [/^[1-9]\d*$/])
    t.match(JSON.parse(response.body), { statusCode: 503, code: 'FST_HUB_DRAINING', error: 'Service Unavailable' })
    await late.ended()
  }
  goOn.open()
  await closed
  await t.rejects(RawClient.connect(port), { code: 'ECONNREFUSED' })
  t.same([app.hub.admission.held, app.hub.admission.waiting, app.hub.wheel.size, app.hub.wheel.running, app.sockets.size], [0, 0, 0, false, 0])
})

t.test('45: upgrades after hub.drain, while the app goes on', async (t) => {
  const app = await TestApp.start(t)
  await Promise.all([app.hub.drain(), app.healthy.ended().then(({ code }) => { t.equal(code, 1012) })])
  const response = await app.request()
  t.equal(response.status, 503)
  t.match(headerOf(response, 'retry-after'), [/^[1-9]\d*$/])
  t.equal(app.hub.health().status, 'draining')
})

t.test('47: send after close', async (t) => {
  const { ends, connected, handlers } = lives()
  const app = await TestApp.start(t, handlers)
  const client = await app.connect()
  await until(() => connected.length === 1, 'onConnect')
  const [connection] = connected as [Connection]
  t.equal(connection.send('before'), 'sent')
  connection.close(4000)
  t.equal(connection.send('after'), 'closed')
  t.equal(connection.send(undefined), 'closed', 'nothing is looked at')
  const messages: string[] = []
  t.equal((await client.ended(messages)).code, 4000)
  t.same(messages, ['before'], 'what was sent before goes out first')
  await until(() => ends.length > 0, 'onDisconnect')
  t.equal(connection.send('long after'), 'closed')
  t.same(await app.hub.broadcast('to the living'), { ...await app.hub.broadcast('to the living'), sent: 1 })
  t.equal(await app.healthy.text(), 'to the living')
  t.equal(await app.healthy.text(), 'to the living')
  await t.rejects(connection.join('room'), { code: 'FST_HUB_CLOSED' })
  connection.close(4001)
  connection.terminate()
  await app.assertBaseline()
})
