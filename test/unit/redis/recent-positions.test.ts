import t from 'tap'
import { RecentPositions } from '../../../lib/redis/recent-positions.js'
import { TestClock } from '../../../lib/testing/test-clock.js'

const NONE: ReadonlySet<string> = new Set()

t.test('what is known of rooms without members here is kept for ten seconds after the last word', async (t) => {
  const clock = new TestClock()
  const recent = new RecentPositions(clock)
  recent.note('a', { epoch: 'e', offset: 1 })
  recent.note('b', { epoch: 'e', offset: 5 })
  await clock.advance(6_000)
  recent.note('a', { epoch: 'e', offset: 2 })
  recent.sweep(NONE)
  t.same(recent.get('b'), { epoch: 'e', offset: 5 })
  await clock.advance(5_000)
  recent.sweep(NONE)
  t.same([recent.get('a'), recent.get('b')], [{ epoch: 'e', offset: 2 }, null])
  recent.forget('a')
  t.equal(recent.get('a'), null)
})

t.test('the furthest counts, whatever is heard of last', async (t) => {
  const recent = new RecentPositions(new TestClock())
  for (const [epoch, offset] of [['e', 2], ['e', 1], ['f', 1], ['e', 3]] as const) recent.note('room', { epoch, offset })
  t.same(recent.get('room'), { epoch: 'f', offset: 1 })
})

t.test('an outage does not count: what Redis had just confirmed when it went is said when it is back, however late', async (t) => {
  const clock = new TestClock()
  const recent = new RecentPositions(clock)
  recent.note('room', { epoch: 'e', offset: 1 })
  await clock.advance(60_000)
  t.same(recent.renew(), ['room'])
  recent.sweep(NONE)
  t.same(recent.get('room'), { epoch: 'e', offset: 1 })
  await clock.advance(10_000)
  recent.sweep(NONE)
  t.equal(recent.get('room'), null)
})

t.test('of what it could not be told yet, nothing is forgotten', async (t) => {
  const clock = new TestClock()
  const recent = new RecentPositions(clock)
  for (const room of ['told', 'untold', 'told, too']) recent.note(room, { epoch: 'e', offset: 1 })
  await clock.advance(11_000)
  recent.sweep(new Set(['untold']))
  t.same(['told', 'untold', 'told, too'].map((room) => recent.get(room)?.offset), [undefined, 1, undefined])
})
