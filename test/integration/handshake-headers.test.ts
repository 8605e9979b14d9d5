import fastifyCookie from '@fastify/cookie'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { TestApp } from '../helpers/app.js'
import { headerOf, RawClient } from '../helpers/raw-client.js'

const cookies = async (app: FastifyInstance): Promise<void> => { await app.register(fastifyCookie, { secret: 'a secret of the test' }) }

t.test('headers set in hooks and in identify are on the 101', async (t) => {
  const app = await TestApp.start(t, {
    route: { preHandler: async (_request, reply) => { reply.header('x-hook', 'hook').header('set-cookie', ['a=1', 'b=2']) } },
    identify: (_request, reply) => {
      reply.header('X-Identify', 'identify').header('x-number', 7)
      // What the handshake itself says, and what has no place on a 101.
      reply.headers({ 'content-type': 'text/plain', 'content-length': '5', connection: 'close', upgrade: 'h2c', 'sec-websocket-protocol': 'forged', 'transfer-encoding': 'chunked' })
      return {}
    },
    onMessage: (connection, message) => { connection.send(message) }
  }, { before: (app) => { app.addHook('onRequest', async (_request, reply) => { reply.header('x-instance', 'instance') }) } })
  const client = await app.open()
  const response = await client.upgrade()
  t.same(response.headers.slice(3).sort(), [['set-cookie', 'a=1'], ['set-cookie', 'b=2'], ['x-hook', 'hook'], ['x-identify', 'identify'], ['x-instance', 'instance'], ['x-number', '7']].sort())
  client.sendText('works')
  t.equal(await client.text(), 'works')
  await app.assertBaseline()
})

t.test('cookies of @fastify/cookie, several of them, signed and cleared', async (t) => {
  const app = await TestApp.start(t, {
    route: { preHandler: async (_request, reply) => { reply.setCookie('hook', '1', { path: '/', httpOnly: true }) } },
    identify: async (request, reply) => {
      reply.setCookie('session', 'x y', { path: '/', maxAge: 60 })
      reply.setCookie('signed', 'value', { path: '/', signed: true })
      reply.clearCookie('old', { path: '/' })
      reply.header('set-cookie', 'plain=1')
      const { valid, value } = request.unsignCookie(request.cookies['signed'] ?? '')
      return { data: { valid, value } }
    },
    onConnect: (connection) => { connection.send(connection.data) }
  }, { before: cookies })
  const first = await app.open()
  const set = headerOf(await first.upgrade(), 'set-cookie').sort()
  t.match(set, [
    /^hook=1; Path=\/; HttpOnly/,
    /^old=;.* Path=\/; Expires=Thu, 01 Jan 1970/,
    'plain=1',
    /^session=x%20y; Max-Age=60; Path=\//,
    /^signed=value\.[^;]+; Path=\//
  ])
  t.equal(set.length, 5)
  const again = await app.open()
  await again.upgrade({ headers: { Cookie: (set.at(-1) as string).split(';')[0] as string } })
  t.equal(await again.text(), '{"valid":true,"value":"value"}', 'the client gives it back, and it is good')
  await app.assertBaseline()
})

t.test('headers and cookies are on a refusal, too', async (t) => {
  const app = await TestApp.start(t, {
    identify: (_request, reply) => {
      reply.header('x-why', 'because').setCookie('seen', '1')
      return null
    }
  }, { before: cookies })
  const response = await app.request()
  t.equal(response.status, 403)
  t.same(headerOf(response, 'x-why'), ['because'])
  t.match(headerOf(response, 'set-cookie'), [/^seen=1/])
  await app.assertBaseline()
})

t.test('one upgrade does not get the headers of another', async (t) => {
  const app = await TestApp.start(t, { identify: ({ headers }, reply) => { reply.header('x-me', String(headers['x-i-am'])); return {} } })
  const names = Array.from({ length: 50 }, (_, i) => String(i))
  const clients = await Promise.all(names.map(async () => await app.open()))
  clients.forEach((client: RawClient, i) => { client.sendHandshake({ headers: { 'x-i-am': names[i] as string } }) })
  t.same(await Promise.all(clients.map(async (client) => headerOf(await client.upgraded(), 'x-me')[0])), names)
  await app.assertBaseline()
})
