import t from 'tap'
import { PromisedDirectory } from '../../../helpers/promised-directory.js'
import { gate } from '../../../helpers/until.js'
import type { V1Peer } from '../../../helpers/v1-peer.js'
import { startV1 } from '../../../helpers/v1-world.js'

const directs = (peer: V1Peer): unknown[] => peer.of('direct').map(({ data }) => data)

/** A directory that answers claims when it is opened. */
function slowClaims (): { directory: PromisedDirectory, open: () => void } {
  const { promise, open } = gate()
  const directory = new PromisedDirectory()
  const claim = directory.claim.bind(directory)
  directory.claim = async (...args) => {
    await promise
    return await claim(...args)
  }
  return { directory, open }
}

t.test('messages for a user that come in quick succession are all delivered', async (t) => {
  for (let microtasks = 0; microtasks < 12; microtasks++) {
    const fake = await startV1(t)
    const peer = await fake.peer({ user: 'ada' })
    const ada = fake.hub.user('ada')
    const first = ada.send('a', { offline: {} })
    for (let i = 0; i < microtasks; i++) await null
    await Promise.all([first, ada.send('b', { offline: {} })])
    await fake.advance(1)
    t.same(directs(peer), ['a', 'b'], `${microtasks} microtasks apart`)
  }
})

t.test('a message that is kept while the login is being claimed is delivered', async (t) => {
  const { directory, open } = slowClaims()
  const fake = await startV1(t, { directory })
  const connecting = fake.peer({ user: 'ada' })
  await fake.clock.settle()
  t.match(await fake.hub.user('ada').send('x', { offline: {} }), { delivered: 0, stored: true })
  open()
  const peer = await connecting
  await fake.advance(10)
  t.same(directs(peer), ['x'])
})

t.test('kept messages come before live ones, however slow the socket is', async (t) => {
  const fake = await startV1(t, { onConnect: (connection) => { connection.send('live') } })
  for (let i = 0; i < 50; i++) await fake.hub.user('ada').send(`kept ${i} ${'x'.repeat(2_000)}`, { offline: {} })
  const { transport } = fake.accept({ user: 'ada' }, null, 'hub.v1.json')
  transport.block(2)
  await fake.advance(2_000)
  t.ok(transport.blocked)
  t.equal(fake.hub.size, 0)
  for (let i = 0; i < 60; i++) {
    if (transport.blocked) transport.drain()
    await fake.advance(10)
  }
  const told = transport.messages.map((text) => JSON.parse(String(text)) as { op: string, data?: string })
  t.equal(told.length, 52)
  t.equal(told.at(-1)?.data, 'live')
})

t.test('a store that does not answer keeps nobody out for ever', async (t) => {
  let begun = 0
  const fake = await startV1(t, { onConnect: () => { begun++ } })
  const store = fake.hub.offline?.store
  if (store === undefined) throw new Error('no store')
  store.list = async () => await new Promise(() => {})
  const connecting = fake.peer({ user: 'ada' })
  await fake.advance(29_000)
  t.equal(begun, 0)
  await fake.advance(2_000)
  t.equal(begun, 1)
  await connecting
})

t.test('in a room without history, what it is told of a room stays behind what is queued of it', async (t) => {
  const fake = await startV1(t, { history: { size: 0 } })
  const peer = await fake.peer({ kernel: 200 })
  await peer.ask({ op: 'join', room: 'a' })
  peer.peer.stuck()
  for (let i = 1; i <= 10; i++) {
    await fake.hub.room('a').publish(i)
    await fake.turn()
  }
  peer.say({ op: 'join', room: 'a', id: 'again' })
  peer.say({ op: 'leave', room: 'a', id: 'left' })
  peer.say({ op: 'join', room: 'a', id: 'new' })
  peer.say({ op: 'ping', id: 'ping' })
  await fake.advance(10)
  await fake.hub.room('a').publish(11)
  peer.peer.read()
  await fake.advance(10)
  const seen = peer.told.flatMap((message) => message.op === 'message' ? [message.data] : 'id' in message ? [message.id] : [])
  t.same(seen.filter((id) => id !== 'ping').slice(1), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 'again', 'left', 'new', 11])
})

t.test('a room that onConnect joins without waiting goes on from the position of the peer', async (t) => {
  for (const application of [{}, { join: () => true }]) {
    const fake = await startV1(t, { application, onConnect: (connection) => { connection.join('a').catch(t.fail) } })
    const first = await fake.peer()
    await fake.advance(1)
    const [joined] = first.of('joined')
    for (let i = 1; i <= 5; i++) await fake.hub.room('a').publish(i)
    const second = await fake.peer({ resume: { rooms: { a: { epoch: joined?.epoch ?? '', offset: 2 } } } })
    await fake.advance(10)
    t.match(second.of('joined'), [{ room: 'a', offset: 2, recovered: true }])
    t.same(second.of('error'), [])
    t.same(second.log('a'), [3, 4, 5])
  }
})

t.test('a cache gives its latest to whoever has another position', async (t) => {
  const fake = await startV1(t, { history: { size: 1, mode: 'cache' } })
  for (let i = 1; i <= 3; i++) await fake.hub.room('a').publish(i)
  const peer = await fake.peer()
  t.match(await peer.ask({ op: 'join', room: 'a', since: { epoch: 'lost', offset: 9 } }), { offset: 2, head: 3, recovered: false, cache: true })
  await fake.advance(10)
  t.same(peer.log('a'), [3])
})

t.test('after a gap the room stays in its new log, whoever joins', async (t) => {
  const fake = await startV1(t)
  const peer = await fake.peer()
  const joined = await peer.ask({ op: 'join', room: 'a' })
  if (joined.op !== 'joined') throw new Error('not joined')
  fake.hub.onGap('a', { epoch: joined.epoch, offset: 0 }, { epoch: 'new', offset: 7 })
  t.match(await (await fake.peer()).ask({ op: 'join', room: 'a' }), { epoch: 'new', offset: 7 })
})

t.test('who starts over from another position, and does not arrive, has left', async (t) => {
  let isAllowed = true
  const fake = await startV1(t, { application: { join: () => isAllowed } })
  const peer = await fake.peer()
  const joined = await peer.ask({ op: 'join', room: 'a' })
  if (joined.op !== 'joined') throw new Error('not joined')
  await fake.hub.room('a').publish(1)
  const history = fake.hub.broker.history.bind(fake.hub.broker)
  fake.hub.broker.history = async () => { throw new Error('away') }
  t.match(await peer.ask({ op: 'join', room: 'a', since: { epoch: joined.epoch, offset: 0 } }), { op: 'error', code: 'internal' })
  fake.hub.broker.history = history
  t.match(peer.of('left'), [{ room: 'a' }])
  t.same([peer.peer.connection.rooms.size, fake.hub.rooms.size], [0, 0])
  isAllowed = false
  t.match(await peer.ask({ op: 'join', room: 'a' }), { code: 'not_allowed' })
})

t.test('a watch that is handled after the end of its connection watches nothing', async (t) => {
  const { promise, open } = gate()
  const fake = await startV1(t)
  fake.hub.event('slow', { handler: async () => { await promise } })
  const peer = await fake.peer({ user: 'ada' })
  await peer.ask({ op: 'join', room: 'a' })
  peer.say({ op: 'event', event: 'slow' })
  peer.say({ op: 'presence', room: 'a', watch: true })
  await fake.advance(1)
  peer.peer.reset()
  await fake.advance(1)
  open()
  await fake.advance(1)
  t.equal(fake.hub.hubV1.presence.size, 0)
})

t.test('a list that fails when a slow reader has caught up comes with the next change', async (t) => {
  const fake = await startV1(t)
  const ada = await fake.peer({ user: 'ada', kernel: 300 })
  await ada.ask({ op: 'join', room: 'a' })
  await ada.ask({ op: 'presence', room: 'a', watch: true })
  await fake.advance(2_000)
  ada.peer.stuck()
  for (let i = 0; i < 10; i++) {
    ada.peer.connection.send('x'.repeat(100))
    await fake.turn()
  }
  await (await fake.peer({ user: 'bob' })).ask({ op: 'join', room: 'a' })
  await fake.advance(1_100)
  const { presence } = fake.hub
  const list = presence.list.bind(presence)
  presence.list = async () => { throw new Error('away') }
  ada.peer.read()
  await fake.advance(10)
  presence.list = list
  await (await fake.peer({ user: 'eve' })).ask({ op: 'join', room: 'a' })
  await fake.advance(1_100)
  t.match(ada.of('presence').at(-1)?.users, [{ user: 'ada' }, { user: 'bob' }, { user: 'eve' }])
  t.match(fake.errors, [{ message: 'away' }])
})

t.test('who is on the way in when a drain begins is told when to come back, too', async (t) => {
  const { directory, open } = slowClaims()
  const fake = await startV1(t, { directory, drain: { spread: 1_000, timeout: 5_000 } })
  const connecting = fake.peer({ user: 'ada' })
  await fake.clock.settle()
  const drained = fake.hub.drain()
  open()
  const peer = await connecting
  await fake.advance(6_000)
  await drained
  t.match(peer.of('goodbye'), [{ reconnectIn: Number }])
  t.match(peer.peer.ended, { code: 1012 })
})

t.test('messages of hub.v1 that wait are in the budget of the process', async (t) => {
  const fake = await startV1(t)
  const peer = await fake.peer({ kernel: 100 })
  peer.peer.stuck()
  for (let id = 0; id < 200; id++) peer.say({ op: 'ping', id })
  await fake.advance(10)
  t.ok(fake.hub.stats().queuedBytes > 2_000)
  t.equal(fake.hub.stats().queuedBytes, peer.peer.connection.queued.bytes)
  t.ok(fake.hub.outbound.budget.bytes > 2_000)
  peer.peer.read()
  await fake.advance(10)
  t.same([fake.hub.stats().queuedBytes, fake.hub.outbound.budget.bytes], [0, 0])
})

t.test('a position is used up only when the peer is told of the room', async (t) => {
  const fake = await startV1(t, { onConnect: async (connection) => { await connection.join('a').catch(() => {}) } })
  for (let i = 1; i <= 3; i++) await fake.hub.room('a').publish(i)
  const { epoch } = (await fake.hub.room('a').history()).position
  const history = fake.hub.broker.history.bind(fake.hub.broker)
  let failures = 1
  fake.hub.broker.history = async (...args) => {
    if (failures-- > 0) throw new Error('away')
    return await history(...args)
  }
  const peer = await fake.peer({ resume: { rooms: { a: { epoch, offset: 1 } }, id: 'r' } })
  await fake.advance(10)
  t.match(peer.of('joined'), [{ room: 'a', offset: 1, recovered: true }])
  t.same(peer.log('a'), [2, 3])
})

t.test('a slow reader with nothing that may be dropped gives way as a whole, and leaves nothing behind', async (t) => {
  const fake = await startV1(t, { history: { size: 0 }, queue: { maxTotalBytes: 12_000 } })
  fake.hub.outbound.budget.join(fake.hub, 12_000)
  const peer = await fake.peer({ kernel: 100 })
  await peer.ask({ op: 'join', room: 'a' })
  peer.peer.stuck()
  const { connection } = peer.peer
  for (let i = 0; i < 3; i++) {
    connection.send('x'.repeat(100))
    await fake.turn()
  }
  for (let id = 0; id < 20; id++) peer.say({ op: 'join', room: 'a', id })
  await fake.advance(10)
  for (let i = 0; i < 10 && connection.state === 'open'; i++) {
    connection.send('x'.repeat(5_000))
    await fake.advance(10)
  }
  t.equal(fake.hub.size, 0)
  t.same([fake.hub.outbound.budget.bytes, fake.hub.outbound.budget.queues, fake.hub.stats().queuedBytes], [0, 0, 0])
})
