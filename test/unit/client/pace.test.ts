import t from 'tap'
import { Pace } from '../../../lib/client/pace.js'
import { ClientTime } from '../../helpers/client-time.js'

const LIMITS = { maxMessageBytes: 0, messagesPerSecond: 100, burst: 200 }

t.test('no limit before the server has told one, nor where it has none', (t) => {
  const pace = new Pace(new ClientTime())
  t.strictSame(new Set(Array.from({ length: 1_000 }, () => pace.take())), new Set([0]))
  pace.start({ ...LIMITS, messagesPerSecond: 0 })
  t.strictSame(new Set(Array.from({ length: 1_000 }, () => pace.take())), new Set([0]))
  t.end()
})

t.test('half of the burst at once, then four fifths of the rate', async (t) => {
  const time = new ClientTime()
  const pace = new Pace(time)
  pace.start(LIMITS)
  let taken = 0
  while (pace.take() === 0) taken++
  t.equal(taken, 100)
  for (let ms = 0; ms < 10_000; ms++) {
    await time.advance(1)
    if (pace.take() === 0) taken++
  }
  t.equal(Math.abs(taken - 900) <= 1, true, `${taken}`)
})

t.test('it says when to ask again, and then there is one', async (t) => {
  const time = new ClientTime()
  const pace = new Pace(time)
  pace.start({ ...LIMITS, burst: 2 })
  t.equal(pace.take(), 0)
  const wait = pace.take()
  t.equal(wait, 13)
  await time.advance(wait)
  t.equal(pace.take(), 0)
})

t.test('of a burst of 1 nothing is left behind resume', (t) => {
  const pace = new Pace(new ClientTime())
  pace.start({ ...LIMITS, burst: 1 })
  t.equal(pace.take(), 13)
  t.end()
})

t.test('a clock that is set back takes nothing away', async (t) => {
  const time = new ClientTime()
  const pace = new Pace(time)
  pace.start(LIMITS)
  time.setClock(-3_600_000)
  t.equal(pace.take(), 0)
  await time.advance(1_000)
  t.equal(pace.take(), 0)
})
