import t from 'tap'
import { checkIdentity } from '../../../lib/core/identity.js'

const NOW = Date.UTC(2030, 0)

t.test('what identify may answer', (t) => {
  class Account { user = 'ann' }
  for (const identity of [{}, { user: 'ann' }, { user: 'ann', device: 'web', data: { x: 1 } }, { user: undefined, device: undefined, data: undefined }, { data: new Map() }, { data: [] }, { expiresAt: undefined }, { expiresAt: NOW + 1 }, { expiresAt: new Date(NOW + 1) }, { expiresAt: Infinity }, new Account(), Object.create(null)]) {
    t.equal(checkIdentity(identity, NOW), identity)
  }
  t.end()
})

t.test('null is 403', (t) => {
  t.throws(() => checkIdentity(null, NOW), { code: 'FST_HUB_FORBIDDEN', statusCode: 403 })
  t.end()
})

t.test('anything else is a mistake of the application: 500', (t) => {
  for (const [value, message] of [
    [undefined, 'expected an object or null, got undefined'], [true, 'expected an object or null, got true'], ['ann', 'expected an object or null, got "ann"'], [[], 'expected an object or null, got []'],
    [() => {}, 'expected an object or null, got a function'],
    [{ user: '' }, 'user must be a string of 1 to 255 bytes of UTF-8, got ""'], [{ user: 7 }, 'user must be a string of 1 to 255 bytes of UTF-8, got 7'], [{ user: null }, 'got null'],
    [{ user: 'x'.repeat(256) }, 'got a string of 256 characters'], [{ user: '\ud800' }, 'user must be'], [{ device: {} }, 'device must be a string of 1 to 255 bytes of UTF-8, got an object'],
    [{ device: [1n] }, 'got a list'], [{ data: null }, 'data must be an object, got null'], [{ data: 'x' }, 'data must be an object, got "x"'],
    [{ expires: 5 }, "there is no field 'expires', only user, device, expiresAt, data"], [{ usr: 'ann' }, "there is no field 'usr'"],
    [{ expiresAt: NOW / 1000 }, 'expiresAt must be a valid Date, or milliseconds (not seconds) since the Unix epoch, got 1893456000'], [{ expiresAt: new Date(NaN) }, 'got an invalid Date'],
    [{ expiresAt: NaN }, 'got NaN'], [{ expiresAt: null }, 'got null'], [{ expiresAt: -Infinity }, 'got -Infinity'], [{ expiresAt: '2031-01-01' }, 'got "2031-01-01"'], [{ expiresAt: 0 }, 'got 0']
  ] as const) {
    try {
      checkIdentity(value, NOW)
      t.fail('accepted')
    } catch (error) {
      t.match(error, { code: 'FST_HUB_INVALID_IDENTITY', statusCode: 500 })
      t.ok((error as Error).message.startsWith('identify returned an invalid identity: ') && (error as Error).message.includes(message), (error as Error).message)
    }
  }
  t.end()
})

t.test('credentials that have expired already: 401', (t) => {
  for (const expiresAt of [NOW, NOW - 1, new Date(NOW), new Date('2001-01-01'), 1e11]) {
    t.throws(() => checkIdentity({ user: 'ann', expiresAt }, NOW), { code: 'FST_HUB_CREDENTIALS_EXPIRED', statusCode: 401 })
  }
  t.end()
})
