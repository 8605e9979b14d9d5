import t from 'tap'
import { systemClock } from '../../../lib/core/clock.js'

t.test('the machine keeps time', async (t) => {
  const { now, monotonic } = systemClock
  t.ok(now() > 1_700_000_000_000)
  const before = monotonic()
  t.ok(Number.isInteger(before))
  const order: string[] = []
  await new Promise<void>((resolve) => {
    systemClock.defer(() => {
      order.push('deferred')
      resolve()
    })
    order.push('now')
    queueMicrotask(() => { order.push('microtask') })
  })
  t.same(order, ['now', 'microtask', 'deferred'])
  let calls = 0
  await new Promise<void>((resolve) => {
    // Unreferenced: something else has to keep the process.
    const keepAlive = setInterval(() => {}, 1_000)
    const timer = systemClock.every(1, () => {
      if (++calls < 2) return
      timer.cancel()
      clearInterval(keepAlive)
      resolve()
    })
  })
  t.equal(calls, 2, 'repeats, until it is cancelled')
  t.ok(monotonic() >= before)
})
