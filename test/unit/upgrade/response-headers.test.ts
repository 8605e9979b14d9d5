import cookie, { type FastifyCookieOptions } from '@fastify/cookie'
import Fastify, { type FastifyReply } from 'fastify'
import t, { type Test } from 'tap'
import { responseHeaderLines } from '../../../lib/upgrade/response-headers.js'

/** What the lines are for a reply, and which headers that leaves on it. */
async function lines (t: Test, prepare: (reply: FastifyReply) => void, cookies?: FastifyCookieOptions): Promise<{ lines: string[] | null, error: Error | null, left: object }> {
  const app = Fastify()
  t.teardown(async () => { await app.close() })
  if (cookies !== undefined) await app.register(cookie, cookies)
  const result: { lines: string[] | null, error: Error | null, left: object } = { lines: null, error: null, left: {} }
  app.get('/', async (_request, reply) => {
    prepare(reply)
    try {
      result.lines = responseHeaderLines(reply)
    } catch (error) {
      result.error = error as Error
    }
    result.left = { ...reply.getHeaders() }
    for (const name of Object.keys(result.left)) reply.removeHeader(name)
    return ''
  })
  await app.inject('/')
  return result
}

t.test('headers that hooks have set', async (t) => {
  const { lines: found } = await lines(t, (reply) => {
    reply.header('X-One', '1').header('x-two', 2).header('set-cookie', 'a=1').header('set-cookie', 'b=2').header('x-list', ['p', 'q'])
    reply.raw.setHeader('X-Raw', 'raw')
  })
  t.same(found?.sort(), ['set-cookie: a=1', 'set-cookie: b=2', 'x-list: p', 'x-list: q', 'x-one: 1', 'x-raw: raw', 'x-two: 2'])
})

t.test('none', async (t) => {
  t.same((await lines(t, () => {})).lines, [])
  t.same((await lines(t, (reply) => { reply.header('x-empty', undefined) })).lines, ['x-empty: '], 'as Fastify has it')
})

t.test('what the handshake itself says, and what is for one hop or for content, is left out', async (t) => {
  const { lines: found } = await lines(t, (reply) => {
    for (const name of ['connection', 'keep-alive', 'Proxy-Authenticate', 'te', 'trailer', 'transfer-encoding', 'Upgrade', 'content-length', 'content-type', 'content-encoding', 'sec-websocket-accept', 'Sec-WebSocket-Protocol', 'sec-websocket-extensions']) reply.header(name, 'x')
    reply.header('x-content-type', 'kept').header('tea', 'kept')
  })
  t.same(found?.sort(), ['tea: kept', 'x-content-type: kept'])
})

t.test('FAULTS 42b: a line break is refused, and taken off the reply', async (t) => {
  for (const value of ['a\r\nX-Injected: 1', 'a\nb', 'a\rb', 'a\0b', '\u{1f600}', ['fine', 'b\r\n']]) {
    const { lines: found, error, left } = await lines(t, (reply) => { reply.header('x-fine', '1').header('x-evil', value) })
    t.equal(found, null)
    t.match(error, { code: 'FST_HUB_INVALID_HEADER', statusCode: 500, message: 'A response header for the handshake is malformed: "x-evil"' })
    t.same(Object.keys(left), ['x-fine'], 'the error can still be answered')
  }
  const { error } = await lines(t, (reply) => { reply.header('x-a\r\nb', '1') })
  t.match(error, { code: 'FST_HUB_INVALID_HEADER', message: /"x-a\\r\\nb"$/ }, 'nor in a name')
})

t.test('several malformed headers: all are taken off, and named in one error', async (t) => {
  const { error, left } = await lines(t, (reply) => { reply.header('x-one', 'a\r\nb').header('x-two', 'c\nd').header('x-good', 'e') })
  t.match(error, { code: 'FST_HUB_INVALID_HEADER', message: /"x-one", "x-two"$/ })
  t.same(left, { 'x-good': 'e' })
})

t.test('cookies of @fastify/cookie, which it writes only in onSend', async (t) => {
  const { lines: found } = await lines(t, (reply) => {
    reply.setCookie('session', 'a b', { path: '/', httpOnly: true }).setCookie('signed', 'x', { signed: true }).clearCookie('old')
    reply.header('set-cookie', 'own=1')
  }, { secret: 'a secret' })
  t.match(found?.find((line) => line.includes('session=')), /^set-cookie: session=a%20b; Path=\/; HttpOnly/)
  t.match(found?.find((line) => line.includes('signed=')), /^set-cookie: signed=x\./)
  t.match(found?.find((line) => line.includes('old=')), /Expires=Thu, 01 Jan 1970/)
  t.ok(found?.includes('set-cookie: own=1'))
  t.equal(found?.length, 4)
  t.same((await lines(t, () => {}, {})).lines, [], 'none set')
  t.same((await lines(t, () => {}, { hook: false })).lines, [], 'and none kept')
})
