import fc from 'fast-check'
import t from 'tap'
import { QueueBudget } from '../../../lib/core/queue-budget.js'
import { SendQueue } from '../../../lib/core/send-queue.js'
import { Frame } from '../../../lib/protocol/frame.js'

interface Item { readonly frame: Frame, readonly isPinned: boolean }

t.test('random offers, pins and shifts: what is pinned goes out, ahead or in order, and takes no place of the others', (t) => {
  const op = fc.constantFrom('offer', 'offer', 'offer', 'ahead', 'in order', 'shift', 'shift', 'shed')
  fc.assert(fc.property(fc.integer({ min: 1, max: 6 }), fc.array(op, { maxLength: 100, size: 'max' }), (maxMessages, ops) => {
    const budget = new QueueBudget()
    const counters = { queued: 0, dropped: 0, rejected: 0, replaced: 0, queuedBytes: 0 }
    const queue: SendQueue = new SendQueue({ limits: { maxMessages, maxBytes: 0 }, budget, counters }, { onOverflow: () => {}, cutOff: () => { queue.end() } })
    // In the order in which they are to go out; the first `ahead` of them went ahead.
    const items: Item[] = []
    let ahead = 0
    let dropped = 0
    const evict = (): void => {
      items.splice(items.findIndex(({ isPinned }) => !isPinned), 1)
      dropped++
    }
    for (const step of ops) {
      const frame = new Frame([], 10)
      if (step === 'offer') {
        if (items.filter(({ isPinned }) => !isPinned).length === maxMessages) evict()
        items.push({ frame, isPinned: false })
        queue.offer(frame, 'drop-oldest', null)
      } else if (step === 'shift') {
        if (queue.shift() !== items.shift()?.frame) throw new Error('another frame')
        ahead = Math.max(0, ahead - 1)
      } else if (step === 'shed') {
        if (items.length > 0 && queue.shedOldest()) evict()
        else if (items.length > 0) dropped += items.splice(ahead = 0).length
      } else {
        const isAhead = step === 'ahead' || items.length === ahead
        items.splice(isAhead ? ahead++ : items.length, 0, { frame, isPinned: true })
        if (!queue.pin(frame, step === 'in order')) throw new Error('refused')
      }
      if (queue.peek() !== items[0]?.frame || queue.isEmpty !== (items.length === 0)) throw new Error('another frame is next')
      const counted = items.filter(({ isPinned }) => !isPinned).length
      if (queue.messages !== counted || queue.bytes !== 10 * items.length) throw new Error('counts differ')
      if (queue.weight !== 522 * items.length) throw new Error('another weight')
      if (budget.bytes !== 522 * items.length || counters.queuedBytes !== queue.bytes || counters.dropped !== dropped) throw new Error('counters differ')
    }
    queue.end()
    return budget.bytes === 0 && budget.queues === 0
  }), { numRuns: 500 })
  t.end()
})
