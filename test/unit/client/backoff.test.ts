import fc from 'fast-check'
import t from 'tap'
import { Backoff } from '../../../lib/client/backoff.js'

t.test('every delay is within its bounds, whatever chance says', (t) => {
  fc.assert(fc.property(
    fc.record({ min: fc.integer({ min: 1, max: 10_000 }), max: fc.integer({ min: 10_000, max: 100_000 }), factor: fc.double({ min: 1, max: 10, noNaN: true }) }),
    fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 400 }),
    ({ min, max, factor }, chances) => {
      let chance = 0
      const backoff = new Backoff({ min, max, factor }, () => chance)
      return chances.every((next, n) => {
        chance = next
        const delay = backoff.next()
        const ceiling = Math.min(max, min * factor ** n)
        return Number.isInteger(delay) && delay >= 100 && delay <= Math.max(100, Math.round(ceiling)) && (next < 1 || delay === Math.max(100, Math.round(ceiling)))
      })
    }
  ))
  t.end()
})

t.test('1 s, doubled up to 30 s; reset begins anew', (t) => {
  const backoff = new Backoff({ min: 1_000, max: 30_000, factor: 2 }, () => 1)
  t.strictSame(Array.from({ length: 7 }, () => backoff.next()), [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000])
  backoff.reset()
  t.equal(backoff.next(), 1_000)
  t.end()
})

t.test('full jitter: chance spreads evenly from the shortest delay to the ceiling, and none is more likely', (t) => {
  let chance = 0
  const backoff = new Backoff({ min: 1_000, max: 30_000, factor: 1 }, () => chance)
  const delays = Array.from({ length: 900 }, (_, i) => {
    chance = (i + 0.5) / 900
    return backoff.next()
  })
  t.equal(new Set(delays).size, delays.length, 'no two of those who lost their connections in one moment come back in one')
  t.strictSame([delays[0], delays.at(-1)], [101, 1_000])
  t.end()
})

t.test('a ceiling below the shortest delay', (t) => {
  t.equal(new Backoff({ min: 1, max: 1, factor: 1 }, () => 0.5).next(), 100)
  t.end()
})
