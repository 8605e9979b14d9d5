import t from 'tap'
import { DEFAULT_TOTAL_BYTES, QueueBudget } from '../../../lib/core/queue-budget.js'
import { DISCONNECT, REJECTED, SendQueue, type QueueOwner } from '../../../lib/core/send-queue.js'
import { encodeFrame, Frame } from '../../../lib/protocol/frame.js'
import { TestClock } from '../../../lib/testing/test-clock.js'

const frame = (bytes: number): Frame => new Frame([], bytes)

function open (budget: QueueBudget, told: string[] = [], name = ''): SendQueue {
  const counters = { queued: 0, dropped: 0, rejected: 0, replaced: 0, queuedBytes: 0 }
  const owner: QueueOwner = {
    onOverflow: (policy, dropped) => { told.push(`${name} ${policy} ${dropped}`) },
    cutOff: () => {
      told.push(`${name} cut off`)
      queue.end()
    }
  }
  const queue: SendQueue = new SendQueue({ limits: { maxMessages: 0, maxBytes: 0 }, budget, counters }, owner)
  return queue
}

function limited (limit: number): QueueBudget {
  const budget = new QueueBudget({ message: 0, place: 0 })
  budget.join({}, limit)
  return budget
}

t.test('the fattest queue gives way first, message by message, and only as far as needed', (t) => {
  const budget = limited(100)
  const told: string[] = []
  const [thin, fat, middle] = [open(budget, told, 'thin'), open(budget, told, 'fat'), open(budget, told, 'middle')]
  thin.offer(frame(10), 'drop-oldest', null)
  for (let i = 0; i < 6; i++) fat.offer(frame(10), 'drop-oldest', null)
  middle.offer(frame(15), 'drop-oldest', null)
  middle.offer(frame(15), 'drop-oldest', null)
  t.equal(budget.bytes, 100)
  t.equal(thin.offer(frame(10), 'drop-oldest', null), 1)
  t.same([thin.bytes, fat.bytes, middle.bytes], [20, 50, 30])
  t.equal(thin.offer(frame(25), 'drop-oldest', null), 3, '50, 40 and 30 give way: of two equal ones, either')
  t.equal(budget.bytes, thin.bytes + fat.bytes + middle.bytes)
  t.ok(budget.bytes <= 100)
  t.equal(thin.messages, 3, 'the one that had least lost nothing')
  t.equal(budget.shed, 4)
  t.same(told.slice(0, 2), ['fat drop-oldest 1', 'fat drop-oldest 1'])
  t.end()
})

t.test('reject-new: the new one is refused, whoever is fat; disconnect: the fattest is ended', (t) => {
  const budget = limited(100)
  const told: string[] = []
  const [thin, fat] = [open(budget, told, 'thin'), open(budget, told, 'fat')]
  fat.offer(frame(60), 'drop-oldest', null)
  fat.offer(frame(30), 'drop-oldest', null)
  t.equal(thin.offer(frame(11), 'reject-new', null), REJECTED)
  t.same([thin.messages, fat.messages], [0, 2])
  t.equal(thin.offer(frame(11), 'disconnect', null), 0)
  t.same([thin.messages, fat.messages], [1, 0])
  t.same(told, ['thin reject-new 0', 'fat disconnect 0', 'fat cut off'])
  t.equal(thin.offer(frame(95), 'disconnect', null), DISCONNECT, 'it was the fattest itself')
  t.equal(budget.bytes, 0)
  t.equal(open(budget).offer(frame(101), 'drop-oldest', null), REJECTED, 'larger than all queues together may be')
  t.end()
})

t.test('a frame that waits in many queues counts once, and until the last has let go of it', (t) => {
  const budget = limited(100)
  const queues = Array.from({ length: 50 }, () => open(budget))
  const shared = frame(80)
  for (const queue of queues) t.equal(queue.offer(shared, 'drop-oldest', null), 0)
  t.same([budget.bytes, budget.queues], [80, 50])
  for (const queue of queues.slice(1)) queue.shift()
  t.same([budget.bytes, budget.queues], [80, 1])
  queues[0]?.end()
  t.same([budget.bytes, budget.queues], [0, 0])
  t.end()
})

t.test('the smallest limit that hubs ask for holds; where none does, the default', (t) => {
  const budget = new QueueBudget()
  const [a, b, c, d] = [{}, {}, {}, {}]
  t.equal(budget.limit, DEFAULT_TOTAL_BYTES)
  budget.join(a, undefined)
  t.equal(budget.limit, DEFAULT_TOTAL_BYTES)
  budget.join(b, 0)
  t.equal(budget.limit, Infinity, 'explicitly none')
  budget.join(c, 2 * DEFAULT_TOTAL_BYTES)
  t.equal(budget.limit, 2 * DEFAULT_TOTAL_BYTES, 'more than the default, when all who ask agree')
  budget.join(d, 1_000)
  t.equal(budget.limit, 1_000)
  budget.leave(d)
  t.equal(budget.limit, 2 * DEFAULT_TOTAL_BYTES)
  for (const hub of [a, b, c]) budget.leave(hub)
  t.equal(budget.limit, DEFAULT_TOTAL_BYTES)
  t.end()
})

t.test('a small frame that waits does not keep the pool of Node alive', (t) => {
  const budget = limited(0)
  const queue = open(budget)
  const small = encodeFrame('hello')
  const [before] = small.chunks as [Buffer]
  t.ok(before.buffer.byteLength > 1_000, 'it was cut from a pool')
  queue.offer(small, 'drop-oldest', null)
  const [after] = small.chunks as [Buffer]
  t.equal(after.buffer.byteLength, small.bytes)
  t.same(after, before)
  queue.offer(small, 'drop-oldest', null)
  t.equal(small.chunks[0], after, 'once')
  t.end()
})

t.test('what V8 needs beside the bytes counts, too', (t) => {
  const budget = new QueueBudget()
  budget.join({}, 100_000)
  const queues = [open(budget), open(budget)]
  const tiny = encodeFrame('x')
  for (const queue of queues) queue.offer(tiny, 'drop-oldest', null)
  t.equal(budget.bytes, tiny.bytes + 384 + 2 * 128)
  for (let i = 0; i < 1_000; i++) queues[0]?.offer(encodeFrame('x'), 'drop-oldest', null)
  t.ok((queues[0]?.messages ?? 0) < 200, 'messages of a byte do not take hundreds of times that')
  for (const queue of queues) queue.end()
  t.equal(budget.bytes, 0)
  t.equal(queues[0]?.offer(frame(99_500), 'drop-oldest', null), REJECTED, 'with it, it is more than the budget')
  t.end()
})

t.test('that something had to give way is told for 10 s', (t) => {
  const clock = new TestClock()
  const budget = new QueueBudget({ message: 0, place: 0 }, clock)
  budget.join({}, 100)
  const queue = open(budget)
  queue.offer(frame(100), 'drop-oldest', null)
  t.equal(budget.shedding, false, 'it is full, and nothing was lost')
  queue.offer(frame(1), 'reject-new', null)
  t.equal(budget.shedding, false, 'nothing that waited was lost')
  queue.offer(frame(10), 'drop-oldest', null)
  t.equal(budget.shedding, true)
  clock.advanceSync(9_999)
  t.equal(budget.shedding, true)
  clock.advanceSync(1)
  t.equal(budget.shedding, false)
  t.equal(budget.shed, 1)
  t.end()
})
