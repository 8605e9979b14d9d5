import t from 'tap'
import type { FakeHub } from '../../../helpers/fake-hub.js'
import { startV1 as start } from '../../../helpers/v1-world.js'

async function publish (fake: FakeHub, room: string, from: number, to: number): Promise<void> {
  for (let i = from; i <= to; i++) await fake.hub.room(room).publish(i)
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i)

t.test('join without since: the position, and from there on all that comes', async (t) => {
  const fake = await start(t)
  await publish(fake, 'a', 1, 3)
  const peer = await fake.peer()
  const joined = await peer.ask({ op: 'join', room: 'a' })
  t.match(joined, { op: 'joined', room: 'a', offset: 3, head: 3 })
  t.notOk('recovered' in joined)
  await publish(fake, 'a', 4, 5)
  await fake.turn()
  t.same(peer.of('message').map(({ offset, data }) => [offset, data]), [[4, 4], [5, 5]])
})

t.test('join with since: all that was missed, in order, then what is new', async (t) => {
  const fake = await start(t)
  const first = await fake.peer()
  const joined = await first.ask({ op: 'join', room: 'a' })
  if (joined.op !== 'joined') throw new Error('not joined')
  await publish(fake, 'a', 1, 80)
  const peer = await fake.peer()
  t.match(await peer.ask({ op: 'join', room: 'a', since: { epoch: joined.epoch, offset: 10 } }), { offset: 10, head: 80, recovered: true })
  await publish(fake, 'a', 81, 90)
  await fake.advance(100)
  t.same(peer.log('a'), range(11, 90))
  t.same(peer.of('message').map(({ offset }) => offset), range(11, 90))
  t.same(fake.hub.stats().recovery, { recovered: 1, unrecovered: 0, behind: 0, gaps: 0 })
})

t.test('a position of another epoch, of the future, or older than what is kept is not recovered', async (t) => {
  const fake = await start(t, { history: { size: 10 } })
  const peer = await fake.peer()
  const joined = await peer.ask({ op: 'join', room: 'a' })
  if (joined.op !== 'joined') throw new Error('not joined')
  await publish(fake, 'a', 1, 20)
  await fake.turn()
  for (const since of [{ epoch: 'other', offset: 20 }, { epoch: joined.epoch, offset: 21 }, { epoch: joined.epoch, offset: 9 }]) {
    t.match(await peer.ask({ op: 'join', room: 'a', since }), { offset: 20, head: 20, recovered: false })
  }
  t.match(await peer.ask({ op: 'join', room: 'a', since: { epoch: joined.epoch, offset: 20 } }), { offset: 20, recovered: true })
  await publish(fake, 'a', 21, 21)
  await fake.turn()
  t.same(peer.log('a'), range(1, 21), 'none twice')
})

t.test('what the server joins in onConnect goes on from the position that the peer brings', async (t) => {
  const fake = await start(t, { onConnect: async (connection) => { await connection.join('lobby') } })
  const first = await fake.peer()
  const [joined] = first.of('joined')
  t.match(joined, { room: 'lobby', offset: 0 })
  await publish(fake, 'lobby', 1, 5)
  const second = await fake.peer({ resume: { rooms: { lobby: { epoch: joined?.epoch ?? '', offset: 2 } } } })
  await publish(fake, 'lobby', 6, 7)
  await fake.advance(10)
  t.match(second.of('joined'), [{ room: 'lobby', offset: 2, head: 5, recovered: true }])
  t.same(second.log('lobby'), range(3, 7))
})

t.test('a slow reader gets a room from its log: nothing is lost, whatever its queue holds', async (t) => {
  const fake = await start(t, { history: { size: 1_000 }, queue: { maxMessages: 2, maxBytes: 500 } })
  const peer = await fake.peer({ kernel: 2_000 })
  await peer.ask({ op: 'join', room: 'a' })
  peer.peer.stuck()
  await fake.clock.settle()
  const results = []
  for (let i = 1; i <= 300; i++) {
    results.push(await fake.hub.room('a').publish(i))
    await fake.turn()
  }
  t.equal(results.reduce((sum, { sent, queued }) => sum + sent + queued, 0), 300)
  t.equal(results.reduce((sum, { dropped, rejected }) => sum + dropped + rejected, 0), 0)
  t.equal(fake.hub.stats().recovery.behind, 1)
  t.equal(fake.hub.room('a').size, 1)
  peer.peer.read()
  await fake.advance(100)
  t.same(peer.log('a'), range(1, 300))
  await publish(fake, 'a', 301, 305)
  await fake.turn()
  t.same(peer.log('a'), range(1, 305))
})

t.test('a gap is told only when the log has lost what a slow reader needs', async (t) => {
  const fake = await start(t, { history: { size: 10 } })
  const peer = await fake.peer({ kernel: 500 })
  const joined = await peer.ask({ op: 'join', room: 'a' })
  peer.peer.stuck()
  await fake.clock.settle()
  for (let i = 1; i <= 100; i++) {
    await publish(fake, 'a', i, i)
    await fake.turn()
  }
  peer.peer.read()
  await fake.advance(100)
  const [gap] = peer.of('gap')
  if (gap === undefined || joined.op !== 'joined') throw new Error('no gap')
  const before = peer.log('a').indexOf('gap')
  t.same(peer.log('a').slice(0, before), range(1, before))
  t.match(gap, { room: 'a', since: { epoch: joined.epoch, offset: before }, epoch: joined.epoch, offset: 100 })
  await publish(fake, 'a', 101, 103)
  await fake.turn()
  t.same(peer.log('a').slice(before + 1), [101, 102, 103])
  t.equal(fake.hub.stats().recovery.gaps, 1)
})

t.test('who is left out gets a skip in its place, live and from the log', async (t) => {
  const fake = await start(t)
  const peer = await fake.peer()
  const joined = await peer.ask({ op: 'join', room: 'a' })
  if (joined.op !== 'joined') throw new Error('not joined')
  const { id } = peer.peer.connection
  await fake.hub.room('a').publish('x', { except: id })
  await fake.hub.room('a').publish('y')
  await fake.turn()
  t.same(peer.log('a'), ['skip', 'y'])
  await peer.ask({ op: 'join', room: 'a', since: { epoch: joined.epoch, offset: 0 } })
  await fake.advance(10)
  t.same(peer.log('a'), ['skip', 'y', 'skip', 'y'])
})

t.test('in a cache only the latest counts', async (t) => {
  const fake = await start(t, { history: { size: 1, mode: 'cache' } })
  await publish(fake, 'a', 1, 9)
  const peer = await fake.peer()
  const joined = await peer.ask({ op: 'join', room: 'a' })
  await fake.advance(10)
  t.match(joined, { offset: 8, head: 9, cache: true })
  t.same(peer.log('a'), [9])
  if (joined.op !== 'joined') throw new Error('not joined')
  await publish(fake, 'a', 10, 12)
  await fake.turn()
  t.match(await peer.ask({ op: 'join', room: 'a', since: { epoch: joined.epoch, offset: 3 } }), { offset: 11, head: 12, recovered: true })
  await fake.advance(10)
  t.match(await peer.ask({ op: 'join', room: 'a', since: { epoch: joined.epoch, offset: 12 } }), { offset: 12, head: 12, recovered: true })
  t.same(peer.log('a'), [9, 10, 11, 12, 12])
})

t.test('in a room without history only the same position recovers', async (t) => {
  const fake = await start(t, { history: { size: 0 } })
  const peer = await fake.peer()
  const joined = await peer.ask({ op: 'join', room: 'a' })
  if (joined.op !== 'joined') throw new Error('not joined')
  await publish(fake, 'a', 1, 2)
  t.match(await peer.ask({ op: 'join', room: 'a', since: { epoch: joined.epoch, offset: 1 } }), { offset: 2, recovered: false })
  t.match(await peer.ask({ op: 'join', room: 'a', since: { epoch: joined.epoch, offset: 2 } }), { offset: 2, recovered: true })
})
