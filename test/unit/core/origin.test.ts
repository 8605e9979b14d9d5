import fc from 'fast-check'
import t from 'tap'
import { compileOrigins, type OriginRuleOf } from '../../../lib/core/origin.js'

type Rules = OriginRuleOf<string> | ReadonlyArray<OriginRuleOf<string>>

const check = (rules: Rules, origin: string, host = 'app.example.com'): unknown => compileOrigins(rules)(origin, host, 'request')

t.test('FAULTS 1, 4, 5, 6, 7: a listed origin, exactly', (t) => {
  const allowed = compileOrigins<string>(['https://example.com', 'http://[::1]:3000', 'https://xn--bcher-kva.example', 'https://localhost:8443'])
  for (const origin of ['https://example.com', 'http://[::1]:3000', 'https://xn--bcher-kva.example', 'https://localhost:8443']) t.equal(allowed(origin, 'x', ''), true, origin)
  for (const origin of [
    'https://EXAMPLE.com', 'HTTPS://example.com', 'https://example.com:443', 'https://example.com/', 'https://example.com.', 'https://example.com.evil.com',
    'https://example.com@evil.com', 'https://example.com\\.evil.com', 'http://example.com', 'https://example.com:8443', 'https://sub.example.com', 'https://examplexcom',
    'https://bücher.example', 'https://ехаmple.com', 'http://[0:0:0:0:0:0:0:1]:3000', 'http://[::1]', 'https://127.1', 'https://2130706433', '', ' ', 'null',
    ' https://example.com', 'https://example.com ', 'https://example.com\n', 'https://example.com,https://example.com', 'https://localhost'
  ]) t.equal(allowed(origin, 'x', ''), false, JSON.stringify(origin))
  t.end()
})

t.test('the list is normalised to what a browser sends', (t) => {
  for (const [rule, header] of [
    ['https://EXAMPLE.com', 'https://example.com'], ['https://example.com:443', 'https://example.com'], ['http://example.com:80/', 'http://example.com'],
    ['HTTP://example.com:8080', 'http://example.com:8080'], ['https://bücher.example', 'https://xn--bcher-kva.example'], ['http://[0:0::1]:3000', 'http://[::1]:3000'],
    ['capacitor://localhost', 'capacitor://localhost'], ['chrome-extension://abcdef', 'chrome-extension://abcdef'], ['null', 'null']
  ] as const) t.equal(check(rule, header), true, rule)
  t.end()
})

t.test('what can not be an origin is an error that says which', (t) => {
  for (const rule of ['', 'example.com', 'https://', 'https:///x', '//example.com', 'https://example.com/path', 'https://example.com?x', 'https://example.com#x',
    'https://user@example.com', 'https://:pw@example.com', 'https://exa mple.com', 'http://example.com:99999', 'about:blank', 'data:text/html,x', 'file:///x',
    'https://*', 'https://*.', 'https://a.*.com', 'https://*.*.example.com', '*.example.com', 'capacitor://*.localhost', 'https://***.example.com', '**']) {
    t.throws(() => compileOrigins([rule]), { message: new RegExp(rule.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')) }, rule)
  }
  t.throws(() => compileOrigins('https://*.example.com/path'), { message: /is more than an origin/ })
  t.throws(() => compileOrigins(['*', 'https://example.com']), { message: /stands alone/ })
  t.throws(() => compileOrigins(/x/g), { message: /\/x\/g has the g or y flag/ })
  t.throws(() => compileOrigins([/x/y]), { message: /g or y flag/ })
  t.end()
})

t.test("'*' allows everything", (t) => {
  for (const origin of ['null', '', 'https://evil.example']) t.equal(check('*', origin), true)
  t.end()
})

t.test("FAULTS 2: 'null' only where it is listed", (t) => {
  t.equal(check('same-origin', 'null', 'null'), false)
  t.equal(check(['https://null', 'same-origin'], 'null'), false)
  t.equal(check(['same-origin', 'null'], 'null'), true)
  t.end()
})

t.test('same-origin compares the host, not the scheme', (t) => {
  t.equal(check('same-origin', 'https://app.example.com'), true)
  t.equal(check('same-origin', 'http://app.example.com'), true)
  t.equal(check('same-origin', 'http://app.example.com:3000', 'app.example.com:3000'), true)
  for (const origin of ['https://app.example.com:3000', 'ftp://app.example.com', 'https://example.com', 'https://app.example.com.', 'https://app.example.com/', 'app.example.com']) t.equal(check('same-origin', origin), false, origin)
  for (const origin of ['https://', 'http://', '']) t.equal(check('same-origin', origin, ''), false, 'no host is no match')
  t.end()
})

t.test('wildcards stand for whole labels', (t) => {
  const one = compileOrigins<string>('https://*.example.com')
  const many = compileOrigins<string>('https://**.Example.com:8443')
  for (const [origin, isOne] of [
    ['https://a.example.com', true], ['https://a-b_c.example.com', true], ['https://xn--bcher-kva.example.com', true], ['https://a.b.example.com', false], ['https://example.com', false],
    ['https://.example.com', false], ['https://-a.example.com', false], ['https://a-.example.com', false], ['https://A.example.com', false], ['http://a.example.com', false],
    ['https://a.example.com:8443', false], ['https://a.examplexcom', false], ['https://a.example.com.evil.com', false], ['https://evil.com/.example.com', false],
    ['https://evil.com#.example.com', false], ['https://user@a.example.com', false], ['https://a.example.com\n', false], ['https://b\\.example.com', false], ['https://a%2e.example.com', false]
  ] as const) t.equal(one(origin, '', ''), isOne, JSON.stringify(origin))
  for (const [origin, isMany] of [
    ['https://a.example.com:8443', true], ['https://a.b-c.d.example.com:8443', true], ['https://example.com:8443', false], ['https://a..example.com:8443', false], ['https://a.example.com', false]
  ] as const) t.equal(many(origin, '', ''), isMany, origin)
  t.end()
})

t.test('a wildcard takes no more than linear time', (t) => {
  const many = compileOrigins<string>('https://**.example.com')
  for (const part of ['a', 'a.', 'a-', '-', 'a-.']) t.equal(many(`https://${part.repeat(100_000)}!`, '', ''), false)
  t.end()
})

t.test('the wildcard matcher against a model', (t) => {
  const label = fc.string({ unit: fc.constantFrom('a', 'b', '-', '_', '1', 'A', 'é', '.'), maxLength: 4 })
  fc.assert(fc.property(fc.array(label, { maxLength: 4 }), fc.constantFrom('.example.com', 'example.com', '.example.org', ''), fc.constantFrom('https://', 'http://'), (labels, suffix, scheme) => {
    const origin = `${scheme}${labels.join('.')}${suffix}`
    const model = (deep: boolean): boolean => {
      if (!origin.startsWith('https://') || !origin.endsWith('.example.com')) return false
      const found = origin.slice('https://'.length, -'.example.com'.length).split('.')
      return (deep || found.length === 1) && found.every((one) => /^[a-z0-9_-]+$/.test(one) && !one.startsWith('-') && !one.endsWith('-'))
    }
    return check('https://*.example.com', origin) === model(false) && check('https://**.example.com', origin) === model(true)
  }))
  t.end()
})

t.test('a RegExp is on the whole header', (t) => {
  t.equal(check(/^https:\/\/[a-z]+\.test$/, 'https://a.test'), true)
  t.equal(check(/^https:\/\/[a-z]+\.test$/i, 'https://A.test'), true)
  t.equal(check([/^nothing$/, 'https://a.test'], 'https://b.test'), false)
  t.end()
})

t.test('functions are asked last, one after the other; only true allows', async (t) => {
  const asked: string[] = []
  const rules = [
    'https://listed.test',
    (origin: string, request: string) => { asked.push(`first ${origin} ${request}`); return origin === 'https://first.test' },
    async (origin: string) => { asked.push(`second ${origin}`); return origin === 'https://second.test' }
  ]
  t.equal(check(rules, 'https://listed.test'), true)
  t.same(asked, [])
  t.equal(await check(rules, 'https://first.test'), true)
  t.same(asked.splice(0), ['first https://first.test request'])
  t.equal(await check(rules, 'https://second.test'), true)
  t.equal(await check(rules, 'https://other.test'), false)
  t.equal(await check([(() => 'yes') as unknown as () => boolean], 'https://x.test'), false)
  await t.rejects(check([() => { throw new Error('broken') }], 'https://x.test') as Promise<unknown>, { message: 'broken' })
})
