import t from 'tap'
import { detached } from '../../../lib/core/detached.js'
import { heapUsed } from '../../helpers/gc.js'

t.test('the text is the same, whatever the letters', (t) => {
  for (const text of ['', 'a', 'x'.repeat(12), 'x'.repeat(13), 'ä'.repeat(20), '日本'.repeat(20), '👍'.repeat(20)]) t.equal(detached(text), text)
  t.end()
})

t.test('a slice no longer keeps what it was cut from', (t) => {
  const LONG = 100_000
  const slices = (of: (slice: string) => string): number => {
    const before = heapUsed()
    const kept = Array.from({ length: 100 }, (_, i) => of(Buffer.alloc(LONG, `${i}`).toString('latin1').slice(100, 150)))
    return heapUsed() - before + kept.length
  }
  t.ok(slices((slice) => slice) > 90 * LONG, 'as V8 does it')
  t.ok(slices(detached) < 10 * LONG)
  t.end()
})
