import fastifyCookie from '@fastify/cookie'
import t from 'tap'
import type { HubOptions } from '../../lib/index.js'
import { TestApp } from '../helpers/app.js'
import { inIdentify } from '../helpers/in-identify.js'
import { lives } from '../helpers/lives.js'
import { textFrame } from '../helpers/raw-frames.js'
import { handshakeText, headerOf, type RawClient } from '../helpers/raw-client.js'
import { gate, until } from '../helpers/until.js'

for (const [how, leave] of Object.entries({
  FIN: (client: RawClient) => { client.finish() },
  RST: (client: RawClient) => { client.reset() },
  both: (client: RawClient) => { client.destroy() }
})) {
  t.test(`42: ${how} during a hook: the slot is free, identify is not called`, async (t) => {
    const inHook = gate()
    const goOn = gate()
    let later = 0
    let identified = 0
    let destroyed = false
    const app = await TestApp.start(t, {
      identify: () => {
        identified++
        return {}
      },
      route: {
        preValidation: async ({ headers }) => {
          if (headers['x-healthy'] === '1') return
          inHook.open()
          await goOn.promise
        },
        preHandler: [async (request) => {
          if (request.headers['x-healthy'] === '1') return
          later++
          destroyed = request.raw.socket.destroyed
        }]
      }
    })
    const client = await app.open()
    client.sendHandshake()
    await inHook.promise
    t.equal(app.held, 1)
    leave(client)
    await until(() => app.held === 0, 'the slot')
    goOn.open()
    await until(() => later === 1, 'the later hook')
    t.ok(destroyed, 'a later hook finds the socket destroyed')
    await app.assertBaseline()
    t.equal(identified, 0)
  })

  t.test(`42: ${how} during identify: the slot is free, nothing connects`, async (t) => {
    const { connected, ends, handlers } = lives()
    const { app, client, answer } = await inIdentify(t, handlers)
    leave(client)
    await until(() => app.held === 0, 'the slot')
    answer({})
    await app.assertBaseline()
    t.same([connected.length, ends.length], [0, 0])
  })

  t.test(`42: ${how} during a hook before ours`, async (t) => {
    const inHook = gate()
    const goOn = gate()
    let identified = 0
    const app = await TestApp.start(t, {
      identify: () => {
        identified++
        return {}
      }
    }, {
      before: (app) => {
        app.addHook('onRequest', async ({ headers }) => {
          if (headers['x-healthy'] === '1') return
          inHook.open()
          await goOn.promise
        })
      }
    })
    const client = await app.open()
    client.sendHandshake()
    await inHook.promise
    leave(client)
    // The server must have seen the end before the hook goes on: a round trip on another connection is behind it.
    await app.healthy.roundTrip(how)
    goOn.open()
    await app.assertBaseline()
    t.equal(identified, 0)
  })
}

t.test('42: a client that leaves with early data unread is bounded by the deadline', async (t) => {
  const app = await TestApp.start(t, { deadlines: { admit: 1_000 }, identify: async () => await new Promise(() => {}) })
  const client = await app.open()
  client.write(handshakeText({}, client.key))
  client.write(textFrame('early'))
  await until(() => app.held === 1, 'the slot')
  client.finish()
  await app.assertBaseline()
})

for (const [what, name, value] of [
  ['value', 'x-evil', 'a\r\nSet-Cookie: admin=1'],
  ['name', 'x-evil: 1\r\nset-cookie', 'admin=1']
] as const) {
  for (const [where, options] of Object.entries({
    identify: { identify: (_request, reply) => { reply.header(name, value); return {} } },
    'a hook': { identify: () => ({}), route: { preHandler: async ({ headers }, reply) => { if (headers['x-healthy'] !== '1') reply.header(name, value) } } }
  } satisfies Record<string, HubOptions>)) {
    t.test(`42b: a header with CRLF in its ${what}, set in ${where}`, async (t) => {
      const app = await TestApp.start(t, options)
      const response = await app.request()
      t.equal(response.status, 500)
      t.match(JSON.parse(response.body), { code: 'FST_HUB_INVALID_HEADER' })
      t.same(headerOf(response, 'set-cookie'), [])
      t.same(headerOf(response, 'x-evil'), [])
      await app.assertBaseline({ errors: 1 })
    })
  }
}

t.test('42b: a cookie with CRLF', async (t) => {
  const app = await TestApp.start(t, { identify: (_request, reply) => { reply.setCookie('a', 'b', { path: '/\r\nx-evil: 1' }); return {} } },
    { before: async (app) => { await app.register(fastifyCookie) } })
  const response = await app.request()
  t.equal(response.status, 500)
  t.same(headerOf(response, 'x-evil'), [])
  await app.assertBaseline({ errors: 1 })
})

for (const [where, options] of Object.entries({
  identify: (late: Promise<unknown>): HubOptions => ({ identify: async () => { await late; return {} } }),
  onConnect: (late: Promise<unknown>): HubOptions => ({ onConnect: async () => { await late } }),
  preHandler: (late: Promise<unknown>): HubOptions => ({ route: { preHandler: async ({ headers }) => { if (headers['x-healthy'] !== '1') await late } } })
})) {
  t.test(`43: frames that come with the handshake, ${where} late`, async (t) => {
    const received: string[] = []
    const late = gate()
    const app = await TestApp.start(t, { ...options(late.promise), onMessage: (_, message) => { received.push(message.text()) } })
    const client = await app.open()
    client.write(Buffer.concat([Buffer.from(handshakeText({}, client.key)), ...[1, 2, 3].map((i) => textFrame(`with ${i}`))]))
    await until(() => app.held === 1, 'the slot')
    for (const i of [4, 5, 6, 7, 8, 9]) client.sendText(`after ${i}`)
    // 200 ms: as late as the table has it.
    setTimeout(() => { late.open() }, 200)
    await client.upgraded()
    await until(() => received.length === 9, 'all messages')
    t.same(received, ['with 1', 'with 2', 'with 3', 'after 4', 'after 5', 'after 6', 'after 7', 'after 8', 'after 9'])
    await app.assertBaseline()
  })
}

t.test('43: what waits for a late handler is bounded: TCP pushes back', async (t) => {
  const late = gate()
  let received = 0
  const app = await TestApp.start(t, {
    onConnect: async () => { await late.promise },
    onMessage: () => { received++ },
    // No rate: it would hold back what comes later, and nobody would know who does.
    limits: { messagesPerSecond: 0, bytesPerSecond: 0 },
    inbound: { maxPending: 2 }
  })
  const client = await app.connect()
  const frame = textFrame('x'.repeat(60_000))
  let total = 0
  let written = 0
  // How much the kernels take in differs: until nothing moves any more between two looks.
  for (let last = -1; written !== last || written === total;) {
    if (total > 20_000) throw new Error('the sender is never stopped')
    if (written === total) {
      total += 100
      for (let i = 0; i < 100; i++) client.socket.write(frame, () => { written++ })
    }
    last = written
    await new Promise((resolve) => { setTimeout(resolve, 100) })
  }
  t.ok(written < total, `the sender is stopped: ${written} of ${total}`)
  t.ok(app.hub.stats().messages.received < 50, `a bounded number was taken in: ${app.hub.stats().messages.received}`)
  late.open()
  await until(() => received === total, 'all messages')
  await app.assertBaseline()
})
