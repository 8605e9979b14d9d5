import { once } from 'node:events'
import Fastify, { type FastifyReply, type FastifyRequest } from 'fastify'
import t from 'tap'
import { WebSocket } from 'ws'
import fastifyHub, { type Connection, type HubOptions } from '../../lib/index.js'
import { captureLogs } from '../helpers/app.js'
import { selfSigned } from '../helpers/self-signed.js'
import { gate, until } from '../helpers/until.js'
import { connectWs, listen } from '../helpers/ws-client.js'

t.test('a turn sends more than a queue holds: a fast reader loses nothing, over TLS and injectWS as well', async (t) => {
  const burst: HubOptions = {
    onConnect: (connection) => {
      for (let i = 0; i < 250; i++) connection.send(`${i}:${'h'.repeat(1000)}`)
    }
  }
  const secure = Fastify({ https: selfSigned() })
  await secure.register(fastifyHub, burst)
  const overTls = new WebSocket(`wss://${await listen(t, secure)}/ws`, { rejectUnauthorized: false })
  const injected = Fastify()
  t.teardown(async () => { await injected.close() })
  await injected.register(fastifyHub, burst)
  await injected.ready()
  let inject: WebSocket | null = null
  const [tlsCount, injectCount] = [counter(overTls), { numbers: [] as number[] }]
  await injected.injectWS('/ws', {}, { onInit: (ws) => { inject = ws; injectCount.numbers = counter(ws).numbers } })
  for (const count of [tlsCount, injectCount]) {
    await until(() => count.numbers.length === 250, 'all messages')
    t.same(count.numbers, Array.from({ length: 250 }, (_, i) => i))
  }
  t.equal(secure.hub.stats().messages.dropped + injected.hub.stats().messages.dropped, 0)
  overTls.terminate()
  ;(inject as WebSocket | null)?.terminate()
})

function counter (ws: WebSocket): { numbers: number[] } {
  const numbers: number[] = []
  ws.on('message', (data: Buffer) => { numbers.push(Number(data.toString().split(':', 1)[0])) })
  return { numbers }
}

t.test('pings of the peer between our writes over TLS block nothing', async (t) => {
  const app = Fastify({ https: selfSigned() })
  let connection: Connection | undefined
  await app.register(fastifyHub, { onConnect: (it) => { connection = it }, limits: { messagesPerSecond: 0 }, queue: { maxMessages: 0, maxBytes: 0 } })
  const ws = new WebSocket(`wss://${await listen(t, app)}/ws`, { rejectUnauthorized: false })
  const { numbers } = counter(ws)
  await once(ws, 'open')
  await until(() => connection !== undefined, 'onConnect')
  for (let i = 0; i < 400; i++) {
    for (let j = 0; j < 10; j++) connection?.send(`${i * 10 + j}:${'y'.repeat(8000)}`)
    ws.ping()
    await new Promise((resolve) => { setImmediate(resolve) })
  }
  await until(() => numbers.length === 4000, 'all messages')
  t.same(connection?.queued, { messages: 0, bytes: 0 })
  ws.terminate()
})

t.test('a connection in a log line or a message tells who it is, and nothing of others', async (t) => {
  const { lines, options } = captureLogs()
  const app = Fastify({ logger: options })
  await app.register(fastifyHub, {
    identify: ({ query }) => ({ user: (query as { u: string }).u, data: { secret: `of ${(query as { u: string }).u}` } as object }),
    onMessage: (connection) => {
      app.log.info({ connection }, 'said')
      connection.send({ from: connection })
    }
  })
  const address = await listen(t, app)
  const [ann] = [await connectWs(t, `ws://${address}/ws?u=ann`), await connectWs(t, `ws://${address}/ws?u=bob`)]
  ann.send('x')
  const { from } = JSON.parse(await ann.text()) as { from: object }
  t.same(Object.keys(from), ['id', 'user', 'device', 'ip', 'subprotocol', 'state'])
  const line = JSON.stringify(lines.find(({ msg }) => msg === 'said'))
  t.notMatch(line, 'secret')
  t.notMatch(line, 'bob')
  await app.close()
})

t.test('a stall of the event loop longer than the heartbeat ends nobody that has spoken', async (t) => {
  const app = Fastify()
  const received: string[] = []
  await app.register(fastifyHub, { heartbeat: { interval: 300, timeout: 600 }, onMessage: (_, message) => { received.push(message.text()) } })
  const ws = await connectWs(t, `ws://${await listen(t, app)}/ws`)
  await until(() => app.hub.size === 1, 'the connection')
  ws.send('sent before the stall, read after it')
  const until1 = Date.now() + 900
  while (Date.now() < until1);
  await until(() => received.length === 1, 'the message')
  t.equal(app.hub.size, 1)
  await app.close()
})

t.test('a stall of the event loop ends nobody who was not asked in time', async (t) => {
  const app = Fastify()
  await app.register(fastifyHub, { heartbeat: { interval: 300, timeout: 600 } })
  const ws = await connectWs(t, `ws://${await listen(t, app)}/ws`)
  await until(() => app.hub.size === 1, 'the connection')
  let pings = 0
  ws.ws.on('ping', () => { pings++ })
  const until1 = Date.now() + 900
  while (Date.now() < until1);
  await until(() => pings > 0 || app.hub.size === 0, 'a ping')
  t.equal(app.hub.size, 1)
  await app.close()
})

t.test('stalls of the event loop in one turn, behind the tick of the wheel, are not held against those who were not read or could not go on', async (t) => {
  const STALL_MS = 500
  const received: string[] = []
  const app = Fastify()
  await app.register(fastifyHub, {
    limits: { messagesPerSecond: 100, burst: 60 },
    deadlines: { handler: 1_000 },
    onMessage: async (_, message) => {
      const text = message.text()
      received.push(text)
      if (text === 'wait') await until(() => received.includes('last'), 'the last one')
      if (text !== 'stall') return
      for (const end = performance.now() + STALL_MS; performance.now() < end;);
      // All of them, and then him, in the turn behind this one: the first stall is found at its beginning.
      for (const other of stalling.splice(0)) other.send('stall')
      for (let i = 0; i < 80 * STALL_MS / 1_000; i++) quick.send('x')
      if (received.filter((text) => text === 'stall').length === 4) quick.send('last')
    }
  })
  const url = `ws://${await listen(t, app)}/ws`
  const [quick, waiting, first] = [await connectWs(t, url), await connectWs(t, url), await connectWs(t, url)]
  const stalling = [await connectWs(t, url), await connectWs(t, url), await connectWs(t, url)]
  await until(() => app.hub.size === 6, 'the connections')
  waiting.send('wait')
  await until(() => received.length === 1, 'the handler that waits')
  first.send('stall')
  await until(() => received.includes('last') || app.hub.size < 6, 'the last one')
  await new Promise((resolve) => { setTimeout(resolve, 100) })
  t.same([app.hub.size, app.hub.stats().messages.limited], [6, 0])
  await app.close()
})

t.test('what identify has answered is respected, with asynchronous onSend hooks, too', async (t) => {
  const answers: Record<string, (request: FastifyRequest, reply: FastifyReply) => null> = {
    418: (_request, reply) => { reply.code(418).send('tea'); return null }
  }
  const { lines, options } = captureLogs()
  const app = Fastify({ logger: options })
  app.addHook('onSend', async (_request, _reply, payload) => {
    await new Promise((resolve) => { setTimeout(resolve, 20) })
    return payload
  })
  await app.register(fastifyHub, { identify: answers[418] as NonNullable<HubOptions['identify']> })
  const ws = new WebSocket(`ws://${await listen(t, app)}/ws`)
  ws.on('error', () => {})
  const [, response] = await once(ws, 'unexpected-response') as [unknown, { statusCode: number }]
  t.equal(response.statusCode, 418)
  t.same(app.hub.stats().refused, {})
  t.notOk(lines.some(({ level }) => level > 30))
  ws.terminate()
  await app.close()
})

t.test('a refusal that takes its time is the only one', async (t) => {
  const answering = gate()
  const app = Fastify()
  app.setErrorHandler(async (error: { statusCode: number }, _request, reply) => {
    await answering.promise
    return await reply.code(error.statusCode).send({ mine: true })
  })
  await app.register(fastifyHub, { limits: { connections: 1, onFull: 'wait' } })
  const address = await listen(t, app)
  const first = await connectWs(t, `ws://${address}/ws`)
  const waiting = new WebSocket(`ws://${address}/ws`)
  waiting.on('error', () => {})
  await until(() => app.hub.stats().waiting === 1, 'the line')
  const drained = app.hub.drain()
  await new Promise((resolve) => { setTimeout(resolve, 50) })
  answering.open()
  const [, response] = await once(waiting, 'unexpected-response') as [unknown, { statusCode: number }]
  t.equal(response.statusCode, 503)
  t.same(app.hub.stats().refused, { FST_HUB_DRAINING: 1 })
  t.equal((await first.closed).code, 1012)
  waiting.terminate()
  await drained
  await app.close()
})

t.test('a handler that never ends costs nobody onDisconnect', async (t) => {
  const app = Fastify()
  const gone: number[] = []
  await app.register(fastifyHub, { drain: { timeout: 300 }, onMessage: async () => { await new Promise(() => {}) }, onDisconnect: (_, { code }) => { gone.push(code) } })
  const ws = await connectWs(t, `ws://${await listen(t, app)}/ws`)
  ws.send('x')
  await until(() => app.hub.stats().messages.received === 1, 'the message')
  await app.close()
  t.same(gone, [1012])
})

t.test('an upgrade to a route that was declared before the hub', async (t) => {
  const app = Fastify()
  app.get('/early', async () => 'early')
  await app.register(fastifyHub)
  const ws = new WebSocket(`ws://${await listen(t, app)}/early`)
  ws.on('error', () => {})
  const [, response] = await once(ws, 'unexpected-response') as [unknown, { statusCode: number }]
  t.equal(response.statusCode, 426)
  t.same(app.hub.stats().refused, { FST_HUB_UPGRADE_REQUIRED: 1 })
  t.equal((await app.inject('/early')).body, 'early')
  ws.terminate()
  await app.close()
})

t.test('a join that nobody waits for, of a peer that has left', async (t) => {
  const app = Fastify()
  const late = gate()
  const joined = gate()
  await app.register(fastifyHub, {
    onMessage: async (connection) => {
      await late.promise
      connection.join('room').finally(() => { joined.open() }).catch(() => {})
      // Floating, as it happens: an unhandled rejection would fail this test.

      connection.join('room')
    }
  })
  const ws = await connectWs(t, `ws://${await listen(t, app)}/ws`)
  ws.send('x')
  await until(() => app.hub.stats().messages.received === 1, 'the message')
  ws.ws.terminate()
  await until(() => app.hub.size === 0, 'the end')
  late.open()
  await joined.promise
  await app.close()
  t.pass('the process lives')
})
