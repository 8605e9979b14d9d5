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

/* ---- against a plain model ---- */

/** An origin in parts. A rule may begin with a wildcard; a port is null where the scheme's own is meant. */
interface Parts { scheme: 'http' | 'https', wildcard: '' | '*' | '**', labels: string[], port: number | null }

const DEFAULT_PORTS = { http: 80, https: 443 }

function write ({ scheme, wildcard, labels, port }: Parts): string {
  return `${scheme}://${[...wildcard === '' ? [] : [wildcard], ...labels].join('.')}${port === null ? '' : `:${port}`}`
}

/** A header in parts, or null where it is not letter by letter what a browser would write for some origin of http or https. */
function read (header: string): Parts | null {
  const [scheme, rest, ...more] = header.split('://')
  if ((scheme !== 'http' && scheme !== 'https') || rest === undefined || more.length > 0) return null
  const [host = '', digits, ...tooMany] = rest.split(':')
  const labels = host.split('.')
  const port = digits === undefined ? null : Number(digits)
  const isLabel = (label: string): boolean => label !== '' && [...label].every((char) => 'abcdefghijklmnopqrstuvwxyz0123456789-_'.includes(char)) && !label.startsWith('-') && !label.endsWith('-')
  if (tooMany.length > 0 || !labels.every(isLabel) || (port !== null && (String(port) !== digits || port > 65_535 || port === DEFAULT_PORTS[scheme]))) return null
  return { scheme, wildcard: '', labels, port }
}

function model (rules: readonly Parts[], header: string): boolean {
  const parts = read(header)
  return parts !== null && rules.some(({ scheme, wildcard, labels, port }) => {
    if (scheme !== parts.scheme || (port === DEFAULT_PORTS[scheme] ? null : port) !== parts.port) return false
    const extra = parts.labels.length - labels.length
    if (extra < 0 || parts.labels.slice(extra).join('.') !== labels.join('.')) return false
    return wildcard === '' ? extra === 0 : wildcard === '*' ? extra === 1 : extra >= 1
  })
}

// Few names, so that rules and headers meet. The last label of a rule is no number: a URL ends such a host as an IPv4 address.
const label = fc.constantFrom('a', 'b', 'app', 'app-1', 'x_y', 'evil', '1', 'a--b')
const ending = fc.constantFrom('test', 'com', 'a', 'localhost')
const scheme = fc.constantFrom('http' as const, 'https' as const)
const port = fc.constantFrom(null, null, 80, 443, 8080, 1, 65_535)
const rule: fc.Arbitrary<Parts> = fc.record({
  scheme,
  wildcard: fc.constantFrom('' as const, '' as const, '*' as const, '**' as const),
  labels: fc.tuple(fc.array(label, { maxLength: 2 }), ending).map(([labels, last]) => [...labels, last]),
  port
})

/** What somebody makes of an allowed origin to get in with another one; and some harmless changes. */
const MUTATIONS: Record<string, (header: string, part: string) => string> = {
  nothing: (header) => header,
  'upper case': (header) => header.toUpperCase(),
  'one letter in upper case': (header, part) => header.replace(part[0] as string, (part[0] as string).toUpperCase()),
  'a trailing dot': (header) => `${header}.`,
  'a trailing dot before the port': (header) => header.replace(/(:\d+)?$/, '.$1'),
  'a trailing slash': (header) => `${header}/`,
  'a path': (header, part) => `${header}/${part}`,
  'a port': (header) => `${header}:443`,
  'the port of http': (header) => `${header.replace(/:\d+$/, '')}:80`,
  'no port': (header) => header.replace(/:\d+$/, ''),
  'a port with a zero in front': (header) => header.replace(/:(\d+)$/, ':0$1'),
  'an empty port': (header) => `${header.replace(/:\d+$/, '')}:`,
  'the other scheme': (header) => header.startsWith('https') ? header.replace('https', 'http') : header.replace('http', 'https'),
  'another scheme': (header) => header.replace(/^https?/, 'ftp'),
  'a domain behind': (header, part) => header.replace(/(:\d+)?$/, `.${part}.evil$1`),
  'letters behind': (header, part) => header.replace(/(:\d+)?$/, `${part}$1`),
  'a label in front': (header, part) => header.replace('://', `://${part}.`),
  'labels in front': (header, part) => header.replace('://', `://${part}.${part}.`),
  'letters in front': (header, part) => header.replace('://', `://${part}`),
  'a label less': (header) => header.replace(/:\/\/[^.]*\./, '://'),
  'an empty label': (header) => header.replace('://', '://.'),
  'another letter for a dot': (header) => header.replace('.', 'x'),
  'a user': (header, part) => header.replace('://', `://${part}@`),
  'a user and a password': (header, part) => header.replace('://', `://${part}:${part}@`),
  'as the user of another host': (header, part) => `${header}@${part}.evil`,
  'a backslash': (header, part) => `${header}\\.${part}.evil`,
  'as the fragment of another': (header, part) => `https://${part}.evil#${header}`,
  'as the query of another': (header, part) => `https://${part}.evil?${header}`,
  'as the path of another': (header, part) => `https://${part}.evil/${header}`,
  'a space behind': (header) => `${header} `,
  'a space in front': (header) => ` ${header}`,
  'a line break behind': (header) => `${header}\n`,
  'a line break, and more': (header, part) => `${part}\n${header}`,
  'a null byte': (header) => `${header}\0`,
  'a percent sign': (header) => header.replace('.', '%2e'),
  'another alphabet': (header) => header.replace('a', '\u0430'),
  'a wide dot': (header) => header.replace('.', '\u3002'),
  'a hyphen in front': (header) => header.replace('://', '://-'),
  'twice, with a comma': (header) => `${header},${header}`,
  'twice, with a comma and a space': (header) => `${header}, ${header}`,
  'the wildcard itself': (header) => header.replace('://', '://*.')
}

const names = Object.keys(MUTATIONS)
const wanted = fc.record({ which: fc.nat(3), front: fc.array(label, { maxLength: 3 }), mutations: fc.array(fc.tuple(fc.constantFrom(...names), label), { maxLength: 2 }) })

t.test('listed origins and wildcards against a plain model, with headers made from what is allowed', (t) => {
  const met = new Map<string, number>()
  const seen = { allowed: 0, denied: 0 }
  fc.assert(fc.property(fc.array(rule, { minLength: 1, maxLength: 4 }), wanted, (rules, { which, front, mutations }) => {
    const { scheme, wildcard, labels, port } = rules[which % rules.length] as Parts
    // What a browser sends from there: the scheme's own port is not written.
    let header = write({ scheme, wildcard: '', labels: wildcard === '' ? labels : [...front, ...labels], port: port === DEFAULT_PORTS[scheme] ? null : port })
    for (const [name, part] of mutations) {
      header = (MUTATIONS[name] as (header: string, part: string) => string)(header, part)
      met.set(name, (met.get(name) ?? 0) + 1)
    }
    const right = model(rules, header)
    seen[right ? 'allowed' : 'denied']++
    const got = check(rules.map(write), header, 'elsewhere.test')
    if (got !== right) throw new Error(`${JSON.stringify(header)} is ${right ? 'allowed' : 'not allowed'} by ${rules.map(write).join(', ')}, got ${got}`)
  }), { numRuns: 5_000 })
  t.equal(met.size, names.length, 'each mutation was tried')
  t.equal(seen.allowed > 500 && seen.denied > 500, true, JSON.stringify(seen))
  t.end()
})

t.test('same-origin against a plain model', (t) => {
  fc.assert(fc.property(rule, wanted, fc.boolean(), ({ labels, port }, { mutations, front }, withDefault) => {
    const host = `${[...front, ...labels].join('.')}${port === null ? '' : `:${port}`}`
    let header = `${withDefault ? 'https' : 'http'}://${host}`
    for (const [name, part] of mutations) header = (MUTATIONS[name] as (header: string, part: string) => string)(header, part)
    const rest = header.split('://')
    return check('same-origin', header, host) === (rest.length === 2 && ['http', 'https'].includes(rest[0] as string) && rest[1] === host)
  }), { numRuns: 2_000 })
  t.end()
})
