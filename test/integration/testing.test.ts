import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import fastifyHub, { type DisconnectInfo, type HubEvents, type HubOptions } from '../../lib/index.js'
import { connect, TestClock, type TestPeer } from '../../lib/testing/index.js'
import { captureLogs } from '../helpers/app.js'

interface World { app: FastifyInstance, clock: TestClock, ends: DisconnectInfo[], overflows: Array<HubEvents['overflow'][1]> }

/** A whole app that listens on no port, and whose time is the test's. */
async function start (t: Test, options: HubOptions = {}): Promise<World> {
  const clock = new TestClock()
  const ends: DisconnectInfo[] = []
  const overflows: World['overflows'] = []
  const { lines: logs, options: logger } = captureLogs()
  const app = Fastify({ logger })
  await app.register(fastifyHub, { clock, onDisconnect: (_, info) => { ends.push(info) }, ...options })
  app.hub.on('overflow', (_, info) => { overflows.push(info) })
  await app.ready()
  t.teardown(async () => {
    const closed = app.close()
    await clock.advance(20_000)
    await closed
    const errors = logs.filter(({ level }) => level >= 50)
    if (app.server.address() !== null || clock.timers > 0 || errors.length > 0) throw new Error(`left: ${JSON.stringify([app.server.address(), clock.timers, errors])}`)
  })
  return { app, clock, ends, overflows }
}

const texts = ({ messages }: TestPeer): string[] => messages.map((message) => message.text())

t.test('handlers, rooms and broadcasts, without a port', async (t) => {
  const { app, ends } = await start(t, {
    onConnect: async (connection) => { await connection.join('lobby') },
    onMessage: async (connection, message) => { await app.hub.room('lobby').publish({ from: connection.user, text: message.text() }, { except: connection }) }
  })
  const ada = await connect(app.hub, { user: 'ada' })
  const bob = await connect(app.hub, { user: 'bob' })
  await Promise.all([ada.opened(), bob.opened()])
  ada.send('hello')
  t.same((await bob.next()).json(), { from: 'ada', text: 'hello' })
  await app.hub.broadcast('all')
  t.equal((await bob.next()).text(), 'all')
  t.equal((await ada.next()).text(), 'all')
  t.equal(await app.hub.user('bob').kick('enough'), 1)
  t.same(await bob.closed, { code: 4501, reason: 'enough' })
  t.same(ends, [{ code: 4501, reason: 'enough', initiator: 'server' }])
  t.equal(app.hub.room('lobby').size, 1)
})

t.test('a peer that vanishes is closed with 4408, to the tick', async (t) => {
  const { app, clock, ends } = await start(t, { heartbeat: { interval: 30_000, timeout: 60_000 } })
  const healthy = await connect(app.hub)
  const gone = await connect(app.hub)
  gone.vanish()
  await clock.advance(59_900)
  t.same(ends, [])
  await clock.advance(200)
  t.same(ends, [{ code: 4408, reason: 'heartbeat timeout', initiator: 'server' }], 'although it was sent a ping')
  t.same([gone.ended, gone.messages, app.hub.get(gone.connection.id)], [{ code: 1006, reason: '' }, [], undefined])
  await clock.advance(600_000)
  t.ok(healthy.pings >= 20, 'the other is asked, and answers')
  t.equal(healthy.ended, null)
})

t.test('a stuck peer: the queue is full, and each policy does what it says', async (t) => {
  for (const [overflow, dropped, read] of [['drop-oldest', 3, ['0', '4', '5']], ['reject-new', 0, ['0', '1', '2']]] as const) {
    const { app, clock, ends, overflows } = await start(t, { queue: { maxMessages: 2, overflow } })
    const peer = await connect(app.hub)
    peer.stuck()
    const results = []
    for (let i = 0; i < 6; i++) {
      results.push(peer.connection.send(String(i)))
      await clock.settle()
    }
    t.same(results, overflow === 'drop-oldest' ? ['sent', ...Array<string>(5).fill('queued')] : ['sent', 'queued', 'queued', ...Array<string>(3).fill('rejected')])
    t.same(peer.connection.queued, { messages: 2, bytes: 6 })
    t.equal(overflows.length, 3)
    t.equal(app.hub.stats().messages.dropped, dropped)
    peer.read()
    await clock.settle()
    t.same(texts(peer), read)
    t.same([ends, app.hub.stats().queuedBytes], [[], 0])
  }
  const { app, clock, ends } = await start(t, { queue: { maxMessages: 2, overflow: 'disconnect' } })
  const peer = await connect(app.hub)
  peer.stuck()
  for (let i = 0; i < 4; i++) {
    await app.hub.broadcast(String(i))
    await clock.settle()
  }
  t.same(ends, [{ code: 4429, reason: 'slow reader', initiator: 'server' }])
  t.same(await peer.closed, { code: 1006, reason: '' }, 'a Close frame can not overtake what blocks the socket')
})

t.test('deadlines.write: who takes a write too slowly is ended with 4429, who is just quick enough is not', async (t) => {
  const { app, clock, ends } = await start(t, { deadlines: { write: 10_000 } })
  const [stuck, slow, quick] = [await connect(app.hub), await connect(app.hub), await connect(app.hub)]
  stuck.stuck()
  slow.slow(900)
  quick.slow(1_100)
  await app.hub.broadcast('x'.repeat(9_996))
  await clock.advance(9_900)
  t.same(ends, [])
  await clock.advance(400)
  const cut = { code: 4429, reason: 'slow reader', initiator: 'server' }
  t.same(ends, [cut, cut])
  t.match([stuck.ended, slow.ended, quick.ended], [{ code: 1006 }, { code: 1006 }, null])
  t.equal(quick.messages.length, 1)
})

t.test('a slow reader gets the newest, in order, and the drops are counted', async (t) => {
  const { app, clock, overflows, ends } = await start(t, { queue: { maxMessages: 10 } })
  const slow = await connect(app.hub)
  const quick = await connect(app.hub)
  slow.slow(10_000)
  // 10 messages of 10,000 bytes each second, for 20 seconds.
  const sums = { sent: 0, queued: 0, dropped: 0 }
  for (let i = 0; i < 200; i++) {
    const { sent, queued, dropped } = await app.hub.broadcast(String(i).padEnd(9_996, '.'))
    sums.sent += sent
    sums.queued += queued
    sums.dropped += dropped
    await clock.advance(100)
    t.ok(slow.connection.queued.messages <= 10)
  }
  slow.read()
  await clock.settle()
  const numbers = slow.messages.map((message) => Number.parseInt(message.text()))
  t.same(numbers, [...numbers].sort((a, b) => a - b), 'in order')
  t.same(numbers.slice(-10), Array.from({ length: 10 }, (_, i) => 190 + i), 'the newest')
  t.equal(quick.messages.length, 200, 'nobody else notices')
  t.ok(sums.dropped > 100)
  t.equal(numbers.length, 200 - sums.dropped)
  t.equal(sums.sent + sums.queued, 400)
  t.equal(overflows.reduce((sum, { dropped }) => sum + dropped, 0), sums.dropped)
  t.same(ends, [])
})

t.test('a reset: 1006 of the network, and the slot is free again', async (t) => {
  const { app, clock, ends } = await start(t, { limits: { connections: 1 } })
  const peer = await connect(app.hub)
  await t.rejects(connect(app.hub), { code: 'FST_HUB_FULL' })
  peer.reset()
  t.equal(peer.connection.send('lost'), 'sent', 'nobody knows yet')
  await clock.settle()
  t.same(ends, [{ code: 1006, reason: '', initiator: 'network' }])
  t.equal(peer.connection.send('late'), 'closed')
  await connect(app.hub)
})

t.test('limits on what a peer sends count in the time of the clock', async (t) => {
  const { app, clock, ends } = await start(t, { limits: { messagesPerSecond: 10, burst: 10, violations: 5 } })
  const peer = await connect(app.hub)
  for (let i = 0; i < 5; i++) {
    for (let j = 0; j < 14; j++) peer.send('x')
    await clock.advance(1_000)
  }
  t.match(app.hub.stats().messages, { received: 50, limited: 20 })
  t.same(ends, [], 'never 5 in a row')
  for (let j = 0; j < 15; j++) peer.send('x')
  await clock.settle()
  t.match(ends, [{ code: 1008, initiator: 'server' }])
})

t.test('a handler that hangs: its deadline passes without waiting', async (t) => {
  const { app, clock, ends } = await start(t, { onMessage: async () => { await new Promise(() => {}) }, deadlines: { handler: 30_000 } })
  const errors: Error[] = []
  app.hub.on('error', (error) => { errors.push(error) })
  const peer = await connect(app.hub)
  peer.send('hello')
  await clock.advance(29_900)
  t.same(errors, [])
  await clock.advance(300)
  t.match(errors, [{ code: 'FST_HUB_HANDLER_TIMEOUT' }])
  t.same(await peer.closed, { code: 1011, reason: 'internal error' })
  t.match(ends, [{ code: 1011 }])
})

t.test('credentials expire in the time of the clock', async (t) => {
  const { app, clock } = await start(t)
  const peer = await connect(app.hub, { user: 'ada', expiresAt: clock.now() + 60_000 })
  await clock.advance(59_900)
  t.equal(peer.ended, null)
  await clock.advance(1_100)
  t.equal(peer.ended?.code, 4401)
})

t.test('health is judged in the time of the clock: a late event loop, and dropped sockets', async (t) => {
  const { app, clock } = await start(t)
  t.equal(app.hub.health().status, 'ok')
  clock.stall(5_000)
  t.match(app.hub.health(), { status: 'degraded', reasons: [/late/] })
  await clock.advance(2_000)
  t.equal(app.hub.health().status, 'ok')
  // As Node does beyond maxConnections.
  app.server.emit('drop')
  t.match(app.hub.health(), { status: 'degraded', reasons: [/the last 0 s ago/] })
  await clock.advance(11_000)
  t.equal(app.hub.health().status, 'ok')
})

t.test('closing the app: those who read see 1012, those who do not are terminated in the time of the clock', async (t) => {
  const { app, clock, ends } = await start(t, { drain: { spread: 0, timeout: 15_000 }, deadlines: { close: 0 } })
  const reading = await connect(app.hub)
  const stuck = await connect(app.hub)
  stuck.stuck()
  let closed = false
  const closing = app.close().then(() => { closed = true })
  t.same(await reading.closed, { code: 1012, reason: 'service restart' })
  await t.rejects(connect(app.hub), { code: 'FST_HUB_DRAINING' })
  await clock.advance(14_900)
  t.equal(closed, false)
  t.equal(stuck.ended, null)
  await clock.advance(200)
  await closing
  t.same(stuck.ended, { code: 1006, reason: '' })
  t.match(ends, [{ code: 1012 }, { code: 1012 }])
})

t.test("with the machine's clock, too", async (t) => {
  const app = Fastify()
  await app.register(fastifyHub, { onMessage: (connection, message) => { connection.send(`echo: ${message.text()}`) } })
  t.teardown(async () => { await app.close() })
  await t.rejects(connect(app.hub), { code: 'FST_HUB_INVALID_ARGUMENT' })
  await app.ready()
  const peer = await connect(app.hub)
  peer.send('hello')
  t.equal((await peer.next()).text(), 'echo: hello')
  peer.stuck()
  peer.connection.send('is not read')
  peer.connection.terminate()
  t.same(await peer.closed, { code: 1006, reason: '' })
})
