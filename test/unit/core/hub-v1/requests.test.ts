import t from 'tap'
import { Type } from 'typebox'
import { FST_HUB_BROKER_UNAVAILABLE } from '../../../../lib/errors.js'
import { gate } from '../../../helpers/until.js'
import { startV1 } from '../../../helpers/v1-world.js'

t.test('joining and publishing are denied unless the application allows them', async (t) => {
  const fake = await startV1(t, { application: {} })
  const peer = await fake.peer()
  t.match(await peer.ask({ op: 'join', room: 'a' }), { op: 'error', code: 'not_allowed', room: 'a' })
  t.match(await peer.ask({ op: 'publish', room: 'a', data: 1 }), { op: 'error', code: 'not_allowed', room: 'a' })
  t.equal(fake.hub.room('a').size, 0)
  t.same(fake.errors, [])
})

t.test('the application is asked with connection, room and data, and may take its time', async (t) => {
  const asked: unknown[] = []
  const fake = await startV1(t, {
    application: {
      join: async ({ user }, room) => asked.push(['join', user, room]) > 0 && room === 'a',
      publish: async ({ user }, room, data) => asked.push(['publish', user, room, data]) > 0 && data !== 'bad'
    }
  })
  const ada = await fake.peer({ user: 'ada' })
  const bob = await fake.peer({ user: 'bob' })
  t.match(await ada.ask({ op: 'join', room: 'a' }), { op: 'joined', room: 'a' })
  t.match(await ada.ask({ op: 'join', room: 'b' }), { op: 'error', code: 'not_allowed', room: 'b' })
  const reply = await bob.ask({ op: 'publish', room: 'a', data: { n: 1 } })
  t.match(reply, { op: 'reply', data: { offset: 1, epoch: String } })
  t.match(await bob.ask({ op: 'publish', room: 'a', data: 'bad' }), { op: 'error', code: 'not_allowed' })
  await fake.turn()
  t.same(ada.log('a'), [{ n: 1 }])
  t.same(asked, [['join', 'ada', 'a'], ['join', 'ada', 'b'], ['publish', 'bob', 'a', { n: 1 }], ['publish', 'bob', 'a', 'bad']])
})

t.test('only true allows, and an application that fails is reported', async (t) => {
  const fake = await startV1(t, { application: { join: () => 'yes' as unknown as boolean, publish: () => { throw new Error('database') } } })
  const peer = await fake.peer()
  t.match(await peer.ask({ op: 'join', room: 'a' }), { code: 'not_allowed' })
  const answer = await peer.ask({ op: 'publish', room: 'a', data: 1 })
  t.match(answer, { op: 'error', code: 'internal', message: 'the request failed' })
  t.match(fake.errors, [{ message: 'database' }])
  t.equal(peer.peer.connection.state, 'open')
})

t.test('resume joins again what the client was in, and each room is answered by itself', async (t) => {
  const fake = await startV1(t, { application: { join: (_, room) => room !== 'closed' } })
  const first = await fake.peer()
  const joined = await first.ask({ op: 'join', room: 'a' })
  if (joined.op !== 'joined') throw new Error('not joined')
  await fake.hub.room('a').publish('x')
  const { epoch } = joined
  const second = await fake.peer({ resume: { id: 'r', session: first.session, rooms: { a: { epoch, offset: 0 }, closed: { epoch, offset: 0 }, other: { epoch: 'old', offset: 5 } } } })
  await fake.advance(10)
  t.match(second.of('joined'), [{ room: 'a', offset: 0, head: 1, recovered: true }, { room: 'other', offset: 0, recovered: false }])
  t.match(second.of('error'), [{ code: 'not_allowed', room: 'closed' }])
  t.same(second.of('reply'), [{ op: 'reply', id: 'r', data: { session: true } }])
  t.same(second.log('a'), ['x'])
})

t.test('a resume that is late, or not the first message, is for all of its rooms', async (t) => {
  const fake = await startV1(t, { application: { join: (_, room) => room !== 'closed' }, onConnect: async (connection) => { await connection.join('given') } })
  const { epoch } = await fake.hub.room('a').publish('x')
  const { epoch: given } = await fake.hub.room('given').publish('y')
  const rooms = { a: { epoch, offset: 0 }, closed: { epoch, offset: 0 }, given: { epoch: given, offset: 0 } }
  // As over a network that needs longer than the server waits for the first message.
  const silent = fake.peer({ silent: true })
  await fake.advance(1_100)
  const second = await fake.peer()
  for (const peer of [await silent, second]) {
    t.match(peer.of('joined'), [{ room: 'given', offset: 1 }], 'by the server, which knew no position')
    t.same(await peer.ask({ op: 'resume', rooms }, 'r'), { op: 'reply', id: 'r', data: { session: false } })
    await fake.turn()
    t.match(peer.of('joined').slice(1).sort((one, other) => one.room < other.room ? -1 : 1), [{ room: 'a', offset: 0, recovered: true }, { room: 'given', offset: 0, recovered: true }])
    t.match(peer.of('error'), [{ code: 'not_allowed', room: 'closed' }])
    t.same([peer.log('a'), peer.log('given')], [['x'], ['y']])
  }
})

t.test('leave is answered, and the server may take a peer out of a room', async (t) => {
  const fake = await startV1(t)
  const peer = await fake.peer()
  await peer.ask({ op: 'join', room: 'a' })
  await peer.ask({ op: 'join', room: 'b' })
  t.same(await peer.ask({ op: 'leave', room: 'a' }, 'x'), { op: 'left', room: 'a', id: 'x' })
  await peer.peer.connection.leave('b')
  await peer.peer.connection.leave('b')
  await fake.turn()
  t.same(peer.of('left'), [{ op: 'left', room: 'a', id: 'x' }, { op: 'left', room: 'b' }])
  t.equal(fake.hub.rooms.size, 0)
})

t.test('events are checked, handled, and replied to', async (t) => {
  const fake = await startV1(t)
  const schema = { data: Type.Object({ text: Type.String({ maxLength: 5 }) }), reply: Type.Object({ length: Type.Integer() }) }
  fake.hub.event('say', { schema, handler: (_, { text }) => ({ length: text.length }) })
  fake.hub.event('wrong', { schema, handler: () => ({ length: 'x' }) as never })
  fake.hub.event('refuse', { handler: () => { throw Object.assign(new Error('not today'), { statusCode: 403 }) } })
  fake.hub.event('fail', { handler: async () => { throw new Error('secret') } })
  fake.hub.event('nothing', { handler: () => {} })
  const peer = await fake.peer()
  t.same(await peer.ask({ op: 'event', event: 'say', data: { text: 'hello' } }, 'one'), { op: 'reply', id: 'one', data: { length: 5 } })
  t.match(await peer.ask({ op: 'event', event: 'say', data: { text: 'too long' } }), { op: 'error', code: 'invalid_data', path: '/data/text' })
  t.match(await peer.ask({ op: 'event', event: 'say' }), { op: 'error', code: 'invalid_data', path: /^\/data/ })
  t.match(await peer.ask({ op: 'event', event: '__proto__' }), { op: 'error', code: 'unknown_event', path: '/event' })
  t.match(await peer.ask({ op: 'event', event: 'refuse' }), { op: 'error', code: 'rejected', message: 'not today' })
  t.match(await peer.ask({ op: 'event', event: 'fail' }), { op: 'error', code: 'internal', message: 'the request failed' })
  t.match(await peer.ask({ op: 'event', event: 'wrong', data: { text: '' } }), { op: 'error', code: 'internal' })
  t.same(await peer.ask({ op: 'event', event: 'nothing' }, 'n'), { op: 'reply', id: 'n' })
  t.match(fake.errors, [{ message: 'secret' }, { code: 'FST_HUB_INVALID_DATA', message: /wrong/ }])
})

t.test('without an id only errors are told', async (t) => {
  const fake = await startV1(t)
  const seen: unknown[] = []
  fake.hub.event('note', { handler: (_, data) => { seen.push(data) } })
  const peer = await fake.peer()
  peer.say({ op: 'event', event: 'note', data: 1 })
  peer.say({ op: 'publish', room: 'a', data: 2 })
  peer.say({ op: 'event', event: 'nobody' })
  await fake.advance(10)
  t.same(seen, [1])
  t.same(peer.of('reply'), [])
  t.match(peer.of('error'), [{ code: 'unknown_event' }])
})

t.test('a ping is answered, ahead of what waits for a handler', async (t) => {
  const { promise, open } = gate()
  const fake = await startV1(t)
  fake.hub.event('slow', { handler: async () => { await promise } })
  const peer = await fake.peer()
  peer.say({ op: 'event', event: 'slow', id: 1 })
  peer.say({ op: 'ping' })
  await fake.advance(10)
  t.same(peer.of('pong'), [{ op: 'pong' }])
  t.same(peer.of('reply'), [])
  peer.say({ op: 'ping', id: 2 })
  await fake.advance(10)
  t.equal(peer.of('pong').length, 1, 'one with an id has its turn')
  open()
  await fake.advance(10)
  t.same(peer.told.slice(-2), [{ op: 'reply', id: 1 }, { op: 'pong', id: 2 }])
})

t.test('nothing to publish is an error that says so', async (t) => {
  const fake = await startV1(t)
  const peer = await fake.peer()
  t.match(await peer.ask({ op: 'publish', room: 'a' }), { op: 'error', code: 'invalid_message', path: '/data' })
  t.match(await peer.ask({ op: 'publish', room: 'a', data: null }), { op: 'reply', data: { offset: 1 } })
})

t.test('fault 65: new credentials in band, before the old ones expire', async (t) => {
  const fake = await startV1(t, {
    application: {
      refresh: ({ user }, data) => {
        if (data === 'throw') throw new Error('the token service is away')
        if (data === 'other') return { user: 'eve', expiresAt: fake.clock.now() + 60_000 }
        return data === 'good' ? { user: user ?? '', expiresAt: fake.clock.now() + 60_000, data: {} } : null
      }
    }
  })
  const peer = await fake.peer({ user: 'ada', expiresAt: fake.clock.now() + 10_000 })
  t.match(await peer.ask({ op: 'refresh', data: 'bad' }), { op: 'error', code: 'not_allowed' })
  t.match(await peer.ask({ op: 'refresh', data: 'other' }), { op: 'error', code: 'not_allowed' }, 'not of another user')
  t.match(await peer.ask({ op: 'refresh', data: 'throw' }), { op: 'error', code: 'internal' })
  await fake.advance(9_000)
  const expiresAt = fake.clock.now() + 60_000
  t.match(await peer.ask({ op: 'refresh', data: 'good' }), { op: 'reply', data: { expiresAt } })
  await fake.advance(59_000)
  t.equal(peer.peer.connection.state, 'open')
  await fake.advance(2_000)
  t.match(peer.peer.ended, { code: 4401 })
  const anonymous = await fake.peer()
  t.match(await anonymous.ask({ op: 'refresh' }), { op: 'error', code: 'not_allowed' })
})

t.test('a limit of rooms holds for those of a resume, too', async (t) => {
  const fake = await startV1(t, { application: { join: async ({ rooms }) => await Promise.resolve(rooms.size < 2) } })
  const position = { epoch: 'old', offset: 0 }
  const peer = await fake.peer({ resume: { rooms: { a: position, b: position, c: position, d: position } } })
  await fake.advance(10)
  t.same(peer.of('joined').map(({ room }) => room), ['a', 'b'])
  t.match(peer.of('error'), [{ code: 'not_allowed', room: 'c' }, { code: 'not_allowed', room: 'd' }])
})

t.test('a broker that is away: what may be asked again is unavailable, what may have been done is internal, and nobody is told each time', async (t) => {
  const fake = await startV1(t, { onConnect: async (connection) => { await connection.join('first') } })
  const peer = await fake.peer({ user: 'ada' })
  const { broker, presence } = fake.hub
  const away = async (): Promise<never> => { throw new FST_HUB_BROKER_UNAVAILABLE('it has gone') }
  broker.subscribe = broker.publish = presence.list = away
  t.match(await peer.ask({ op: 'join', room: 'a' }), { op: 'error', code: 'unavailable', message: 'the request can not be done now' })
  t.match(await peer.ask({ op: 'presence', room: 'first' }), { code: 'unavailable' })
  t.match(await peer.ask({ op: 'publish', room: 'first', data: 1 }), { code: 'internal', message: 'the request can not be done now' })
  const other = await fake.peer({ resume: { rooms: { a: { epoch: 'e', offset: 1 } } } })
  await fake.turn()
  t.match(other.of('error').filter(({ room }) => room === 'a'), [{ code: 'unavailable', room: 'a' }])
  t.same(fake.errors, [])
})
