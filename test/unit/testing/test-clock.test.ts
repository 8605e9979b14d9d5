import t from 'tap'
import { TestClock } from '../../../lib/testing/test-clock.js'
import { settled } from '../../helpers/until.js'

t.test('time stands still until it is moved, and both clocks move together', async (t) => {
  const clock = new TestClock(1_000_000, 50)
  t.same([clock.now(), clock.monotonic()], [1_000_000, 50])
  await settled()
  t.same([clock.now(), clock.monotonic()], [1_000_000, 50])
  await clock.advance(1_500)
  t.same([clock.now(), clock.monotonic()], [1_001_500, 1_550])
  clock.advanceSync(500)
  t.same([clock.now(), clock.monotonic()], [1_002_000, 2_050])
  clock.setWallClock(5)
  t.same([clock.now(), clock.monotonic()], [5, 2_050], 'deadlines do not move with the wall clock')
  clock.stall(10)
  t.same([clock.now(), clock.monotonic()], [15, 2_060])
})

t.test('timers run when they are due, in order, until they are cancelled', async (t) => {
  for (const way of ['advance', 'advanceSync'] as const) {
    const clock = new TestClock()
    const start = clock.monotonic()
    const runs: Array<[string, number]> = []
    const note = (name: string) => () => { runs.push([name, clock.monotonic() - start]) }
    const slow = clock.every(250, note('slow'))
    clock.every(100, note('quick'))
    await clock[way](500)
    t.same(runs, [['quick', 100], ['quick', 200], ['slow', 250], ['quick', 300], ['quick', 400], ['slow', 500], ['quick', 500]])
    t.equal(clock.timers, 2)
    slow.cancel()
    t.equal(clock.timers, 1)
    await clock[way](250)
    t.same(runs.slice(7), [['quick', 600], ['quick', 700]])
    t.equal(clock.monotonic() - start, 750)
  }
})

t.test('advance: after each timer everything happens that needs no time', async (t) => {
  const clock = new TestClock()
  const order: string[] = []
  const timer = clock.every(100, () => {
    order.push(`timer at ${clock.monotonic()}`)
    clock.defer(() => {
      Promise.resolve().then(() => {
        clock.defer(() => { order.push(`at the end of it, at ${clock.monotonic()}`) })
      }).catch(t.fail)
    })
  })
  await clock.advance(200)
  t.same(order, ['timer at 1134', 'at the end of it, at 1134', 'timer at 1234', 'at the end of it, at 1234'])
  timer.cancel()
})

t.test('advance twice at once: time never goes back', async (t) => {
  const clock = new TestClock()
  let last = clock.monotonic()
  clock.every(100, () => {
    t.ok(clock.monotonic() >= last)
    last = clock.monotonic()
  })
  await Promise.all([clock.advance(1_000), clock.advance(350)])
  t.equal(clock.monotonic(), 2_034)
})

t.test('turns go on by themselves; turn ends one at once', async (t) => {
  const clock = new TestClock()
  const ran: string[] = []
  clock.defer(() => { ran.push('first') })
  t.same(ran, [])
  await settled()
  t.same(ran, ['first'])
  clock.defer(() => {
    ran.push('second')
    clock.defer(() => { ran.push('third') })
  })
  clock.turn()
  t.same(ran, ['first', 'second'], 'what it defers waits for the next')
  await settled()
  t.same(ran, ['first', 'second', 'third'])
  await settled()
  t.equal(ran.length, 3, 'once is enough')
})

t.test('settle ends although turns never do', async (t) => {
  const clock = new TestClock()
  let turns = 0
  let stop = false
  const again = (): void => {
    turns++
    if (!stop) clock.defer(again)
  }
  clock.defer(again)
  await clock.settle()
  t.ok(turns > 100)
  stop = true
  await clock.settle()
})

t.test('a stall: each timer that is overdue runs once, with the time after it', (t) => {
  const clock = new TestClock()
  const runs: number[] = []
  const start = clock.monotonic()
  clock.every(100, () => { clock.defer(() => { runs.push(clock.monotonic() - start) }) })
  clock.every(10_000, () => { t.fail('is not due') })
  clock.stall(950)
  t.same(runs, [950])
  clock.advanceSync(100)
  t.same(runs, [950, 1_050])
  t.end()
})

t.test('refuses what is no time', async (t) => {
  const clock = new TestClock()
  for (const ms of [-1, 0.5, NaN, Infinity, '5', undefined]) {
    const refused = { code: 'FST_HUB_INVALID_ARGUMENT', message: /^ms: expected a whole number of milliseconds of at least 0, got / }
    await t.rejects(clock.advance(ms as number), refused)
    for (const method of ['advanceSync', 'stall', 'setWallClock'] as const) t.throws(() => { clock[method](ms as number) }, refused)
  }
  t.equal(clock.monotonic(), 1_034)
  t.throws(() => new TestClock(1.5), { code: 'FST_HUB_INVALID_ARGUMENT', message: /^now: / })
  t.throws(() => new TestClock(1, -1), { code: 'FST_HUB_INVALID_ARGUMENT', message: /^start: / })
})
