import fc from 'fast-check'
import t from 'tap'
import { MemoryOfflineStore } from '../../../lib/memory/offline-store.js'
import { TestClock } from '../../../lib/testing/test-clock.js'

const MINUTE = 60_000

interface World { clock: TestClock, store: MemoryOfflineStore, dropped: Array<[reason: string, count: number]> }

function setup (maxMessages = 100): World {
  const clock = new TestClock()
  const dropped: World['dropped'] = []
  const store = new MemoryOfflineStore(clock, { maxMessages }, { onDropped: (reason, count) => { dropped.push([reason, count]) } })
  return { clock, store, dropped }
}

t.test('what is too old is freed, and told, for users who never come back', async (t) => {
  const { clock, store, dropped } = setup()
  await store.put('ann', '1', 100)
  await store.put('ann', '2', 200)
  await store.put('bob', '3', 300)
  await store.put('bob', '4', 10 * MINUTE)
  clock.setWallClock(clock.now() + 60 * MINUTE)
  await clock.advance(MINUTE)
  t.same(dropped, [['expired', 3]])
  t.equal(store.messages, 1)
  await clock.advance(10 * MINUTE)
  t.same(dropped, [['expired', 3], ['expired', 1]])
  t.equal(store.messages, 0)
})

t.test('the timer runs while there is a message', async (t) => {
  const { clock, store } = setup()
  t.equal(clock.timers, 0)
  const id = await store.put('ann', '1', 100)
  await store.put('bob', '2', 100)
  t.equal(clock.timers, 1)
  await store.acknowledge('ann', [id])
  t.equal(clock.timers, 1)
  await clock.advance(200)
  t.same(await store.list('bob', undefined, 10), [])
  t.equal(clock.timers, 0, 'the last was found to be too old')
  await store.put('ann', '3', MINUTE)
  await clock.advance(2 * MINUTE)
  t.equal(clock.timers, 0)
  await store.put('ann', '4', 0)
  await store.close()
  await store.close()
  t.same([clock.timers, store.messages], [0, 0])
})

t.test('an expiry is exact, though it is freed later', async (t) => {
  const { clock, store, dropped } = setup()
  await store.put('ann', '1', 100)
  await clock.advance(99)
  t.equal((await store.list('ann', undefined, 10)).length, 1)
  await clock.advance(1)
  t.same(await store.list('ann', undefined, 10), [])
  t.same(dropped, [['expired', 1]])
})

t.test('with a limit of 0 nothing is kept', async (t) => {
  const { clock, store, dropped } = setup(0)
  await store.put('ann', '1', 0)
  t.same([store.messages, dropped, clock.timers], [0, [['evicted', 1]], 0])
})

t.test('ids of another process fit nothing here', async (t) => {
  const [first, second] = [setup().store, setup().store]
  const old = await first.put('ann', 'old', 0)
  await second.put('ann', 'new', 0)
  t.equal(await second.acknowledge('ann', [old]), 0)
  t.same((await second.list('ann', old, 10)).map(({ payload }) => payload), ['new'], 'all came after it')
})

t.test('a list from any point is as an Array that is searched', async () => {
  const step = fc.record({ do: fc.constantFrom('put', 'put', 'put', 'acknowledge', 'wait'), pick: fc.nat({ max: 29 }), ttl: fc.constantFrom(0, 50, 500, MINUTE) })
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 30, size: 'max' }), fc.integer({ min: 1, max: 8 }), async (steps, maxMessages) => {
    const { clock, store, dropped } = setup(maxMessages)
    const ids: string[] = []
    let model: Array<{ id: string, end: number }> = []
    let [gone, acknowledged] = [0, 0]
    for (const { do: what, pick, ttl } of steps) {
      const now = clock.monotonic()
      const alive = model.filter(({ end }) => end > now)
      const id = ids[pick] ?? 'none'
      if (what === 'put') {
        gone += model.length - alive.length + (alive.length >= maxMessages ? 1 : 0)
        const next = await store.put('ann', `${ids.length}`, ttl)
        ids.push(next)
        model = [...alive, { id: next, end: ttl === 0 ? Infinity : now + ttl }].slice(-maxMessages)
      } else if (what === 'acknowledge') {
        // It may be too old and still there: it counts as the one or as the other.
        await store.list('ann', undefined, 1)
        gone += model.length - alive.length
        model = alive.filter((one) => one.id !== id)
        acknowledged += alive.length - model.length
        if (await store.acknowledge('ann', [id]) !== alive.length - model.length) throw new Error('acknowledged others')
      } else {
        clock.advanceSync(ttl)
        gone += model.length
        model = model.filter(({ end }) => end > clock.monotonic())
        gone -= model.length
        await store.list('ann', undefined, 1)
      }
      const listed = await store.list('ann', ids[pick], 3)
      const expected = model.filter((one) => ids.indexOf(one.id) > (ids[pick] === undefined ? -1 : pick)).slice(0, 3)
      if (listed.map(({ id }) => id).join() !== expected.map(({ id }) => id).join()) throw new Error(`${listed.length} instead of ${expected.length}`)
      if (dropped.reduce((sum, [, count]) => sum + count, 0) !== gone || store.messages !== ids.length - gone - acknowledged) throw new Error('counted wrong')
    }
  }), { numRuns: 300 })
})
