import fc from 'fast-check'
import t from 'tap'
import type { FanOut, Publication } from '../../../lib/core/ports.js'
import type { StreamPosition } from '../../../lib/core/types.js'
import type { Comparison } from '../../../lib/redis/positions.js'
import { RoomOrder } from '../../../lib/redis/room-order.js'

const publication = (offset: number): Publication => ({ offset, payload: `${offset}`, options: {} })
const publications = (from: number, to: number): Publication[] => Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => publication(from + i))

interface Rig {
  readonly order: RoomOrder
  /** Offsets that went on, and gaps as `from-to`, in order; `|` begins a new epoch, `>` one that goes on. */
  readonly story: Array<number | string>
  readonly missing: boolean[]
  /** How often Redis was to be asked about another epoch. */
  readonly turns: { count: number }
  /** By offset: what became of it, for whoever asked. */
  readonly results: Map<number, FanOut>
  readonly reply: (offsets: number | readonly number[], epoch?: string) => void
}

function rig (start: StreamPosition | null = { epoch: 'a', offset: 0 }): Rig {
  const story: Rig['story'] = []
  const missing: boolean[] = []
  const turns = { count: 0 }
  const results: Rig['results'] = new Map()
  const order = new RoomOrder({
    deliver: (list) => {
      story.push(...list.map(({ offset }) => offset))
      return { sent: list.length, queued: 0, dropped: 0, rejected: 0 }
    },
    gap: (from, to) => { story.push(from.epoch === to.epoch ? `${from.offset + 1}-${to.offset}` : `| ${to.offset}`) },
    goesOn: (epoch) => { story.push(`> ${epoch}`) },
    turned: () => { turns.count++ },
    missing: (now) => { missing.push(now) }
  })
  if (start !== null) order.begin(start)
  return {
    order,
    story,
    missing,
    turns,
    results,
    reply: (offsets, epoch = 'a') => {
      order.fromReply(epoch, [offsets].flat().map((offset) => ({
        publication: publication(offset),
        done: (local) => {
          if (results.has(offset)) throw new Error(`told twice of ${offset}`)
          results.set(offset, local)
        }
      })))
    }
  }
}

t.test('what the stream brings goes on in order; what came already does not', async (t) => {
  const { order, story, missing } = rig()
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
  const { order, story, results, reply } = rig()
  reply(1)
  order.fromStream('a', publications(1, 1), true)
  t.same(story, [1])
  t.equal(results.get(1)?.sent, 1)
})

t.test('an answer that is not next waits for the stream', async (t) => {
  const { order, story, missing, results, reply } = rig()
  reply(3)
  t.same([story, missing, results.size], [[], [false], 0])
  order.fromStream('a', publications(1, 2), false)
  t.same(story, [1, 2, 3])
  t.equal(results.get(3)?.sent, 1)
})

t.test('the stream may be faster than the answer, which is told what became of it', async (t) => {
  const { order, story, results, reply } = rig()
  order.fromStream('a', publications(1, 2), true)
  t.same(story, [1, 2])
  reply(1)
  reply(2)
  t.same([...results.values()].map(({ sent }) => sent), [1, 1])
  t.same(story, [1, 2])
})

t.test('a hole in the stream is asked for at once, and filled', async (t) => {
  const { order, story, missing } = rig()
  order.fromStream('a', publications(4, 5), false)
  t.same([story, missing], [[], [true]])
  order.fill(publications(1, 6))
  t.same(story, [1, 2, 3, 4, 5, 6])
})

t.test('what the log does not have either is a gap; what is behind the position of the room may still come', async (t) => {
  const { order, story, reply } = rig()
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
  const { order, story } = rig()
  order.fill([])
  order.giveUp({ epoch: 'another', offset: 4 })
  t.same(story, [])
  order.giveUp({ epoch: 'a', offset: 4 })
  order.giveUp({ epoch: 'a', offset: 3 })
  t.same(story, ['1-4'])
  t.equal(order.last, 4)
})

/** What Redis says of a room. @param held -1: what was known is not of it */
const standing = (known: string, epoch: string, offset: number, held: number, start = 0): Comparison => ({ known, position: { epoch, offset }, sequence: 0, held, start })

t.test('another epoch that goes on from this one: Redis is asked once, what comes meanwhile waits, and nothing is lost', async (t) => {
  const { order, story, turns, results, reply } = rig()
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
  const { order, story, results, reply } = rig()
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
  const { order, story, turns } = rig()
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
  const { order, story, results, reply } = rig()
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
  const { order, story, turns, results, reply } = rig()
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
  const { order, story, turns, results, reply } = rig()
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
  const { order, story, turns, reply } = rig()
  reply(1, 'b')
  order.settle(standing('a', 'c', 3, 0))
  t.same([story, order.doubted, turns.count], [['> c'], { epoch: 'b', offset: 1 }, 2])
  order.settle(standing('b', 'd', 3, -1, 3))
  t.same([story, order.unknown, turns.count], [['> c'], { epoch: 'd', offset: 3 }, 3])
  order.settle(standing('c', 'd', 3, -1, 3))
  t.same(story, ['> c', '| 3'])
})

t.test('FAULTS 54: Redis has lost the latest of another epoch, be it while it is asked: it is told', async (t) => {
  const { order, story, turns } = rig()
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
  const { order, story, turns } = rig()
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
  const { order, story, turns } = rig()
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
  const { order, story, results, reply } = rig()
  reply(1, 'b')
  order.end()
  t.equal(results.get(1)?.sent, 0)
  order.settle(standing('a', 'b', 1, 0))
  t.same(story, [])
})

t.test('what comes before the position is known goes on when it is, if it is above it', async (t) => {
  const { order, story, results, reply } = rig(null)
  order.fromStream('a', publications(1, 3), false)
  reply(4)
  t.same(story, [])
  order.begin({ epoch: 'a', offset: 2 })
  t.same(story, [3, 4])
  t.equal(results.get(4)?.sent, 1)
})

t.test('what was there before the position was known, or came of the log, or was given up, and then of the stream, does not come twice', async (t) => {
  const { order, story, reply } = rig({ epoch: 'a', offset: 2 })
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
  const { order, story, results, reply } = rig()
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
  const { order, story, results, reply } = rig(null)
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
    const { order, story, results, reply } = rig()
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
