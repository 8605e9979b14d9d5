import t from 'tap'
import { FST_HUB_BROKER_UNAVAILABLE } from '../../../../lib/errors.js'
import { connect } from '../../../../lib/testing/index.js'
import type { V1Peer } from '../../../helpers/v1-peer.js'
import { startV1 } from '../../../helpers/v1-world.js'

const directs = (peer: V1Peer): unknown[] => peer.of('direct').map(({ data }) => data)
const acks = (peer: V1Peer): string[] => peer.of('direct').flatMap(({ ack }) => ack ?? [])

t.test('messages to a user who is away come on the next connection, oldest first and before live ones', async (t) => {
  const fake = await startV1(t, { onConnect: (connection) => { connection.send('live') } })
  const ada = fake.hub.user('ada')
  for (let i = 1; i <= 50; i++) t.same(await ada.send(i, { offline: {} }), { delivered: 0, nodes: [], stored: true })
  const peer = await fake.peer({ user: 'ada' })
  t.same(directs(peer), [...Array.from({ length: 50 }, (_, i) => i + 1), 'live'])
  t.equal(acks(peer).length, 50)
  t.match(fake.hub.stats().offline, { stored: 50, delivered: 50, acknowledged: 0 })
})

t.test('what is not acknowledged comes again, what is does not', async (t) => {
  const fake = await startV1(t)
  for (const data of ['a', 'b', 'c']) await fake.hub.user('ada').send(data, { offline: { ttl: 0 } })
  const first = await fake.peer({ user: 'ada' })
  t.same(await first.ask({ op: 'ack', ids: [acks(first)[1], 'unknown'] }, 'k'), { op: 'reply', id: 'k' })
  first.peer.reset()
  const second = await fake.peer({ user: 'ada' })
  t.same(directs(second), ['a', 'c'])
  await second.ask({ op: 'ack', ids: acks(second) })
  second.peer.reset()
  t.same(directs(await fake.peer({ user: 'ada' })), [])
  t.match(fake.hub.stats().offline, { stored: 3, delivered: 5, acknowledged: 3 })
})

t.test('a user who is there gets it at once, and keeps it until it is acknowledged', async (t) => {
  const fake = await startV1(t)
  const peers = [await fake.peer({ user: 'ada' }), await fake.peer({ user: 'ada' })]
  t.same(await fake.hub.user('ada').send({ x: 1 }, { offline: {} }), { delivered: 2, nodes: [fake.hub.nodeId], stored: true })
  await fake.advance(1)
  for (const peer of peers) t.same(directs(peer), [{ x: 1 }])
  for (const { peer } of peers) peer.reset()
  t.same(directs(await fake.peer({ user: 'ada' })), [{ x: 1 }])
})

t.test("the acknowledgement of another user's message does nothing", async (t) => {
  const fake = await startV1(t)
  await fake.hub.user('ada').send('secret', { offline: {} })
  const ada = await fake.peer({ user: 'ada' })
  const eve = await fake.peer({ user: 'eve' })
  await eve.ask({ op: 'ack', ids: acks(ada) })
  await (await fake.peer()).ask({ op: 'ack', ids: acks(ada) })
  t.equal(fake.hub.stats().offline.acknowledged, 0)
  ada.peer.reset()
  t.same(directs(await fake.peer({ user: 'ada' })), ['secret'])
})

t.test('they go no faster than the socket takes them', async (t) => {
  const fake = await startV1(t, { offline: { maxMessages: 1_000, ttl: 0 }, queue: { maxMessages: 2 } })
  const ada = fake.hub.user('ada')
  for (let i = 1; i <= 200; i++) await ada.send(i, { offline: {} })
  const peer = await fake.peer({ user: 'ada', kernel: 1_000 })
  peer.peer.stuck()
  for (let i = 201; i <= 400; i++) {
    await ada.send(i, { offline: {} })
    await fake.turn()
  }
  t.ok(directs(peer).length < 400)
  peer.peer.read()
  await fake.advance(100)
  t.same(directs(peer), Array.from({ length: 400 }, (_, i) => i + 1))
  t.same(peer.peer.connection.queued, { messages: 0, bytes: 0 })
})

t.test('where nobody could acknowledge it, nothing is kept: a coded error', async (t) => {
  const fake = await startV1(t)
  const raw = await connect(fake.hub, { user: 'ada', kernel: Infinity })
  await t.rejects(fake.hub.user('ada').send('x', { offline: {} }), { code: 'FST_HUB_OFFLINE_UNAVAILABLE', message: /can not acknowledge/ })
  t.equal(fake.hub.stats().offline.stored, 0)
  await fake.peer({ user: 'ada' })
  t.match(await fake.hub.user('ada').send('x', { offline: {} }), { delivered: 1, stored: true })
  t.same(raw.messages, [], 'a raw connection beside it does not get it')
  const without = await startV1(t, { offline: { maxMessages: 0, ttl: 0 } })
  await t.rejects(without.hub.user('ada').send('x', { offline: {} }), { code: 'FST_HUB_OFFLINE_UNAVAILABLE' })
  t.match(await (await without.peer({ user: 'ada' })).ask({ op: 'ack', ids: ['x'] }), { op: 'reply' })
  for (const ttl of [-1, 1.5, '1', null]) await t.rejects(fake.hub.user('ada').send('x', { offline: { ttl: ttl as number } }), { code: 'FST_HUB_INVALID_ARGUMENT', message: /offline\.ttl/ })
})

t.test('too many, and too old ones, are counted', async (t) => {
  const fake = await startV1(t, { offline: { maxMessages: 3, ttl: 10_000 } })
  for (let i = 1; i <= 5; i++) await fake.hub.user('ada').send(i, { offline: {} })
  await fake.hub.user('bob').send('x', { offline: { ttl: 1_000 } })
  t.match(fake.hub.stats().offline, { stored: 6, evicted: 2 })
  await fake.advance(120_000)
  t.same(directs(await fake.peer({ user: 'ada' })), [])
  t.match(fake.hub.stats().offline, { expired: 4 })
})

t.test('a store that fails is reported, and lets the user in', async (t) => {
  const fake = await startV1(t)
  const store = fake.hub.offline?.store
  if (store === undefined) throw new Error('no store')
  store.list = async () => { throw new Error('store') }
  const peer = await fake.peer({ user: 'ada' })
  t.equal(peer.peer.connection.state, 'open')
  t.match(fake.errors, [{ message: 'store' }])
})

t.test('a store that is away is asked again, and nobody has to connect anew for it', async (t) => {
  const fake = await startV1(t)
  const store = fake.hub.offline?.store
  if (store === undefined) throw new Error('no store')
  await fake.hub.user('ada').send('kept', { offline: {} })
  const list = store.list.bind(store)
  let asked = 0
  store.list = async () => {
    asked++
    throw new FST_HUB_BROKER_UNAVAILABLE('it has gone')
  }
  const peer = await fake.peer({ user: 'ada' })
  const left = await fake.peer({ user: 'ada' })
  left.peer.reset()
  await fake.advance(60_000)
  t.same(directs(peer), [])
  t.ok(asked > 4 && asked < 20, `${asked} times in a minute`)
  store.list = list
  await fake.advance(15_050)
  t.same(directs(peer), ['kept'])
  t.same(fake.errors, [])
})
