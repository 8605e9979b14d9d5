import fc from 'fast-check'
import t from 'tap'
import { RedisClock } from '../../../lib/redis/redis-clock.js'

t.test('nothing is known before the first answer', async (t) => {
  t.equal(new RedisClock().at(1_000), null)
})

t.test('a moment lies between what it could be at the earliest and at the latest, by the answer that came back fastest', async (t) => {
  const clock = new RedisClock()
  clock.heard(1_000, 1_500, 90_400)
  t.match(clock.at(1_500), { earliest: 90_395, latest: 90_905 })
  clock.heard(1_500, 1_502, 90_901)
  t.match(clock.at(1_502), { earliest: 90_896, latest: 90_908 })
  clock.heard(1_600, 1_900, 91_001)
  t.match(clock.at(1_502), { earliest: 90_896, latest: 90_908 }, 'one that took longer tells less')
})

t.test('clocks drift apart: with time an answer says less, and one that took longer says more', async (t) => {
  const clock = new RedisClock()
  clock.heard(0, 2, 50_000)
  t.match(clock.at(100_002), { earliest: 149_945, latest: 150_057 })
  clock.heard(96_002, 100_002, 147_000)
  t.match(clock.at(100_002), { earliest: 149_945, latest: 150_057 }, 'it stood still, and this tells next to nothing')
  clock.heard(100_002, 100_052, 150_020)
  t.match(clock.at(100_052), { earliest: 150_015, latest: 150_075 })
  t.match(clock.at(90_052), { earliest: 140_010, latest: 140_080 }, 'what was before it, too')
})

t.test('a clock that was set is believed at once', async (t) => {
  const clock = new RedisClock()
  clock.heard(0, 2, 50_000)
  clock.heard(1_000, 1_500, 10_000)
  t.match(clock.at(1_500), { earliest: 9_995, latest: 10_505 })
})

t.test('whatever the answers took, a moment lies where it says, as long as clocks go equally fast', async () => {
  const answers = fc.array(fc.record({ pause: fc.nat(40_000), there: fc.nat(6_000), back: fc.nat(6_000) }), { minLength: 1, maxLength: 20 })
  fc.assert(fc.property(fc.integer({ min: -1e9, max: 1e12 }), answers, fc.nat(60_000), (ahead, list, later) => {
    const clock = new RedisClock()
    let now = 0
    for (const { pause, there, back } of list) {
      const askedAt = now += pause
      now += there + back
      clock.heard(askedAt, now, askedAt + there + ahead)
    }
    const span = clock.at(now + later)
    return span !== null && span.earliest <= now + later + ahead && now + later + ahead <= span.latest
  }))
})
