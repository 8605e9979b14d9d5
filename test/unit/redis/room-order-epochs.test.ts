import t from 'tap'
import { RoomOrder } from '../../../lib/redis/room-order.js'
import { orderRig, publications, standing } from '../../helpers/room-order-rig.js'

t.test('another epoch that goes on from this one: Redis is asked once, what comes meanwhile waits, and nothing is lost', async (t) => {
  const { order, story, turns, results, reply } = orderRig()
  order.fromStream('a', publications(1, 2), false)
  reply(4)
  reply(5, 'b')
  order.fromStream('b', publications(6, 7), false)
  t.same([story, turns.count], [[1, 2], 1])
  order.settle(standing('a', 'b', 7, 4))
  t.same([story, order.position], [[1, 2, '> b'], { epoch: 'b', offset: 2 }], 'what is missing may still come')
  t.equal(order.furthest, 7)
  order.fill(publications(3, 3))
  t.same(story, [1, 2, '> b', 3, 4, 5, 6, 7])
  t.same([results.get(4)?.sent, results.get(5)?.sent], [1, 1])
  order.fromStream('b', publications(8, 8), false)
  t.equal(turns.count, 1)
})

t.test('another epoch of which this one is no part is a gap, what waited is over, and late words of the old one are nothing', async (t) => {
  const { order, story, results, reply } = orderRig()
  order.fromStream('a', publications(1, 2), false)
  reply(5)
  order.fromStream('b', publications(2, 3), false)
  order.settle(standing('a', 'b', 3, -1, 1))
  t.same(story, [1, 2, '| 1', 2, 3])
  t.same(results.get(5), { sent: 0, queued: 0, dropped: 0, rejected: 0 })
  order.fromStream('a', publications(3, 9), false)
  reply(6)
  t.same(story, [1, 2, '| 1', 2, 3])
  t.equal(results.get(6)?.sent, 0)
  order.compare(standing('a', 'c', 4, -1, 4))
  t.same(story.slice(5), [], 'the answer is of before')
  order.compare(standing('b', 'c', 4, -1, 4))
  t.same(story.slice(5), ['| 4'])
})

t.test('FAULTS 54: an epoch that goes on from before what came meanwhile: Redis is told of that, so that all are', async (t) => {
  const { order, story, turns } = orderRig()
  order.fromStream('a', publications(1, 5), false)
  t.equal(order.compare(standing('a', 'b', 4, 3)), false)
  order.fromStream('b', publications(4, 4), false)
  order.settle(standing('a', 'b', 4, 3))
  t.same([story, order.furthest, order.doubted, turns.count], [[1, 2, 3, 4, 5], 5, null, 2])
  order.settle(standing('a', 'c', 4, -1, 4))
  // It is older than that one: it may be part of it.
  t.same([story, order.doubted], [[1, 2, 3, 4, 5, '| 4'], null])
  order.fromStream('b', publications(5, 5), false)
  order.fromStream('c', publications(5, 5), false)
  t.same([story, turns.count], [[1, 2, 3, 4, 5, '| 4', 5], 2])
})

t.test('what is before the other epoch may come later than the word of that', async (t) => {
  const { order, story, results, reply } = orderRig()
  order.fromStream('a', publications(1, 1), false)
  reply(4, 'b')
  order.fromStream('a', publications(2, 2), false)
  order.settle(standing('a', 'b', 4, 3))
  t.same(story, [1, '> b', 2])
  reply(3)
  t.same(story, [1, '> b', 2, 3, 4])
  t.same([3, 4].map((offset) => results.get(offset)?.sent), [1, 1])
  order.fromStream('a', publications(2, 5), false)
  t.same([story, order.doubted], [[1, '> b', 2, 3, 4], { epoch: 'a', offset: 5 }], 'what Redis has lost of it it is told of')
})

t.test('of two epochs at once each is asked for, and what is of the first comes before what is of the second', async (t) => {
  const { order, story, turns, results, reply } = orderRig()
  order.fromStream('b', publications(1, 2), false)
  order.fromStream('c', publications(3, 3), false)
  reply(4, 'c')
  order.settle(standing('a', 'c', 4, 0))
  t.same([story, order.doubted, turns.count], [['> c'], { epoch: 'b', offset: 2 }, 2])
  order.settle(standing('b', 'c', 4, 2))
  t.same([story, order.doubted, turns.count], [['> c', 1, 2, 3, 4], null, 2])
  t.equal(results.get(4)?.sent, 1)
})

t.test('FAULTS 54: an epoch that Redis has lost again: it is told of that, so that all are', async (t) => {
  const { order, story, turns, results, reply } = orderRig()
  reply(1, 'b')
  order.hear({ epoch: 'a', offset: 0 })
  t.same([order.unknown, order.doubted], [{ epoch: 'b', offset: 1 }, null])
  order.settle(standing('a', 'a', 0, 0))
  t.same([story, order.doubted, turns.count], [[], { epoch: 'b', offset: 1 }, 2])
  order.settle(standing('b', 'c', 0, -1))
  t.same([order.unknown, order.doubted, turns.count, results.get(1)?.sent], [{ epoch: 'c', offset: 0 }, null, 3, 0])
  order.fromStream('c', publications(1, 1), false)
  order.settle(standing('a', 'c', 1, -1))
  t.same(story, ['| 0', 1])
  order.fromStream('b', publications(2, 2), false)
  t.same([story, order.unknown, turns.count], [['| 0', 1], null, 3])
})

t.test('FAULTS 54: an epoch that began after another one which this node alone had heard of: Redis is told', async (t) => {
  const { order, story, turns, reply } = orderRig()
  reply(1, 'b')
  order.settle(standing('a', 'c', 3, 0))
  t.same([story, order.doubted, turns.count], [['> c'], { epoch: 'b', offset: 1 }, 2])
  order.settle(standing('b', 'd', 3, -1, 3))
  t.same([story, order.unknown, turns.count], [['> c'], { epoch: 'd', offset: 3 }, 3])
  order.settle(standing('c', 'd', 3, -1, 3))
  t.same(story, ['> c', '| 3'])
})

t.test('FAULTS 54: Redis has lost the latest of another epoch, be it while it is asked: it is told', async (t) => {
  const { order, story, turns } = orderRig()
  order.fromStream('b', publications(1, 2), false)
  order.settle(standing('a', 'b', 1, 0))
  t.same([story, order.doubted, turns.count], [['> b'], { epoch: 'b', offset: 2 }, 2])
  order.fromStream('b', publications(3, 3), false)
  order.settle(standing('b', 'b', 2, 2))
  t.same([order.doubted, turns.count], [{ epoch: 'b', offset: 3 }, 3])
  order.settle(standing('b', 'c', 1, -1, 1))
  t.same(story, ['> b', '| 1'])
})

t.test('an epoch that Redis knows after all is asked for once more', async (t) => {
  const { order, story, turns } = orderRig()
  order.fromStream('c', publications(1, 1), false)
  order.compare(standing('a', 'b', 0, 0))
  order.settle(standing('a', 'b', 0, 0))
  t.same([order.doubted, turns.count], [{ epoch: 'c', offset: 1 }, 2])
  order.settle(standing('c', 'c', 1, 1))
  t.same([order.doubted, turns.count], [null, 3])
  order.settle(standing('b', 'c', 1, 0))
  t.same([story, order.unknown], [['> b', '> c', 1], null])
})

t.test('of epochs before as many are known as a room keeps', async (t) => {
  const { order, story, turns } = orderRig()
  const epochs = Array.from('bcdefghijklmnopqrs')
  for (const [i, epoch] of epochs.entries()) {
    order.fromStream(epoch, publications(i + 1, i + 1), false)
    order.settle(standing(epochs[i - 1] ?? 'a', epoch, i + 1, i))
  }
  t.equal(turns.count, epochs.length)
  order.fromStream('c', publications(2, 2), false)
  t.equal(turns.count, epochs.length)
  order.fromStream('b', publications(1, 1), false)
  t.same([order.doubted, turns.count], [{ epoch: 'b', offset: 1 }, epochs.length + 1])
  order.settle(standing('b', 's', 18, 1))
  t.same(story.filter((item) => typeof item === 'number'), publications(1, 18).map(({ offset }) => offset))
})

t.test('it ends while it is not known what another epoch is: whoever waits is told, and the answer changes nothing', async (t) => {
  const { order, story, results, reply } = orderRig()
  reply(1, 'b')
  order.end()
  t.equal(results.get(1)?.sent, 0)
  order.settle(standing('a', 'b', 1, 0))
  t.same(story, [])
})
t.test('what fails when an epoch is settled keeps nothing behind it', async (t) => {
  const heard: number[] = []
  const order = new RoomOrder({
    deliver: ([publication]) => {
      heard.push(publication?.offset ?? 0)
      if (publication?.offset === 3) throw new Error('of a member')
      return { sent: 1, queued: 0, dropped: 0, rejected: 0 }
    },
    gap: () => {},
    goesOn: () => {},
    turned: () => {},
    missing: () => {}
  })
  order.begin({ epoch: 'a', offset: 2 })
  for (const offset of [3, 4, 5]) order.fromStream('b', publications(offset, offset), false)
  t.throws(() => { order.settle(standing('a', 'b', 5, -1, 2)) }, { message: 'of a member' })
  t.same([heard, order.unknown], [[3, 4, 5], null])
})
