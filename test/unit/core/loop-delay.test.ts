import t from 'tap'
import { LoopDelay } from '../../../lib/core/loop-delay.js'
import { CALM_MS, TICK_MS, TimingWheel } from '../../../lib/core/timing-wheel.js'
import { TestClock } from '../../../lib/testing/test-clock.js'

function setup (): { clock: TestClock, wheel: TimingWheel, delay: LoopDelay } {
  const clock = new TestClock()
  // As with a limit for it.
  const wheel = new TimingWheel(clock, (error) => { throw error }, TICK_MS)
  wheel.start()
  return { clock, wheel, delay: wheel.delay }
}

t.test('a loop that is on time', (t) => {
  const { clock, delay } = setup()
  for (let i = 0; i < 100; i++) {
    clock.advanceSync(37)
    t.equal(delay.current, 0)
  }
  t.end()
})

t.test('the wheel has one timer, for this too', (t) => {
  const { clock, wheel } = setup()
  wheel.start()
  t.equal(clock.timers, 1)
  wheel.stop()
  t.equal(clock.timers, 0)
  t.end()
})

t.test('one pause counts for half, wherever in the tick it begins', (t) => {
  for (const pause of [50, 150, 200]) {
    for (const before of [0, 1, 40, 99]) {
      const { clock, delay } = setup()
      clock.advanceSync(500 + before)
      clock.stall(pause)
      let worst = delay.current
      for (let i = 0; i < 500; i++) {
        clock.advanceSync(1)
        worst = Math.max(worst, delay.current)
      }
      t.equal(worst <= pause / 2, true, `${pause} ms, ${before} ms after a tick: ${worst}`)
      t.equal(delay.current <= pause / 2 / 16, true, 'forgotten')
    }
  }
  t.end()
})

t.test('a loop that is late each time is found, and recovers by itself', (t) => {
  const { clock, delay } = setup()
  const seen: number[] = []
  for (let i = 0; i < 5; i++) {
    clock.stall(TICK_MS - clock.monotonic() % TICK_MS + 160)
    seen.push(delay.current)
  }
  t.same(seen, [80, 120, 140, 150, 155])
  seen.length = 0
  for (let i = 0; i < 5; i++) {
    clock.advanceSync(TICK_MS)
    seen.push(delay.current)
  }
  t.same(seen, [77.5, 38.75, 19.375, 9.6875, 4.84375])
  t.end()
})

t.test('the longest stall is forgotten within 2 s', (t) => {
  const { clock, delay } = setup()
  clock.stall(60 * 60_000)
  t.equal(delay.current > 1_000_000, true)
  clock.advanceSync(2_000)
  t.equal(delay.current < 10, true)
  t.end()
})

t.test('without a limit a stall of a second is found all the same, at a look a quarter of a second later at most', (t) => {
  const clock = new TestClock()
  const wheel = new TimingWheel(clock, (error) => { throw error })
  wheel.start()
  t.same([clock.timers, wheel.delay.current], [1, 0])
  clock.advanceSync(10 * CALM_MS)
  t.equal(wheel.delay.current, 0)
  clock.stall(CALM_MS + 2_000)
  t.equal(wheel.delay.current >= 1_000, true)
  t.end()
})

t.test('a stall that still goes on counts, before its tick comes', (t) => {
  const clock = new TestClock()
  const delay = new LoopDelay(clock)
  delay.expect(clock.monotonic() + 100)
  clock.advanceSync(100)
  t.equal(delay.current, 0)
  clock.advanceSync(50)
  t.equal(delay.current, 25)
  clock.advanceSync(950)
  t.equal(delay.current, 500)
  delay.tick()
  t.equal(delay.current, 500, 'what it was expected to become')
  delay.expect(clock.monotonic() + 100)
  clock.advanceSync(100)
  t.equal(delay.current, 500, 'nothing is known of the next tick before it is late')
  delay.tick()
  t.equal(delay.current, 250)
  t.end()
})

t.test('before the start and after the stop there is none; what went on before the start does not count', (t) => {
  const clock = new TestClock()
  const delay = new LoopDelay(clock)
  clock.advanceSync(60_000)
  t.equal(delay.current, 0)
  delay.tick()
  t.equal(delay.current, 0)
  delay.expect(clock.monotonic() + 100)
  t.equal(delay.current, 0)
  clock.advanceSync(1_000)
  delay.tick()
  t.equal(delay.current, 450)
  delay.stop()
  clock.advanceSync(60_000)
  t.equal(delay.current, 0)
  t.end()
})

t.test('a stall behind a tick, in what is done before the next one is planned, is one, too', (t) => {
  const clock = new TestClock()
  const delay = new LoopDelay(clock)
  const next = (late: number): void => {
    delay.expect(clock.monotonic() + 100)
    clock.advanceSync(100 + late)
    delay.tick()
  }
  next(1_000)
  t.same([delay.stalled, delay.stalledBefore], [1_000, 0])
  clock.advanceSync(3_000)
  t.same([delay.stalled, delay.stalledBefore], [4_000, 0], 'it goes on')
  next(0)
  t.same([delay.stalled, delay.stalledBefore], [4_000, 1_000], 'its tick, behind which what came meanwhile may be read')
  clock.advanceSync(49)
  next(0)
  t.same([delay.stalled, delay.stalledBefore], [4_000, 4_000])
  delay.stop()
  clock.advanceSync(3_000)
  t.equal(delay.stalled, 4_000)
  t.end()
})
