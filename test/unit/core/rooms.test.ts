import fc from 'fast-check'
import t from 'tap'
import { fanOut } from '../../../lib/core/fan-out.js'
import type { HubConnection } from '../../../lib/core/connection.js'
import type { Presence } from '../../../lib/core/ports.js'
import { FakeBroker } from '../../helpers/fake-broker.js'
import { TestClock } from '../../../lib/testing/test-clock.js'
import { settled } from '../../helpers/until.js'
import { startHub, type FakeHub, type FakeHubOptions, type FakePeer } from '../../helpers/fake-hub.js'

async function setup (options: FakeHubOptions = {}): Promise<{ fake: FakeHub, broker: FakeBroker }> {
  const clock = new TestClock()
  let broker: FakeBroker | undefined
  const fake = await startHub({ clock, broker: (listener) => { broker = new FakeBroker(clock, listener); return broker }, ...options })
  const made = broker as unknown as FakeBroker
  made.calls.length = 0
  return { fake, broker: made }
}

const members = (fake: FakeHub, room = 'room'): string[] => [...fake.hub.room(room).connections()].map(({ id }) => id)

t.test('join and leave', async (t) => {
  const { fake, broker } = await setup()
  const { connection } = await fake.connect()
  const position = await connection.join('room')
  t.type(position.epoch, 'string')
  t.equal(position.offset, 0)
  t.same([...connection.rooms], ['room'])
  t.same(members(fake), [connection.id])
  t.equal(fake.hub.room('room').size, 1)
  t.equal(fake.hub.stats().rooms, 1)
  t.same(await connection.join('room'), position, 'again is harmless')
  await connection.leave('room')
  await connection.leave('room')
  await connection.leave('never joined')
  t.same([...connection.rooms], [])
  t.equal(fake.hub.stats().rooms, 0, 'an empty room vanishes')
  t.same(broker.calls, ['subscribe room', 'unsubscribe room'])
  for (const call of [connection.join('') as Promise<unknown>, connection.join('x'.repeat(256)), connection.leave(5 as never)]) await t.rejects(call, { code: 'FST_HUB_INVALID_NAME' })
})

t.test('one subscription serves all members', async (t) => {
  const { fake, broker } = await setup()
  const [a, b] = [await fake.connect(), await fake.connect()]
  await Promise.all([a.connection.join('room'), b.connection.join('room')])
  await a.connection.leave('room')
  t.same(broker.calls, ['subscribe room'])
  await b.connection.leave('room')
  t.same(broker.calls, ['subscribe room', 'unsubscribe room'])
})

t.test('members get what is published, in order; others do not', async (t) => {
  const { fake } = await setup()
  const [a, b, outside] = [await fake.connect(), await fake.connect(), await fake.connect()]
  for (const { connection } of [a, b]) await connection.join('room')
  const room = fake.hub.room('room')
  const { epoch, ...result } = await room.publish('1')
  t.type(epoch, 'string')
  t.same(result, { offset: 1, sent: 2, queued: 0, dropped: 0, rejected: 0 })
  a.connection.send('direct')
  await room.publish({ two: 2 })
  fake.clock.turn()
  t.same(a.transport.messages, ['1', 'direct', '{"two":2}'])
  t.same(b.transport.messages, ['1', '{"two":2}'])
  t.same(outside.transport.messages, [])
})

t.test('except, by object, by id, mixed, and of somebody who is not there', async (t) => {
  const { fake } = await setup()
  const peers = [await fake.connect(), await fake.connect(), await fake.connect()] as [FakePeer, FakePeer, FakePeer]
  for (const { connection } of peers) await connection.join('room')
  const [a, b] = peers
  const room = fake.hub.room('room')
  t.equal((await room.publish('1', { except: a.connection })).sent, 2)
  t.equal((await room.publish('2', { except: a.connection.id })).sent, 2)
  t.equal((await room.publish('3', { except: [a.connection, b.connection.id, 'nobody'] })).sent, 1)
  t.equal((await room.publish('4', { except: [] })).sent, 3)
  t.equal((await fake.hub.broadcast('5', { except: b.connection })).sent, 2)
  await t.rejects(room.publish('x', { except: null as never }), { code: 'FST_HUB_INVALID_ARGUMENT' })
  fake.clock.turn()
  t.same(peers.map(({ transport }) => transport.messages), [['4', '5'], ['1', '2', '4'], ['1', '2', '3', '4', '5']])
})

t.test('join tells the position on entry: what came before it does not reach the connection, what comes later does', async (t) => {
  const { fake } = await setup()
  const { connection, transport } = await fake.connect()
  const joining = connection.join('room')
  await fake.hub.room('room').publish('before it entered')
  const { offset } = await joining
  t.equal(offset, 1)
  t.equal((await fake.hub.room('room').publish('after')).offset, 2)
  fake.clock.turn()
  t.same(transport.messages, ['after'])
  const second = await fake.connect()
  t.equal((await second.connection.join('room')).offset, 2)
})

t.test('the position holds for a broker that answers late, too', async (t) => {
  const { fake, broker } = await setup()
  broker.slow = true
  const [a, b] = [await fake.connect(), await fake.connect()]
  const joins = [a.connection.join('room')]
  await fake.hub.room('room').publish('1')
  joins.push(b.connection.join('room'))
  await fake.hub.room('room').publish('2')
  await fake.hub.room('room').publish('typing', { ephemeral: true })
  await broker.pending[0]?.succeed()
  t.same((await Promise.all(joins)).map(({ offset }) => offset), [2, 2])
  t.equal(broker.pending.length, 1)
  await fake.hub.room('room').publish('3')
  t.equal((await a.connection.join('room')).offset, 3)
  fake.clock.turn()
  t.same([a, b].map(({ transport }) => transport.messages), [['3'], ['3']])
})

t.test('joining a room twice while the broker is slow', async (t) => {
  const { fake, broker } = await setup()
  broker.slow = true
  const { connection } = await fake.connect()
  const joins = [connection.join('room'), connection.join('room'), connection.join('room')]
  t.equal(broker.pending.length, 1)
  t.equal(fake.hub.stats().rooms, 0, 'not a room before somebody is in')
  await broker.pending[0]?.succeed()
  const positions = await Promise.all(joins)
  t.same(positions[1], positions[0])
  t.not(positions[1], positions[0], 'each caller has its own')
  t.same([...connection.rooms], ['room'])
})

t.test('leaving while the join is under way: it never enters', async (t) => {
  const { fake, broker } = await setup()
  broker.slow = true
  const { connection } = await fake.connect({ user: 'ann' })
  const joining = connection.join('room')
  await connection.leave('room')
  await broker.pending[0]?.succeed()
  await joining
  t.same([...connection.rooms], [])
  t.same(members(fake), [])
  t.same(await fake.hub.room('room').presence(), [])
  t.same(broker.calls, ['subscribe room', 'unsubscribe room'])
})

t.test('leaving and joining again while the first join is under way', async (t) => {
  const { fake, broker } = await setup()
  broker.slow = true
  for (const others of [0, 1]) {
    broker.pending.length = 0
    const { connection } = await fake.connect()
    const other = await fake.connect()
    const name = `room ${others}`
    if (others === 1) {
      const entering = other.connection.join(name)
      await broker.pending.pop()?.succeed()
      await entering
    }
    const first = connection.join(name)
    await connection.leave(name)
    const second = connection.join(name)
    for (const { succeed } of broker.pending) await succeed()
    await Promise.all([first, second])
    t.equal(members(fake, name).includes(connection.id), true)
    t.same([...connection.rooms], [name])
    await connection.leave(name)
    t.equal(members(fake, name).length, others)
  }
})

t.test('a connection that ends while its join is under way', async (t) => {
  for (const end of [({ connection }: FakePeer) => { connection.close() }, ({ transport }: FakePeer) => { transport.reset() }, ({ transport }: FakePeer) => { transport.writable = false }]) {
    const { fake, broker } = await setup()
    broker.slow = true
    const peer = await fake.connect({ user: 'ann' })
    const joining = peer.connection.join('room')
    end(peer)
    await broker.pending[0]?.succeed()
    await t.rejects(joining, { code: 'FST_HUB_CLOSED' })
    t.same(members(fake), [])
    t.same(await fake.hub.room('room').presence(), [])
    await settled()
    t.equal(broker.calls.at(-1), 'unsubscribe room')
    await t.rejects(peer.connection.join('room'), { code: 'FST_HUB_CLOSED' })
  }
})

t.test('a broker that fails: the join rejects, and the next tries again', async (t) => {
  const { fake, broker } = await setup()
  broker.slow = true
  const [a, b] = [await fake.connect(), await fake.connect()]
  const joins = [a.connection.join('room'), b.connection.join('room')]
  broker.pending[0]?.fail(new Error('away'))
  for (const join of joins) await t.rejects(join, { message: 'away' })
  t.equal(fake.hub.stats().rooms, 0)
  t.same([...a.connection.rooms], [])
  broker.slow = false
  await a.connection.join('room')
  t.same(members(fake), [a.connection.id])
  t.same(broker.calls, ['subscribe room', 'unsubscribe room', 'subscribe room'])

  broker.failures.push(new Error('can not unsubscribe'))
  const errors: string[] = []
  fake.hub.on('error', ({ message }, connection) => { errors.push(`${message} ${String(connection)}`) })
  await a.connection.leave('room')
  await settled()
  t.same(errors, ['can not unsubscribe null'])
})

t.test('the end of a connection takes it out of all its rooms', async (t) => {
  const { fake, broker } = await setup()
  const [a, b] = [await fake.connect({ user: 'ann' }), await fake.connect({ user: 'bob' })]
  for (const room of ['one', 'two', 'three']) await a.connection.join(room)
  await b.connection.join('two')
  a.transport.reset()
  await settled()
  t.same([...a.connection.rooms], ['one', 'two', 'three'], 'it still tells which')
  t.same(['one', 'two', 'three'].map((room) => fake.hub.room(room).size), [0, 1, 0])
  t.same(await fake.hub.room('two').presence(), [{ user: 'bob', connections: 1 }])
  t.same(broker.calls.filter((call) => call.startsWith('un')), ['unsubscribe one', 'unsubscribe three'])
})

t.test('presence counts the connections of users', async (t) => {
  const { fake } = await setup()
  for (const identity of [{ user: 'ann' }, { user: 'ann' }, { user: 'bob' }, {}]) await (await fake.connect(identity)).connection.join('room')
  t.same(await fake.hub.room('room').presence(), [{ user: 'ann', connections: 2 }, { user: 'bob', connections: 1 }])
  const [ann] = fake.hub.user('ann').connections()
  await ann?.leave('room')
  t.same(await fake.hub.room('room').presence(), [{ user: 'ann', connections: 1 }, { user: 'bob', connections: 1 }])
})

t.test('a presence that fails breaks neither join nor leave', async (t) => {
  const presence: Presence = {
    enter: async () => { throw new Error('enter') },
    leave: async () => { throw new Error('leave') },
    list: async () => [],
    setState: async () => {},
    states: async () => [],
    watch: async () => {},
    unwatch: async () => {},
    close: async () => {}
  }
  const { fake } = await setup({ presence })
  const { connection } = await fake.connect({ user: 'ann' })
  await connection.join('room')
  t.same([...connection.rooms], ['room'])
  await connection.leave('room')
  await settled()
  t.match(fake.errors, [{ message: 'enter' }, { message: 'leave' }])
})

t.test('publications of a room nobody is in, and of one that nobody has entered yet', async (t) => {
  const { fake } = await setup()
  const nothing = { sent: 0, queued: 0, dropped: 0, rejected: 0 }
  t.same(fake.hub.rooms.deliver('nowhere', [{ offset: 1, payload: 'x', options: {} }]), nothing)
  t.match(await fake.hub.room('empty').publish('x'), { offset: 1, ...nothing })
})

t.test('leaving a room that a listener fans out to, and joining it, does not disturb the fan-out', async (t) => {
  const { fake } = await setup()
  const peers = [await fake.connect(), await fake.connect(), await fake.connect()] as [FakePeer, FakePeer, FakePeer]
  for (const { connection } of peers) await connection.join('room')
  const counts = { sent: 0, queued: 0, dropped: 0, rejected: 0 }
  const targets = function * (): Generator<HubConnection> {
    for (const { connection } of peers) {
      connection.leave('room').catch(t.fail)
      yield connection
    }
  }
  fanOut('room', targets(), { offset: 1, payload: 'x', options: {} }, counts, null)
  t.equal(counts.sent, 3)
})

t.test('random joins, leaves and ends with a slow and failing broker: nothing leaks', async () => {
  const ROOMS = ['a', 'b']
  const op = fc.record({ kind: fc.constantFrom('join', 'join', 'join', 'leave', 'leave', 'answer', 'answer', 'fail', 'end', 'settle'), who: fc.nat(2), room: fc.constantFrom(...ROOMS) })
  await fc.assert(fc.asyncProperty(fc.array(op, { maxLength: 40, size: 'max' }), async (ops) => {
    const { fake, broker } = await setup()
    broker.slow = true
    const peers = [await fake.connect({ user: 'ann' }), await fake.connect({ user: 'ann' }), await fake.connect()]
    const calls: Array<Promise<unknown>> = []
    /** What each connection asked for last, per room; a join that failed counts for nothing. */
    const wanted = new Map<string, { joined: boolean }>()
    for (const { kind, who, room } of ops) {
      const { connection, transport } = peers[who] as FakePeer
      const key = `${who} ${room}`
      if (kind === 'join') {
        const wish = { joined: true }
        wanted.set(key, wish)
        calls.push(connection.join(room).catch(() => { if (!connection.rooms.has(room)) wish.joined = false }))
      } else if (kind === 'leave') {
        wanted.set(key, { joined: false })
        calls.push(connection.leave(room))
      } else if (kind === 'answer') {
        await broker.pending.shift()?.succeed()
      } else if (kind === 'fail') {
        broker.pending.shift()?.fail(new Error('away'))
      } else if (kind === 'end') {
        transport.reset()
      } else {
        await settled()
      }
    }
    broker.slow = false
    for (const { succeed } of broker.pending) await succeed()
    await Promise.all(calls)
    await settled()
    for (const [who, { connection }] of peers.entries()) {
      for (const room of ROOMS) {
        const expected = wanted.get(`${who} ${room}`)?.joined === true && connection.state === 'open'
        if (members(fake, room).includes(connection.id) !== expected) throw new Error(`${who} should ${expected ? '' : 'not '}be in ${room}`)
        // One that has ended still tells where it was.
        if (connection.state === 'open' && connection.rooms.has(room) !== expected) throw new Error('connection.rooms is wrong')
      }
    }
    for (const room of ROOMS) {
      const size = members(fake, room).length
      const users = [...fake.hub.room(room).connections()].filter(({ user }) => user !== null).length
      const [listed] = await fake.hub.room(room).presence()
      if ((listed?.connections ?? 0) !== users) throw new Error('presence is wrong')
      const { sent } = await broker.publish(room, 'x', {})
      if (sent !== size) throw new Error(`${sent} of ${size} members were reached`)
    }
    for (const { transport } of peers) transport.reset()
    await settled()
    if (fake.hub.stats().rooms !== 0 || fake.hub.size !== 0) throw new Error('something is left')
    for (const room of ROOMS) {
      const last = broker.calls.filter((call) => call.endsWith(` ${room}`)).at(-1)
      if (last !== undefined && last !== `unsubscribe ${room}`) throw new Error('still subscribed')
    }
  }), { numRuns: 150 })
})
