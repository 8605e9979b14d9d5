import t from 'tap'
import { connect } from '../../../../lib/testing/index.js'
import type { ServerMessage } from '../../../../lib/protocol/hub-v1/schema.js'
import { startV1 } from '../../../helpers/v1-world.js'
import { V1Peer } from '../../../helpers/v1-peer.js'

t.test('hello comes first, and says what the client needs to know', async (t) => {
  const fake = await startV1(t, { onConnect: async (connection) => { connection.send('from onConnect') } })
  const peer = await fake.peer({ user: 'ada' })
  const [hello] = peer.told
  t.match(hello, {
    op: 'hello', version: 1, connection: peer.peer.connection.id, user: 'ada', session: String, heartbeat: { interval: 30_000, timeout: 60_000 }, limits: { maxMessageBytes: 65_536, messagesPerSecond: 0, burst: 1 }
  })
  t.same(peer.of('direct'), [{ op: 'direct', data: 'from onConnect' }])
  const expiresAt = fake.clock.now() + 60_000
  t.match((await fake.peer({ expiresAt })).of('hello'), [{ user: null, expiresAt }])
  t.notOk('expiresAt' in (hello ?? {}))
})

t.test('onConnect waits for the first message, or a second', async (t) => {
  const begun: string[] = []
  const fake = await startV1(t, { onConnect: ({ user }) => { begun.push(String(user)) } })
  const silent = connect(fake.hub, { subprotocol: 'hub.v1.json', user: 'silent', silent: true, kernel: Infinity })
  await fake.advance(900)
  t.same(begun, [])
  t.equal(fake.hub.size, 0)
  await fake.peer({ user: 'loud' })
  t.same(begun, ['loud'])
  await fake.advance(200)
  t.same(begun, ['loud', 'silent'])
  const { messages } = await silent
  t.equal(messages.length, 1, 'it has had its hello')
})

t.test('whoever leaves before the first message was never there', async (t) => {
  let begun = 0
  const fake = await startV1(t, { onConnect: () => { begun++ } })
  const silent = await Promise.race([connect(fake.hub, { subprotocol: 'hub.v1.json', user: 'ada', silent: true }), fake.clock.settle().then(() => null)])
  t.equal(silent, null)
  const [entering] = fake.hub.sessions.entering.all()
  entering?.terminate()
  await fake.advance(2_000)
  t.equal(begun, 0)
  t.same(await fake.hub.directory.user('ada'), [])
})

t.test('what is no message of hub.v1 is answered, and too much of it ends the connection', async (t) => {
  const fake = await startV1(t)
  const peer = await fake.peer()
  const bad: Array<[unknown, object]> = [
    ['{', { code: 'malformed' }],
    ['[]', { code: 'malformed' }],
    ['null', { code: 'malformed' }],
    [{ op: 'nothing', id: 5 }, { code: 'unknown_op', id: 5 }],
    [{ op: 'join', id: 6 }, { code: 'invalid_message', id: 6, path: '/room' }],
    [{ op: 'join', room: 'x'.repeat(256), id: 7 }, { code: 'invalid_message', id: 7, path: '/room' }],
    [{ op: 'join', room: '', id: 8 }, { code: 'invalid_message', id: 8 }],
    [{ op: 'join', room: 'a', since: { epoch: 1, offset: 0 } }, { code: 'invalid_message', path: '/since/epoch' }],
    [{ op: 'publish', room: 'a', base64: '***', id: 9 }, { code: 'invalid_message', id: 9, path: '/base64' }]
  ]
  for (const [message, error] of bad) {
    peer.say(message as string)
    await fake.advance(1)
    t.match(peer.told.at(-1), { op: 'error', ...error })
  }
  await peer.ask({ op: 'ping' })
  for (let i = 0; i < 9; i++) peer.say('{')
  await fake.advance(1)
  t.equal(peer.peer.ended, null, 'a good one begins anew')
  peer.say('{')
  await fake.advance(1)
  t.match(peer.peer.ended, { code: 1008, reason: 'too many invalid messages' })
})

t.test('the other kind of message is 1003', async (t) => {
  const fake = await startV1(t)
  const peer = await fake.peer()
  peer.peer.send(Buffer.from('{"op":"ping"}'))
  await fake.advance(1)
  t.match(peer.peer.ended, { code: 1003 })
})

t.test('over the rate a request is answered with an error, and too many end the connection', async (t) => {
  const fake = await startV1(t, { settings: { rate: { messagesPerSecond: 1, burst: 3, bytesPerSecond: 0, violations: 3 } } })
  const peer = await fake.peer()
  for (let id = 1; id <= 4; id++) peer.say({ op: 'publish', room: 'a', data: id, id })
  await fake.advance(1)
  t.same(peer.of('reply').map(({ id }) => id), [1, 2])
  t.match(peer.of('error'), [{ code: 'rate_limited', id: 3 }, { code: 'rate_limited', id: 4 }])
  peer.say('{')
  await fake.advance(1)
  t.match(peer.peer.ended, { code: 1008, reason: 'rate limit exceeded' })
})

t.test('answers to a peer that does not read are bounded', async (t) => {
  const fake = await startV1(t, { queue: { maxMessages: 1, maxBytes: 1_000 } })
  const peer = await fake.peer({ kernel: 500 })
  peer.peer.stuck()
  for (let id = 1; id <= 20; id++) peer.say({ op: 'ping', id })
  await fake.advance(10)
  t.equal(peer.peer.connection.state, 'open')
  t.ok(peer.peer.connection.queued.bytes <= 4_000)
  for (let id = 20; id <= 3_000; id++) peer.say({ op: 'ping', id })
  await fake.advance(10)
  t.equal(fake.hub.size, 0)
})

t.test('answers that waited come in order, before what the application has queued', async (t) => {
  const fake = await startV1(t, { queue: { maxMessages: 3 } })
  const peer = await fake.peer({ kernel: 200 })
  peer.peer.stuck()
  const filler = 'x'.repeat(100)
  const { connection } = peer.peer
  for (let i = 0; i < 10 && connection.send(filler) === 'sent'; i++) await fake.turn()
  for (let id = 1; id <= 50; id++) peer.say({ op: 'ping', id })
  await fake.advance(10)
  peer.peer.read()
  await fake.advance(10)
  t.same(peer.of('pong').map(({ id }) => id), Array.from({ length: 50 }, (_, i) => i + 1))
  t.equal(peer.told.at(-1)?.op, 'direct')
})

t.test('before a drain closes it, each client is told when to come back', async (t) => {
  const fake = await startV1(t, { drain: { spread: 1_000, timeout: 5_000 } })
  const peers = await Promise.all(Array.from({ length: 4 }, async () => await fake.peer()))
  const drained = fake.hub.drain()
  await fake.advance(2_000)
  await drained
  t.same(peers.map((peer) => peer.of('goodbye')[0]), [250, 500, 750, 1_000].map((reconnectIn): ServerMessage => ({ op: 'goodbye', reconnectIn })))
  t.match(peers.map(({ peer }) => peer.ended), peers.map(() => ({ code: 1012 })))
})

t.test('rooms may have raw connections and those of hub.v1, each in its own way', async (t) => {
  const fake = await startV1(t, { onConnect: async (connection) => { await connection.join('a') } })
  const raw = await connect(fake.hub, { kernel: Infinity })
  const json = await fake.peer()
  const msgpack = await connect(fake.hub, { subprotocol: 'hub.v1.msgpack', kernel: Infinity })
  await fake.advance(1)
  await fake.hub.room('a').publish({ x: 1 })
  await fake.hub.room('a').publish('typing', { ephemeral: true })
  await fake.hub.broadcast(Buffer.from('bytes'))
  await fake.advance(1)
  t.same(raw.messages.map((message) => message.isBinary ? message.bytes.toString() : message.text()), ['{"x":1}', 'typing', 'bytes'])
  t.same(json.told.slice(-3), [{ op: 'message', room: 'a', offset: 1, data: { x: 1 } }, { op: 'message', room: 'a', data: 'typing' }, { op: 'direct', base64: 'Ynl0ZXM=' }])
  t.ok(msgpack.messages.slice(-3).every(({ isBinary }) => isBinary))
})

t.test('single login ends the older one, also while it has said nothing yet', async (t) => {
  const fake = await startV1(t, { sessions: 'single-per-user' })
  const silent = connect(fake.hub, { subprotocol: 'hub.v1.json', user: 'ada', silent: true, kernel: Infinity })
  await fake.clock.settle()
  const peer = await V1Peer.connect(fake.hub, fake.clock, { user: 'ada' })
  t.match((await silent).ended, { code: 4502 })
  t.equal(peer.peer.connection.state, 'open')
})
