import t from 'tap'
import type { DisconnectInfo } from '../../../lib/core/types.js'
import { connect } from '../../../lib/testing/connect.js'
import type { TestPeer } from '../../../lib/testing/test-peer.js'
import { startHub, type FakeHub, type FakeHubOptions } from '../../helpers/fake-hub.js'
import { gate } from '../../helpers/until.js'

const texts = ({ messages }: TestPeer): string[] => messages.map((message) => message.text())

/** A hub with one peer, and how its connection ended. */
async function connected (options: FakeHubOptions = {}): Promise<{ fake: FakeHub, peer: TestPeer, ends: DisconnectInfo[] }> {
  const ends: DisconnectInfo[] = []
  const fake = await startHub({ onDisconnect: (_connection, info) => { ends.push(info) }, ...options })
  return { fake, ends, peer: await connect(fake.hub) }
}

t.test('reads what it is sent: next gives each message once, in order, whether it waits for it or not', async (t) => {
  const { peer } = await connected()
  const { connection } = peer
  connection.send('one')
  connection.send({ two: 2 })
  t.same(peer.messages, [], 'not within the turn')
  t.equal((await peer.next()).text(), 'one')
  t.same((await peer.next()).json(), { two: 2 })
  const both = Promise.all([peer.next(), peer.next()])
  connection.send(Buffer.from([3]))
  connection.send('four')
  const [three, four] = await both
  t.same([three.isBinary, three.bytes, four.isBinary], [true, Buffer.from([3]), false])
  connection.send('five')
  connection.close()
  t.same(await peer.closed, { code: 1000, reason: '' })
  t.same(texts(peer), ['one', '{"two":2}', '\u0003', 'four', 'five'])
  t.equal((await peer.next()).text(), 'five', 'what came before the end')
  await t.rejects(peer.next(), { code: 'FST_HUB_CLOSED' })
})

t.test('next rejects when the connection ends instead', async (t) => {
  const { peer } = await connected()
  const waiting = Promise.allSettled([peer.next(), peer.next()])
  peer.connection.terminate()
  t.match(await waiting, [{ status: 'rejected', reason: { code: 'FST_HUB_CLOSED' } }, { status: 'rejected', reason: { code: 'FST_HUB_CLOSED' } }])
})

t.test('sends text, bytes, JSON, what it has received', async (t) => {
  const { peer } = await connected({ onMessage: (connection, message) => { connection.send(message) } })
  const bytes = Buffer.from([1, 2])
  peer.send('text')
  peer.send(bytes)
  bytes[0] = 9
  peer.send({ a: 1 })
  for (const expected of [[false, 'text'], [true, '\u0001\u0002'], [false, '{"a":1}']] as const) {
    const message = await peer.next()
    t.same([message.isBinary, message.text()], expected)
    peer.send(message)
  }
  for (const expected of [[false, 'text'], [true, '\u0001\u0002'], [false, '{"a":1}']] as const) {
    const message = await peer.next()
    t.same([message.isBinary, message.text()], expected)
  }
  t.throws(() => { peer.send(undefined) }, { code: 'FST_HUB_INVALID_DATA' })
  peer.close()
  peer.send('too late')
  peer.ping()
  await peer.closed
  peer.send('later still')
  t.equal(peer.messages.length, 6)
})

t.test('ping: the server answers, and has heard it', async (t) => {
  const { fake, peer } = await connected()
  await fake.advance(1_000)
  peer.ping()
  await fake.clock.settle()
  t.equal(peer.pongs, 1)
  t.equal(peer.connection.lastSeen, fake.clock.now())
})

t.test('pings are answered while it reads', async (t) => {
  const { fake, peer, ends } = await connected({ settings: { heartbeat: { interval: 1_000, timeout: 3_000 } } })
  await fake.advance(10_000)
  t.ok(peer.pings >= 9)
  t.same(ends, [])
  peer.stuck()
  const { pings } = peer
  await fake.advance(3_500)
  t.equal(peer.pings, pings)
  t.same(ends, [{ code: 4408, reason: 'heartbeat timeout', initiator: 'server' }])
  t.same(peer.ended, { code: 1006, reason: '' }, 'it has not read the Close frame')
})

t.test('close: of the peer, of the server, of both', async (t) => {
  const { peer, ends } = await connected()
  t.equal(peer.ended, null)
  peer.close(4000, 'bye')
  t.same(await peer.closed, { code: 4000, reason: 'bye' })
  t.same(peer.ended, { code: 4000, reason: 'bye' })
  t.same(ends, [{ code: 4000, reason: 'bye', initiator: 'peer' }])

  const bare = await connected()
  bare.peer.close(undefined, 'is not sent')
  t.same(await bare.peer.closed, { code: 1005, reason: '' })
  t.same(bare.ends, [{ code: 1005, reason: '', initiator: 'peer' }])

  const server = await connected()
  server.peer.connection.close(4501, 'kicked')
  t.same(await server.peer.closed, { code: 4501, reason: 'kicked' })

  const both = await connected()
  both.peer.close(4000, '€'.repeat(50))
  both.peer.connection.close(4001)
  t.same(await both.peer.closed, { code: 4001, reason: '' }, "it has read the server's before its own was answered")
  t.same(both.ends, [{ code: 4001, reason: '', initiator: 'server' }])

  const long = await connected()
  long.peer.close(4000, '€'.repeat(50))
  t.equal((await long.peer.closed).reason, '€'.repeat(41))
})

t.test('close refuses codes that no Close frame may carry', async (t) => {
  const { peer } = await connected()
  for (const code of [999, 1004, 1005, 1006, 1015, 2999, 5000, 1000.5, NaN, '1000', null]) {
    t.throws(() => { peer.close(code as number) }, { code: 'FST_HUB_INVALID_ARGUMENT', message: /^code: expected 1000 to 1014/ })
  }
  t.equal(peer.connection.state, 'open')
  peer.close(1010)
  t.equal((await peer.closed).code, 1010)
})

t.test('opened: when onConnect has resolved, and not before', async (t) => {
  const { promise, open } = gate()
  const { peer } = await connected({ onConnect: async () => { await promise } })
  t.equal(peer.connection.state, 'connecting')
  let isOpen = false
  const opened = peer.opened().then(() => { isOpen = true })
  peer.send('held')
  peer.connection.send('welcome')
  t.equal((await peer.next()).text(), 'welcome')
  t.equal(isOpen, false)
  open()
  await opened
  t.equal(peer.connection.state, 'open')
  await peer.opened()

  const refused = await connected({ onConnect: (connection) => { connection.close(4000) } })
  await t.rejects(refused.peer.opened(), { code: 'FST_HUB_CLOSED' })
})

t.test('slow: what it has not read waits', async (t) => {
  const { fake, peer } = await connected({ queue: { maxMessages: 2, maxBytes: 0 } })
  const { connection } = peer
  peer.slow(10)
  t.equal(connection.send('12345678'), 'sent')
  await fake.clock.settle()
  t.equal(connection.send('a'), 'queued')
  await fake.advance(900)
  t.same([texts(peer), connection.queued.messages], [[], 1])
  await fake.advance(200)
  t.same([texts(peer), connection.queued.messages], [['12345678'], 0])
  peer.read()
  await fake.clock.settle()
  t.same(texts(peer), ['12345678', 'a'])
  for (const rate of [0, -1, NaN, Infinity, '5']) {
    t.throws(() => { peer.slow(rate as number) }, { code: 'FST_HUB_INVALID_ARGUMENT', message: /^bytesPerSecond: expected a number of more than 0, got/ })
  }
})

t.test('stuck: nothing is read, but it can send', async (t) => {
  const received: string[] = []
  const { fake, peer } = await connected({ onMessage: (_connection, message) => { received.push(message.text()) } })
  peer.stuck()
  peer.connection.send('one')
  await fake.clock.settle()
  t.equal(peer.connection.send('two'), 'queued')
  peer.send('hello')
  await fake.clock.settle()
  t.same([received, peer.messages], [['hello'], []])
  peer.read()
  await fake.clock.settle()
  t.same(texts(peer), ['one', 'two'])
})

t.test('reset: 1006 of the network; writing into it is harmless', async (t) => {
  const { fake, peer, ends } = await connected()
  peer.reset()
  t.equal(peer.connection.send('lost'), 'sent')
  t.same(await peer.closed, { code: 1006, reason: '' })
  t.same(ends, [{ code: 1006, reason: '', initiator: 'network' }])
  t.equal(peer.connection.send('late'), 'closed')
  t.same([peer.messages, fake.errors], [[], []])
})

t.test('vanish: silence both ways, until the network is back', async (t) => {
  const received: string[] = []
  const { fake, peer, ends } = await connected({ onMessage: (_connection, message) => { received.push(message.text()) }, settings: { heartbeat: { interval: 1_000, timeout: 5_000 } } })
  peer.vanish()
  peer.send('underground')
  peer.connection.send('hello?')
  await fake.advance(4_000)
  t.same([received, peer.messages, peer.pings, ends], [[], [], 0, []])
  peer.read()
  await fake.clock.settle()
  t.same([received, texts(peer), ends], [['underground'], ['hello?'], []])
  await fake.advance(4_000)
  t.same(ends, [], 'it answers pings again')
  peer.vanish()
  peer.close(4000)
  await fake.advance(5_500)
  t.same(ends, [{ code: 4408, reason: 'heartbeat timeout', initiator: 'server' }])
  t.same(peer.ended, { code: 1006, reason: '' })
})
