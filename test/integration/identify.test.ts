import t from 'tap'
import type { HubOptions } from '../../lib/index.js'
import { TestApp } from '../helpers/app.js'
import { headerOf } from '../helpers/raw-client.js'

type Identify = NonNullable<HubOptions['identify']>
const wrong = (value: unknown): Identify => () => value as never

const cases: Array<[what: string, identify: Identify, status: number, code: string | null, errors: number]> = [
  ['null', () => null, 403, 'FST_HUB_FORBIDDEN', 0],
  ['a promise of null', async () => null, 403, 'FST_HUB_FORBIDDEN', 0],
  ['undefined', wrong(undefined), 500, 'FST_HUB_INVALID_IDENTITY', 1],
  ['a string', wrong('me'), 500, 'FST_HUB_INVALID_IDENTITY', 1],
  ['a list', wrong([]), 500, 'FST_HUB_INVALID_IDENTITY', 1],
  ['an unknown field', wrong({ user: 'me', expiresAt: 1 }), 500, 'FST_HUB_INVALID_IDENTITY', 1],
  ['a number as user', wrong({ user: 7 }), 500, 'FST_HUB_INVALID_IDENTITY', 1],
  ['an empty user', wrong({ user: '' }), 500, 'FST_HUB_INVALID_IDENTITY', 1],
  ['a long device', wrong({ device: 'x'.repeat(256) }), 500, 'FST_HUB_INVALID_IDENTITY', 1],
  ['data that is no object', wrong({ data: 'x' }), 500, 'FST_HUB_INVALID_IDENTITY', 1],
  ['an error', () => { throw new Error('secret of the server') }, 401, 'FST_HUB_UNAUTHORIZED', 0],
  ['a rejection', async () => { throw new Error('secret of the server') }, 401, 'FST_HUB_UNAUTHORIZED', 0],
  ['what is no error', () => { throw 'secret of the server' }, 401, 'FST_HUB_UNAUTHORIZED', 0], // eslint-disable-line no-throw-literal
  ['nothing thrown', () => { throw undefined }, 401, 'FST_HUB_UNAUTHORIZED', 0], // eslint-disable-line no-throw-literal
  ['an error with a status', () => { throw Object.assign(new Error('pay'), { statusCode: 402 }) }, 402, null, 0],
  ['an error with a status and a code', () => { throw Object.assign(new Error('later'), { statusCode: 503, code: 'E_LATER' }) }, 503, 'E_LATER', 0],
  ['an error with a status that is no refusal', () => { throw Object.assign(new Error('fine?'), { statusCode: 200 }) }, 401, 'FST_HUB_UNAUTHORIZED', 0],
  ['an error with status 500', () => { throw Object.assign(new Error('broken'), { statusCode: 500 }) }, 500, null, 1]
]

for (const [what, identify, status, code, errors] of cases) {
  t.test(`identify answers ${what}`, async (t) => {
    const app = await TestApp.start(t, { identify })
    const response = await app.request()
    t.equal(response.status, status)
    const body = JSON.parse(response.body) as Record<string, unknown>
    t.equal(body['statusCode'], status)
    t.equal(body['code'] ?? null, code)
    t.notMatch(response.body, 'secret', 'a cause stays in the log')
    t.match(headerOf(response, 'content-type'), [/^application\/json/])
    t.equal(app.refusals().length, errors === 0 ? 1 : 0)
    await app.assertBaseline({ errors })
    t.equal(Object.values(app.hub.stats().refused).reduce((a, b) => a + b, 0), 1, 'counted')
  })
}

t.test('identify has sent a reply itself', async (t) => {
  for (const answer of [null, {}, undefined]) {
    const app = await TestApp.start(t, {
      identify: async (_request, reply) => {
        await reply.code(418).send({ short: 'and stout' })
        return answer as null
      }
    })
    const client = await app.open()
    client.sendHandshake()
    const response = await client.response()
    t.equal(response.status, 418)
    t.equal(response.body, '{"short":"and stout"}')
    t.same(await client.ended(), { code: null, reason: '', tcp: 'fin' })
    await app.assertBaseline()
  }
})

t.test('identify has sent a reply, then failed', async (t) => {
  const app = await TestApp.start(t, {
    identify: async (_request, reply) => {
      reply.redirect('/login')
      throw new Error('too late')
    }
  })
  const response = await app.request()
  t.equal(response.status, 302)
  t.same(headerOf(response, 'location'), ['/login'])
  await app.assertBaseline()
})

t.test('who it is', async (t) => {
  const app = await TestApp.start(t, { identify: () => ({ user: 'Ünï', device: 'web', data: { name: 'x' } }) })
  await app.connect()
  t.match(app.connections(), [{ user: 'Ünï', device: 'web', data: { name: 'x' } }])
  t.equal(await app.hub.user('Ünï').online(), true)
  await app.assertBaseline()
  t.equal(await app.hub.user('Ünï').online(), false)
})

t.test('anonymous', async (t) => {
  const app = await TestApp.start(t)
  await app.connect()
  t.match(app.connections(), [{ user: null, device: null, data: {}, subprotocol: null, ip: '127.0.0.1' }])
  await app.assertBaseline()
})
