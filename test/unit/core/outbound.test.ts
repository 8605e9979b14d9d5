import fc from 'fast-check'
import t from 'tap'
import { Compression } from '../../../lib/core/compression.js'
import { Flusher } from '../../../lib/core/flusher.js'
import { Outbound, SENT, type OutboundShared } from '../../../lib/core/outbound.js'
import { QueueBudget } from '../../../lib/core/queue-budget.js'
import { REJECTED, type QueueLimits } from '../../../lib/core/send-queue.js'
import type { Overflow } from '../../../lib/core/types.js'
import { encodeFrame, MAX_FRAME_BYTES } from '../../../lib/protocol/frame.js'
import { TestClock } from '../../../lib/testing/test-clock.js'
import { FakeTransport } from '../../helpers/fake-transport.js'
import { isOneWrite } from '../../helpers/wire.js'

interface Way { outbound: Outbound, transport: FakeTransport, blocked: boolean[] }

function setup (limits: Partial<QueueLimits> = {}): { clock: TestClock, shared: OutboundShared, open: () => Way } {
  const clock = new TestClock()
  const shared: OutboundShared = {
    flusher: new Flusher(clock, (error) => { throw error }),
    compression: new Compression({ level: 0, threshold: 0 }),
    limits: { maxMessages: 64, maxBytes: 1024 * 1024, ...limits },
    budget: new QueueBudget(),
    counters: { sent: 0, queued: 0, dropped: 0, rejected: 0, replaced: 0, queuedBytes: 0 }
  }
  const open = (): Way => {
    const transport = new FakeTransport(clock)
    const blocked: boolean[] = []
    const outbound = new Outbound({
      transport,
      outboundShared: shared,
      onBlocked: (now) => { blocked.push(now) },
      onOverflow: () => {},
      cutOff: () => {}
    })
    const ignore = (): void => {}
    transport.attach({ onMessage: ignore, onControl: ignore, onError: ignore, onDrain: () => { outbound.drained() }, onClose: () => { outbound.end() } })
    return { outbound, transport, blocked }
  }
  return { clock, shared, open }
}

const push = ({ outbound }: Way, text: string, overflow: Overflow = 'drop-oldest'): number => outbound.push(encodeFrame(text), overflow, null, false)

t.test('what one turn sends leaves in one write, at its end', (t) => {
  const { clock, shared, open } = setup()
  const [a, b] = [open(), open()]
  t.equal(push(a, 'one'), SENT)
  push(b, 'x')
  push(a, 'two')
  t.same(a.transport.writes, [], 'no I/O within the call')
  clock.turn()
  t.same([a.transport.writes.length, a.transport.messages], [1, ['one', 'two']])
  t.same(b.transport.messages, ['x'])
  clock.turn()
  push(a, 'three')
  clock.turn()
  t.equal(a.transport.writes.length, 2)
  t.match(shared.counters, { sent: 4, queued: 0, dropped: 0, rejected: 0 })
  t.end()
})

t.test('a turn that sends without end is written at 64 KiB, and then bounded by the queue', (t) => {
  const { clock, shared, open } = setup({ maxMessages: 3, maxBytes: 0 })
  const way = open()
  way.transport.block(2)
  const kib = 'k'.repeat(1020)
  for (let i = 0; i < 200; i++) push(way, kib)
  t.equal(way.transport.writes.length, 2, 'two writes within the turn')
  t.ok(way.transport.writes.every((write) => write.length <= MAX_FRAME_BYTES))
  t.equal(way.outbound.queuedMessages, 3)
  clock.turn()
  t.equal(way.transport.messages.length, 128)
  t.equal(shared.counters.dropped, 69)
  t.end()
})

t.test('behind a blocked socket messages wait in the queue, and follow in order', (t) => {
  const { clock, shared, open } = setup()
  const way = open()
  push(way, 'this turn')
  way.transport.block()
  t.equal(push(way, 'queued 1'), 0)
  clock.turn()
  t.same(way.transport.writes, [])
  t.equal(push(way, 'queued 2'), 0)
  t.same([way.outbound.queuedMessages, way.outbound.queuedBytes, shared.counters.queuedBytes], [2, 20, 20])
  way.transport.drain()
  t.same(way.transport.messages, ['this turn', 'queued 1', 'queued 2'])
  t.same([way.outbound.queuedMessages, way.outbound.queuedBytes, shared.counters.queuedBytes], [0, 0, 0])
  t.equal(push(way, 'free again'), SENT)
  clock.turn()
  t.equal(way.transport.messages.at(-1), 'free again')
  t.match(shared.counters, { sent: 4, queued: 2 })
  t.end()
})

t.test('FAULTS 31: never reads, drop-oldest: the newest survive, in order, and drops are counted', (t) => {
  const { shared, open } = setup({ maxMessages: 3 })
  const way = open()
  way.transport.block()
  const results = Array.from({ length: 6 }, (_, i) => push(way, `m${i}`))
  t.same(results, [0, 0, 0, 1, 1, 1])
  way.transport.drain()
  t.same(way.transport.messages, ['m3', 'm4', 'm5'])
  t.match(shared.counters, { sent: 3, queued: 6, dropped: 3, rejected: 0, queuedBytes: 0 })
  t.end()
})

t.test('FAULTS 37: a message larger than the queue is rejected, blocked or not', (t) => {
  const { clock, shared, open } = setup({ maxBytes: 100 })
  const way = open()
  t.equal(push(way, 'x'.repeat(99)), REJECTED)
  t.equal(push(way, 'x'.repeat(98)), SENT)
  clock.turn()
  way.transport.block()
  t.equal(push(way, 'x'.repeat(99), 'disconnect'), REJECTED)
  t.equal(push(way, 'queued'), 0)
  t.equal(push(way, 'x'.repeat(99)), REJECTED)
  t.equal(way.outbound.queuedMessages, 1)
  way.transport.drain()
  t.same(way.transport.messages.slice(1), ['queued'])
  t.equal(shared.counters.rejected, 3)
  t.end()
})

t.test('a message over 64 KiB goes fragment by fragment, and nothing comes between', (t) => {
  const { clock, open } = setup()
  const way = open()
  const large = 'L'.repeat(300_000)
  way.transport.block(1)
  push(way, large)
  push(way, 'after')
  clock.turn()
  t.same(way.transport.messages, [])
  t.equal(way.transport.writes.length, 1, 'the first fragment')
  for (let i = 0; i < 5; i++) {
    if (way.transport.blocked) way.transport.drain(1)
    push(way, `later ${i}`)
  }
  way.transport.drain()
  t.same(way.transport.messages, [large, 'after', 'later 0', 'later 1', 'later 2', 'later 3', 'later 4'])
  t.equal(way.transport.fragments[0], 5)
  t.ok(way.transport.writes.every((write) => write.length <= MAX_FRAME_BYTES))
  t.end()
})

t.test('close comes behind everything that was accepted', (t) => {
  const { clock, shared, open } = setup()
  const free = open()
  push(free, 'last words')
  free.outbound.close(1000, 'bye')
  t.same(free.transport.calls, ['write 12', 'close 1000'], 'at once when the socket is free')
  const slow = open()
  push(slow, 'pending')
  slow.transport.block()
  push(slow, 'queued')
  slow.outbound.close(4501, 'kicked')
  clock.turn()
  t.same(slow.transport.calls, [])
  slow.transport.drain(1)
  slow.transport.drain()
  t.same(slow.transport.messages, ['pending', 'queued'])
  t.same(slow.transport.closed, { code: 4501, reason: 'kicked' })
  clock.turn()
  t.equal(slow.transport.ended, true)
  t.match(shared.counters, { sent: 3, dropped: 0, queuedBytes: 0 })
  t.end()
})

t.test('what the end left unwritten is dropped, once', (t) => {
  const { clock, shared, open } = setup()
  const way = open()
  way.transport.block(1)
  push(way, 'L'.repeat(100_000))
  push(way, 'pending')
  push(way, 'queued')
  way.transport.peerClose(1001)
  way.outbound.end()
  t.match(shared.counters, { sent: 0, dropped: 3, queuedBytes: 0 })
  t.same([way.outbound.queuedMessages, way.outbound.queuedBytes], [0, 0])
  clock.turn()
  t.equal(way.transport.writes.length, 1, 'nothing is written after the end')
  const leaving = open()
  push(leaving, 'too late')
  leaving.transport.writable = false
  clock.turn()
  t.same(leaving.transport.writes, [], "nor after the peer's Close")
  leaving.outbound.close(1000, '')
  t.equal(leaving.transport.closed, null)
  leaving.transport.end(1000)
  t.equal(shared.counters.dropped, 4)
  t.end()
})

t.test('a socket that fails within a write is given nothing more, and what it did not get is dropped', (t) => {
  const { clock, shared, open } = setup()
  const way = open()
  const { transport } = way
  const write = transport.write.bind(transport)
  // As a socket that finds the reset of its peer: not writable, and nothing is left in it that would block.
  transport.write = (chunks) => {
    write(chunks)
    transport.writable = false
  }
  push(way, 'x'.repeat(3 * MAX_FRAME_BYTES))
  t.equal(transport.writes.length, 1)
  transport.end(1006)
  clock.turn()
  t.match(shared.counters, { sent: 0, dropped: 1 })

  const other = open()
  other.transport.block()
  for (const size of [40_000, 40_000, 40_000]) push(other, 'q'.repeat(size))
  other.transport.write = () => { other.transport.writable = false }
  other.transport.drain()
  other.transport.end(1006)
  t.match(shared.counters, { sent: 1, dropped: 3, queuedBytes: 0 })
  t.end()
})

t.test('random mixes: order, whole frames, exact counters, a gauge that returns to 0', (t) => {
  const WAYS = 2
  const which = fc.nat(WAYS - 1)
  const size = fc.oneof({ weight: 6, arbitrary: fc.nat(200) }, { weight: 2, arbitrary: fc.integer({ min: 20_000, max: 70_000 }) }, { weight: 1, arbitrary: fc.integer({ min: 65_520, max: 65_540 }) }, { weight: 1, arbitrary: fc.integer({ min: 100_000, max: 250_000 }) })
  const op = fc.oneof(
    { weight: 12, arbitrary: fc.record({ kind: fc.constant('send' as const), which, size, overflow: fc.constantFrom<Overflow>('drop-oldest', 'reject-new', 'disconnect') }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('turn' as const) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('block' as const), which, after: fc.nat(2) }) },
    { weight: 5, arbitrary: fc.record({ kind: fc.constant('drain' as const), which, takes: fc.integer({ min: 1, max: 4 }) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('close' as const), which }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('reset' as const), which }) }
  )
  const limits = fc.record({ maxMessages: fc.constantFrom(0, 1, 3, 10), maxBytes: fc.constantFrom(0, 300, 100_000, 300_000) })
  fc.assert(fc.property(limits, fc.array(op, { maxLength: 80, size: 'max' }), (limits, ops) => {
    const { clock, shared, open } = setup(limits)
    const { counters } = shared
    const ways = Array.from({ length: WAYS }, () => ({ ...open(), accepted: [] as string[], inTurn: [] as string[], closing: false, reset: false }))
    let accepted = 0
    let refused = 0
    let queued = 0
    let evicted = 0
    let id = 0
    for (const step of ops) {
      const way = 'which' in step ? ways[step.which] as typeof ways[number] : null
      if (step.kind === 'send') {
        // As HubConnection does: a connection that closes takes nothing more.
        if (way === null || way.closing || !way.transport.writable) continue
        const text = `${id++}:${'x'.repeat(step.size)}`
        const result = way.outbound.push(encodeFrame(text), step.overflow, null, false)
        if (result < 0 && result !== SENT) {
          refused++
          if (step.overflow === 'drop-oldest' && encodeFrame(text).bytes <= (limits.maxBytes || Infinity)) throw new Error('drop-oldest refuses only what can never fit')
        } else {
          accepted++
          way.accepted.push(text)
          if (result === SENT) way.inTurn.push(text)
          else queued++
          if (result > 0) evicted += result
        }
      } else if (step.kind === 'turn') {
        clock.turn()
      } else if (step.kind === 'block') {
        if (way?.transport.writable === true && !way.transport.blocked) way.transport.block(step.after)
      } else if (step.kind === 'drain') {
        if (way?.transport.blocked === true && !way.transport.ended) way.transport.drain(step.takes)
      } else if (step.kind === 'close') {
        if (way === null || way.closing || !way.transport.writable) continue
        way.closing = true
        way.outbound.close(1000, '')
      } else if (way !== null) {
        way.reset ||= way.transport.writable
        way.transport.reset()
      }
      for (const { outbound: { queuedMessages, queuedBytes } } of ways) {
        if (limits.maxMessages > 0 && queuedMessages > limits.maxMessages) throw new Error('too many messages wait')
        if (limits.maxBytes > 0 && queuedBytes > limits.maxBytes) throw new Error('too many bytes wait')
      }
      if (counters.queuedBytes !== ways.reduce((sum, { outbound }) => sum + outbound.queuedBytes, 0)) throw new Error('the gauge is wrong')
    }
    // Everybody reads to the end.
    clock.turn()
    for (const way of ways) {
      if (!way.closing && way.transport.writable) way.outbound.close(1000, '')
      while (way.transport.blocked && way.transport.writable) way.transport.drain(1)
    }
    clock.turn()
    let read = 0
    for (const { transport, accepted, inTurn, reset } of ways) {
      if (!transport.ended) throw new Error('it has not ended')
      if (!transport.writes.every(isOneWrite)) throw new Error('a write of more than 64 KiB')
      const messages = transport.messages as string[]
      read += messages.length
      // What was read is what was accepted, in the order of the calls, less what is counted as dropped.
      let at = -1
      for (const message of messages) {
        at = accepted.indexOf(message, at + 1)
        if (at === -1) throw new Error('out of order')
      }
      if (!reset) {
        if (!transport.complete) throw new Error('half a message')
        const got = new Set(messages)
        if (!inTurn.every((message) => got.has(message))) throw new Error("a message of a turn's write was lost")
      }
    }
    if (counters.rejected !== refused || counters.queued !== queued || counters.sent !== read) throw new Error('counters are wrong')
    if (counters.sent + counters.dropped !== accepted) throw new Error(`${counters.sent} sent and ${counters.dropped} dropped of ${accepted}`)
    if (!ways.some(({ reset }) => reset) && counters.dropped !== evicted) throw new Error('dropped, but not evicted')
    return counters.queuedBytes === 0
  }), { numRuns: 200 })
  t.end()
})

t.test('connections with the same messages write the same bytes, put together once', (t) => {
  const { clock, open } = setup()
  const ways = [open(), open(), open()]
  const frames = Array.from({ length: 5 }, (_, i) => encodeFrame(`shared ${i}`))
  for (const frame of frames) for (const { outbound } of ways) outbound.push(frame, 'drop-oldest', null, true)
  push(ways[2] as Way, 'mine')
  const written: Buffer[][] = []
  for (const { transport } of ways) {
    const write = transport.write.bind(transport)
    transport.write = (chunks) => {
      written.push([...chunks])
      write(chunks)
    }
  }
  clock.turn()
  t.equal(written[0]?.length, 1)
  t.equal(written[0]?.[0], written[1]?.[0], 'one buffer')
  t.equal(written[2]?.length, 6)
  for (const { transport } of ways) t.same(transport.messages.slice(0, 5), frames.map((_, i) => `shared ${i}`))
  t.end()
})

t.test('the host is told of each write that blocks, and when the socket is free again', (t) => {
  const { clock, open } = setup()
  const way = open()
  push(way, 'free')
  clock.turn()
  t.same(way.blocked, [])
  way.transport.block(1)
  push(way, 'blocks')
  clock.turn()
  t.same(way.blocked, [true])
  push(way, 'one')
  way.transport.drain(1)
  t.same(way.blocked, [true, false, true], 'the next write blocks again')
  way.transport.drain()
  t.same(way.blocked, [true, false, true, false])
  t.end()
})

t.test('FAULTS 24: pings are answered at once, and while the socket is blocked only the latest, when it has drained', (t) => {
  const { clock, open } = setup()
  const way = open()
  const { outbound, transport, blocked } = way
  push(way, 'first')
  outbound.pong(Buffer.from('a'))
  t.same(transport.calls, ['pong a'], 'does not wait for the end of the turn, and does not end it')
  clock.turn()
  transport.block()
  const data = Buffer.from('b')
  for (const name of ['x', 'y', 'b']) {
    data.write(name)
    outbound.pong(data)
  }
  data.write('?')
  t.same(transport.pongs, ['a'])
  push(way, 'second')
  transport.drain()
  t.same(transport.pongs, ['a', 'b'], 'a copy: the bytes are lent')
  t.same(transport.messages, ['first', 'second'])
  transport.drain()
  t.same(transport.pongs, ['a', 'b'], 'once')
  t.same(blocked, [false, false])

  transport.takesPongs = 3
  outbound.pong(Buffer.from('c'))
  t.same(blocked, [false, false, true], 'a pong that blocks the socket is a write with a deadline')
  push(way, 'third')
  clock.turn()
  t.same(transport.messages, ['first', 'second'])
  transport.takesPongs = Infinity
  transport.drain()
  t.same(transport.messages, ['first', 'second', 'third'])
  t.same(blocked, [false, false, true, false])

  transport.block()
  outbound.pong(Buffer.from('d'))
  transport.peerClose()
  transport.drain()
  outbound.pong(Buffer.from('e'))
  outbound.end()
  outbound.pong(Buffer.from('f'))
  t.same(transport.pongs, ['a', 'b', 'c'], 'nothing after the end')
  t.end()
})
