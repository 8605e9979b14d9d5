import fc from 'fast-check'
import t from 'tap'
import { disconnects, fitReason, isReceivableCloseCode, isSendableCloseCode } from '../../../lib/protocol/disconnect.js'

const MAX = 123

t.test('the table keeps its own rules', (t) => {
  const entries = Object.values(disconnects)
  for (const { code, reason, reconnect } of entries) {
    t.ok(isSendableCloseCode(code), `${code} may be sent`)
    t.ok(Buffer.byteLength(reason) <= MAX, `the reason of ${code} fits`)
    if (code >= 4000) t.equal(reconnect, code < 4500, `${code}: its range tells whether to reconnect`)
  }
  t.equal(new Set(entries.map(({ code }) => code)).size, entries.length, 'each code once')
  t.throws(() => { (disconnects.normal as { code: number }).code = 1 }, TypeError, 'frozen')
  t.end()
})

t.test('which codes an application may send', (t) => {
  const sendable = new Set([1000, 1001, 1003, 1007, 1008, 1009, 1011, 1012, 1013, 1014])
  for (let code = -1; code < 5100; code++) {
    const expected = sendable.has(code) || (code >= 3000 && code < 5000)
    if (isSendableCloseCode(code) !== expected) t.fail(`${code} should ${expected ? '' : 'not '}be sendable`)
  }
  for (const code of ['1000', 1000.5, NaN, Infinity, null, undefined, {}, 1000n]) t.equal(isSendableCloseCode(code), false, String(code))
  t.end()
})

t.test('which codes a peer may send: also that it missed an extension, or that we broke the protocol', (t) => {
  for (let code = 0; code < 5100; code++) {
    const expected = isSendableCloseCode(code) || code === 1002 || code === 1010
    if (isReceivableCloseCode(code) !== expected) t.fail(`${code} should ${expected ? '' : 'not '}be receivable`)
  }
  t.end()
})

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
