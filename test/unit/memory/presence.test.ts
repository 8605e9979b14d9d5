import fc from 'fast-check'
import t from 'tap'
import { MemoryPresence, MemoryPresenceStore } from '../../../lib/memory/presence.js'
import { TestClock } from '../../../lib/testing/test-clock.js'
import { FakePresenceListener } from '../../helpers/fake-presence-listener.js'
import { PresenceView } from '../../helpers/presence-view.js'

const INTERVAL = 1_000

interface World { clock: TestClock, store: MemoryPresenceStore, listener: FakePresenceListener, presence: MemoryPresence }

function setup (): World {
  const clock = new TestClock()
  const store = new MemoryPresenceStore(clock, INTERVAL)
  const listener = new FakePresenceListener()
  return { clock, store, listener, presence: new MemoryPresence(store, listener) }
}

t.test('forgets everybody when the last node closes', async (t) => {
  const { clock, store, presence } = setup()
  const other = new MemoryPresence(store, new FakePresenceListener())
  await presence.enter('room', 'ann', '1')
  await presence.setState('room', 'ann', 'typing', 5_000)
  await other.watch('room')
  await other.watch('empty')
  await other.close()
  t.same([store.rooms, (await presence.list('room')).length], [1, 1])
  await presence.close()
  t.same([store.rooms, clock.timers], [0, 0])
  t.same(await presence.list('room'), [])
})

t.test('a room is forgotten when nobody is in it and nobody watches', async (t) => {
  const { store, presence } = setup()
  await presence.enter('room', 'ann', '1')
  await presence.watch('room')
  await presence.leave('room', 'ann', '1')
  t.equal(store.rooms, 1)
  await presence.unwatch('room')
  t.equal(store.rooms, 0)
  for (const call of [presence.leave('room', 'ann', '1'), presence.setState('room', 'ann', 'x', 1), presence.unwatch('room'), presence.list('room'), presence.states('room')]) await call
  t.equal(store.rooms, 0)
})

t.test('a diff comes an interval after the first change, and the next not before another has passed', async (t) => {
  const { clock, listener, presence } = setup()
  const times: number[] = []
  listener.then = () => { times.push(clock.monotonic()) }
  await presence.watch('room')
  const start = clock.monotonic()
  for (let i = 0; i < 35; i++) {
    await presence.enter('room', `user ${i}`, `${i}`)
    await clock.advance(100)
  }
  t.same(times.map((time) => time - start), [1_000, 2_000, 3_000])
  await clock.advance(INTERVAL)
  t.equal(listener.story('room').length, 35)
})

t.test('the timer runs only while there is something to tell, or a state', async (t) => {
  const { clock, listener, presence } = setup()
  await presence.enter('room', 'ann', '1')
  t.equal(clock.timers, 0, 'nobody watches')
  await presence.watch('room')
  t.equal(clock.timers, 0, 'nothing has changed')
  await presence.enter('room', 'bob', '2')
  t.equal(clock.timers, 1)
  await presence.unwatch('room')
  t.equal(clock.timers, 0)
  await presence.watch('room')
  await presence.leave('room', 'bob', '2')
  await clock.advance(INTERVAL)
  t.same([listener.story('room'), clock.timers], [['-bob'], 0])
  await presence.unwatch('room')
  await presence.setState('room', 'ann', 'typing', 2_500)
  t.equal(clock.timers, 1, 'what nobody watches is freed all the same')
  await clock.advance(2_999)
  t.equal(clock.timers, 1)
  await clock.advance(1)
  t.equal(clock.timers, 0)
  await presence.setState('room', 'ann', 'typing', 2_500)
  await presence.setState('room', 'ann', 'typing', 0)
  t.equal(clock.timers, 0)
})

t.test('a state that is over is not answered, even before its end is told', async (t) => {
  const { clock, listener, presence } = setup()
  await presence.enter('room', 'ann', '1')
  await presence.watch('room')
  await presence.setState('room', 'ann', 'typing', 1_200)
  clock.setWallClock(clock.now() + 3_600_000)
  await clock.advance(1_199)
  t.equal((await presence.states('room')).length, 1)
  await clock.advance(1)
  t.same(await presence.states('room'), [])
  t.same(listener.story('room'), ['ann:typing on'])
  await clock.advance(800)
  t.same(listener.story('room'), ['ann:typing on', 'ann:typing off'])
})

t.test('a state that begins again before its end was told has not ended for who watches', async (t) => {
  const { clock, listener, presence } = setup()
  await presence.enter('room', 'ann', '1')
  await presence.watch('room')
  await presence.setState('room', 'ann', 'typing', 1_200)
  await clock.advance(1_500)
  await presence.setState('room', 'ann', 'typing', 5_000)
  await clock.advance(2_000)
  t.same(listener.story('room'), ['ann:typing on'])
})

t.test('a listener may change rooms while it is told: that comes with the next diff', async (t) => {
  const { clock, store, listener, presence } = setup()
  const calls: Array<Promise<void>> = []
  await presence.watch('room')
  listener.then = (room, { joined }) => {
    calls.push(joined.includes('ann') ? presence.leave(room, 'ann', '1') : presence.unwatch(room))
  }
  await presence.enter('room', 'ann', '1')
  await clock.advance(INTERVAL)
  t.same(listener.story('room'), ['+ann'])
  await clock.advance(INTERVAL)
  t.same(listener.story('room'), ['+ann', '-ann'])
  t.same([store.rooms, clock.timers], [0, 0])
  await Promise.all(calls)
})

t.test('whoever asks at any time, and applies the diffs that follow, sees the room as it is', async () => {
  const user = fc.constantFrom('ann', 'bob')
  const step = fc.oneof(
    fc.record({ do: fc.constantFrom('enter' as const, 'leave' as const), user, id: fc.constantFrom('1', '2') }),
    fc.record({ do: fc.constant('state' as const), user, key: fc.constantFrom('typing', 'drawing'), ttl: fc.constantFrom(0, 300, 1_500, 100_000) }),
    fc.record({ do: fc.constant('ask' as const) }),
    fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(100, 400, 1_000) })
  )
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), async (steps) => {
    const { clock, store, listener, presence } = setup()
    const other = new MemoryPresence(store, new FakePresenceListener())
    const views: PresenceView[] = []
    listener.then = (_room, diff) => { for (const view of views) view.apply(diff) }
    const ask = async (): Promise<PresenceView> => new PresenceView(await presence.list('room'), await presence.states('room'))
    await presence.watch('room')
    await other.watch('room')
    for (const [i, step] of steps.entries()) {
      const node = i % 2 === 0 ? presence : other
      if (step.do === 'ask') views.push(await ask())
      else if (step.do === 'wait') clock.advanceSync(step.ms)
      else if (step.do === 'state') await node.setState('room', step.user, step.key, step.ttl)
      else await node[step.do]('room', step.user, `${step.user} ${step.id}`)
    }
    // The short states have ended by then, and that has been told; the long ones are longer than all steps.
    clock.advanceSync(4 * INTERVAL)
    const { text } = await ask()
    for (const view of views) if (view.text !== text) throw new Error(`${view.text} instead of ${text}`)
    if (listener.heard.some(({ diff: { joined, left, states } }) => joined.length + left.length + states.length === 0)) throw new Error('an empty diff')
  }), { numRuns: 300 })
})
