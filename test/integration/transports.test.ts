import fastifyWebsocket from '@fastify/websocket'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import type { HubOptions } from '../../lib/index.js'
import { TestApp, type AppOptions } from '../helpers/app.js'
import { gc } from '../helpers/gc.js'
import { lives } from '../helpers/lives.js'
import { closeFrame, textFrame } from '../helpers/raw-frames.js'
import { gate, until } from '../helpers/until.js'

class OfTheApp extends WebSocket {}

/** What decides which transport a connection gets: whether ws's WebSocket stays. */
const ways: Record<string, { stays: boolean, websocket?: HubOptions['websocket'], app?: AppOptions }> = {
  'as it comes': { stays: false },
  'the @fastify/websocket of the app': { stays: false, app: { before: async (app) => { await app.register(fastifyWebsocket, { options: { maxPayload: 64 * 1024 } }) } } },
  'another listener on the socket': { stays: false, app: { after: ({ server }) => { server.on('connection', (socket) => { socket.on('data', () => {}) }) } } },
  'a WebSocket class of the app': { stays: true, websocket: { options: { WebSocket: OfTheApp as never } } },
  'events in turns of their own': { stays: true, websocket: { options: { allowSynchronousEvents: false } } },
  'a listener of the app': { stays: true, app: { after: ({ websocketServer }) => { websocketServer.on('connection', (ws) => { ws.on('pong', () => {}) }) } } }
}

async function start (t: Test, way: string, options: HubOptions): Promise<TestApp> {
  const { websocket, app } = ways[way] as (typeof ways)[string]
  return await TestApp.start(t, { ...options, ...websocket !== undefined && { websocket: { ...websocket, ...options.websocket, options: { ...websocket.options, ...options.websocket?.options } } } }, app)
}

/** In milliseconds, and like no other timer. */
const CLOSE_TIMEOUT = 54_321

/** @returns how many timers of that length run that were started since */
function countTimers (t: Test, ms: number): () => number {
  const running = new Set<NodeJS.Timeout>()
  const { setTimeout: start, clearTimeout: stop } = globalThis
  globalThis.setTimeout = Object.assign((...args: Parameters<typeof start>) => {
    const timer = start(...args)
    if (args[1] === ms) running.add(timer)
    return timer
  }, { __promisify__: start.__promisify__ }) as typeof start
  globalThis.clearTimeout = (timer) => {
    running.delete(timer as NodeJS.Timeout)
    stop(timer)
  }
  t.teardown(() => {
    for (const timer of running) stop(timer)
    Object.assign(globalThis, { setTimeout: start, clearTimeout: stop })
  })
  return () => running.size
}

for (const [way, { stays, app: appOptions = {}, websocket }] of Object.entries(ways)) {
  t.test(`${way}: ${stays ? 'the WebSocket of ws stays' : 'the WebSocket of ws is left to the collector'}`, async (t) => {
    let ref: WeakRef<object> | null = null
    const app = await TestApp.start(t, { ...websocket !== undefined && { websocket }, onMessage: (connection, message) => { connection.send(message) } }, {
      ...appOptions,
      after: (app) => {
        appOptions.after?.(app)
        app.websocketServer.on('connection', (ws) => { ref = new WeakRef(ws) })
      }
    })
    const client = await app.connect()
    client.sendText('hello')
    t.equal(await client.text(), 'hello')
    const [, socket] = [...app.sockets]
    t.equal(socket?.listenerCount('data') === 0, !stays && way !== 'another listener on the socket', 'whether it is read into shared memory')
    const isThere = (): boolean => {
      gc()
      return ref?.deref() !== undefined
    }
    if (!stays) await until(() => !isThere(), 'the end of it')
    t.equal(isThere(), stays)
    await client.roundTrip('still here')
    await app.assertBaseline()
  })
}

for (const [way, { options = {}, completed }] of Object.entries({
  'nobody looks at it': { completed: false },
  'its options are those of the app': { options: { websocket: { options: { maxFragments: 8 } } }, completed: false },
  'the app compresses': { options: { compression: { level: 1 } }, completed: false },
  'the app puts a class of its own in its place': { options: { websocket: { options: { WebSocket: OfTheApp as never } } }, completed: true }
} satisfies Record<string, { options?: HubOptions, completed: boolean }>)) {
  t.test(`${way}: ws ${completed ? 'completes' : 'does not complete'} a WebSocket that is left at once`, async (t) => {
    const made: WebSocket[] = []
    const app = await TestApp.start(t, { ...options, onMessage: (connection, message) => { connection.send(message) } }, {
      after: ({ websocketServer: { clients } }) => {
        const add = clients.add.bind(clients)
        clients.add = (ws) => {
          made.push(ws)
          return add(ws)
        }
      }
    })
    const client = await app.connect()
    await client.roundTrip('hello')
    t.equal(made.at(-1)?.readyState, completed ? WebSocket.OPEN : WebSocket.CONNECTING)
    await app.assertBaseline()
  })
}

for (const way of ['as it comes', 'another listener on the socket', 'a WebSocket class of the app']) {
  for (const [how, last, code] of [['a reset', [], 1006], ['a Close and a reset', [closeFrame(4001, 'bye')], 4001]] as const) {
    t.test(`${way}: what came while we did not read is handled, although the peer is gone, with ${how}`, async (t) => {
      const { received, ends, handlers } = lives()
      const handling = gate()
      const app = await start(t, way, { ...handlers, onMessage: async (_, message) => { received.push(message.text()); await handling.promise }, inbound: { maxPending: 1 }, deadlines: { close: CLOSE_TIMEOUT } })
      const waits = countTimers(t, CLOSE_TIMEOUT)
      const client = await app.connect()
      for (const message of ['first', 'second']) client.sendText(message)
      await until(() => received.length === 1, 'the first message')
      const [, socket] = [...app.sockets]
      await until(() => socket?.isPaused() === true, 'the pause')
      const unread = Buffer.concat([textFrame('third'), ...last])
      // Nothing is read of a socket with a shared buffer, not even the reset: both are left to the kernel.
      const isRead = way !== 'as it comes'
      await new Promise((resolve) => { client.socket.write(unread, resolve) })
      if (isRead) await until(() => socket?.readableLength === unread.length, 'what is not handled')
      client.reset()
      if (isRead) await until(() => socket?.destroyed === true, 'the end of the socket')
      handling.open()
      await until(() => ends.length === 1, 'onDisconnect')
      t.same(received, ['first', 'second', 'third'])
      t.match(ends, [{ code }])
      t.equal(waits(), 0, 'nothing waits for the FIN of a peer that is gone, and keeps the process alive')
      await app.assertBaseline()
    })
  }

  for (const [whose, close, closeTimeout] of [['of the hub', 50, 100_000], ['of ws', 0, 50]] as const) {
    t.test(`${way}: a peer that keeps its half of the socket after both Closes is cut off, in the time ${whose}`, async (t) => {
      const { ends, handlers } = lives()
      const app = await start(t, way, { ...handlers, heartbeat: { interval: 0, timeout: 0 }, deadlines: { close }, websocket: { options: { closeTimeout } as object } })
      const client = await app.connect()
      // It sends no FIN.
      client.polite = false
      client.sendClose(4001, 'bye')
      t.same(await client.ended(), { code: 4001, reason: 'bye', tcp: 'fin' })
      await until(() => ends.length === 1, 'the end')
      t.match(ends, [{ code: 4001, initiator: 'peer' }])
      await app.assertBaseline()
    })
  }

  t.test(`${way}: a FIN without a Close`, async (t) => {
    const { ends, handlers } = lives()
    const app = await start(t, way, handlers)
    const client = await app.connect()
    client.write(textFrame('half a message').subarray(0, 9))
    client.finish()
    t.equal((await client.ended()).tcp, 'fin')
    await until(() => ends.length === 1, 'onDisconnect')
    t.match(ends, [{ code: 1006, initiator: 'network' }])
    await app.assertBaseline()
  })
}

t.test('a Close whose reason is no UTF-8, where the app has switched the check off: its bytes come back', async (t) => {
  const app = await TestApp.start(t, {}, { before: async (app) => { await app.register(fastifyWebsocket, { options: { maxPayload: 64 * 1024, skipUTF8Validation: true } }) } })
  const client = await app.connect()
  client.write(closeFrame(4001, Buffer.alloc(100, 0xff)))
  t.same(await client.ended(), { code: 4001, reason: '\ufffd'.repeat(100), tcp: 'fin' })
  await app.assertBaseline()
})

t.test('one that sends as fast as it can is read once a turn, so that the others have theirs', async (t) => {
  const MESSAGES = 300
  let turn = 0
  const turns: number[] = []
  const app = await TestApp.start(t, { limits: { messagesPerSecond: 0, bytesPerSecond: 0 }, onMessage: () => { turns.push(turn) } })
  const count = (): void => {
    turn++
    if (turns.length < MESSAGES) setImmediate(count)
  }
  const client = await app.connect()
  count()
  client.write(Buffer.concat(Array.from({ length: MESSAGES }, () => textFrame('x'.repeat(60_000)))))
  await until(() => turns.length === MESSAGES, 'all messages')
  const most = Math.max(...turns.map((one) => turns.filter((other) => other === one).length))
  t.ok(most <= 3, `at most what a read of 64 KiB and the rest of the one before it hold: ${most}`)
  await app.assertBaseline()
})
