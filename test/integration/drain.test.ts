import { execFile, fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import Fastify from 'fastify'
import t from 'tap'
import fastifyHub from '../../lib/index.js'
import { TestApp } from '../helpers/app.js'
import { lives } from '../helpers/lives.js'
import { connectWs, listen } from '../helpers/ws-client.js'

const CONNECTIONS = 5_000

const start = (name: string, args: string[] = []): ChildProcess => fork(fileURLToPath(new URL(`../helpers/${name}.js`, import.meta.url)), args)

async function told<T> (child: ChildProcess): Promise<T> {
  const [message] = await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(() => { throw new Error('the process ended before it told anything') })
  ])
  return message as T
}

t.test('5,000 connections are drained within drain.timeout, each with 1012, and the process exits by itself', async (t) => {
  const server = start('drain-server')
  t.teardown(() => server.kill())
  const { port } = await told<{ port: number }>(server)
  const clients = start('drain-clients', [String(port), String(CONNECTIONS)])
  t.teardown(() => clients.kill())
  t.same(await told(clients), { open: CONNECTIONS })
  const exits = [once(server, 'exit'), once(clients, 'exit')]
  const results = Promise.all([told(server), told(clients)])
  server.send('close')
  const [served, seen] = await results
  t.same(served, { connections: CONNECTIONS, codes: { 1012: CONNECTIONS }, left: 0 })
  // At drain.timeout what is left would be terminated, and end with a reset.
  t.same(seen, { codes: { '1012 fin': CONNECTIONS } })
  t.same(await Promise.all(exits), [[0, null], [0, null]])
})

t.test('what does not close in time is terminated, and nobody waits for an onDisconnect that hangs', async (t) => {
  const { ends, handlers } = lives()
  const app = await TestApp.start(t, {
    ...handlers,
    drain: { spread: 0, timeout: 1_000 },
    deadlines: { close: 0, handler: 0 },
    onDisconnect: async (_, info) => {
      ends.push(info)
      await new Promise(() => {})
    }
  })
  const silent = await Promise.all(Array.from({ length: 10 }, async () => await app.connect()))
  for (const client of silent) client.polite = false
  const closed = app.app.close()
  t.equal((await app.healthy.ended()).code, 1012)
  await closed
  t.equal(ends.length, 10)
  t.match(ends, Array(10).fill({ code: 1012, initiator: 'server' }))
  t.same([app.hub.admission.held, app.hub.size, app.hub.wheel.size, app.sockets.size], [0, 0, 0, 0])
})

t.test('a drain that takes longer than the pluginTimeout of Fastify is waited for', async (t) => {
  let finish = (): void => {}
  const held = new Promise<void>((resolve) => { finish = resolve })
  const app = await TestApp.start(t, { onDisconnect: async () => { await held } }, { fastify: { pluginTimeout: 500 } })
  const client = await app.connect()
  let isClosed = false
  const closed = app.app.close().then(() => { isClosed = true })
  t.same((await Promise.all([client.ended(), app.healthy.ended()])).map(({ code }) => code), [1012, 1012])
  await once(app.app.server, 'close')
  t.equal(isClosed, false, 'the server has ended, the drain has not')
  finish()
  await closed
})

t.test('several hubs of an app have the time of one, be they of its children', async (t) => {
  const PLUGIN_TIMEOUT = 1_000
  let finish = (): void => {}
  const held = new Promise<void>((resolve) => { finish = resolve })
  const app = Fastify({ pluginTimeout: PLUGIN_TIMEOUT })
  for (const path of ['/a', '/b', '/c']) {
    await app.register(async (child) => { await child.register(fastifyHub, { path, onDisconnect: async () => { await held } }) })
  }
  const address = await listen(t, app)
  const clients = await Promise.all(['/a', '/b', '/c'].map(async (path) => await connectWs(t, `ws://${address}${path}`)))
  const ended = once(app.server, 'close')
  const start = performance.now()
  const closed = app.close()
  await ended
  t.equal(performance.now() - start < 2.5 * PLUGIN_TIMEOUT, true, 'it listens no more')
  finish()
  await closed
  t.same(await Promise.all(clients.map(async (client) => (await client.closed).code)), [1012, 1012, 1012])
})

t.test('as long as that the process stays, whether anything else keeps it or not', async (t) => {
  const { stdout } = await promisify(execFile)(process.execPath, [fileURLToPath(new URL('../helpers/drain-alone.js', import.meta.url))])
  t.equal(stdout, '[1012]\n')
})

t.test('a drain is spread', async (t) => {
  const { ends, handlers } = lives()
  const app = await TestApp.start(t, { ...handlers, drain: { spread: 300, timeout: 10_000 } })
  const clients = await Promise.all(Array.from({ length: 500 }, async () => await app.connect()))
  const drained = app.hub.drain()
  const states = [...app.hub.connections()].map(({ state }) => state)
  t.ok(states.includes('closing') && states.includes('open'), 'not all at once')
  t.same(new Set((await Promise.all([app.healthy, ...clients].map(async (client) => await client.ended()))).map(({ code }) => code)), new Set([1012]))
  await drained
  t.equal(ends.length, 500)
})

t.test('what was queued goes out before the Close of a drain', async (t) => {
  const app = await TestApp.start(t, { queue: { maxBytes: 0, maxMessages: 0 } })
  const client = await app.connect()
  client.socket.pause()
  const [connection] = app.connections()
  const chunk = Buffer.alloc(256 * 1024)
  let sent = 0
  while ((connection?.queued.messages ?? 0) < 10) {
    connection?.send(chunk)
    sent++
    await new Promise((resolve) => { setImmediate(resolve) })
  }
  const closed = app.app.close()
  client.socket.resume()
  const healthy = app.healthy.ended()
  for (let i = 0; i < sent; i++) t.equal((await client.message()).data.length, chunk.length)
  t.equal((await client.ended()).code, 1012)
  await healthy
  await closed
})
