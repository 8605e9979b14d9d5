import { runInNewContext } from 'node:vm'
import t from 'tap'
import { checkExpiry, checkName, checkOptions, checkOverflow, exceptIds, isName, toBroadcast, toExpiry, toKick, toPublicationOptions, toReason } from '../../../lib/core/arguments.js'
import { describe } from '../../../lib/core/describe.js'

t.test('names are 1 to 255 bytes of well-formed UTF-8', (t) => {
  for (const name of ['a', ' ', '\0', 'a:b{c}\n', 'a'.repeat(255), 'é'.repeat(127), '😀'.repeat(63), '__proto__', '\ufeff']) {
    t.equal(isName(name), true, JSON.stringify(name))
    t.equal(checkName('room', name), name)
  }
  for (const name of ['', 'a'.repeat(256), 'é'.repeat(128), '😀'.repeat(64), '\ud800', 'a\udc00b', 1, null, undefined, {}, [], Symbol('x'), Object('a')]) {
    t.equal(isName(name), false)
    t.throws(() => checkName('user', name), { code: 'FST_HUB_INVALID_NAME', message: /^user must be a string of 1 to 255 bytes/ })
  }
  t.end()
})

t.test('a wrong name is told, whatever it is', (t) => {
  const cycle: unknown[] = []
  cycle.push(cycle)
  const liar = { constructor: null }
  for (const value of [[1n], cycle, [{ toJSON () { throw new Error('no') } }], Object.create(null), liar]) {
    t.throws(() => checkName('room', value), { code: 'FST_HUB_INVALID_NAME' })
  }
  t.end()
})

t.test('overflow policies', (t) => {
  for (const policy of [undefined, 'drop-oldest', 'reject-new', 'disconnect']) t.doesNotThrow(() => { checkOverflow(policy) })
  for (const policy of [null, '', 'drop', 1, ['disconnect']]) t.throws(() => { checkOverflow(policy) }, { code: 'FST_HUB_INVALID_ARGUMENT', message: /overflow: expected 'drop-oldest'/ })
  t.end()
})

t.test('except takes connections, ids and lists of both', (t) => {
  const connection = { id: 'one' } as never
  t.equal(exceptIds(undefined), undefined)
  t.same(exceptIds('two'), new Set(['two']))
  t.same(exceptIds(connection), new Set(['one']))
  t.same(exceptIds([connection, 'two', 'two']), new Set(['one', 'two']))
  t.same(exceptIds([]), new Set())
  for (const wrong of [null, 1, {}, { id: 1 }, new Set(['one']), ['one', undefined], [[]]]) {
    t.throws(() => exceptIds(wrong as never), { code: 'FST_HUB_INVALID_ARGUMENT', message: /except: expected connections or their ids/ })
  }
  t.end()
})

t.test('an expiry is a Date or milliseconds, and never seconds', (t) => {
  const future = Date.UTC(2999, 0)
  const foreign: unknown = runInNewContext(`new Date(${future})`)
  for (const [value, time] of [[future, future], [new Date(future), future], [foreign, future], [1e11, 1e11], [1e11 + 0.5, 1e11], [8.64e15, 8.64e15], [Number.MAX_VALUE, Number.MAX_VALUE], [Infinity, null]]) {
    t.equal(toExpiry(value), time)
    t.equal(checkExpiry(value), time)
  }
  t.equal(checkExpiry(null), null)
  const seconds = future / 1000
  for (const wrong of [undefined, NaN, -Infinity, 0, -1, seconds, new Date(seconds), new Date(NaN), new Date('soon'), String(future), '2999-01-01', BigInt(future), {}, [future], true, { getTime: () => future }]) {
    t.equal(toExpiry(wrong), undefined)
    t.throws(() => checkExpiry(wrong), { code: 'FST_HUB_INVALID_ARGUMENT', message: /^expiresAt: expected a valid Date, or milliseconds \(not seconds\) since the Unix epoch, or null, got / })
  }
  t.equal(toExpiry(null), undefined)
  t.end()
})

t.test('values in errors are recognisable and short', (t) => {
  class Thing {}
  const cases: Array<[unknown, string]> = [
    [undefined, 'undefined'], [null, 'null'], [true, 'true'], [1.5, '1.5'], [NaN, 'NaN'], [-Infinity, '-Infinity'], [12n, '12'],
    [Symbol('s'), 'Symbol(s)'], ['text', '"text"'], ['a\nb', '"a\\nb"'], ['x'.repeat(61), 'a string of 61 characters'],
    [() => {}, 'a function'], [Thing, 'a function'], [{ a: 1 }, 'an object'], [Object.create(null), 'an object'], [{ constructor: 1 }, 'an object'],
    [new Thing(), 'an instance of Thing'], [new Map(), 'an instance of Map'], [new Date(5), 'the Date 1970-01-01T00:00:00.005Z'], [new Date(NaN), 'an invalid Date'], [[1, 'a'], '[1,"a"]'], [[], '[]'], [[1n], 'a list']
  ]
  for (const [value, expected] of cases) t.equal(describe(value), expected)
  t.equal(describe(new Array(100).fill(0)), `[${'0,'.repeat(38)}...`)
  t.end()
})

t.test('options: an object, of which all is known', (t) => {
  const known = ['code'] as never[]
  for (const options of [{}, { code: 1 }, { other: undefined }, Object.create(null), new (class { code = 1 })()]) t.equal(checkOptions(options, known), options)
  for (const options of [null, 1, 'x', [], () => {}]) t.throws(() => checkOptions(options as never, known), { code: 'FST_HUB_INVALID_ARGUMENT', message: /^options: expected an object, got / })
  t.throws(() => checkOptions({ cod: 1 }, known), { code: 'FST_HUB_INVALID_ARGUMENT', message: 'options.cod: expected no such option; there are code, got 1' })
  t.throws(() => checkOptions({ tll: 'x' }, ['ttl'] as never[], 'offline'), { message: 'offline.tll: expected no such option; there are ttl, got "x"' })
  t.throws(() => toPublicationOptions({ excpt: 'x' } as never), { message: /^options\.excpt: expected no such option; there are except, / })
  t.same(toBroadcast({ key: 'x', ephemeral: true }), { key: 'x', ephemeral: true })
  t.same(toBroadcast(), { ephemeral: true })
  t.throws(() => toBroadcast({ ephemeral: false }), { code: 'FST_HUB_INVALID_ARGUMENT' })
  t.end()
})

t.test('reasons and kicks', (t) => {
  t.equal(toReason('é'.repeat(100)), 'é'.repeat(61), 'what a Close frame can hold')
  for (const reason of [null, undefined, 1, {}, Object.create(null)]) t.throws(() => toReason(reason), { code: 'FST_HUB_INVALID_ARGUMENT', message: /^reason: expected a string, got / })
  t.same(toKick(), { code: 4501, reason: 'kicked' })
  t.same(toKick('', { code: 1001 }), { code: 1001, reason: '' })
  t.throws(() => toKick('x', { code: 1005 }), { code: 'FST_HUB_INVALID_CLOSE_CODE' })
  t.throws(() => toKick('x', null as never), { code: 'FST_HUB_INVALID_ARGUMENT' })
  t.end()
})
