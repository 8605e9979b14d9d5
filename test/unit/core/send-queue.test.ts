import fc from 'fast-check'
import t from 'tap'
import { DISCONNECT, REJECTED, SendQueue, type QueueLimits } from '../../../lib/core/send-queue.js'
import type { Overflow } from '../../../lib/core/types.js'
import type { Frame } from '../../../lib/protocol/frame.js'

const frame = (bytes: number): Frame => ({ chunks: [], bytes })
const sum = (frames: readonly Frame[]): number => frames.reduce((total, { bytes }) => total + bytes, 0)

/** The same, as one would write it on a blackboard. */
class Model {
  frames: Frame[] = []
  readonly #limits: QueueLimits

  constructor (limits: QueueLimits) {
    this.#limits = limits
  }

  offer (frame: Frame, overflow: Overflow): number {
    const { maxMessages, maxBytes } = this.#limits
    if (maxBytes !== 0 && frame.bytes > maxBytes) return REJECTED
    const full = (): boolean => (maxMessages !== 0 && this.frames.length + 1 > maxMessages) || (maxBytes !== 0 && sum(this.frames) + frame.bytes > maxBytes)
    if (full() && overflow === 'reject-new') return REJECTED
    if (full() && overflow === 'disconnect') return DISCONNECT
    let dropped = 0
    for (; full(); dropped++) this.frames.shift()
    this.frames.push(frame)
    return dropped
  }
}

t.test('random offers and shifts: bounds, order, bytes and drop counts are those of an array', (t) => {
  const op = fc.oneof(
    { weight: 3, arbitrary: fc.tuple(fc.integer({ min: 1, max: 50 }), fc.constantFrom<Overflow>('drop-oldest', 'reject-new', 'disconnect')) },
    { weight: 2, arbitrary: fc.constant(null) }
  )
  const limits = fc.record({ maxMessages: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 100 })), maxBytes: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 400 })) })
  fc.assert(fc.property(limits, fc.array(op, { maxLength: 400, size: 'max' }), (bounds, ops) => {
    const queue = new SendQueue(bounds)
    const model = new Model(bounds)
    for (const step of ops) {
      if (step === null) {
        if (queue.shift() !== model.frames.shift()) throw new Error('another frame')
      } else {
        const [bytes, overflow] = step
        const one = frame(bytes)
        const result = queue.offer(one, overflow)
        const expected = model.offer(one, overflow)
        if (result !== expected) throw new Error(`${result} instead of ${expected}`)
      }
      if (queue.messages !== model.frames.length || queue.bytes !== sum(model.frames)) throw new Error('counts differ')
      if (bounds.maxMessages > 0 && queue.messages > bounds.maxMessages) throw new Error('too many')
      if (bounds.maxBytes > 0 && queue.bytes > bounds.maxBytes) throw new Error('too much')
    }
    while (model.frames.length > 0) if (queue.shift() !== model.frames.shift()) throw new Error('another frame at the end')
    return queue.shift() === undefined && queue.bytes === 0 && queue.messages === 0
  }))
  t.end()
})

t.test('a long queue that is shifted keeps order, past where its array is cut', (t) => {
  const queue = new SendQueue({ maxMessages: 0, maxBytes: 0 })
  const frames = Array.from({ length: 1_000 }, (_, i) => frame(i + 1))
  for (const one of frames) t.equal(queue.offer(one, 'drop-oldest'), 0)
  for (const one of frames) if (queue.shift() !== one) t.fail('out of order')
  t.equal(queue.shift(), undefined)
  t.end()
})

t.test('FAULTS 37: a frame larger than the queue is rejected under every policy, and evicts nothing', (t) => {
  const queue = new SendQueue({ maxMessages: 2, maxBytes: 10 })
  queue.offer(frame(4), 'drop-oldest')
  queue.offer(frame(4), 'drop-oldest')
  for (const overflow of ['drop-oldest', 'reject-new', 'disconnect'] as const) t.equal(queue.offer(frame(11), overflow), REJECTED)
  t.equal(queue.messages, 2)
  t.equal(queue.offer(frame(10), 'drop-oldest'), 2, 'one of exactly its size takes the place of all')
  t.equal(queue.bytes, 10)
  t.end()
})
