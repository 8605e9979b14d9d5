import t from 'tap'
import { Refresher } from '../../../lib/client/refresher.js'
import { ClientTime } from '../../helpers/client-time.js'

function refresher (): { time: ClientTime, it: Refresher, count: () => number } {
  const time = new ClientTime()
  let calls = 0
  return { time, it: new Refresher(time, () => { calls++ }), count: () => calls }
}

t.test('when four fifths of the time are over', async (t) => {
  const { time, it, count } = refresher()
  it.schedule(time.now() + 100_000)
  await time.advance(79_999)
  t.equal(count(), 0)
  await time.advance(1)
  t.equal(count(), 1)
  t.equal(time.timers, 0)
})

t.test('not more often than every 5 s, also where a wrong clock says that they have expired', async (t) => {
  const { time, it, count } = refresher()
  it.schedule(time.now() - 100_000)
  await time.advance(4_999)
  t.equal(count(), 0)
  await time.advance(1)
  t.equal(count(), 1)
})

t.test('never, far away, later, and not any more', async (t) => {
  const { time, it, count } = refresher()
  for (const never of [null, undefined]) it.schedule(never)
  t.equal(time.timers, 0)
  it.schedule(Number.MAX_SAFE_INTEGER)
  await time.advance(2 ** 31 - 2)
  t.equal(count(), 0, 'no timer is longer than timers can be')
  it.schedule(time.now() + 10_000)
  t.equal(time.timers, 1)
  it.stop()
  t.equal(time.timers, 0)
})
