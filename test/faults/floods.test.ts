import t, { type Test } from 'tap'
import type { Socket } from 'node:net'
import type { HubOptions } from '../../lib/index.js'
import { TestApp } from '../helpers/app.js'
import { lives } from '../helpers/lives.js'
import type { Handshake } from '../helpers/raw-client.js'
import { encodeClientFrame, OPCODE, textFrame } from '../helpers/raw-frames.js'
import { until } from '../helpers/until.js'

const ping = (payload: string): Buffer => encodeClientFrame({ opcode: OPCODE.ping, payload })
const pong = (payload: string): Buffer => encodeClientFrame({ opcode: OPCODE.pong, payload })
const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `${i}`)

/** So slow that nothing is earned back while the test runs: counts are exact. */
const SLOW = { messagesPerSecond: 0.001, burst: 150, violations: 10 }

/** Ended for its rate: what came before was handled, and ten over the rate were counted. */
async function assertThrownOut (t: Test, app: TestApp, { received, ends }: Pick<ReturnType<typeof lives>, 'received' | 'ends'>): Promise<void> {
  await until(() => ends.length === 1, 'onDisconnect')
  t.match(ends, [{ code: 1008, initiator: 'server' }])
  t.same(received, ['before'])
  t.equal(app.hub.stats().messages.limited, 10)
  await app.assertBaseline()
}

/** Bytes that the kernel has not taken: Node keeps them in the handle when they were written past the stream. */
function underWay (socket: Socket): number {
  return socket.writableLength + ((socket as unknown as { _handle: { writeQueueSize: number } | null })._handle?.writeQueueSize ?? 0)
}

t.test('25: a ping flood of a peer that reads is answered within the rate, then closed', async (t) => {
  const { received, ends, handlers } = lives()
  const app = await TestApp.start(t, { ...handlers, limits: SLOW })
  const client = await app.connect()
  // In one write, so that they are parsed in one turn.
  client.write(Buffer.concat([textFrame('before'), ...names(400).map(ping), textFrame('after')]))
  t.same(await client.ended(), { code: 1008, reason: 'rate limit exceeded', tcp: 'fin' })
  t.same(client.pongs, names(149), 'the message and 149 pings are the burst')
  await assertThrownOut(t, app, { received, ends })
})

t.test('25: as many pings at once as the burst allows end nobody', async (t) => {
  const app = await TestApp.start(t, { limits: SLOW })
  const client = await app.connect()
  client.write(Buffer.concat(names(149).map(ping)))
  await client.roundTrip('the last of the burst')
  t.same(client.pongs, [...names(149), 'the last of the burst'], 'one pong for each, in order')
  t.equal(app.size, 1)
  t.equal(app.hub.stats().messages.limited, 0)
  await app.assertBaseline()
})

t.test('25: a flood of pongs that nobody asked for', async (t) => {
  const { received, ends, handlers } = lives()
  const app = await TestApp.start(t, { ...handlers, limits: SLOW })
  const client = await app.connect()
  client.write(Buffer.concat([textFrame('before'), ...names(400).map(pong), textFrame('after')]))
  t.equal((await client.ended()).code, 1008)
  await assertThrownOut(t, app, { received, ends })
})

t.test('24: a ping flood of a peer that never reads is terminated', async (t) => {
  const { received, ends, handlers } = lives()
  const app = await TestApp.start(t, { ...handlers, limits: SLOW, deadlines: { close: 300 } })
  const client = await app.connect()
  client.socket.pause()
  client.polite = false
  client.write(Buffer.concat([textFrame('before'), ...names(10_000).map(ping)]))
  await until(() => ends.length === 1, 'onDisconnect')
  t.match(ends, [{ code: 1008, initiator: 'server' }])
  t.same(received, ['before'])
  t.equal(app.sockets.size, 1, 'its socket is gone, although it never answered our Close')
  await app.assertBaseline()
})

t.test('24: without a rate, pongs for a peer that never reads take no memory', async (t) => {
  const { ends, handlers } = lives()
  const app = await TestApp.start(t, { ...handlers, limits: { messagesPerSecond: 0 }, deadlines: { write: 0 } })
  const client = await app.connect()
  const serverSide = [...app.sockets].at(-1) as Socket
  client.socket.pause()
  const flood = Buffer.concat(names(1_000).map((name) => ping(name.padEnd(125, '.'))))
  let most = 0
  // The kernel takes the pongs of the first 4 MiB or so.
  for (let i = 0; i < 200; i++) {
    await new Promise((resolve) => { client.socket.write(flood, resolve) })
    most = Math.max(most, underWay(serverSide))
  }
  await until(() => serverSide.bytesRead > 200 * flood.length, 'the server to have read it all')
  t.equal(most > 0, true, 'the server side was blocked')
  t.equal(most < 1_000, true, `one pong, and what the kernel left of another: ${most} bytes`)
  t.same(ends, [])
  client.socket.resume()
  await until(() => underWay(serverSide) === 0, 'the socket to drain')
  app.connections()[0]?.send('the end')
  t.equal(await client.text(), 'the end')
  t.equal(client.pongs.length < 200_000, true, 'not every ping was answered')
  t.equal(client.pongs.at(-1), '999'.padEnd(125, '.'), 'the latest was')
  await app.assertBaseline()
})

t.test('24: without a rate, a peer that does not read its pongs meets the deadline of a write', async (t) => {
  const { ends, handlers } = lives()
  const app = await TestApp.start(t, { ...handlers, limits: { messagesPerSecond: 0 }, deadlines: { write: 300 } })
  const client = await app.connect()
  client.socket.pause()
  const flood = Buffer.concat(names(1_000).map((name) => ping(name.padEnd(125, '.'))))
  while (ends.length === 0) {
    await new Promise((resolve) => { client.socket.write(flood, resolve) })
    // The write fails at once when the socket has gone: let the server tell.
    await new Promise((resolve) => { setImmediate(resolve) })
  }
  t.match(ends, [{ code: 4429, initiator: 'server' }])
  await app.assertBaseline()
})

const wires: Array<[how: string, options: HubOptions, handshake: Handshake]> = [
  ['plain', {}, {}],
  ['compressed', { compression: { level: 1 }, websocket: { options: { closeTimeout: 300 } as object } }, { headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate' } }]
]

for (const [how, options, handshake] of wires) {
  t.test(`a flood that goes on after its Close is not read, and its answer not waited for: ${how}`, async (t) => {
    const { ends, handlers } = lives()
    // Deadlines that would end it are off: it ends by itself.
    const app = await TestApp.start(t, { ...handlers, ...options, limits: SLOW, deadlines: { close: 0 }, heartbeat: { interval: 0, timeout: 0 } })
    const client = await app.connect(handshake)
    client.polite = false
    const flood = Buffer.concat(names(1_000).map(textFrame))
    client.write(flood)
    for (let i = 0; i < 20 && client.socket.writable; i++) client.write(flood)
    t.match(await client.ended(), { code: 1008, tcp: 'fin' })
    client.destroy()
    await until(() => ends.length === 1, 'onDisconnect')
    t.match(ends, [{ code: 1008, initiator: 'server' }])
    t.equal(app.hub.stats().messages.limited, 10, 'what came behind was not even counted')
    await app.assertBaseline()
  })
}

t.test('a peer that is ahead of its rate of bytes is slowed down by TCP: all arrives, in order, and nobody is closed', async (t) => {
  for (const extensions of [undefined, 'permessage-deflate']) {
    const { received, ends, handlers } = lives()
    const app = await TestApp.start(t, { ...handlers, compression: { level: 1 }, limits: { bytesPerSecond: 200 * 1024, violations: 1 } })
    const client = await app.connect(extensions === undefined ? {} : { headers: { 'sec-websocket-extensions': extensions } })
    const texts = names(40).map((name) => name.padEnd(10 * 1024, '.'))
    client.write(Buffer.concat(texts.map(textFrame)))
    await until(() => received.length >= 20, 'the first half')
    t.ok(received.length < 40, 'the burst is not all')
    await until(() => received.length === 40, 'the rest')
    t.same(received, texts)
    t.match(app.hub.stats().messages, { limited: 0 })
    t.ok(app.hub.stats().messages.throttled > 0)
    await client.roundTrip('still here')
    t.same(ends, [])
    await app.assertBaseline()
  }
})
