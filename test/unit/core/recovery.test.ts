import t, { type Test } from 'tap'
import { historyPolicies } from '../../../lib/core/history-policy.js'
import { TestClock } from '../../../lib/testing/test-clock.js'
import { LateBroker } from '../../helpers/late-broker.js'
import type { V1Peer } from '../../helpers/v1-peer.js'
import { startV1, type V1World } from '../../helpers/v1-world.js'

interface Late { fake: V1World, broker: LateBroker, peer: V1Peer, epoch: string, settle: () => Promise<void> }

/** A room of five publications, whose broker answers when the test says so, and a peer that has not joined it. */
async function start (t: Test): Promise<Late> {
  const clock = new TestClock()
  const made: LateBroker[] = []
  const policyOf = historyPolicies({ size: 100, ttl: 0, mode: 'log', rooms: {} })
  const fake = await startV1(t, {
    clock,
    broker: (listener) => {
      const broker = new LateBroker(clock, listener, policyOf)
      made.push(broker)
      return broker
    }
  })
  const [broker] = made as [LateBroker]
  for (let i = 1; i <= 5; i++) await fake.hub.room('a').publish(i)
  const peer = await fake.peer()
  const { epoch } = await broker.subscribe('a')
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 5; i++) {
      broker.answer()
      broker.deliver()
      await clock.settle()
    }
  }
  return { fake, broker, peer, epoch, settle }
}

/** A peer in the room that has stopped reading, and has fifteen publications to come. */
async function fallBehind ({ fake, broker, settle }: Late): Promise<V1Peer> {
  const slow = await fake.peer({ kernel: 100 })
  slow.say({ op: 'join', room: 'a' })
  await settle()
  slow.peer.stuck()
  for (let i = 6; i <= 20; i++) {
    await fake.hub.room('a').publish(i)
    broker.deliver()
    await fake.turn()
  }
  return slow
}

t.test('whoever leaves while the log is asked does not enter', async (t) => {
  const { fake, broker, peer, epoch, settle } = await start(t)
  peer.say({ op: 'join', room: 'a', since: { epoch, offset: 1 }, id: 1 })
  await fake.clock.settle()
  await peer.peer.connection.leave('a')
  await settle()
  t.match(peer.told.at(-1), { op: 'error', code: 'not_joined', room: 'a', id: 1 })
  t.same(peer.log('a'), [])
  t.equal(fake.hub.room('a').size, 0)
  t.equal(fake.hub.rooms.size, 0)
  broker.deliver()
})

t.test('whoever ends while the log is asked does not enter', async (t) => {
  const { fake, peer, epoch, settle } = await start(t)
  peer.say({ op: 'join', room: 'a', since: { epoch, offset: 1 }, id: 1 })
  await fake.clock.settle()
  peer.peer.reset()
  await settle()
  t.equal(fake.hub.rooms.size, 0)
  t.same(fake.errors, [])
})

t.test('many at one position are one question', async (t) => {
  const { fake, broker, epoch, settle } = await start(t)
  let questions = 0
  const history = broker.history.bind(broker)
  const peers = await Promise.all(Array.from({ length: 20 }, async () => await fake.peer({ kernel: 100 })))
  for (const peer of peers) peer.say({ op: 'join', room: 'a', since: { epoch, offset: 0 } })
  await settle()
  for (const { peer } of peers) peer.stuck()
  for (let i = 6; i <= 20; i++) {
    await fake.hub.room('a').publish(i)
    broker.deliver()
    await fake.turn()
  }
  broker.history = async (...args) => {
    questions++
    return await history(...args)
  }
  for (const { peer } of peers) peer.read()
  await settle()
  await settle()
  for (const peer of peers) t.same(peer.log('a'), Array.from({ length: 20 }, (_, i) => i + 1))
  t.ok(questions >= 1 && questions <= 3, `${questions} questions`)
})

t.test('an answer of before what is missed, for which others had asked, is no loss: the log is asked once more', async (t) => {
  const late = await start(t)
  const { broker, epoch, settle } = late
  const slow = await fallBehind(late)
  const history = broker.history.bind(broker)
  const asked: unknown[] = []
  broker.history = async (room, since, limit) => {
    asked.push(since)
    const offset = since?.offset ?? 0
    return asked.length === 1 ? { position: { epoch, offset }, publications: [], recovered: true } : await history(room, since, limit)
  }
  slow.peer.read()
  await settle()
  await settle()
  t.same(slow.log('a'), Array.from({ length: 15 }, (_, i) => i + 6))
  t.same(slow.of('gap'), [])
  t.ok(asked.length >= 2)
  t.same(asked[1], asked[0], 'for the same')
})

t.test('a log that can not be asked ends the connection, which may come back; the error is reported', async (t) => {
  const late = await start(t)
  const { fake, broker, peer, settle } = late
  peer.say({ op: 'join', room: 'a' })
  await settle()
  const slow = await fallBehind(late)
  broker.history = async () => { throw new Error('away') }
  slow.peer.read()
  await settle()
  t.match(slow.peer.ended, { code: 1011 })
  t.match(fake.errors, [{ message: 'away' }])
  t.same(peer.log('a'), Array.from({ length: 15 }, (_, i) => i + 6), 'the others are not touched')
})

t.test('a join whose log can not be asked is answered with an error', async (t) => {
  const { fake, broker, peer, epoch } = await start(t)
  broker.history = async () => { throw new Error('away') }
  t.match(await peer.ask({ op: 'join', room: 'a', since: { epoch, offset: 1 } }), { op: 'error', code: 'internal' })
  t.equal(fake.hub.rooms.size, 0)
  t.match(fake.errors, [{ message: 'away' }])
})

t.test('what a node has lost of a room is told to those in it', async (t) => {
  const { fake, broker, peer, epoch, settle } = await start(t)
  peer.say({ op: 'join', room: 'a' })
  await settle()
  fake.hub.onGap('a', { epoch, offset: 5 }, { epoch: 'new', offset: 2 })
  fake.hub.onGap('nobody is here', { epoch, offset: 5 }, { epoch: 'new', offset: 2 })
  await fake.turn()
  t.same(peer.of('gap'), [{ op: 'gap', room: 'a', since: { epoch, offset: 5 }, epoch: 'new', offset: 2 }])
  broker.deliver()
})

t.test('a log of another epoch is a gap for whoever is behind in the old one', async (t) => {
  const late = await start(t)
  const { fake, epoch, settle } = late
  const slow = await fallBehind(late)
  fake.hub.onGap('a', { epoch, offset: 20 }, { epoch: 'new', offset: 0 })
  t.same(slow.of('gap'), [], 'it has not come that far')
  slow.peer.read()
  await settle()
  const [gap] = slow.of('gap')
  t.match(gap, { since: { epoch }, epoch: 'new', offset: 0 })
  t.equal(gap?.since.offset, slow.of('message').at(-1)?.offset)
})
