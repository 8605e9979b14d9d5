import fc from 'fast-check'
import t from 'tap'
import { QueueBudget, type Overhead } from '../../../lib/core/queue-budget.js'
import { DISCONNECT, queueKey, REJECTED, SendQueue, type QueueLimits, type QueueShared } from '../../../lib/core/send-queue.js'
import type { Overflow } from '../../../lib/core/types.js'
import { Frame } from '../../../lib/protocol/frame.js'

const frame = (bytes: number): Frame => new Frame([], bytes)
const sum = (frames: ReadonlyArray<{ bytes: number }>): number => frames.reduce((total, { bytes }) => total + bytes, 0)

/** All that queues share, beside a list of what their owners were told. */
function share (limits: Partial<QueueLimits> = {}, maxTotalBytes = 0, overhead: Overhead = { message: 0, place: 0 }): QueueShared & { open: () => SendQueue, told: string[], budget: QueueBudget } {
  const budget = new QueueBudget(overhead)
  budget.join({}, maxTotalBytes)
  const told: string[] = []
  const shared = {
    limits: { maxMessages: 0, maxBytes: 0, ...limits },
    budget,
    counters: { queued: 0, dropped: 0, rejected: 0, replaced: 0, queuedBytes: 0 }
  }
  let opened = 0
  const open = (): SendQueue => {
    const name = opened++
    const queue: SendQueue = new SendQueue(shared, {
      onOverflow: (policy, dropped) => { told.push(`${name} ${policy} ${dropped}`) },
      cutOff: () => { queue.end() }
    })
    return queue
  }
  return { ...shared, open, told }
}

interface Item { bytes: number, key: string | null, frame: Frame }

/** Queues, as one would write them on a blackboard. */
class Model {
  readonly queues: Item[][]
  readonly #limits: QueueLimits
  readonly #total: number
  readonly #overhead: Overhead
  dropped = 0
  replaced = 0

  constructor (count: number, limits: QueueLimits, total: number, overhead: Overhead) {
    this.queues = Array.from({ length: count }, () => [])
    this.#limits = limits
    this.#total = total || Infinity
    this.#overhead = overhead
  }

  /** Bytes in memory, one of them taken out, one of them put in. */
  memory (without: Item | null = null, and: Frame | null = null): number {
    const places = this.queues.flat().filter((item) => item !== without).map(({ frame }) => frame)
    if (and !== null) places.push(and)
    const frames = new Set(places)
    return sum([...frames]) + frames.size * this.#overhead.message + places.length * this.#overhead.place
  }

  #weight (items: Item[]): number { return sum(items) + items.length * (this.#overhead.message + this.#overhead.place) }

  /** @param sheds the queues that had to give way, in order: of several fattest ones it may be any */
  offer (which: number, item: Item, overflow: Overflow, sheds: number[]): number {
    const { maxMessages, maxBytes } = this.#limits
    const queue = this.queues[which] as Item[]
    if (item.bytes > (maxBytes || Infinity) || item.bytes + this.#overhead.message + this.#overhead.place > this.#total) return REJECTED
    const old = queue.find(({ key }) => key !== null && key === item.key) ?? null
    const rest = queue.filter((one) => one !== old)
    const full = (items: Item[]): boolean => items.length + 1 > (maxMessages || Infinity) || sum(items) + item.bytes > (maxBytes || Infinity)
    const fullInAll = (without: Item | null): boolean => this.memory(without, item.frame) > this.#total
    if (overflow === 'reject-new' && (full(rest) || fullInAll(old))) return REJECTED
    if (overflow === 'disconnect' && full(rest)) return DISCONNECT
    if (old !== null) {
      queue.splice(queue.indexOf(old), 1)
      this.replaced++
    }
    const before = this.dropped
    const drop = (from: Item[], count = 1): void => {
      from.splice(0, count)
      this.dropped += count
    }
    while (full(queue)) drop(queue)
    let evicted = this.dropped - before
    while (fullInAll(null)) {
      const fattest = this.queues[sheds.shift() ?? -1]
      if (fattest === undefined) throw new Error('nobody gave way')
      if (this.queues.some((other) => this.#weight(other) > this.#weight(fattest))) throw new Error('another queue is fatter')
      if (overflow === 'drop-oldest') {
        drop(fattest)
        evicted++
      } else {
        drop(fattest, fattest.length)
        // For good: what comes later is for another connection.
        if (fattest === queue) return DISCONNECT
      }
    }
    queue.push(item)
    return evicted
  }
}

t.test('random offers to several queues: bounds, order, bytes, drops, replaced ones and the budget are those of arrays', (t) => {
  const QUEUES = 3
  const which = fc.nat(QUEUES - 1)
  const policy = fc.constantFrom<Overflow>('drop-oldest', 'drop-oldest', 'reject-new', 'disconnect')
  const key = fc.constantFrom(null, null, null, 'a', 'b')
  const bytes = fc.integer({ min: 1, max: 50 })
  const op = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('offer' as const), which, bytes, policy, key }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('share' as const), bytes, policy, key }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('shift' as const), which }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('end' as const), which }) }
  )
  const bound = (max: number): fc.Arbitrary<number> => fc.oneof(fc.constant(0), fc.integer({ min: 1, max }))
  fc.assert(fc.property(fc.record({ maxMessages: bound(20), maxBytes: bound(300) }), bound(400), fc.record({ message: fc.constantFrom(0, 7), place: fc.constantFrom(0, 3) }), fc.array(op, { maxLength: 300, size: 'max' }), (limits, total, overhead, ops) => {
    const { open, counters, budget } = share(limits, total, overhead)
    const model = new Model(QUEUES, limits, total, overhead)
    const sheds: number[] = []
    const opened = (i: number): SendQueue => {
      const queue = open()
      const { shedOldest, shedAll } = queue
      queue.shedOldest = () => {
        sheds.push(i)
        return shedOldest.call(queue)
      }
      queue.shedAll = () => {
        sheds.push(i)
        shedAll.call(queue)
      }
      return queue
    }
    const queues = model.queues.map((_, i) => opened(i))
    let rejected = 0
    let queued = 0
    const offer = (which: number, frame: Frame, policy: Overflow, key: string | null): void => {
      const before = model.queues.map(({ length }) => length)
      const result = (queues[which] as SendQueue).offer(frame, policy, key)
      const expected = model.offer(which, { bytes: frame.bytes, key, frame }, policy, sheds)
      if (sheds.length > 0) throw new Error('more gave way than had to')
      if (result !== expected) throw new Error(`${result} instead of ${expected}, before ${before.join()}`)
      if (result < 0) rejected++
      else queued++
      model.queues.forEach((items, i) => {
        // Ended by the budget: a new connection takes the place.
        if (items.length === 0 && before[i] as number > 0 && policy === 'disconnect') queues[i] = opened(i)
      })
    }
    for (const step of ops) {
      if (step.kind === 'offer') {
        offer(step.which, frame(step.bytes), step.policy, step.key)
      } else if (step.kind === 'share') {
        const shared = frame(step.bytes)
        for (let i = 0; i < QUEUES; i++) offer(i, shared, step.policy, step.key)
      } else if (step.kind === 'shift') {
        if (queues[step.which]?.shift() !== model.queues[step.which]?.shift()?.frame) throw new Error('another frame')
      } else {
        model.dropped += model.queues[step.which]?.splice(0).length ?? 0
        queues[step.which]?.end()
        queues[step.which] = opened(step.which)
      }
      model.queues.forEach((items, i) => {
        const queue = queues[i] as SendQueue
        if (queue.messages !== items.length || queue.bytes !== sum(items)) throw new Error('counts differ')
        if (queue.peek() !== items[0]?.frame) throw new Error('another frame is next')
        if (limits.maxMessages > 0 && queue.messages > limits.maxMessages) throw new Error('too many')
        if (limits.maxBytes > 0 && queue.bytes > limits.maxBytes) throw new Error('too much')
      })
      if (budget.bytes !== model.memory()) throw new Error('the budget lost count')
      if (total > 0 && budget.bytes > total) throw new Error('more than the budget')
      if (budget.queues !== model.queues.filter(({ length }) => length > 0).length) throw new Error('queues in the heap')
      if (counters.dropped !== model.dropped || counters.replaced !== model.replaced || counters.rejected !== rejected || counters.queued !== queued) throw new Error('counters differ')
    }
    for (const queue of queues) queue.end()
    return budget.bytes === 0 && budget.queues === 0 && counters.queuedBytes === 0
  }), { numRuns: 500 })
  t.end()
})

t.test('FAULTS 37: a frame larger than the queue is rejected under every policy, and evicts nothing', (t) => {
  const { open, told } = share({ maxMessages: 2, maxBytes: 10 })
  const queue = open()
  queue.offer(frame(4), 'drop-oldest', null)
  queue.offer(frame(4), 'drop-oldest', null)
  for (const overflow of ['drop-oldest', 'reject-new', 'disconnect'] as const) t.equal(queue.offer(frame(11), overflow, null), REJECTED)
  t.equal(queue.messages, 2)
  t.equal(queue.offer(frame(10), 'drop-oldest', null), 2, 'one of exactly its size takes the place of all')
  t.equal(queue.bytes, 10)
  t.same(told, ['0 drop-oldest 0', '0 reject-new 0', '0 disconnect 0', '0 drop-oldest 2'])
  t.end()
})

t.test('a key: the newer message takes the place of the older one, at the end, and costs no eviction', (t) => {
  const { open, counters, told } = share({ maxMessages: 3 })
  const queue = open()
  const [a1, b1, plain, a2, b2] = Array.from({ length: 5 }, (_, i) => frame(i + 1)) as [Frame, Frame, Frame, Frame, Frame]
  queue.offer(a1, 'drop-oldest', 'a')
  queue.offer(b1, 'drop-oldest', 'b')
  queue.offer(plain, 'drop-oldest', null)
  t.equal(queue.offer(a2, 'reject-new', 'a'), 0, 'it is full, and yet takes this one')
  t.equal(queue.offer(b2, 'disconnect', 'b'), 0)
  t.same(told, [])
  t.match(counters, { queued: 5, replaced: 2, dropped: 0 })
  t.same([queue.shift(), queue.shift(), queue.shift(), queue.shift()], [plain, a2, b2, undefined])
  queue.offer(a1, 'drop-oldest', 'a')
  t.match(counters, { replaced: 2 }, 'what has been taken out is not replaced')
  t.end()
})

t.test('a key: where the newer one does not fit even so, the older one stays', (t) => {
  const { open, counters } = share({ maxBytes: 10 })
  const queue = open()
  const state = frame(4)
  queue.offer(state, 'drop-oldest', 'state')
  queue.offer(frame(4), 'drop-oldest', null)
  t.equal(queue.offer(frame(7), 'reject-new', 'state'), REJECTED)
  t.equal(queue.offer(frame(7), 'disconnect', 'state'), DISCONNECT)
  t.match(counters, { replaced: 0, rejected: 2 })
  t.equal(queue.peek(), state)
  t.equal(queue.offer(frame(7), 'drop-oldest', 'state'), 1)
  t.match(counters, { replaced: 1, dropped: 1 })
  t.end()
})

t.test('keys of different rooms are different keys, whatever their names', (t) => {
  const keys = [queueKey('', 'k'), queueKey('room', 'k'), queueKey('roomk', ''), queueKey('roo', 'mk'), queueKey('1:r', 'k'), queueKey('r', '1:k')]
  t.equal(new Set(keys).size, keys.length)
  t.equal(queueKey('room', null), null)
  t.end()
})
