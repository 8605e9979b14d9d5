import fc from 'fast-check'
import t from 'tap'
import { CALM_MS, Deadline, TICK_MS, Timeout, TimingWheel } from '../../../lib/core/timing-wheel.js'
import { TestClock } from '../../../lib/testing/test-clock.js'

const REVOLUTION = 1_024 * TICK_MS

class Entry extends Deadline {
  fired: number[] = []
  then: (() => void) | null = null
  override onDue (now: number): void {
    this.fired.push(now)
    this.then?.()
  }
}

function setup (start?: number): { clock: TestClock, wheel: TimingWheel, errors: unknown[] } {
  const clock = new TestClock(undefined, start)
  const errors: unknown[] = []
  const wheel = new TimingWheel(clock, (error) => { errors.push(error) })
  wheel.start()
  return { clock, wheel, errors }
}

t.test('starts and stops one timer', (t) => {
  const { clock, wheel } = setup()
  t.equal(wheel.running, true)
  wheel.start()
  t.equal(clock.timers, 1, 'starting twice changes nothing')
  wheel.stop()
  wheel.stop()
  t.equal(wheel.running, false)
  t.equal(clock.timers, 0)
  const entry = new Entry()
  wheel.arm(entry, 100)
  clock.advanceSync(10_000)
  t.same(entry.fired, [])
  wheel.start()
  clock.advanceSync(TICK_MS)
  t.equal(entry.fired.length, 1, 'started again, it catches up')
  t.end()
})

t.test('never early, at most a tick late, in any phase and over several revolutions', (t) => {
  for (const start of [0, 1, 50, 99, 100, 51_199, 51_200]) {
    for (const ms of [0, 1, 99, 100, 101, 5_000, REVOLUTION - 100, REVOLUTION - 1, REVOLUTION, REVOLUTION + 1, 3 * REVOLUTION + 7]) {
      const { clock, wheel } = setup(start)
      const entry = new Entry()
      wheel.arm(entry, ms)
      const due = clock.monotonic() + ms
      clock.advanceSync(ms + TICK_MS)
      t.equal(entry.fired.length, 1, `${ms} ms from ${start}`)
      const late = (entry.fired[0] as number) - due
      if (late < 0 || late > TICK_MS) t.fail(`${late} ms late`)
      t.equal(wheel.size, 0)
    }
  }
  t.end()
})

t.test('looks only where there is something, or at the longest interval between two looks', (t) => {
  const { clock, wheel } = setup(0)
  const looks: number[] = []
  const { every } = clock
  clock.every = (ms, fn) => every.call(clock, ms, () => {
    looks.push(clock.monotonic())
    fn()
  })
  clock.advanceSync(4 * CALM_MS)
  t.same(looks.splice(0), [2, 3, 4].map((n) => n * CALM_MS), 'the first was planned before')
  const [near, far] = [new Entry(), new Entry()]
  wheel.arm(near, 110)
  wheel.arm(far, 400)
  clock.advanceSync(500)
  t.same(looks, [1_150, 1_400])
  t.same([near.fired, far.fired], [[1_150], [1_400]])
  t.end()
})

t.test('arming again moves the deadline, disarming removes it', (t) => {
  const { clock, wheel } = setup(0)
  const [a, b, c] = [new Entry(), new Entry(), new Entry()]
  for (const entry of [a, b, c]) wheel.arm(entry, 500)
  t.equal(wheel.size, 3)
  t.equal(wheel.armed(b), true)
  wheel.disarm(b)
  wheel.disarm(b)
  t.equal(wheel.armed(b), false)
  wheel.arm(a, 1_000)
  t.equal(wheel.size, 2)
  clock.advanceSync(900)
  t.same([a.fired, b.fired, c.fired], [[], [], [500]])
  clock.advanceSync(100)
  t.same(a.fired, [1_000])
  t.end()
})

t.test('callbacks may arm and disarm themselves and others', (t) => {
  const { clock, wheel } = setup(0)
  const [again, killer, victim, late] = [new Entry(), new Entry(), new Entry(), new Entry()]
  again.then = () => { wheel.arm(again, 0) }
  killer.then = () => {
    wheel.disarm(victim)
    wheel.arm(late, REVOLUTION)
  }
  // The last that is armed is called first.
  for (const entry of [late, victim, killer, again]) wheel.arm(entry, 100)
  clock.advanceSync(500)
  t.equal(again.fired.length, 9, 'once a look, not for ever within one')
  t.same(victim.fired, [])
  t.same(late.fired, [], 're-armed into the same slot, a revolution later')
  clock.advanceSync(REVOLUTION)
  t.equal(late.fired.length, 1)
  t.end()
})

t.test('an entry that throws stops no other', (t) => {
  const { clock, wheel, errors } = setup(0)
  const [before, bad, after] = [new Entry(), new Entry(), new Entry()]
  bad.then = () => { throw new Error('bad') }
  for (const entry of [before, bad, after]) wheel.arm(entry, 100)
  clock.advanceSync(100)
  t.equal(before.fired.length + after.fired.length, 2)
  t.match(errors, [new Error('bad')])
  t.equal(wheel.armed(bad), false)
  t.end()
})

t.test('where even telling of an error fails, there is a next look', (t) => {
  const clock = new TestClock(undefined, 0)
  const wheel = new TimingWheel(clock, () => { throw new Error('cannot tell') })
  wheel.start()
  const [bad, later] = [new Entry(), new Entry()]
  bad.then = () => { throw new Error('bad') }
  wheel.arm(bad, 100)
  wheel.arm(later, 200)
  t.throws(() => { clock.advanceSync(100) }, { message: 'cannot tell' })
  clock.advanceSync(100)
  t.same(later.fired, [200])
  t.end()
})

t.test('a stall, of any length, fires what is due once, and the rest in time', (t) => {
  for (const stall of [1_000, REVOLUTION, REVOLUTION + 100, 10 * REVOLUTION + 50]) {
    const { clock, wheel } = setup(0)
    const overdue = [100, 777, stall].map((ms) => {
      const entry = new Entry()
      wheel.arm(entry, ms)
      return entry
    })
    const later = new Entry()
    wheel.arm(later, stall + 250)
    clock.stall(stall)
    t.ok(overdue.every(({ fired }) => fired.length === 1), `${stall}: all that was due`)
    t.same(later.fired, [], `${stall}: nothing early`)
    clock.advanceSync(400)
    t.equal(later.fired.length, 1, `${stall}: and the next is in time`)
  }
  t.end()
})

t.test('what a callback arms in the tick after a long stall is not lost for a revolution', (t) => {
  const { clock, wheel } = setup(0)
  const entry = new Entry()
  wheel.arm(entry, 10_000)
  entry.then = () => { if (entry.fired.length === 1) wheel.arm(entry, 0) }
  // It ends at a slot before the entry's own.
  clock.stall(2 * REVOLUTION + 5_000)
  clock.advanceSync(2 * TICK_MS)
  t.equal(entry.fired.length, 2)
  t.end()
})

t.test('a Timeout is a function with a deadline', (t) => {
  const { clock, wheel } = setup(0)
  let calls = 0
  const timeout = new Timeout(wheel, () => { calls++ })
  timeout.start(200)
  timeout.cancel()
  clock.advanceSync(300)
  t.equal(calls, 0)
  timeout.start(200)
  timeout.start(400)
  clock.advanceSync(300)
  t.equal(calls, 0)
  clock.advanceSync(300)
  t.equal(calls, 1)
  t.end()
})

t.test('random arming, disarming, time and stalls, against a sorted list', (t) => {
  const ENTRIES = 8
  const which = fc.nat(ENTRIES - 1)
  const ms = fc.oneof(fc.nat(400), fc.nat(3 * REVOLUTION), fc.nat(1_500).map((ticks) => ticks * TICK_MS), fc.constant(0))
  const op = fc.oneof(
    fc.record({ kind: fc.constant('arm' as const), which, ms }),
    fc.record({ kind: fc.constant('disarm' as const), which }),
    fc.record({ kind: fc.constant('advance' as const), ms }),
    fc.record({ kind: fc.constant('stall' as const), ms }),
    // Its next callback arms another entry, or itself.
    fc.record({ kind: fc.constant('chain' as const), which, other: which, ms })
  )
  fc.assert(fc.property(fc.oneof(fc.nat(200_000), fc.nat(2_000).map((tick) => tick * TICK_MS)), fc.array(op, { maxLength: 60, size: 'max' }), (start, ops) => {
    const { clock, wheel, errors } = setup(start)
    const due = new Map<number, number>()
    let stalled = 0
    const check = (now: number, i: number): void => {
      const expected = due.get(i)
      if (expected === undefined) throw new Error(`entry ${i} fired without being armed`)
      if (now < expected) throw new Error(`entry ${i} fired ${expected - now} ms early`)
      if (now - expected > TICK_MS + stalled) throw new Error(`entry ${i} fired ${now - expected} ms late`)
      due.delete(i)
    }
    const failures: unknown[] = []
    const chains = new Map<number, { other: number, ms: number }>()
    const entries = Array.from({ length: ENTRIES }, (_, i) => {
      const entry = new Entry()
      entry.then = () => {
        try {
          check(clock.monotonic(), i)
        } catch (error) {
          failures.push(error)
        }
        const chain = chains.get(i)
        chains.delete(i)
        if (chain !== undefined) arm(chain.other, chain.ms)
        // A callback that fails, now and then, must not matter.
        if (i === 0) throw new Error('bad')
      }
      return entry
    })
    const arm = (i: number, ms: number): void => {
      wheel.arm(entries[i] as Entry, ms)
      due.set(i, clock.monotonic() + ms)
    }
    for (const step of ops) {
      stalled = 0
      if (step.kind === 'arm') {
        arm(step.which, step.ms)
      } else if (step.kind === 'disarm') {
        wheel.disarm(entries[step.which] as Entry)
        due.delete(step.which)
      } else if (step.kind === 'chain') {
        chains.set(step.which, { other: step.other, ms: step.ms })
      } else if (step.kind === 'stall') {
        stalled = step.ms
        clock.stall(step.ms)
      } else {
        clock.advanceSync(step.ms)
      }
      if (wheel.size !== due.size) throw new Error(`size ${wheel.size} instead of ${due.size}`)
      for (const [i, at] of due) if (at + TICK_MS < clock.monotonic() && step.kind === 'advance') throw new Error(`entry ${i} was forgotten`)
      if (failures.length > 0) throw failures[0]
    }
    return errors.every((error) => (error as Error).message === 'bad')
  }), { numRuns: 300 })
  t.end()
})
