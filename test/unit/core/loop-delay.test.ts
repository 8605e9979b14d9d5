import t from 'tap'
import { LoopDelay } from '../../../lib/core/loop-delay.js'
import { LOOK_MS, TimingWheel } from '../../../lib/core/timing-wheel.js'
import { TestClock } from '../../../lib/testing/test-clock.js'

function setup (): { clock: TestClock, wheel: TimingWheel, delay: LoopDelay } {
  const clock = new TestClock()
  const wheel = new TimingWheel(clock, (error) => { throw error })
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
    clock.stall(LOOK_MS + 160)
    seen.push(delay.current)
  }
  t.same(seen, [80, 120, 140, 150, 155])
  seen.length = 0
  for (let i = 0; i < 5; i++) {
    clock.advanceSync(LOOK_MS)
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

t.test('a stall that still goes on counts, before its tick comes', (t) => {
  const clock = new TestClock()
  const delay = new LoopDelay(clock, LOOK_MS)
  delay.start()
  clock.advanceSync(LOOK_MS)
  t.equal(delay.current, 0)
  clock.advanceSync(50)
  t.equal(delay.current, 25)
  clock.advanceSync(950)
  t.equal(delay.current, 500)
  delay.tick()
  t.equal(delay.current, 500, 'what it was expected to become')
  clock.advanceSync(LOOK_MS)
  t.equal(delay.current, 500, 'nothing is known of the next tick before it is late')
  delay.tick()
  t.equal(delay.current, 250)
  t.end()
})

t.test('before the start and after the stop there is none; what went on before the start does not count', (t) => {
  const clock = new TestClock()
  const delay = new LoopDelay(clock, LOOK_MS)
  clock.advanceSync(60_000)
  t.equal(delay.current, 0)
  delay.tick()
  t.equal(delay.current, 0)
  delay.start()
  t.equal(delay.current, 0)
  clock.advanceSync(1_000)
  delay.tick()
  t.equal(delay.current, (1_000 - LOOK_MS) / 2)
  delay.stop()
  clock.advanceSync(60_000)
  t.equal(delay.current, 0)
  t.end()
})
