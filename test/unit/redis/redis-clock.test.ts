import fc from 'fast-check'
import t from 'tap'
import { RedisClock } from '../../../lib/redis/redis-clock.js'

t.test('nothing is known before the first answer', async (t) => {
  t.equal(new RedisClock().at(1_000), null)
})

t.test('a moment lies between what it could be at the earliest and at the latest, by the answer that came back fastest', async (t) => {
  const clock = new RedisClock()
  clock.heard(1_000, 1_500, 90_400)
  t.match(clock.at(2_000), { earliest: 90_868, latest: 91_432 })
  clock.heard(1_500, 1_502, 90_901)
  t.match(clock.at(2_000), { earliest: 91_367, latest: 91_433 })
  clock.heard(1_600, 1_900, 91_001)
  t.match(clock.at(2_000), { earliest: 91_367, latest: 91_433 }, 'one that took longer tells less')
})

t.test('an answer counts for half a minute beside others, and for a minute alone', async (t) => {
  const clock = new RedisClock()
  clock.heard(0, 2, 50_000)
  clock.heard(29_800, 30_001, 80_000)
  t.match(clock.at(30_000), { earliest: 79_966, latest: 80_032 })
  clock.heard(29_900, 30_002, 80_000)
  t.match(clock.at(30_000), { earliest: 79_966, latest: 80_132 })
  t.match(clock.at(90_002), { earliest: 139_968 })
  t.equal(clock.at(90_003), null)
})

t.test('a clock that was set is believed at once', async (t) => {
  const clock = new RedisClock()
  clock.heard(0, 2, 50_000)
  clock.heard(1_000, 1_500, 10_000)
  t.match(clock.at(2_000), { earliest: 10_468, latest: 11_032 })
})

t.test('whatever the answers took, a moment lies where it says, as long as clocks go equally fast', async () => {
  const answers = fc.array(fc.record({ pause: fc.nat(100_000), there: fc.nat(6_000), back: fc.nat(6_000) }), { minLength: 1, maxLength: 20 })
  fc.assert(fc.property(fc.integer({ min: -1e9, max: 1e12 }), answers, fc.nat(29_000), (ahead, list, later) => {
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
