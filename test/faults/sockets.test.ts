import { connect, type Socket } from 'node:net'
import { once } from 'node:events'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import t, { type Test } from 'tap'
import fastifyHub from '../../lib/index.js'
import { listen } from '../helpers/ws-client.js'
import { until } from '../helpers/until.js'

const handshake = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`

interface Case { before?: (app: FastifyInstance) => unknown, send: string, status: number, options?: FastifyServerOptions }

/** Answers that nobody but the gate can end: the hooks of @fastify/websocket have not run. */
const CASES: Record<string, Case> = {
  'a hook of the app before the hub': { before: (app) => app.addHook('onRequest', async (_request, reply) => await reply.code(401).send({})), send: handshake('/ws'), status: 401 },
  'a malformed URL': { send: handshake('/%zz'), status: 400 },
  'a parameter that is too long': { before: (app) => app.get('/p/:id', async () => 'x'), send: handshake(`/p/${'a'.repeat(300)}`), status: 414 },
  'a handshake behind a request that is not answered yet': { before: (app) => app.get('/ok', async () => 'ok'), send: `GET /ok HTTP/1.1\r\nHost: a\r\n\r\n${handshake('/ws')}`, status: 200 }
}

async function start (t: Test, { before, options = {} }: Case): Promise<{ app: FastifyInstance, open: Set<Socket>, port: number }> {
  const app = Fastify(options)
  const open = new Set<Socket>()
  app.server.on('connection', (socket) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
  })
  await before?.(app)
  await app.register(fastifyHub)
  const address = await listen(t, app)
  return { app, open, port: Number(address.split(':').at(-1)) }
}

for (const [name, given] of Object.entries(CASES)) {
  t.test(`${name}: the answer ends the socket`, async (t) => {
    const { app, open, port } = await start(t, given)
    const clients = Array.from({ length: 5 }, () => connect({ port, host: '127.0.0.1', allowHalfOpen: true }))
    for (const client of clients) {
      client.write(given.send)
      const [answer] = await once(client, 'data') as [Buffer]
      t.match(answer.toString(), `HTTP/1.1 ${given.status} `)
    }
    await until(() => open.size === 0, 'the sockets')
    await app.close()
    for (const client of clients) client.destroy()
  })
}

t.test('a hook before the hub that never answers: the client that leaves is gone, and the app closes', async (t) => {
  const { app, open, port } = await start(t, { before: (app) => app.addHook('onRequest', () => {}), send: '', status: 0 })
  const [leaves, stays] = [connect({ port, host: '127.0.0.1' }), connect({ port, host: '127.0.0.1' })]
  for (const client of [leaves, stays]) client.write(handshake('/ws'))
  await until(() => open.size === 2, 'both')
  await new Promise((resolve) => { setImmediate(resolve) })
  leaves.end()
  await until(() => open.size === 1, 'the one that left')
  await app.close()
  await until(() => open.size === 0, 'the other one')
  stays.destroy()
})
