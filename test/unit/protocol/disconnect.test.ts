import t from 'tap'
import { disconnects, isReceivableCloseCode, isSendableCloseCode, mayReconnect } from '../../../lib/protocol/disconnect.js'

const MAX = 123

t.test('the table keeps its own rules', (t) => {
  const entries = Object.values(disconnects)
  for (const { code, reason, reconnect } of entries) {
    t.equal(mayReconnect(code), reconnect, `${code}: what a client does is what the table says`)
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

t.test('after which codes a client comes back: those of the table, and any other', (t) => {
  const final = [1000, 1002, 1003, 1007, 1008, 1009, 1010]
  for (let code = 0; code < 5100; code++) {
    const expected = !final.includes(code) && (code < 4500 || code > 4999)
    if (mayReconnect(code) !== expected) t.fail(`${code} should ${expected ? '' : 'not '}bring a client back`)
  }
  t.end()
})
