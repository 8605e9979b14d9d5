import t from 'tap'
import { gate } from '../../../helpers/until.js'
import { startV1 } from '../../../helpers/v1-world.js'

const SOMEWHERE = { epoch: 'old', offset: 1 }

/** Positions in so many rooms. */
function rooms (count: number): Record<string, typeof SOMEWHERE> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`r${i}`, SOMEWHERE]))
}

t.test('each room of a resume has the time of a handler', async (t) => {
  const gates = [gate(), gate(), gate()]
  let asked = 0
  const fake = await startV1(t, {
    application: {
      join: async () => {
        await gates[asked++]?.promise
        return true
      }
    }
  })
  const peer = await fake.peer({ resume: { rooms: rooms(3), id: 'r' } })
  for (const { open } of gates) {
    await fake.advance(25_000)
    open()
  }
  await fake.advance(10)
  t.equal(peer.peer.ended, null)
  t.equal(peer.of('joined').length, 3)
  t.match(peer.of('reply'), [{ id: 'r' }])

  const late = gate()
  gates.push(late)
  const slow = await fake.peer({ resume: { rooms: { last: SOMEWHERE } } })
  await fake.advance(31_000)
  t.match(slow.peer.ended, { code: 1011 }, 'but no more than that')
  late.open()
})

t.test('nothing is asked for a connection that has ended', async (t) => {
  const { promise, open } = gate()
  let asked = 0
  const fake = await startV1(t, {
    application: {
      join: async () => {
        asked++
        await promise
        return true
      }
    }
  })
  const peer = await fake.peer({ resume: { rooms: rooms(100) } })
  peer.peer.reset()
  await fake.advance(10)
  open()
  await fake.advance(10)
  t.equal(asked, 1)
  t.equal(fake.hub.size, 0)
})

t.test('the rooms of a connection are resumed once: so many joins are one message', async (t) => {
  const fake = await startV1(t)
  const peer = await fake.peer({ resume: { rooms: rooms(2) } })
  t.equal(peer.of('joined').length, 2)
  t.match(await peer.ask({ op: 'resume', rooms: rooms(3) }), { op: 'error', code: 'invalid_message', path: '/rooms', message: 'rooms: expected in one resume of a connection, got another' })
  t.equal(peer.of('joined').length, 2)
  t.match(await peer.ask({ op: 'resume' }), { op: 'reply', data: { session: false } })
  const other = await fake.peer({ resume: { rooms: {} } })
  await other.ask({ op: 'ping' })
  await other.ask({ op: 'resume', rooms: rooms(2) })
  t.equal(other.of('joined').length, 2, 'with a later message, too')
})

t.test('a join from a position is answered with what has come since, also while the server joins the room', async (t) => {
  const fake = await startV1(t, { onConnect: (connection) => { connection.join('a').catch(() => {}) } })
  for (let i = 1; i <= 3; i++) await fake.hub.room('a').publish(i)
  const { epoch } = (await fake.hub.room('a').history()).position
  const { promise, open } = gate()
  const subscribe = fake.hub.broker.subscribe.bind(fake.hub.broker)
  fake.hub.broker.subscribe = async (room) => {
    await promise
    return await subscribe(room)
  }
  const connecting = fake.peer({ silent: true })
  await fake.advance(1_100)
  const peer = await connecting
  peer.say({ op: 'join', room: 'a', since: { epoch, offset: 1 }, id: 'j' })
  await fake.advance(10)
  t.same(peer.of('joined'), [])
  open()
  await fake.advance(10)
  t.match(peer.of('joined'), [{ offset: 3 }, { id: 'j', offset: 1, recovered: true }])
  t.same(peer.log('a'), [2, 3])
})

t.test('what the server allows by joining a room it does not allow when it has thought better of it', async (t) => {
  for (const how of ['leaves', 'fails'] as const) {
    const asked: string[] = []
    const { promise, open } = gate()
    const fake = await startV1(t, {
      application: { join: (_, room) => asked.push(room) < 0 },
      onConnect: (connection) => { connection.join('vip').catch(() => {}) }
    })
    const subscribe = fake.hub.broker.subscribe.bind(fake.hub.broker)
    fake.hub.broker.subscribe = async (room) => {
      await promise
      fake.hub.broker.subscribe = subscribe
      if (how === 'fails') throw new Error('away')
      return await subscribe(room)
    }
    const connecting = fake.peer({ silent: true })
    await fake.advance(1_100)
    const peer = await connecting
    peer.say({ op: 'join', room: 'vip', since: SOMEWHERE, id: 'j' })
    await fake.advance(10)
    if (how === 'leaves') await peer.peer.connection.leave('vip')
    open()
    await fake.advance(10)
    t.match(peer.told.at(-1), { op: 'error', id: 'j', code: how === 'leaves' ? 'not_joined' : 'internal' })
    t.same([fake.hub.room('vip').size, asked], [0, []])
  }
})

t.test('thousands of rooms wait for a peer that does not read, some do not', async (t) => {
  const fake = await startV1(t)
  const connecting = fake.peer({ kernel: 500, silent: true })
  await fake.advance(1_100)
  const peer = await connecting
  peer.peer.stuck()
  const many = Object.fromEntries(Object.entries(rooms(1_000)).map(([name, position]) => [name.padEnd(200, '.'), position]))
  peer.say({ op: 'resume', rooms: many, id: 'r' })
  await fake.advance(5_000)
  // One write of 64 KiB is on its way, and as much may wait.
  t.ok(fake.hub.rooms.size > 200 && fake.hub.rooms.size < 600)
  t.ok(peer.peer.connection.queued.bytes < 100_000)
  peer.peer.read()
  await fake.advance(5_000)
  t.equal(peer.of('joined').length, 1_000)
  t.match(peer.told.at(-1), { op: 'reply', id: 'r' })
})

t.test('a join from a position is neither a leave nor an entrance for others', async (t) => {
  const fake = await startV1(t)
  const ada = await fake.peer({ user: 'ada' })
  const bob = await fake.peer({ user: 'bob' })
  const joined = await ada.ask({ op: 'join', room: 'a' })
  if (joined.op !== 'joined') throw new Error('not joined')
  const { epoch, offset } = joined
  await bob.ask({ op: 'join', room: 'a' })
  await bob.ask({ op: 'presence', room: 'a', watch: true })
  await fake.hub.room('a').setEphemeral('ada', 'typing', 60_000)
  await fake.advance(2_000)
  t.match(bob.of('presence'), [{ states: [{ user: 'ada', key: 'typing', active: true }] }])
  await ada.ask({ op: 'join', room: 'a', since: { epoch, offset } })
  await fake.advance(2_000)
  t.equal(bob.of('presence').length, 1)

  // One that fails is.
  await fake.hub.room('a').publish(1)
  fake.hub.broker.history = async () => { throw new Error('away') }
  t.match(await ada.ask({ op: 'join', room: 'a', since: { epoch, offset } }), { op: 'error', code: 'internal' })
  await fake.advance(2_000)
  t.match(bob.of('presence').at(-1), { left: ['ada'], states: [{ user: 'ada', key: 'typing', active: false }] })
  t.equal(fake.hub.room('a').size, 1)
})

t.test('who has been taken out of a room is not told who is in it', async (t) => {
  const fake = await startV1(t)
  const peer = await fake.peer({ user: 'ada' })
  await peer.ask({ op: 'join', room: 'a' })
  const { promise, open } = gate()
  const { presence } = fake.hub
  const list = presence.list.bind(presence)
  presence.list = async (room) => {
    await promise
    return await list(room)
  }
  peer.say({ op: 'presence', room: 'a', watch: true, id: 'p' })
  await fake.advance(10)
  await peer.peer.connection.leave('a')
  open()
  await fake.advance(10)
  t.match(peer.told.at(-1), { op: 'error', code: 'not_joined', id: 'p' })
  t.equal(fake.hub.hubV1.presence.size, 0)
})

t.test('what a handler rejects with need not have a message', async (t) => {
  const fake = await startV1(t)
  const errors: unknown[] = [undefined, { a: 1 }, 'no']
  fake.hub.event('bad', { handler: () => { throw Object.assign(new Error(), { statusCode: 422, message: errors.shift() }) } })
  const peer = await fake.peer()
  for (const message of ['the request was rejected', 'the request was rejected', 'no']) t.match(await peer.ask({ op: 'event', event: 'bad' }), { code: 'rejected', message })
})
