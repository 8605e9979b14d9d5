import t from 'tap'
import { disconnects } from '../../../lib/protocol/disconnect.js'
import type { Connection, DisconnectInfo, Overflow } from '../../../lib/core/types.js'
import { TestClock } from '../../../lib/testing/test-clock.js'
import { settled } from '../../helpers/until.js'
import { startHub, type FakeHub, type FakeHubOptions, type FakePeer } from '../../helpers/fake-hub.js'

interface World extends FakePeer { fake: FakeHub, ends: DisconnectInfo[] }

/** A hub with one connection, which notes how it ends. */
async function connected (options: FakeHubOptions = {}): Promise<World> {
  const ends: DisconnectInfo[] = []
  const fake = await startHub({ onDisconnect: (_connection, info) => { ends.push(info) }, ...options })
  return { fake, ends, ...await fake.connect() }
}

t.test('says who it is', async (t) => {
  const fake = await startHub()
  const data = { color: 'red' }
  const { connection } = await fake.connect({ user: 'ann', device: 'web', data }, '10.0.0.1')
  t.match(connection, { user: 'ann', device: 'web', ip: '10.0.0.1', subprotocol: null, nodeId: fake.hub.nodeId, state: 'open' })
  t.equal(connection.data, data)
  t.equal(connection.rooms.size, 0)
  t.same(connection.queued, { messages: 0, bytes: 0 })
  const { connection: anonymous } = await fake.connect()
  t.match(anonymous, { user: null, device: null, ip: null, data: {} })
  t.not(anonymous.id, connection.id)
})

t.test('knows when it came and when it was heard, in wall-clock time', async (t) => {
  const { fake, connection, transport } = await connected()
  const start = fake.clock.now()
  t.equal(connection.connectedAt, start)
  t.equal(connection.lastSeen, start)
  for (const hear of [() => { transport.message('x') }, () => { transport.peerPing() }, () => { transport.peerPong() }]) {
    fake.clock.advanceSync(1_000)
    hear()
    t.equal(connection.lastSeen, fake.clock.now())
  }
  t.equal(connection.connectedAt, start)
})

t.test('when it came does not tremble with the phase of two clocks', async (t) => {
  let phase = 0
  class Trembling extends TestClock {
    override now (): number { return super.now() + phase }
  }
  const { connection } = await connected({ clock: new Trembling() })
  const before = connection.connectedAt
  phase = 1
  t.equal(connection.connectedAt, before)
})

t.test('send: text, bytes, JSON, a message as it came', async (t) => {
  const bytes = Buffer.from([1, 2])
  const { fake, transport, connection } = await connected({ onMessage: (connection, message) => { connection.send(message) } })
  t.equal(connection.send('text'), 'sent')
  connection.send(bytes)
  bytes[0] = 9
  connection.send({ a: 1 })
  transport.message('echo')
  transport.message(Buffer.from([3]))
  fake.clock.turn()
  t.same(transport.messages, ['text', Buffer.from([1, 2]), '{"a":1}', 'echo', Buffer.from([3])])
  t.throws(() => connection.send(undefined), { code: 'FST_HUB_INVALID_DATA' })
  t.throws(() => connection.send('x', { overflow: 'never' as Overflow }), { code: 'FST_HUB_INVALID_ARGUMENT' })
  fake.clock.turn()
  t.equal(transport.writes.length, 1)
})

t.test('send says what became of a message', async (t) => {
  const { fake, transport, connection } = await connected({ queue: { maxMessages: 2, maxBytes: 1_000 } })
  t.equal(connection.send('a'), 'sent')
  transport.block()
  t.equal(connection.send('b'), 'queued')
  t.equal(connection.send('c'), 'queued')
  t.same(connection.queued, { messages: 2, bytes: 6 })
  t.equal(connection.send('d'), 'queued', 'evicts b')
  t.equal(connection.send('e', { overflow: 'reject-new' }), 'rejected', 'FAULTS 32')
  t.equal(connection.send('x'.repeat(1_000)), 'rejected', 'FAULTS 37')
  transport.drain()
  t.same(transport.messages, ['a', 'c', 'd'])
  t.match(fake.hub.stats(), { messages: { sent: 3, queued: 3, dropped: 1, rejected: 2 }, queuedBytes: 0 })
  transport.peerClose()
  t.equal(connection.send('late'), 'closed', 'FAULTS 47')
  t.equal(connection.send(undefined), 'closed')
})

t.test('data whose toJSON ends the connection was not sent, and is counted nowhere', async (t) => {
  const ends: Array<[how: string, (connection: Connection) => void]> = [
    ['close', (connection) => { connection.close() }],
    ['terminate', (connection) => { connection.terminate() }]
  ]
  for (const [how, end] of ends) {
    const { fake, connection } = await connected()
    t.equal(connection.send({ toJSON: () => { end(connection); return {} } }), 'closed', how)
    await fake.turn()
    t.match(fake.hub.stats().messages, { sent: 0, queued: 0, dropped: 0, rejected: 0 })
  }
})

t.test("a full queue is told by the 'overflow' event, in a turn of its own", async (t) => {
  const { fake, transport, connection } = await connected({ queue: { maxMessages: 2, maxBytes: 100 } })
  const events: unknown[] = []
  fake.hub.on('overflow', (who, info) => { events.push([who === connection, info]) })
  transport.block()
  for (const text of ['a', 'b', 'c']) connection.send(text)
  connection.send('d', { overflow: 'reject-new' })
  connection.send('e'.repeat(50))
  t.same(events, [], 'not from within send')
  fake.clock.turn()
  t.same(events, [
    [true, { policy: 'drop-oldest', dropped: 2, bytes: 55 }]
  ], 'one for what the turn dropped')
  connection.send('f', { overflow: 'reject-new' })
  fake.clock.turn()
  t.same(events[1], [true, { policy: 'reject-new', dropped: 0, bytes: 55 }])
})

t.test('a listener of overflow that sends disturbs no order', async (t) => {
  const { fake, transport } = await connected({ onConnect: async (connection) => { await connection.join('room') }, queue: { maxMessages: 1, maxBytes: 0 } })
  const other = await fake.connect()
  const third = await fake.connect()
  other.transport.block()
  fake.hub.once('overflow', () => { fake.hub.room('room').publish('about it').catch(t.fail) })
  await Promise.all(['1', '2', '3'].map(async (text) => await fake.hub.room('room').publish(text)))
  await fake.turn()
  fake.clock.turn()
  for (const peer of [transport, third.transport]) t.same(peer.messages, ['1', '2', '3', 'about it'])
  other.transport.drain()
  t.same(other.transport.messages, ['about it'])
})

t.test("FAULTS 33: policy 'disconnect' ends a slow reader with 4429, without a Close frame", async (t) => {
  const { fake, transport, connection, ends } = await connected({ queue: { maxMessages: 1, maxBytes: 0 }, settings: { overflow: 'disconnect' } })
  const events: unknown[] = []
  fake.hub.on('overflow', (_connection, info) => { events.push(info) })
  transport.block()
  connection.send('a')
  t.equal(connection.send('b'), 'rejected')
  t.equal(connection.state, 'closing')
  t.equal(connection.send('c'), 'closed')
  t.match(transport, { terminated: true, closed: null })
  await fake.turn()
  t.same(events, [{ policy: 'disconnect', dropped: 0, bytes: 3 }])
  t.same(ends, [{ code: 4429, reason: 'slow reader', initiator: 'server' }])
  t.match(fake.hub.stats().messages, { dropped: 1, rejected: 1 })
})

t.test('close sends what was accepted, then Close, then waits for the answer', async (t) => {
  const { fake, transport, connection, ends } = await connected()
  connection.send('last words')
  connection.close(4000, 'enough')
  t.equal(connection.state, 'closing')
  t.same(transport.calls, ['write 12', 'close 4000'])
  connection.close(1000, 'again')
  await connection.kick()
  t.same(transport.calls.length, 2, 'once is enough')
  await fake.turn()
  t.equal(connection.state, 'closed')
  t.same(ends, [{ code: 4000, reason: 'enough', initiator: 'server' }])
  connection.close()
  connection.terminate()
  t.equal(transport.terminated, false)
})

t.test('close: default code, a reason that is cut, wrong codes', async (t) => {
  const { transport, connection } = await connected()
  for (const code of [999, 1002, 1004, 1005, 1006, 1010, 1015, 2999, 5000, NaN, '1000', null]) {
    t.throws(() => { connection.close(code as number) }, { code: 'FST_HUB_INVALID_CLOSE_CODE', message: new RegExp(`got "?${String(code)}`) })
    await t.rejects(connection.kick('', { code: code as number }), { code: 'FST_HUB_INVALID_CLOSE_CODE' })
  }
  t.equal(connection.state, 'open')
  connection.close(undefined, '€'.repeat(50))
  t.same(transport.closed, { code: 1000, reason: '€'.repeat(41) })
})

t.test('close behind a blocked socket: nothing new is taken, the queue drains first', async (t) => {
  const { transport, connection } = await connected()
  transport.block()
  connection.send('queued')
  connection.close(1001)
  t.equal(connection.send('late'), 'closed')
  await t.rejects(connection.join('room'), { code: 'FST_HUB_CLOSED' })
  transport.drain()
  t.same(transport.calls, ['write 8', 'close 1001'])
})

t.test('deadlines.close: a peer that does not answer is terminated; 0 waits', async (t) => {
  const { fake, transport, connection, ends } = await connected()
  transport.answersClose = false
  connection.close(1001)
  fake.clock.advanceSync(4_900)
  t.equal(transport.terminated, false)
  await fake.advance(300)
  t.equal(transport.terminated, true)
  t.same(ends, [{ code: 1001, reason: '', initiator: 'server' }])
  t.equal(fake.hub.wheel.size, 0)

  const patient = await connected({ settings: { deadlines: { write: 0, handler: 0, close: 0 } } })
  patient.transport.answersClose = false
  patient.connection.close(1001)
  patient.fake.clock.advanceSync(1_000_000)
  t.equal(patient.transport.terminated, false)
})

t.test('deadlines.close counts for a queue that never drains, too', async (t) => {
  const { fake, transport, connection, ends } = await connected()
  transport.block()
  connection.send('never read')
  connection.close()
  await fake.advance(5_200)
  t.same([transport.closed, transport.terminated], [null, true])
  t.same(ends, [{ code: 1000, reason: '', initiator: 'server' }])
  t.equal(fake.hub.stats().messages.dropped, 1)
})

t.test('terminate ends it at once', async (t) => {
  const { fake, transport, connection, ends } = await connected()
  connection.send('lost')
  connection.terminate()
  t.equal(connection.state, 'closing')
  await fake.turn()
  t.same(transport.calls, ['terminate', 'end'])
  t.same(ends, [{ code: 1006, reason: '', initiator: 'server' }])
  t.equal(fake.hub.stats().messages.dropped, 1)
})

t.test('how it ended: the peer, the network', async (t) => {
  for (const [end, info] of [
    [({ transport }: FakePeer) => { transport.peerClose(1001, 'going away') }, { code: 1001, reason: 'going away', initiator: 'peer' }],
    [({ transport }: FakePeer) => { transport.peerClose(1005) }, { code: 1005, reason: '', initiator: 'peer' }],
    [({ transport }: FakePeer) => { transport.reset() }, { code: 1006, reason: '', initiator: 'network' }]
  ] as const) {
    const world = await connected()
    end(world)
    await settled()
    t.same(world.ends, [info])
    t.equal(world.connection.state, 'closed')
    t.same([world.fake.hub.size, world.fake.hub.admission.held], [0, 0])
  }
})

t.test('FAULTS 39: the first decision about the end wins', async (t) => {
  const ours = await connected()
  ours.connection.close(4000, 'ours')
  ours.connection.terminate()
  ours.transport.peerClose(1001, 'theirs')
  await ours.fake.turn()
  t.same(ours.ends, [{ code: 4000, reason: 'ours', initiator: 'server' }])

  const theirs = await connected()
  // Their Close has come, and its socket has not ended yet.
  theirs.transport.writable = false
  theirs.connection.close(4000, 'ours')
  t.equal(theirs.transport.closed, null)
  t.equal(theirs.connection.send('x'), 'closed')
  theirs.transport.end(1001, 'theirs')
  await settled()
  t.same(theirs.ends, [{ code: 1001, reason: 'theirs', initiator: 'peer' }])

  const kicked = await connected()
  await kicked.connection.kick()
  kicked.transport.protocolError(1002)
  kicked.transport.reset()
  await settled()
  t.same(kicked.ends, [{ code: 4501, reason: 'kicked', initiator: 'server' }])
  kicked.transport.end(1000)
  t.equal(kicked.ends.length, 1)
})

t.test('a transport that reports its end twice is heard once', async (t) => {
  const { fake, connection, ends } = await connected()
  connection.onClose(1000, '')
  connection.onClose(1001, '')
  connection.onError(new Error('late'), 1002)
  await settled()
  t.same(ends, [{ code: 1000, reason: '', initiator: 'peer' }])
  t.equal(fake.hub.admission.held, 0)
})

t.test('a peer that breaks the protocol: its code, a log line, and the close deadline', async (t) => {
  const { fake, transport, connection, ends } = await connected()
  transport.protocolError(1007, 'invalid UTF-8')
  t.equal(connection.state, 'closing')
  t.match(fake.log, [{ level: 'info', details: { connection: connection.id, err: { message: 'invalid UTF-8' } } }])
  await fake.advance(5_200)
  t.equal(transport.terminated, true, 'it never closed')
  t.same(ends, [{ code: 1007, reason: 'invalid UTF-8', initiator: 'server' }])
})

t.test('kick ends one login: true for the call that did it', async (t) => {
  const { fake, transport, connection, ends } = await connected()
  const results = await Promise.all([connection.kick('out'), connection.kick()])
  t.same(results, [true, false])
  t.same(transport.closed, { code: 4501, reason: 'out' })
  await fake.turn()
  t.same(ends, [{ code: 4501, reason: 'out', initiator: 'server' }])
  t.equal(await connection.kick(), false)

  const again = await connected()
  t.equal(await again.connection.kick(undefined, { code: 1001 }), true)
  t.same(again.transport.closed, { code: 1001, reason: 'kicked' })
})

t.test('a connection that closes already was not ended by the kick', async (t) => {
  const { fake, connection } = await connected()
  connection.close(1000)
  t.equal(await connection.kick(), false)
  const leaving = await fake.connect()
  leaving.transport.writable = false
  t.equal(await leaving.connection.kick(), false)
})

t.test('deliver counts, and passes over who closes', async (t) => {
  const { fake, transport, connection } = await connected({ queue: { maxMessages: 1, maxBytes: 0 } })
  const publish = async (overflow?: Overflow): Promise<unknown> => await fake.hub.broadcast('x', overflow === undefined ? {} : { overflow })
  t.same(await publish(), { sent: 1, queued: 0, dropped: 0, rejected: 0 })
  transport.block()
  t.same(await publish(), { sent: 0, queued: 1, dropped: 0, rejected: 0 })
  t.same(await publish(), { sent: 0, queued: 1, dropped: 1, rejected: 0 })
  t.same(await publish('reject-new'), { sent: 0, queued: 0, dropped: 0, rejected: 1 })
  connection.close()
  t.same(await publish(), { sent: 0, queued: 0, dropped: 0, rejected: 0 })
})

t.test('its data, and the codes of the table, are as documented', async (t) => {
  const fake = await startHub({ onConnect: (connection: Connection) => { connection.data = { seen: true } } })
  const { connection } = await fake.connect()
  t.same(connection.data, { seen: true })
  connection.disconnect(disconnects.policy)
  t.equal(connection.state, 'closing')
})
