import t from 'tap'
import { RecentIds, RecentIdsBySender } from '../../../../lib/core/cluster/recent-ids.js'

t.test('what has come is known, as long as it is recent', (t) => {
  const recent = new RecentIds()
  t.same([1, 2, 1, 3, 2, 3].map((id) => recent.add(id)), [true, true, false, true, false, false])
  for (let id = 4; id <= 515; id++) t.ok(recent.add(id))
  t.same([515, 4].map((id) => recent.add(id)), [false, false], 'the last 512')
  t.equal(recent.add(3), true, 'forgotten')
  t.end()
})

t.test('each sender counts for itself, and those silent for longest are forgotten', (t) => {
  const recent = new RecentIdsBySender()
  t.same([recent.add('a', 1), recent.add('b', 1), recent.add('a', 1)], [true, true, false])
  for (let i = 0; i < 255; i++) t.ok(recent.add(`sender ${i}`, 1))
  t.equal(recent.add('a', 1), false, 'heard of after b')
  t.equal(recent.add('b', 1), true, 'forgotten')
  t.end()
})
