import fc from 'fast-check'
import t from 'tap'
import type { Publication } from '../../../lib/core/ports.js'
import { RoomOrder } from '../../../lib/redis/room-order.js'
import { orderRig, publications } from '../../helpers/room-order-rig.js'

t.test('what the stream brings goes on in order; what came already does not', async (t) => {
  const { order, story, missing } = orderRig()
  order.fromStream('a', publications(1, 3), false)
  order.fill(publications(3, 6))
  order.fromStream('a', publications(4, 5), false)
  order.fromStream('a', publications(6, 7), false)
  order.fromStream('a', [], false)
  t.same(story, [1, 2, 3, 4, 5, 6, 7])
  t.same(order.position, { epoch: 'a', offset: 7 })
  t.same(missing, [])
})

t.test("a node's own goes on with its answer when it is next, and not again by the stream", async (t) => {
  const { order, story, results, reply } = orderRig()
  reply(1)
  order.fromStream('a', publications(1, 1), true)
  t.same(story, [1])
  t.equal(results.get(1)?.sent, 1)
})

t.test('an answer that is not next waits for the stream', async (t) => {
  const { order, story, missing, results, reply } = orderRig()
  reply(3)
  t.same([story, missing, results.size], [[], [false], 0])
  order.fromStream('a', publications(1, 2), false)
  t.same(story, [1, 2, 3])
  t.equal(results.get(3)?.sent, 1)
})

t.test('the stream may be faster than the answer, which is told what became of it', async (t) => {
  const { order, story, results, reply } = orderRig()
  order.fromStream('a', publications(1, 2), true)
  t.same(story, [1, 2])
  reply(1)
  reply(2)
  t.same([...results.values()].map(({ sent }) => sent), [1, 1])
  t.same(story, [1, 2])
})

t.test('a hole in the stream is asked for at once, and filled', async (t) => {
  const { order, story, missing } = orderRig()
  order.fromStream('a', publications(4, 5), false)
  t.same([story, missing], [[], [true]])
  order.fill(publications(1, 6))
  t.same(story, [1, 2, 3, 4, 5, 6])
})

t.test('what the log does not have either is a gap; what is behind the position of the room may still come', async (t) => {
  const { order, story, reply } = orderRig()
  reply(9)
  order.fromStream('a', publications(3, 3), false)
  order.fill(publications(5, 6))
  t.same(story, [], 'it may be on its way')
  order.giveUp({ epoch: 'a', offset: 6 })
  t.same(story, ['1-2', 3, '4-4', 5, 6])
  t.equal(order.isHolding, true)
  order.fromStream('a', publications(7, 8), false)
  t.same(story, ['1-2', 3, '4-4', 5, 6, 7, 8, 9])
})

t.test('of a room without a log everything up to its position is a gap', async (t) => {
  const { order, story } = orderRig()
  order.fill([])
  order.giveUp({ epoch: 'another', offset: 4 })
  t.same(story, [])
  order.giveUp({ epoch: 'a', offset: 4 })
  order.giveUp({ epoch: 'a', offset: 3 })
  t.same(story, ['1-4'])
  t.equal(order.last, 4)
})

t.test('what comes before the position is known goes on when it is, if it is above it', async (t) => {
  const { order, story, results, reply } = orderRig(null)
  order.fromStream('a', publications(1, 3), false)
  reply(4)
  t.same(story, [])
  order.begin({ epoch: 'a', offset: 2 })
  t.same(story, [3, 4])
  t.equal(results.get(4)?.sent, 1)
})

t.test('what was there before the position was known, or came of the log, or was given up, and then of the stream, does not come twice', async (t) => {
  const { order, story, reply } = orderRig({ epoch: 'a', offset: 2 })
  order.fromStream('a', publications(1, 3), false)
  order.fill(publications(4, 5))
  order.fromStream('a', publications(4, 5), false)
  reply(6)
  order.fromStream('a', publications(6, 6), true)
  order.giveUp({ epoch: 'a', offset: 8 })
  order.fromStream('a', publications(7, 9), false)
  t.same(story, [3, 4, 5, 6, '7-8', 9])
})

t.test('at its end, nobody waits any more', async (t) => {
  const { order, story, results, reply } = orderRig()
  reply(2)
  order.end()
  t.equal(results.get(2)?.sent, 0)
  order.fill(publications(1, 2))
  order.giveUp({ epoch: 'a', offset: 2 })
  t.same(story, [])
})

t.test('it may end with what goes on: of the others of that answer nobody hears', async (t) => {
  const heard: number[] = []
  const results: number[] = []
  const order = new RoomOrder({
    deliver: (publications) => {
      const [{ offset }] = publications as [Publication]
      heard.push(offset)
      if (offset === 2) order.end()
      return { sent: 1, queued: 0, dropped: 0, rejected: 0 }
    },
    gap: () => {},
    goesOn: () => {},
    turned: () => {},
    missing: () => { t.fail('nothing is') }
  })
  order.begin({ epoch: 'a', offset: 0 })
  order.fromReply('a', publications(1, 4).map((publication) => ({ publication, done: ({ sent }) => { results.push(sent) } })))
  order.fromReply('a', [])
  t.same([heard, results], [[1, 2], [1, 1, 0, 0]])
})

t.test('it ends before its position is known: nobody waits any more either', async (t) => {
  const { order, story, results, reply } = orderRig(null)
  order.fromStream('a', publications(1, 1), false)
  reply(2)
  order.end()
  t.equal(results.get(2)?.sent, 0)
  reply(3)
  t.equal(results.get(3)?.sent, 0)
  order.fromStream('a', publications(4, 4), false)
  t.same(story, [])
})

t.test('whatever comes when: everything goes on once, in order, or is told as a gap, and everybody hears of his own', async (t) => {
  const size = 30
  const step = fc.oneof(fc.constant('stream' as const), fc.constant('reply' as const), fc.constant('fill' as const), fc.constant('giveUp' as const), fc.constant('trim' as const))
  fc.assert(fc.property(fc.array(fc.boolean(), { minLength: size, maxLength: size }), fc.array(fc.tuple(step, fc.nat(5), fc.nat()), { maxLength: 60 }), fc.nat(size), (own, steps, kept) => {
    const { order, story, results, reply } = orderRig()
    const replies = publications(1, size).filter(({ offset }) => own[offset - 1] === true).map(({ offset }) => offset)
    const asked = new Set(replies)
    /** What the bus has brought, or lost; and what has been published so far. */
    let read = 0
    let head = 0
    const fill = (): void => { order.fill(publications(Math.max(order.last, head - kept) + 1, head)) }
    for (const [what, count, pick] of steps) {
      if (what === 'reply' && replies.length > 0) {
        const offsets = replies.splice(pick % replies.length, 1 + count)
        head = Math.max(head, ...offsets)
        reply(offsets)
      } else if (what === 'stream') {
        for (let i = 0; i < count && read < size; i++) {
          read++
          head = Math.max(head, read)
          order.fromStream('a', publications(read, read), own[read - 1] === true)
        }
      } else if (what === 'trim') {
        read = Math.min(size, read + count)
        head = Math.max(head, read)
      } else if (what === 'fill') {
        fill()
      } else if (what === 'giveUp') {
        order.giveUp({ epoch: 'a', offset: read })
      }
    }
    reply(replies)
    for (; read < size; read++) order.fromStream('a', publications(read + 1, read + 1), own[read] === true)
    head = size
    fill()
    order.giveUp({ epoch: 'a', offset: size })
    let expected = 1
    for (const item of story) {
      const [from, to] = typeof item === 'number' ? [item, item] : item.split('-').map(Number) as [number, number]
      if (from !== expected || to < from) throw new Error(`${story.join(' ')}: ${expected} is missing, or comes again`)
      expected = to + 1
    }
    if (expected !== size + 1) throw new Error(`${story.join(' ')}: the end is missing`)
    if (results.size !== asked.size) throw new Error(`${asked.size - results.size} have not heard of their own`)
  }), { numRuns: 2_000 })
  t.pass('2,000 runs')
})
