import fc from 'fast-check'
import t from 'tap'
import { QueueBudget } from '../../../lib/core/queue-budget.js'
import type { Overflow, PublishResult, SendResult } from '../../../lib/core/types.js'
import { TestClock } from '../../../lib/testing/test-clock.js'
import { startHub } from '../../helpers/fake-hub.js'
import { isOneWrite } from '../../helpers/wire.js'

const PEERS = 3
const who = fc.nat(PEERS - 1)
const policy = fc.constantFrom<Overflow | undefined>(undefined, undefined, 'drop-oldest', 'reject-new', 'disconnect')
const size = fc.oneof({ weight: 8, arbitrary: fc.nat(100) }, { weight: 2, arbitrary: fc.integer({ min: 20_000, max: 66_000 }) }, { weight: 1, arbitrary: fc.integer({ min: 65_520, max: 65_540 }) }, { weight: 1, arbitrary: fc.integer({ min: 66_000, max: 200_000 }) })
const key = fc.constantFrom(undefined, undefined, undefined, 'a', 'b')
const op = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('send' as const), who, size, policy, key }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('user' as const), size, policy, key }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('publish' as const), room: fc.constantFrom('all', 'pair'), size, policy, key, except: fc.option(who) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('broadcast' as const), size, policy, key, except: fc.option(who) }) },
  { weight: 4, arbitrary: fc.constant({ kind: 'turn' as const }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('block' as const), who, after: fc.nat(2) }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('drain' as const), who, takes: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reset' as const), who }) }
)
const limits = fc.record({ maxMessages: fc.constantFrom(0, 1, 3, 10), maxBytes: fc.constantFrom(0, 300, 100_000, 300_000), maxTotalBytes: fc.constantFrom(0, 400, 100_000, undefined) })

/*
 * Whatever the mix of sends, rooms and broadcasts, of turns, blocked and free sockets, replaced and dropped messages: a
 * peer sees what it was sent in the order of the calls, whole, never twice; and each message is accounted for.
 */
t.test('random mixes of direct, room and broadcast sends: the order of calls, and exact counters', async (t) => {
  await fc.assert(fc.asyncProperty(limits, fc.array(op, { maxLength: 80, size: 'max' }), async (queue, ops) => {
    const budget = new QueueBudget()
    const fake = await startHub({ queue, budget })
    const { hub, clock } = fake
    const peers = await Promise.all(Array.from({ length: PEERS }, async (_, i) => await fake.connect({ user: i % 2 === 0 ? 'even' : 'odd' })))
    const ids = peers.map(({ connection }) => connection.id)
    await Promise.all(peers.map(async ({ connection }, i) => {
      await connection.join('all')
      if (i < 2) await connection.join('pair')
    }))
    /** Texts of each call, in order, for each peer that was a target. */
    const calls = peers.map((): string[] => [])
    const results: Record<SendResult, number> = { sent: 0, queued: 0, rejected: 0, closed: 0 }
    let evicted = 0
    const promises: Array<Promise<void>> = []
    const count = (promise: Promise<PublishResult>): void => {
      promises.push(promise.then(({ sent, queued, rejected, dropped }) => {
        results.sent += sent
        results.queued += queued
        results.rejected += rejected
        evicted += dropped
      }))
    }
    let n = 0
    const text = (size: number): string => `${n++}:${'x'.repeat(size)}`
    for (const step of ops) {
      const peer = 'who' in step ? peers[step.who] as typeof peers[number] : null
      if (step.kind === 'send') {
        const message = text(step.size)
        const { dropped } = hub.stats().messages
        results[peer?.connection.send(message, { overflow: step.policy, key: step.key }) ?? 'closed']++
        evicted += hub.stats().messages.dropped - dropped
        calls[step.who]?.push(message)
      } else if (step.kind === 'user') {
        const message = text(step.size)
        const before = hub.stats().messages
        const sending = hub.user('even').send(message, { overflow: step.policy, key: step.key })
        const after = hub.stats().messages
        evicted += after.dropped - before.dropped
        results.queued += after.queued - before.queued
        results.rejected += after.rejected - before.rejected
        promises.push(sending.then(({ delivered }) => { results.sent += delivered - (after.queued - before.queued) }))
        calls.forEach((list, i) => { if (i % 2 === 0) list.push(message) })
      } else if (step.kind === 'publish' || step.kind === 'broadcast') {
        const message = text(step.size)
        const except = step.except === null ? undefined : ids[step.except]
        const options = { overflow: step.policy, key: step.key, except }
        count(step.kind === 'broadcast' ? hub.broadcast(message, options) : hub.room(step.room).publish(message, { ...options, ephemeral: true }))
        calls.forEach((list, i) => {
          if (i !== step.except && (step.kind === 'broadcast' || step.room === 'all' || i < 2)) list.push(message)
        })
      } else if (step.kind === 'turn') {
        clock.turn()
      } else if (step.kind === 'block') {
        if (peer?.transport.writable === true && !peer.transport.blocked) peer.transport.block(step.after)
      } else if (step.kind === 'drain') {
        if (peer?.transport.blocked === true && !peer.transport.ended) peer.transport.drain(step.takes)
      } else {
        peer?.transport.reset()
      }
      if (hub.stats().queuedBytes !== peers.reduce((sum, { connection }) => sum + connection.queued.bytes, 0)) throw new Error('the gauge is wrong')
      if (budget.bytes > budget.limit) throw new Error('over the budget')
    }
    await Promise.all(promises)
    clock.turn()
    for (const { transport } of peers) while (transport.blocked && !transport.ended) transport.drain(1)
    clock.turn()

    let read = 0
    peers.forEach(({ transport }, i) => {
      const messages = transport.messages as string[]
      read += messages.length
      let at = -1
      for (const message of messages) {
        const found = (calls[i] as string[]).indexOf(message, at + 1)
        if (found === -1) throw new Error('out of order, twice, or of somebody else')
        at = found
      }
      if (!transport.writes.every(isOneWrite)) throw new Error('a write of more than 64 KiB')
      if (!transport.ended && !transport.complete) throw new Error('half a message')
    })
    const { sent, queued, dropped, rejected, replaced } = hub.stats().messages
    if (sent !== read) throw new Error(`${sent} counted as sent, ${read} read`)
    if (queued !== results.queued || rejected !== results.rejected) throw new Error('counters are not what the calls said')
    const accepted = results.sent + results.queued
    if (accepted !== sent + dropped + replaced) throw new Error(`${accepted} accepted, but ${sent} sent, ${dropped} dropped, ${replaced} replaced`)
    if (peers.every(({ transport }) => !transport.ended) && dropped !== evicted) throw new Error(`${dropped} dropped, ${evicted} evicted`)
    t.same(fake.errors, [])
    return hub.stats().queuedBytes === 0 && budget.bytes === 0 && budget.queues === 0
  }), { numRuns: 300 })
})

/** Each look at it finds 6 ms gone: a flush is over its time at the first look. */
class HastyClock extends TestClock {
  #gone = 0
  override monotonic (): number { return super.monotonic() + (this.#gone += 6) }
}

const MANY = 200
const manyOp = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('send' as const), who: fc.nat(MANY - 1) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('broadcast' as const), except: fc.option(fc.nat(MANY - 1)) }) },
  { weight: 3, arbitrary: fc.constant({ kind: 'publish' as const }) },
  { weight: 4, arbitrary: fc.constant({ kind: 'turn' as const }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('close' as const), who: fc.nat(MANY - 1) }) }
)

t.test('while a fan-out is flushed in slices, whatever is sent in between comes in the order of the calls, and nothing is missing', async () => {
  await fc.assert(fc.asyncProperty(fc.array(manyOp, { maxLength: 60, size: 'max' }), async (ops) => {
    const clock = new HastyClock()
    const { hub, connect } = await startHub({ clock }).then((fake) => ({ hub: fake.hub, connect: async () => await fake.connect() }))
    const peers = await Promise.all(Array.from({ length: MANY }, connect))
    await Promise.all(peers.slice(0, MANY / 2).map(async ({ connection }) => { await connection.join('half') }))
    const expected = peers.map((): string[] => [])
    const closed = new Set<number>()
    let slices = 0
    for (const [n, step] of ops.entries()) {
      const message = String(n)
      const to = (list: (i: number) => boolean): void => {
        expected.forEach((messages, i) => { if (!closed.has(i) && list(i)) messages.push(message) })
      }
      if (step.kind === 'send') {
        peers[step.who]?.connection.send(message)
        to((i) => i === step.who)
      } else if (step.kind === 'broadcast') {
        hub.broadcast(message, { except: step.except === null ? undefined : peers[step.except]?.connection.id })
        to((i) => i !== step.except)
      } else if (step.kind === 'publish') {
        hub.room('half').publish(message)
        to((i) => i < MANY / 2)
      } else if (step.kind === 'close') {
        peers[step.who]?.connection.close()
        closed.add(step.who)
      } else {
        slices++
        clock.turn()
      }
    }
    for (let turn = 0; turn < 10; turn++) clock.turn()
    peers.forEach(({ transport }, i) => {
      const messages = transport.messages as string[]
      if (messages.join() !== expected[i]?.join()) throw new Error(`peer ${i} has ${messages.join()} after ${slices} turns, not ${expected[i]?.join()}`)
    })
  }), { numRuns: 60 })
})
