import t from 'tap'
import { settled } from '../../helpers/until.js'
import { startHub, type FakeHub, type FakeHubOptions, type FakePeer } from '../../helpers/fake-hub.js'
import { SlowDirectory } from '../../helpers/slow-directory.js'

async function hubWith (count: number, options: FakeHubOptions): Promise<{ fake: FakeHub, peers: FakePeer[], closed: () => number }> {
  const fake = await startHub(options)
  const peers = Array.from({ length: count }, () => fake.accept())
  await settled()
  return { fake, peers, closed: () => peers.filter(({ transport }) => transport.closed !== null).length }
}

/** Whether a promise has been fulfilled. */
function watch (promise: Promise<void>): { done: boolean } {
  const state = { done: false }
  promise.then(() => { state.done = true }, () => {})
  return state
}

t.test('an empty hub is drained at once', async (t) => {
  const fake = await startHub()
  await fake.hub.drain()
  t.equal(fake.hub.wheel.size, 0)
  t.throws(() => fake.hub.admission.acquire(null, () => {}), { code: 'FST_HUB_DRAINING' })
})

t.test('a few connections need no spread: 64 at once at least', async (t) => {
  const { fake, peers } = await hubWith(64, {})
  const drain = watch(fake.hub.drain())
  t.ok(peers.every(({ transport }) => transport.closed?.code === 1012 && transport.closed.reason === 'service restart'))
  await fake.turn()
  t.equal(drain.done, true)
  t.equal(fake.hub.wheel.size, 0)
})

t.test('many are spread', async (t) => {
  const { fake, closed } = await hubWith(1_500, { drain: { spread: 500, timeout: 0 } })
  const drain = watch(fake.hub.drain())
  t.equal(closed(), 150)
  for (const expected of [300, 450, 600, 750, 900, 1_050, 1_200, 1_350]) {
    await fake.advance(50)
    t.equal(closed(), expected)
    t.equal(drain.done, false)
  }
  await fake.advance(200)
  t.equal(closed(), 1_500)
  t.equal(drain.done, true)
  t.equal(fake.hub.wheel.size, 0)
})

t.test('the minimum batch shortens the spread; spread 0 is all at once', async (t) => {
  const few = await hubWith(300, { drain: { spread: 5_000, timeout: 0 } })
  few.fake.hub.drain().catch(t.fail)
  t.equal(few.closed(), 64)
  await few.fake.advance(200)
  t.equal(few.closed(), 300)
  const all = await hubWith(300, { drain: { spread: 0, timeout: 0 } })
  all.fake.hub.drain().catch(t.fail)
  t.equal(all.closed(), 300)
})

t.test('FAULTS 46: queues are flushed, silent peers are terminated at the timeout', async (t) => {
  const { fake, peers } = await hubWith(3, { drain: { spread: 0, timeout: 2_000 }, settings: { deadlines: { write: 0, handler: 0, close: 60_000 } } })
  const [polite, slow, silent] = peers as [FakePeer, FakePeer, FakePeer]
  slow.transport.block()
  slow.connection.send('still queued')
  silent.transport.answersClose = false
  const drain = watch(fake.hub.drain())
  await fake.turn()
  t.equal(polite.transport.ended, true)
  slow.transport.drain()
  await fake.turn()
  t.same(slow.transport.messages, ['still queued'])
  t.equal(slow.transport.closed?.code, 1012)
  await fake.advance(1_800)
  t.equal(drain.done, false)
  t.equal(silent.transport.terminated, false)
  await fake.advance(400)
  t.equal(silent.transport.terminated, true)
  t.equal(drain.done, true)
  t.equal(fake.hub.wheel.size, 0)
})

t.test('deadlines.close bounds silent peers before the timeout does', async (t) => {
  const { fake, peers } = await hubWith(1, { settings: { deadlines: { write: 0, handler: 0, close: 1_000 } } })
  const [{ transport }] = peers as [FakePeer]
  transport.answersClose = false
  const drain = watch(fake.hub.drain())
  await fake.advance(1_200)
  t.equal(drain.done, true)
})

t.test('it waits for onDisconnect, but not beyond the timeout', async (t) => {
  let open = (): void => {}
  const wait = new Promise<void>((resolve) => { open = resolve })
  const waiting = await hubWith(1, { onDisconnect: () => wait })
  const drain = watch(waiting.fake.hub.drain())
  await waiting.fake.advance(1_000)
  t.equal(waiting.fake.hub.size, 0)
  t.equal(drain.done, false)
  open()
  await settled()
  t.equal(drain.done, true)

  const hanging = await hubWith(2, { onDisconnect: () => new Promise(() => {}), drain: { spread: 0, timeout: 1_000 } })
  const given = watch(hanging.fake.hub.drain())
  await hanging.fake.advance(1_200)
  t.equal(given.done, true)
})

t.test('who is not in the hub yet is closed when it gets there, and waited for', async (t) => {
  const calls: string[] = []
  const fake = await startHub({ onConnect: () => { calls.push('connect') }, onDisconnect: () => { calls.push('disconnect') } })
  const early = fake.accept()
  const drain = watch(fake.hub.drain())
  await settled()
  t.equal(drain.done, false)
  t.equal(early.transport.closed?.code, 1012)
  await fake.turn()
  t.equal(drain.done, true)
  t.same(calls, [])
})

t.test('one that hangs on its way in is terminated at the timeout', async (t) => {
  const fake = await startHub({ drain: { spread: 0, timeout: 1_000 }, directory: new SlowDirectory() })
  const { transport } = fake.accept()
  const drain = watch(fake.hub.drain())
  await fake.advance(1_200)
  t.equal(transport.terminated, true)
  t.equal(drain.done, true)
})

t.test('draining twice is the same drain', async (t) => {
  const { fake, closed } = await hubWith(200, { drain: { spread: 5_000, timeout: 0 } })
  const both = [watch(fake.hub.drain()), watch(fake.hub.drain())]
  t.equal(closed(), 64)
  await fake.advance(200)
  t.same(both.map(({ done }) => done), [true, true])
  await fake.hub.drain()
})

t.test('connections that leave by themselves meanwhile are passed over', async (t) => {
  const { fake, peers } = await hubWith(300, { drain: { spread: 5_000, timeout: 15_000 } })
  const drain = watch(fake.hub.drain())
  for (const { transport } of peers) if (transport.closed === null) transport.peerClose(1001)
  await fake.turn()
  t.equal(drain.done, true)
  t.equal(fake.hub.wheel.size, 0)
})

t.test('messages that had come are still handled', async (t) => {
  const handled: string[] = []
  const { fake, peers } = await hubWith(1, {
    onMessage: async (_connection, message) => {
      await settled()
      handled.push(message.text())
    }
  })
  const [{ transport }] = peers as [FakePeer]
  for (const text of ['1', '2']) transport.message(text)
  const drain = fake.hub.drain()
  fake.clock.turn()
  await drain
  t.same(handled, ['1', '2'])
})
