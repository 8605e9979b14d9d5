import fc from 'fast-check'
import t, { type Test } from 'tap'
import type { HubOptions } from '../../../lib/index.js'
import { PeerRate } from '../../../lib/core/peer-rate.js'
import { TimingWheel } from '../../../lib/core/timing-wheel.js'
import { connect, TestClock, type TestPeer } from '../../../lib/testing/index.js'
import { TestApp } from '../../helpers/app.js'

const LIMITS = { messagesPerSecond: 100, burst: 200, bytesPerSecond: 1_000_000, violations: 10 }
/** Milliseconds from one message to the next of a peer that keeps within the rate. */
const PACE = 16

interface Node { app: TestApp, clock: TestClock, peer: TestPeer, handled: () => number }

/** @param slow the numbers of the messages whose handler takes 20 s */
async function start (t: Test, slow: number[] = [], options: HubOptions = {}): Promise<Node> {
  const clock = new TestClock()
  let count = 0
  const app = await TestApp.start(t, {
    clock,
    limits: LIMITS,
    onMessage: async () => { if (slow.includes(count++)) await wait(clock, 20_000) },
    ...options
  })
  return { app, clock, peer: await connect(app.hub), handled: () => count }
}

async function wait (clock: TestClock, ms: number): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = clock.every(ms, () => {
      timer.cancel()
      resolve()
    })
  })
}

async function send (clock: TestClock, peer: TestPeer, ms: number): Promise<number> {
  const count = Math.floor(ms / PACE)
  for (let i = 0; i < count && peer.ended === null; i++) {
    peer.send('x')
    await clock.advance(PACE)
  }
  return count
}

/** What has arrived is read and handled, one turn for each. */
async function assertAll (t: Test, { app, clock, peer, handled }: Node, sent: number): Promise<void> {
  for (let i = 0; i < 100 && handled() < sent; i++) await clock.settle()
  t.equal(peer.ended, null)
  t.equal(handled(), sent)
  t.equal(app.hub.stats().messages.limited, 0)
}

t.test('a peer within its rate is not over it because a handler was slow, and all it had sent is read at once', async (t) => {
  const node = await start(t, [3])
  await assertAll(t, node, await send(node.clock, node.peer, 25_000))
})

t.test('nor because onConnect was', async (t) => {
  const clock = new TestClock()
  const node = await start(t, [], { clock, onConnect: async () => { await wait(clock, 20_000) } })
  await assertAll(t, { ...node, clock }, await send(clock, node.peer, 25_000))
})

t.test('nor because one handler after the other is', async (t) => {
  const node = await start(t, [3, 8, 9])
  const sent = await send(node.clock, node.peer, 25_000)
  await node.clock.advance(40_000)
  await assertAll(t, node, sent)
})

t.test('nor because this process stood still', async (t) => {
  const node = await start(t)
  let sent = await send(node.clock, node.peer, 2_000)
  for (const known of [true, false]) {
    if (!known) {
      node.peer.close()
      await node.clock.settle()
      node.peer = await connect(node.app.hub)
    }
    // What it sends meanwhile is read behind the timers of the turn in which the process goes on.
    node.clock.stall(20_000)
    for (let i = 0; i < 20_000 / PACE; i++, sent++) node.peer.send('x')
    await assertAll(t, node, sent)
    sent += await send(node.clock, node.peer, 2_000)
  }
})

t.test('what it may have sent meanwhile is all it may send on top, and it can not be saved up', (t) => {
  const most = (rate: PeerRate, now: number, stalled = 0): number => {
    let taken = 0
    while (rate.take(now, stalled)) taken++
    return taken
  }
  const unread = (ms: number): PeerRate => {
    const rate = new PeerRate(LIMITS, 0, 0)
    rate.pause(0)
    rate.resume(ms, 0)
    return rate
  }
  t.equal(most(unread(5_000), 5_000), 200 + 500)
  t.equal(most(unread(5_000), 7_000), 200 + 300, 'it goes as it came')
  t.equal(most(unread(5_000), 60_000), 200)
  t.equal(most(unread(3_600_000), 3_600_000), 200 + 6_000, 'of a minute at most')
  const often = new PeerRate(LIMITS, 0, 0)
  for (let i = 0; i < 3_600; i++) {
    often.pause(i * 1_000)
    often.resume((i + 1) * 1_000, 0)
  }
  t.equal(most(often, 3_600_000), 200 + 6_000, 'however often')
  t.equal(most(new PeerRate(LIMITS, 5_000, 0), 5_000, 5_000), 200 + 500, 'a stall')
  const both = unread(5_000)
  both.pause(5_000)
  both.resume(10_000, 5_000)
  t.equal(most(both, 10_000, 5_000), 200 + 1_000, 'and one while it was not read counts once')
  t.end()
})

t.test('pauses and stalls at random: a peer at its rate is never over it, and all that one takes who floods is a burst and the rate', (t) => {
  const ms = fc.oneof(fc.nat(300), fc.nat(10_000))
  const op = fc.oneof(
    fc.record({ kind: fc.constantFrom('advance' as const, 'pause' as const), ms }),
    // The tick of the wheel comes between the first and the others: what the poll phase behind it has begun with.
    fc.record({ kind: fc.constant('stall' as const), ms, others: fc.array(ms, { maxLength: 3 }) })
  )
  for (const floods of [false, true]) {
    fc.assert(fc.property(fc.nat(5_000), fc.array(op, { maxLength: 40, size: 'max' }), (start, ops) => {
      const clock = new TestClock(0, start)
      const wheel = new TimingWheel(clock, (error) => { throw error })
      wheel.start()
      const { delay } = wheel
      const rate = new PeerRate(LIMITS, start, delay.stalledBefore)
      let taken = 0
      const read = (): void => {
        const sent = (clock.monotonic() - start) * LIMITS.messagesPerSecond / 1_000
        const limit = floods ? Infinity : Math.floor(sent)
        while (taken < limit && rate.take(clock.monotonic(), delay.stalled)) taken++
        if (!floods && taken < limit) throw new Error(`over the rate with ${limit - taken} left`)
        if (taken > sent + LIMITS.burst) throw new Error(`${taken} taken`)
      }
      for (const step of ops) {
        if (step.kind === 'stall') {
          const others = clock.every(1, () => {
            others.cancel()
            for (const other of step.others) clock.stall(other)
          })
          clock.stall(step.ms)
          others.cancel()
        } else {
          if (step.kind === 'pause') rate.pause(clock.monotonic())
          for (let left = step.ms; left > 0; left -= 20) {
            clock.advanceSync(Math.min(20, left))
            if (step.kind === 'advance') read()
          }
          if (step.kind === 'pause') rate.resume(clock.monotonic(), delay.stalled)
        }
        read()
      }
      wheel.stop()
    }), { numRuns: 200 })
  }
  t.end()
})
