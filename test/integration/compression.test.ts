import { constants, deflateRawSync, inflateRawSync } from 'node:zlib'
import Fastify from 'fastify'
import fastifyWebsocket from '@fastify/websocket'
import t from 'tap'
import fastifyHub, { type HubOptions } from '../../lib/index.js'
import { TestApp } from '../helpers/app.js'
import { lives } from '../helpers/lives.js'
import { headerOf, type RawClient } from '../helpers/raw-client.js'
import { decodeServerFrame, encodeClientFrame, OPCODE } from '../helpers/raw-frames.js'
import { until } from '../helpers/until.js'
import { connectWs, listen } from '../helpers/ws-client.js'

const STATE = JSON.stringify(Array.from({ length: 200 }, (_, id) => ({ id, name: 'the same again', price: 1.5 })))
const on: HubOptions = { compression: { level: 1, threshold: 100 } }

const deflated = (data: Buffer): Buffer => deflateRawSync(data, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4)

/** Shakes hands with an offer. @returns what the server agreed to, or none */
async function offer (app: TestApp, extensions: string): Promise<{ client: RawClient, agreed: string | undefined }> {
  const client = await app.open()
  const response = await client.upgrade({ headers: { 'Sec-WebSocket-Extensions': extensions } })
  return { client, agreed: headerOf(response, 'sec-websocket-extensions')[0] }
}

t.test('off by default: the extension is declined', async (t) => {
  const app = await TestApp.start(t)
  const { agreed } = await offer(app, 'permessage-deflate')
  t.equal(agreed, undefined)
})

t.test('agreed without context takeover; who insists on a smaller window gets it plain', async (t) => {
  const app = await TestApp.start(t, on)
  t.match((await offer(app, 'permessage-deflate; client_max_window_bits')).agreed, /^permessage-deflate(?=.*server_no_context_takeover)(?=.*client_no_context_takeover)/)
  t.ok((await offer(app, 'permessage-deflate; server_max_window_bits=15')).agreed)
  const { client } = await offer(app, 'permessage-deflate; server_max_window_bits=10')
  const { length } = app.connections()
  t.equal(length, 3)
  await app.hub.broadcast(STATE)
  t.equal(await client.text(), STATE)
})

t.test('who agreed gets it compressed, the others plain; small ones are plain for all', async (t) => {
  const app = await TestApp.start(t, on)
  const { client: deflating } = await offer(app, 'permessage-deflate')
  const plain = await app.connect()
  const frames: Buffer[] = []
  deflating.socket.on('data', (bytes: Buffer) => { frames.push(bytes) })
  await app.hub.broadcast(STATE)
  t.equal(await plain.text(), STATE)
  await until(() => decodeServerFrame(Buffer.concat(frames)) !== null, 'a frame')
  const frame = decodeServerFrame(Buffer.concat(frames))
  t.match(frame, { opcode: OPCODE.text, fin: true, rsv: 4 })
  t.ok((frame?.size ?? Infinity) < STATE.length / 5)
  t.equal(inflateRawSync(Buffer.concat([frame?.payload ?? Buffer.alloc(0), Buffer.from([0, 0, 0xff, 0xff])]), { finishFlush: 2 }).toString(), STATE)
  frames.length = 0
  await app.hub.broadcast('small')
  await until(() => frames.length > 0, 'another frame')
  t.match(decodeServerFrame(Buffer.concat(frames)), { rsv: 0, payload: Buffer.from('small') })
})

t.test('a client of ws understands it: texts, bytes, large messages, in order', async (t) => {
  const app = Fastify()
  await app.register(fastifyHub, { ...on, limits: { maxMessageBytes: 1024 * 1024 }, onMessage: (connection, message) => { connection.send(message) } })
  const client = await connectWs(t, `ws://${await listen(t, app)}/ws`, [], { perMessageDeflate: true })
  t.match(client.ws.extensions, 'permessage-deflate')
  const messages = ['small', STATE, Buffer.from(STATE), STATE.repeat(50), 'last']
  for (const message of messages) client.send(message)
  for (const message of messages) t.ok((await client.next()).data.equals(Buffer.from(message as string)))
})

t.test('needs a @fastify/websocket that negotiates as we do', async (t) => {
  const app = Fastify()
  await app.register(fastifyWebsocket, { options: { maxPayload: 64 * 1024, perMessageDeflate: true } })
  await t.rejects(async () => { await app.register(fastifyHub, on) }, { code: 'FST_HUB_INVALID_OPTIONS', message: /compression\.level/ })

  const first = Fastify()
  await first.register(fastifyHub)
  await t.rejects(async () => { await first.register(fastifyHub, { ...on, path: '/b', decorateAs: 'b' }) }, { code: 'FST_HUB_INVALID_OPTIONS', message: /compression\.level/ })
})

t.test('two hubs: the second compresses where the first does, each by its own options', async (t) => {
  const app = Fastify()
  await app.register(fastifyHub, on)
  await app.register(fastifyHub, { path: '/b', decorateAs: 'b', compression: { level: 9, threshold: 0 }, onConnect: (connection) => { connection.send(STATE) } })
  const client = await connectWs(t, `ws://${await listen(t, app)}/b`, [], { perMessageDeflate: true })
  t.equal(await client.text(), STATE)
})

t.test('a window of another size, that the app has agreed to: not compressed, and understood', async (t) => {
  const app = Fastify()
  await app.register(fastifyWebsocket, { options: { maxPayload: 64 * 1024, perMessageDeflate: { serverMaxWindowBits: 9 } } })
  await app.register(fastifyHub, { onMessage: (connection, message) => { connection.send(message) } })
  const client = await connectWs(t, `ws://${await listen(t, app)}/ws`, [], { perMessageDeflate: true })
  t.match(client.ws.extensions, 'permessage-deflate')
  client.send(STATE)
  t.equal(await client.text(), STATE)
})

const bombs: Array<[what: string, payload: Buffer, code: number]> = [
  ['26: a deflate bomb of 10 MiB', deflated(Buffer.alloc(10 * 1024 * 1024)), 1009],
  ['26: what is no deflate', Buffer.from([0xff, 0xff, 0xff, 0xff, 0x00, 0x01]), 1007],
  ['26: text that is not UTF-8 once it is inflated', deflated(Buffer.from([0xc3, 0x28])), 1007]
]

for (const [what, payload, code] of bombs) {
  t.test(what, async (t) => {
    const { received, ends, handlers } = lives()
    const app = await TestApp.start(t, { ...handlers, ...on })
    const { client } = await offer(app, 'permessage-deflate')
    client.write(Buffer.concat([
      encodeClientFrame({ opcode: OPCODE.text, payload: 'before' }),
      encodeClientFrame({ opcode: OPCODE.text, rsv: 4, payload }),
      encodeClientFrame({ opcode: OPCODE.text, payload: 'after' })
    ]))
    t.equal((await client.ended()).code, code)
    await until(() => ends.length === 1, 'onDisconnect')
    t.match(ends, [{ code, initiator: 'server' }])
    t.same(received, ['before'])
    await app.assertBaseline()
  })
}

t.test('26: RSV1 without the extension', async (t) => {
  const { ends, handlers } = lives()
  const app = await TestApp.start(t, { ...handlers, ...on })
  const client = await app.connect()
  client.write(encodeClientFrame({ opcode: OPCODE.text, rsv: 4, payload: 'x' }))
  t.equal((await client.ended()).code, 1002)
  await until(() => ends.length === 1, 'onDisconnect')
  await app.assertBaseline()
})
