import t from 'tap'
import { TestApp } from '../helpers/app.js'
import { headerOf } from '../helpers/raw-client.js'

const INFO = 30

t.test("refusals go through the app's error handler", async (t) => {
  const app = await TestApp.start(t, { limits: { connections: 1 }, origins: ['https://example.com'] }, {
    before: (app) => {
      app.setErrorHandler((error: Error & { code?: string, statusCode?: number }, _request, reply) => {
        reply.code(error.statusCode ?? 500).type('application/problem+json').send({ type: error.code, title: error.message })
      })
    }
  })
  const forbidden = await app.request({ headers: { Origin: 'https://evil.test' } })
  t.equal(forbidden.status, 403)
  t.match(headerOf(forbidden, 'content-type'), [/^application\/problem\+json/])
  t.same(JSON.parse(forbidden.body), { type: 'FST_HUB_ORIGIN_DENIED', title: 'Origin not allowed' })
  await app.connect()
  const full = await app.request()
  t.equal(full.status, 503)
  t.equal((JSON.parse(full.body) as { type: string }).type, 'FST_HUB_FULL')
  t.match(headerOf(full, 'retry-after'), [/^[1-9]\d*$/])
  await app.assertBaseline()
})

t.test('an error handler that is slow, and one that answers with what it likes', async (t) => {
  const app = await TestApp.start(t, { identify: () => null }, {
    before: (app) => {
      app.setErrorHandler(async (_error, _request, reply) => {
        await new Promise((resolve) => { setTimeout(resolve, 20) })
        return await reply.code(404).send('nothing here')
      })
    }
  })
  const { status, body } = await app.request()
  t.same({ status, body }, { status: 404, body: 'nothing here' })
  await app.assertBaseline()
})

t.test('logged exactly once, at info, by the default handler too', async (t) => {
  for (const hooks of ['without hooks', 'with an onError hook']) {
    const app = await TestApp.start(t, { limits: { connections: 1 }, origins: ['https://example.com'], identify: ({ url }) => url.endsWith('forbidden') ? null : {} }, {
      before: (app) => {
        if (hooks === 'with an onError hook') app.addHook('onError', async () => { await new Promise((resolve) => { setImmediate(resolve) }) })
      }
    })
    const lines = app.logs.length
    await app.request({ headers: { Origin: 'https://evil.test' } })
    await app.request({ path: '/ws?forbidden' })
    const client = await app.connect()
    await app.request()
    await app.request({ headers: { 'Sec-WebSocket-Version': '8' } })
    client.destroy()
    await app.assertBaseline()
    t.equal(app.logs.slice(lines).filter(({ msg }) => msg === 'request completed').length, 4, 'other lines of the request stay')
    const about = app.logs.slice(lines).filter(({ msg }) => msg !== 'incoming request' && msg !== 'request completed')
    t.same(about.map(({ level, code, statusCode, msg }) => ({ level, code, statusCode, msg })), [
      ['FST_HUB_ORIGIN_DENIED', 403], ['FST_HUB_FORBIDDEN', 403], ['FST_HUB_FULL', 503], ['FST_HUB_UPGRADE_REQUIRED', 426]
    ].map(([code, statusCode]) => ({ level: INFO, code, statusCode, msg: 'websocket upgrade refused' })), hooks)
  }
})

t.test('a function in origins fails: 403, and an error in the log', async (t) => {
  for (const origins of [() => { throw new Error('failed on purpose') }, async () => { throw new Error('failed on purpose') }]) {
    const app = await TestApp.start(t, { origins })
    t.equal((await app.request({ headers: { Origin: 'https://example.com' } })).status, 403)
    await app.assertBaseline({ errors: 1 })
  }
})

t.test('refused sockets are closed, even if the client stays', async (t) => {
  const app = await TestApp.start(t, { identify: () => null })
  const client = await app.open()
  client.sendHandshake()
  t.equal((await client.response()).status, 403)
  t.same(await client.ended(), { code: null, reason: '', tcp: 'fin' })
  await app.assertBaseline()
})
