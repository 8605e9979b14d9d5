import t from 'tap'
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { createClient, disconnects, HubError, jsonCodec } from '../../../lib/client/index.js'
import { ClientRig, HELLO, outcome } from '../../helpers/client-rig.js'
import { ClientTime } from '../../helpers/client-time.js'
import { fakeWebSockets } from '../../helpers/fake-websocket.js'
import { gate, settled } from '../../helpers/until.js'

const events = { say: { data: Type.Object({ text: Type.String() }), reply: Type.Object({ id: Type.Number() }) } }

t.test('what the module exports is what it says', (t) => {
  t.equal(jsonCodec.name, 'hub.v1.json')
  t.equal(disconnects.kicked.code, 4501)
  t.end()
})

t.test('emit: typed, with an answer or a coded error', async (t) => {
  const rig = new ClientRig<typeof events>()
  await rig.connect()
  const said = rig.client.emit('say', { text: 'hi' })
  const wrong = rig.client.emit('say', { text: '' })
  const [one, two] = rig.socket.sent('event')
  t.strictSame(one, { op: 'event', event: 'say', data: { text: 'hi' }, id: one?.id })
  t.ok(Value.Check(events.say.data, one?.data))
  rig.socket.receive({ op: 'reply', id: one?.id, data: { id: 7 } })
  rig.socket.receive({ op: 'error', id: two?.id, code: 'invalid_data', message: 'too short', path: '/text' })
  t.strictSame(await said, { id: 7 })
  const error = await wrong.catch((error: unknown) => error)
  t.ok(error instanceof HubError)
  t.match(error, { name: 'HubError', code: 'invalid_data', message: 'too short', path: '/text', room: undefined })
  t.strictSame(rig.errors, [])
})

t.test('emit without data has none', async (t) => {
  const rig = new ClientRig()
  await rig.connect()
  outcome(rig.client.emit('ready'))
  t.strictSame(Object.keys(rig.socket.sent('event')[0] ?? {}), ['op', 'event', 'id'])
})

t.test('data is taken at the call: what the caller changes later does not count', async (t) => {
  const rig = new ClientRig()
  rig.client.open()
  const data = { text: 'then' }
  outcome(rig.client.emit('say', data))
  data.text = 'now'
  await rig.accept()
  await rig.resumed()
  t.match(rig.socket.sent('event'), [{ data: { text: 'then' } }])
})

t.test('before open() and after close() requests fail', async (t) => {
  const rig = new ClientRig()
  t.strictSame(await outcome(rig.client.emit('say')), { code: 'closed' })
  rig.client.open()
  const waits = outcome(rig.client.emit('say'))
  rig.client.close()
  t.strictSame(await waits, { code: 'closed' })
  t.strictSame(await outcome(rig.client.refresh()), { code: 'closed' })
})

t.test('the session: of the last connection whose resume was read', async (t) => {
  const rig = new ClientRig()
  const session = (): unknown => rig.socket.sent('resume')[0]?.session
  await rig.connect({ session: 'one' })
  t.equal(session(), undefined, 'the first has none')
  rig.socket.end()
  await rig.time.next()
  await rig.accept({ session: 'two' })
  t.equal(session(), 'one')
  for (const message of [{ op: 'pong' }, { op: 'goodbye', reconnectIn: 1 }, { op: 'error', code: 'internal', message: 'x' }]) rig.socket.receive(message)
  rig.socket.end()
  await rig.time.next()
  await rig.accept({ session: 'three' })
  t.equal(session(), 'one', 'nothing told that the resume was read')
  rig.socket.receive({ op: 'direct', data: 1 })
  rig.socket.end()
  await rig.time.next()
  await rig.accept({ session: 'four' })
  t.equal(session(), 'one', 'what comes before the answer to resume tells nothing')
  await rig.resumed()
  rig.socket.end()
  await rig.time.next()
  await rig.accept({ session: 'five' })
  t.equal(session(), 'four')
})

t.test('a resume that the server does not take: rooms one by one, and without the session', async (t) => {
  const rig = new ClientRig()
  await rig.connect()
  await rig.join('a', { epoch: 'e', offset: 1 })
  const waits = outcome(rig.client.emit('say'))
  rig.socket.end()
  await rig.time.next()
  await rig.accept()
  outcome(rig.client.room('b').join())
  rig.socket.receive({ op: 'error', code: 'invalid_message', message: 'no', id: rig.socket.sent('resume')[0]?.id })
  t.match(rig.errors, [{ code: 'invalid_message' }])
  t.match(rig.socket.sent('join').map(({ room, since }) => [room, since]), [['b', undefined], ['a', { epoch: 'e', offset: 1 }]])
  t.equal(rig.socket.sent('event').length, 1)
  t.equal(rig.client.state.is, 'recovering')
  for (const { room, id } of rig.socket.sent('join')) rig.socket.receive({ op: 'joined', room, epoch: 'e', offset: 1, head: 1, id })
  t.equal(rig.client.state.is, 'open')
  rig.client.close()
  t.strictSame(await waits, { code: 'closed' })
})

t.test('it is open when resume has been answered, not before', async (t) => {
  const rig = new ClientRig()
  rig.client.open()
  await rig.accept()
  outcome(rig.client.emit('say'))
  rig.socket.receive({ op: 'direct', data: 1 })
  t.equal(rig.client.state.is, 'recovering')
  t.strictSame(rig.socket.sent('event'), [])
  await rig.resumed()
  t.equal(rig.client.state.is, 'open')
  t.equal(rig.socket.sent('event').length, 1)
})

t.test('rooms beyond what one message holds are joined one by one', async (t) => {
  const rig = new ClientRig()
  await rig.connect({ limits: { ...HELLO.limits, maxMessageBytes: 500 } })
  for (let i = 0; i < 20; i++) await rig.join(`room-${i}`, { epoch: 'e', offset: i })
  rig.socket.end()
  await rig.time.next()
  await rig.accept()
  const inResume = Object.keys(rig.socket.sent('resume')[0]?.rooms as object)
  t.ok(inResume.length > 0)
  t.ok(String(rig.socket.raw[0]).length < 500)
  t.strictSame([...inResume, ...rig.socket.sent('join').map(({ room }) => room)], Array.from({ length: 20 }, (_, i) => `room-${i}`))
  t.match(rig.socket.sent('join').at(-1), { room: 'room-19', since: { epoch: 'e', offset: 19 } })
  await rig.resumed()
  t.equal(rig.client.state.is, 'recovering')
})

t.test('a room may have any name', async (t) => {
  const rig = new ClientRig()
  await rig.connect({ limits: { ...HELLO.limits, maxMessageBytes: 0 } })
  for (const name of ['__proto__', 'constructor', 'a"b\\', '€']) await rig.join(name, { epoch: 'e', offset: 1 })
  rig.socket.end()
  await rig.time.next()
  await rig.accept()
  t.strictSame(Object.keys(rig.socket.sent('resume')[0]?.rooms as object), ['__proto__', 'constructor', 'a"b\\', '€'])
})

t.test('direct messages are acknowledged when the listeners are done', async (t) => {
  const rig = new ClientRig()
  const { promise, open } = gate()
  const heard: unknown[] = []
  rig.client.on('direct', async (data, { ack }) => { heard.push([data, ack]); await promise })
  await rig.connect()
  rig.socket.receive({ op: 'direct', data: 'a', ack: '1' })
  rig.socket.receive({ op: 'direct', data: 'a', ack: '1' })
  rig.socket.receive({ op: 'direct', data: 'b' })
  t.strictSame(heard, [['a', '1'], ['b', undefined]])
  await rig.time.advance(1_000)
  t.strictSame(rig.socket.sent('ack'), [])
  open()
  await settled()
  await rig.time.advance(50)
  t.strictSame(rig.socket.sent('ack'), [{ op: 'ack', ids: ['1'] }])
})

t.test('a direct message that a listener failed on comes again; and so does one that nobody hears', async (t) => {
  const rig = new ClientRig()
  await rig.connect()
  rig.socket.receive({ op: 'direct', data: 'nobody', ack: '0' })
  await settled()
  let fails = true
  const heard: unknown[] = []
  rig.client.on('direct', (data) => { heard.push(data); if (fails) throw new Error('disk full') })
  rig.socket.receive({ op: 'direct', data: 'a', ack: '1' })
  await rig.time.advance(1_000)
  t.strictSame(rig.socket.sent('ack'), [])
  t.match(rig.errors, [{ message: 'disk full' }])
  fails = false
  rig.socket.receive({ op: 'direct', data: 'nobody', ack: '0' })
  rig.socket.receive({ op: 'direct', data: 'a', ack: '1' })
  await rig.time.advance(50)
  t.strictSame(rig.socket.sent('ack'), [{ op: 'ack', ids: ['0', '1'] }])
  t.strictSame(heard, ['a', 'nobody', 'a'])
})

t.test('manualAck', async (t) => {
  const rig = new ClientRig({ manualAck: true })
  rig.client.on('direct', () => {})
  await rig.connect()
  rig.socket.receive({ op: 'direct', data: 'a', ack: '1' })
  await rig.time.advance(1_000)
  t.strictSame(rig.socket.sent('ack'), [])
  rig.client.ack('1')
  rig.client.ack(['2', '3'])
  await rig.time.advance(50)
  t.strictSame(rig.socket.sent('ack'), [{ op: 'ack', ids: ['1', '2', '3'] }])
})

t.test('credentials are renewed before they expire, as long as the connection lasts', async (t) => {
  let asked = 0
  const rig = new ClientRig({ token: async () => `token${++asked}`, url: ({ token }) => `ws://hub?${token}` })
  await rig.connect({ expiresAt: rig.time.now() + 100_000, heartbeat: { interval: 0, timeout: 0 } })
  t.equal(asked, 1, 'for the url')
  await rig.time.advance(80_000)
  const [first] = rig.socket.sent('refresh')
  t.match(first, { data: 'token2' })
  rig.socket.receive({ op: 'reply', id: first?.id, data: { expiresAt: rig.time.now() + 10_000 } })
  await rig.time.advance(8_000)
  const [, second] = rig.socket.sent('refresh')
  t.match(second, { data: 'token3' })
  rig.socket.receive({ op: 'error', id: second?.id, code: 'not_allowed', message: 'no' })
  await settled()
  t.match(rig.errors, [{ code: 'not_allowed' }])
  rig.socket.receive({ ...HELLO, expiresAt: rig.time.now() + 10_000 })
  rig.socket.end(4401)
  await rig.time.advance(0)
  t.equal(rig.socket.sent('refresh').length, 2)
  t.equal(asked, 3)
})

t.test('refresh by hand; without a token nothing goes by itself', async (t) => {
  const rig = new ClientRig()
  await rig.connect({ expiresAt: rig.time.now() + 10_000 })
  const refreshed = rig.client.refresh('secret')
  const bare = rig.client.refresh()
  const [one, two] = rig.socket.sent('refresh')
  t.strictSame([one, two], [{ op: 'refresh', data: 'secret', id: one?.id }, { op: 'refresh', id: two?.id }])
  for (const sent of [one, two]) rig.socket.receive({ op: 'reply', id: sent?.id, data: { expiresAt: null } })
  t.strictSame(await Promise.all([refreshed, bare]), [{ expiresAt: null }, { expiresAt: null }])
  await rig.time.advance(20_000)
  t.equal(rig.socket.sent('refresh').length, 2)
})

t.test('what can not be read is told, and nothing ends', async (t) => {
  const rig = new ClientRig()
  await rig.connect()
  const wrong = ['{', 'null', new ArrayBuffer(1), JSON.stringify({ op: 'reply', id: rig.socket.sent('resume')[0]?.id })]
  for (const data of wrong) rig.socket.receiveRaw(data)
  t.match(rig.errors, Array(wrong.length).fill({ code: 'unreadable', cause: Error }))
  for (const message of [{ op: 'of-tomorrow' }, {}, { op: 'reply', id: 999 }, { op: 'pong', id: 1 }]) rig.socket.receive(message)
  t.equal(rig.errors.length, wrong.length)
  t.equal(rig.client.state.is, 'open')
})

t.test('errors without a request, or of one that nobody waits for any more', async (t) => {
  const rig = new ClientRig()
  await rig.connect()
  rig.socket.receive({ op: 'error', code: 'rate_limited', message: 'slow down' })
  rig.socket.receive({ op: 'error', code: 'internal', message: 'late', id: 999 })
  rig.socket.receive({ op: 'error', code: 'unavailable', message: 'no', room: 'nobody' })
  t.match(rig.errors, [{ code: 'rate_limited' }, { code: 'internal' }, { code: 'unavailable', room: 'nobody' }])
})

t.test('an error that nobody listens to goes to the platform', async (t) => {
  const platform = globalThis as { reportError?: (error: unknown) => void }
  const reported: unknown[] = []
  t.teardown(() => { delete platform.reportError })
  platform.reportError = (error) => { reported.push(error) }
  const { WebSocket, sockets } = fakeWebSockets()
  const client = createClient({ url: 'ws://hub', WebSocket, clock: new ClientTime() })
  client.on('state', () => { throw new Error('of a listener') })
  client.open()
  await settled()
  sockets[0]?.accept()
  sockets[0]?.receiveRaw('{')
  await settled()
  t.match(reported, [{ message: 'of a listener' }, { code: 'unreadable' }])
  client.close()
})

t.test('a laptop that slept: the connection is put to the test at once, and replaced', async (t) => {
  const rig = new ClientRig()
  await rig.connect()
  await rig.time.advance(10_000)
  await rig.time.sleep(3_600_000)
  t.strictSame(rig.socket.sent('ping'), [{ op: 'ping' }])
  await rig.time.advance(5_000)
  t.match(rig.client.state, { is: 'waiting', reason: 'silent server' })
  await rig.connect()
  t.equal(rig.client.state.is, 'open')
})

t.test('a laptop that slept, with a connection that lived on', async (t) => {
  const rig = new ClientRig()
  await rig.connect()
  await rig.time.sleep(3_600_000)
  rig.socket.receive({ op: 'pong' })
  await rig.time.advance(20_000)
  t.equal(rig.client.state.is, 'open')
  t.equal(rig.sockets.length, 1)
})
