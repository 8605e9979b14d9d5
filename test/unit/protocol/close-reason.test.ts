import fc from 'fast-check'
import t from 'tap'
import { fitReason } from '../../../lib/protocol/close-reason.js'

const MAX = 123

t.test('a reason is cut to 123 bytes, never inside a character', (t) => {
  for (const character of ['a', 'é', '€', '😀']) {
    const size = Buffer.byteLength(character)
    for (let before = 0; before < 5; before++) {
      const reason = 'x'.repeat(before) + character.repeat(130)
      const fitted = fitReason(reason)
      t.equal(fitted, 'x'.repeat(before) + character.repeat(Math.floor((MAX - before) / size)), `${character} at ${before}`)
    }
  }
  t.end()
})

t.test('a reason that fits stays as it is', (t) => {
  for (const reason of ['', 'bye', 'a'.repeat(MAX), '€'.repeat(41), `${'😀'.repeat(30)}abc`]) t.equal(fitReason(reason), reason)
  t.end()
})

t.test('whatever the reason: valid UTF-8, within the limit, a prefix', (t) => {
  fc.assert(fc.property(fc.string({ unit: 'grapheme', maxLength: 200, size: 'max' }), (reason) => {
    const fitted = fitReason(reason)
    // A character that was cut in two would be no prefix: it decodes to U+FFFD, which a reason may have of its own, too.
    return Buffer.byteLength(fitted) <= MAX && reason.startsWith(fitted) &&
      (fitted === reason || Buffer.byteLength(fitted) > MAX - 4)
  }))
  t.end()
})
