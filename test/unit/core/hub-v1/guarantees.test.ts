import t from 'tap'
import { gate } from '../../../helpers/until.js'
import { startV1 } from '../../../helpers/v1-world.js'

// Sentences of docs/guarantees.md that no other test is about.

t.test('what waits for a slow reader in a room with history is not a copy but its place', async (t) => {
  const fake = await startV1(t, { history: { size: 1_000 }, queue: { maxMessages: 4, maxBytes: 2_000 } })
  const peer = await fake.peer({ kernel: 1_000 })
  await peer.ask({ op: 'join', room: 'a' })
  peer.peer.stuck()
  for (let i = 0; i < 100; i++) {
    await fake.hub.room('a').publish('x'.repeat(500))
    await fake.turn()
  }
  t.ok(peer.log('a').length < 10)
  t.same([peer.peer.connection.queued, fake.hub.outbound.budget.bytes, fake.hub.stats().messages.dropped], [{ messages: 0, bytes: 0 }, 0, 0])
  peer.peer.read()
  await fake.advance(1_000)
  t.equal(peer.log('a').length, 100)
})

t.test('while a room catches up, others go on', async (t) => {
  const fake = await startV1(t)
  const peer = await fake.peer()
  const joined = await peer.ask({ op: 'join', room: 'a' })
  if (joined.op !== 'joined') throw new Error('not joined')
  const { epoch, offset } = joined
  await peer.ask({ op: 'leave', room: 'a' })
  await peer.ask({ op: 'join', room: 'b' })
  await fake.hub.room('a').publish('missed')
  const { promise, open } = gate()
  const history = fake.hub.broker.history.bind(fake.hub.broker)
  fake.hub.broker.history = async (...args) => {
    await promise
    return await history(...args)
  }
  peer.say({ op: 'join', room: 'a', since: { epoch, offset } })
  await fake.advance(10)
  await fake.hub.room('b').publish('live')
  await fake.advance(10)
  t.same([peer.log('a'), peer.log('b')], [[], ['live']])
  open()
  await fake.advance(10)
  t.same(peer.log('a'), ['missed'])
})

t.test('ephemeral publications, broadcasts, direct messages that are not kept, and states are never sent again', async (t) => {
  const fake = await startV1(t)
  const say = async (n: number): Promise<void> => {
    await fake.hub.room('a').publish(`ephemeral ${n}`, { ephemeral: true })
    await fake.hub.broadcast(`broadcast ${n}`)
    await fake.hub.user('ada').send(`direct ${n}`)
    await fake.hub.room('a').setEphemeral('bob', `state ${n}`, 5_000)
    await fake.advance(2_000)
  }
  await (await fake.peer({ user: 'bob' })).ask({ op: 'join', room: 'a' })
  const first = await fake.peer({ user: 'ada' })
  const joined = await first.ask({ op: 'join', room: 'a' })
  if (joined.op !== 'joined') throw new Error('not joined')
  const { epoch, offset } = joined
  await first.ask({ op: 'presence', room: 'a', watch: true })
  await say(1)
  t.same([first.log('a'), first.of('direct').map(({ data }) => data)], [['ephemeral 1'], ['broadcast 1', 'direct 1']])
  t.match(first.of('presence').at(-1), { states: [{ user: 'bob', key: 'state 1', active: true }] })
  first.peer.reset()
  await say(2)
  await fake.advance(10_000)
  const second = await fake.peer({ user: 'ada', resume: { session: first.session, rooms: { a: { epoch, offset } } } })
  await second.ask({ op: 'presence', room: 'a', watch: true })
  await fake.advance(5_000)
  t.match(second.of('joined'), [{ recovered: true, head: offset }])
  t.same([second.log('a'), second.of('direct'), second.of('presence')], [[], [], []])
})

t.test('the messages of hub.v1 itself count as sent', async (t) => {
  const fake = await startV1(t)
  const peer = await fake.peer()
  await fake.turn()
  const before = fake.hub.stats().messages.sent
  for (let i = 0; i < 5; i++) await peer.ask({ op: 'ping' })
  await fake.turn()
  t.equal(fake.hub.stats().messages.sent - before, 5)
})
