import { randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import type { HubOptions } from '../../lib/index.js'
import { TestApp, type AppOptions } from '../helpers/app.js'
import { headerOf, type Handshake } from '../helpers/raw-client.js'

/** Asserts the status of each handshake, that what was refused was logged once at info, and the baseline. */
async function statuses (t: Test, options: HubOptions, cases: Array<[what: string, status: number, handshake: Handshake]>, appOptions?: AppOptions): Promise<TestApp> {
  const app = await TestApp.start(t, options, appOptions)
  for (const [what, status, handshake] of cases) {
    const response = await app.request(handshake)
    t.equal(response.status, status, `${what}: ${response.body}`)
  }
  t.same(app.refusals().map(({ statusCode }) => statusCode), cases.map(([, status]) => status).filter((status) => status !== 101), 'each refusal is logged once, at info')
  await app.assertBaseline()
  return app
}

const origin = (value: string | string[] | null): Handshake => ({ headers: { Origin: value } })

t.test('1: only a listed origin, exactly', async (t) => {
  await statuses(t, { origins: ['https://example.com', 'https://*.example.net', /^https:\/\/re[0-9]\.test$/] }, [
    ['listed', 101, origin('https://example.com')],
    ['a label under the wildcard', 101, origin('https://app.example.net')],
    ['the expression', 101, origin('https://re7.test')],
    ['unlisted', 403, origin('https://other.com')],
    ['the apex is not under the wildcard', 403, origin('https://example.net')],
    ['two labels are not one', 403, origin('https://a.b.example.net')]
  ])
})

t.test("2: 'null' only when it is listed", async (t) => {
  await statuses(t, { origins: ['https://example.com'] }, [['not listed', 403, origin('null')]])
  await statuses(t, { origins: ['https://example.com', 'null'] }, [['listed', 101, origin('null')]])
  await statuses(t, {}, [['not same-origin', 403, origin('null')]])
})

t.test('3: without Origin, allowMissingOrigin decides', async (t) => {
  await statuses(t, { origins: ['https://example.com'] }, [['by default', 101, origin(null)]])
  await statuses(t, { origins: ['https://example.com'], allowMissingOrigin: false }, [['forbidden', 403, origin(null)]],
    { healthyHeaders: { Origin: 'https://example.com' } })
})

t.test('4: the header is compared as a string', async (t) => {
  await statuses(t, { origins: ['https://example.com'] }, [
    ['upper case', 403, origin('https://EXAMPLE.com')],
    ['default port', 403, origin('https://example.com:443')],
    ['trailing slash', 403, origin('https://example.com/')],
    ['trailing dot', 403, origin('https://example.com.')],
    ['backslash', 403, origin('https://example.com\\.evil.com')]
  ])
})

t.test('5: look-alikes', async (t) => {
  await statuses(t, { origins: ['https://example.com'] }, [
    ['longer host', 403, origin('https://example.com.evil.com')],
    ['user info', 403, origin('https://example.com@evil.com')],
    ['scheme', 403, origin('http://example.com')],
    ['port', 403, origin('https://example.com:8443')],
    ['prefix', 403, origin('https://evilexample.com')],
    ['empty', 403, origin('')]
  ])
})

t.test('6: other alphabets', async (t) => {
  const raw = (text: string): string => Buffer.from(text).toString('latin1')
  await statuses(t, { origins: ['https://example.com', 'https://bücher.test'] }, [
    ['Cyrillic letters', 403, origin(raw('https://ехаmple.com'))],
    ['raw UTF-8 of a listed name', 403, origin(raw('https://bücher.test'))],
    ['its xn-- form, which a browser sends', 101, origin('https://xn--bcher-kva.test')],
    ['an xn-- form that is not listed', 403, origin('https://xn--mple-43d3a1b.com')]
  ])
})

t.test('7: numbers in place of names', async (t) => {
  await statuses(t, { origins: ['http://[::1]:3000', 'http://127.0.0.1'] }, [
    ['listed IPv6', 101, origin('http://[::1]:3000')],
    ['expanded IPv6', 403, origin('http://[0:0:0:0:0:0:0:1]:3000')],
    ['short IPv4', 403, origin('http://127.1')],
    ['decimal IPv4', 403, origin('http://2130706433')]
  ])
})

t.test('8: two Origin headers', async (t) => {
  await statuses(t, { origins: ['https://example.com'] }, [
    ['good and evil', 403, origin(['https://example.com', 'https://evil.com'])],
    ['evil and good', 403, origin(['https://evil.com', 'https://example.com'])],
    ['twice the same, in another case', 403, { headers: { Origin: 'https://example.com' }, lines: ['oRIGIN: https://example.com'] }]
  ])
})

t.test('9: the key', async (t) => {
  const key = (value: string | string[] | null): Handshake => ({ headers: { 'Sec-WebSocket-Key': value } })
  const good = randomBytes(16).toString('base64')
  await statuses(t, {}, [
    ['missing', 400, key(null)],
    ['short', 400, key(randomBytes(15).toString('base64'))],
    ['long', 400, key(randomBytes(17).toString('base64'))],
    ['not base64', 400, key('!'.repeat(22) + '==')],
    ['doubled', 400, key([good, good])]
  ])
})

t.test('10: the version', async (t) => {
  const version = (value: string | string[] | null): Handshake => ({ headers: { 'Sec-WebSocket-Version': value } })
  const app = await statuses(t, {}, [
    ['8', 426, version('8')],
    ['hexadecimal', 426, version('0x0d')],
    ['decimal', 426, version('13.0')],
    ['a list', 426, version('13, 8')],
    ['doubled', 426, version(['13', '13'])],
    ['missing', 426, version(null)]
  ])
  t.same(headerOf(await app.request(version('8')), 'sec-websocket-version'), ['13'])
})

t.test('11: what is no upgrade', async (t) => {
  const plain = { Upgrade: null, Connection: null, 'Sec-WebSocket-Key': null, 'Sec-WebSocket-Version': null }
  const app = await statuses(t, {}, [
    ['plain GET', 426, { headers: plain }],
    ['POST', 405, { method: 'POST', headers: plain }],
    ['POST that upgrades', 405, { method: 'POST' }],
    ['DELETE', 405, { method: 'DELETE', headers: plain }],
    ['HEAD that upgrades', 405, { method: 'HEAD' }],
    ['another protocol', 426, { headers: { Upgrade: 'h2c' } }],
    ['two protocols', 426, { headers: { Upgrade: 'websocket, h2c' } }],
    ['odd case is fine', 101, { headers: { upgrade: 'WebSocket', CONNECTION: 'keep-alive, UPGRADE' } }]
  ])
  const get = await app.request({ headers: plain })
  t.same(headerOf(get, 'upgrade'), ['websocket'])
  const { code, error, message, ...rest } = JSON.parse(get.body) as Record<string, unknown>
  t.same({ code, error, ...rest }, { code: 'FST_HUB_UPGRADE_REQUIRED', error: 'Upgrade Required', statusCode: 426 })
  t.type(message, 'string')
  t.same(headerOf(await app.request({ method: 'POST', headers: plain }), 'allow'), ['GET'])
})

t.test('12: HTTP that a handshake may not be', async (t) => {
  const app = await statuses(t, {}, [
    ['two Hosts', 400, { headers: { Host: ['a.test', 'b.test'] } }],
    ['HTTP/1.0', 400, { version: 'HTTP/1.0' }],
    ['HTTP/1.0 without Host', 400, { version: 'HTTP/1.0', headers: { Host: null } }],
    ['Content-Length', 400, { headers: { 'Content-Length': '0' } }],
    ['Transfer-Encoding', 400, { headers: { 'Transfer-Encoding': 'chunked' } }]
  ])
  // Node refuses it by itself, before any hook.
  t.equal((await app.request({ headers: { Host: null } })).status, 400, 'no Host')
})

t.test('13: subprotocols', async (t) => {
  const offer = (value: string | string[] | null): Handshake => ({ headers: { 'Sec-WebSocket-Protocol': value } })
  await statuses(t, { subprotocols: ['raw', 'other'] }, [
    ['doubled', 400, offer('raw, raw')],
    ['doubled over two lines', 400, offer(['raw', 'raw'])],
    ['an empty element', 400, offer('raw,,other')],
    ['empty', 400, offer('')],
    ['an invalid token', 400, offer('raw, o{}ther')],
    ['none in common', 101, offer('chat')],
    ['a thousand', 101, offer(Array.from({ length: 1_000 }, (_, i) => `p${i}`).join(','))],
    ['blanks without end', 400, offer(`raw${' \t'.repeat(5_000)}x`)]
  ])
  const app = await TestApp.start(t, { subprotocols: ['raw', 'other'] })
  const none = await app.request(offer('chat'))
  t.same(headerOf(none, 'sec-websocket-protocol'), [], 'none in common: none on the 101')
  t.same(headerOf(await app.request(offer('other, raw')), 'sec-websocket-protocol'), ['raw'], "the server's order decides, and one is named")
  await app.assertBaseline()
  await statuses(t, { subprotocols: ['raw'], requireSubprotocol: true }, [
    ['none in common', 400, offer('chat')],
    ['none offered', 400, offer(null)],
    ['in common', 101, offer('chat, raw')]
  ], { healthyHeaders: { 'Sec-WebSocket-Protocol': 'raw' } })
})

t.test('13b: an upgrade to a plain route', async (t) => {
  const app = await statuses(t, {}, [
    ['GET route', 426, { path: '/plain' }],
    ['with parameters', 426, { path: '/users/7' }],
    ['with an evil Origin', 426, { path: '/plain', headers: { Origin: 'https://evil.test' } }],
    ['of a child context', 426, { path: '/child/plain' }],
    ['POST route', 426, { method: 'POST', path: '/plain' }]
  ], {
    after: async (app) => {
      app.get('/plain', () => 'plain')
      app.post('/plain', () => 'plain')
      app.get('/users/:id', () => 'user')
      await app.register(async (child) => { child.get('/plain', () => 'child') }, { prefix: '/child' })
    }
  })
  t.equal((await app.request({ path: '/nowhere' })).status, 404)
  t.equal((await app.app.inject('/plain')).body, 'plain', 'its HTTP side is untouched')
})

t.test('14: too many headers', async (t) => {
  const app = await TestApp.start(t)
  t.equal((await app.request({ headers: { 'X-Large': 'x'.repeat(17 * 1024) } })).status, 431)
  const client = await app.open()
  const many = Array.from({ length: 2_100 }, () => 'a:b')
  client.write(['GET /ws HTTP/1.1', 'Host: a', ...many, 'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13', `Sec-WebSocket-Key: ${client.key}`, '', ''].join('\r\n'))
  // Later versions of Node count them as well.
  t.match((await client.response()).status, /^4(00|31)$/, 'hidden behind 2,000 others')
  await app.assertBaseline()
})
