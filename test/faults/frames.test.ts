import t from 'tap'
import { TestApp } from '../helpers/app.js'
import { lives } from '../helpers/lives.js'
import { binaryFrame, closeFrame, encodeClientFrame, OPCODE, textFrame } from '../helpers/raw-frames.js'
import { until } from '../helpers/until.js'

const { continuation, text, binary, ping, pong } = OPCODE
/** The start of a text message, to be continued. */
const begun = (payload: Uint8Array | string): Buffer => encodeClientFrame({ opcode: text, fin: false, payload })
const ended = (payload: Uint8Array | string): Buffer => encodeClientFrame({ opcode: continuation, payload })
/** What the limit of `limits.maxMessageBytes` is in these tests. */
const MAX = 1_000
/** Each byte alone belongs to a character of several. */
const EURO = Buffer.from('€')

const broken: Array<[what: string, frame: Buffer, code: number]> = [
  ['19: an unmasked frame', encodeClientFrame({ opcode: text, payload: 'x', masked: false }), 1002],
  ['19: an unmasked control frame', encodeClientFrame({ opcode: ping, payload: 'x', masked: false }), 1002],
  ...[1, 2, 3, 4, 5, 6, 7].map((rsv): [string, Buffer, number] => [`19: reserved bits ${rsv} without an extension`, encodeClientFrame({ opcode: text, payload: 'x', rsv }), 1002]),
  ['19: a reserved bit in a control frame', encodeClientFrame({ opcode: ping, rsv: 4 }), 1002],
  ...[0x3, 0x7, 0xb, 0xf].map((opcode): [string, Buffer, number] => [`19: opcode ${opcode}`, encodeClientFrame({ opcode, payload: 'x' }), 1002]),
  ...[ping, pong, OPCODE.close].map((opcode): [string, Buffer, number] => [`20: a control frame (${opcode}) of 126 bytes`, encodeClientFrame({ opcode, payload: Buffer.alloc(126) }), 1002]),
  ...[ping, pong, OPCODE.close].map((opcode): [string, Buffer, number] => [`20: a fragmented control frame (${opcode})`, encodeClientFrame({ opcode, fin: false }), 1002]),
  ['20: a continuation of nothing', ended('x'), 1002],
  ['20: a text message inside another', Buffer.concat([begun('x'), textFrame('y')]), 1002],
  ['20: a binary message inside a text message', Buffer.concat([begun('x'), encodeClientFrame({ opcode: binary, fin: false, payload: 'y' })]), 1002],
  ['21: text that is not UTF-8', encodeClientFrame({ opcode: text, payload: Buffer.from([0xc3, 0x28]) }), 1007],
  ['21: a surrogate', encodeClientFrame({ opcode: text, payload: Buffer.from([0xed, 0xa0, 0x80]) }), 1007],
  ['21: an overlong form', encodeClientFrame({ opcode: text, payload: Buffer.from([0xc0, 0xaf]) }), 1007],
  ['21: text that ends within a character', encodeClientFrame({ opcode: text, payload: EURO.subarray(0, 2) }), 1007],
  ['21: a character broken across fragments', Buffer.concat([begun(EURO.subarray(0, 2)), ended('(')]), 1007],
  ['21: fragments that end within a character', Buffer.concat([begun('a'), ended(EURO.subarray(0, 1))]), 1007],
  ['22: one byte more than allowed is announced', encodeClientFrame({ opcode: binary, declaredLength: MAX + 1 }), 1009],
  ['22: 65,536 bytes are announced', encodeClientFrame({ opcode: text, declaredLength: 65_536 }), 1009],
  ['22: 2^53 bytes are announced', encodeClientFrame({ opcode: text, declaredLength: 2n ** 53n }), 1009],
  ['22: 2^63 bytes are announced', encodeClientFrame({ opcode: binary, declaredLength: 2n ** 63n }), 1009],
  ['22: 2^64 - 1 bytes are announced', encodeClientFrame({ opcode: binary, declaredLength: 2n ** 64n - 1n }), 1009],
  ['22: fragments that are too much together', Buffer.concat([begun('x'.repeat(MAX)), encodeClientFrame({ opcode: continuation, declaredLength: 1 })]), 1009],
  ['27: close code 999', closeFrame(999), 1002],
  ['27: close code 1004', closeFrame(1004), 1002],
  ['27: close code 1005', closeFrame(1005), 1002],
  ['27: close code 1006', closeFrame(1006), 1002],
  ['27: close code 1015', closeFrame(1015), 1002],
  ['27: close code 1016', closeFrame(1016), 1002],
  ['27: close code 2999', closeFrame(2999), 1002],
  ['27: close code 5000', closeFrame(5000), 1002],
  ['27: a Close body of one byte', encodeClientFrame({ opcode: OPCODE.close, payload: 'x' }), 1002],
  ['27: a reason that is not UTF-8', closeFrame(1000, Buffer.from([0xc3, 0x28])), 1007]
]

for (const [what, frame, code] of broken) {
  t.test(what, async (t) => {
    const { received, ends, handlers } = lives()
    const app = await TestApp.start(t, { ...handlers, limits: { maxMessageBytes: MAX } })
    const client = await app.connect()
    // A message in fragments with a ping between them is as complete as any other.
    client.write(Buffer.concat([begun('be'), encodeClientFrame({ opcode: ping, payload: 'between' }), ended('fore'), frame, textFrame('after')]))
    t.equal((await client.ended()).code, code)
    t.same(client.pongs.slice(0, 1), ['between'])
    await until(() => ends.length === 1, 'onDisconnect')
    t.match(ends, [{ code, initiator: 'server' }])
    t.same(received, ['before'], 'what came before the bad frame is kept, what came after is not')
    await app.assertBaseline()
  })
}

for (const code of [1000, 1012, 3000, 4999]) {
  t.test(`28: close code ${code} is echoed`, async (t) => {
    const { ends, handlers } = lives()
    const app = await TestApp.start(t, handlers)
    const client = await app.connect()
    client.sendClose(code, 'farewell')
    t.same(await client.ended(), { code, reason: 'farewell', tcp: 'fin' })
    await until(() => ends.length === 1, 'onDisconnect')
    t.same(ends, [{ code, reason: 'farewell', initiator: 'peer' }])
    await app.assertBaseline()
  })
}

t.test('28: an empty Close is answered with an empty Close', async (t) => {
  const { ends, handlers } = lives()
  const app = await TestApp.start(t, handlers)
  const client = await app.connect()
  client.sendClose()
  t.same(await client.ended(), { code: null, reason: '', tcp: 'fin' })
  await until(() => ends.length === 1, 'onDisconnect')
  t.same(ends, [{ code: 1005, reason: '', initiator: 'peer' }])
  await app.assertBaseline()
})

t.test('29: data after Close is ignored', async (t) => {
  const { received, ends, handlers } = lives()
  const app = await TestApp.start(t, handlers)
  const client = await app.connect()
  client.write(Buffer.concat([textFrame('before'), closeFrame(1000), textFrame('after'), encodeClientFrame({ opcode: 0x3 })]))
  t.equal((await client.ended()).code, 1000)
  await until(() => ends.length === 1, 'onDisconnect')
  t.same(received, ['before'])
  t.match(ends, [{ code: 1000, initiator: 'peer' }])
  await app.assertBaseline()
})

t.test('29: data that crosses a Close of ours is ignored', async (t) => {
  const { received, ends, handlers } = lives()
  const app = await TestApp.start(t, handlers)
  const client = await app.connect()
  client.polite = false
  app.connections()[0]?.close(4000, 'enough')
  client.sendText('too late')
  client.sendClose(4000)
  t.equal((await client.ended()).code, 4000)
  client.finish()
  await until(() => ends.length === 1, 'onDisconnect')
  t.same(received, [])
  t.same(ends, [{ code: 4000, reason: 'enough', initiator: 'server' }])
  await app.assertBaseline()
})

t.test('30: a message of the kind that is not wanted', async (t) => {
  for (const [messages, good, bad] of [['text', textFrame('good'), binaryFrame(Buffer.from('bad'))], ['binary', binaryFrame(Buffer.from('good')), textFrame('bad')]] as const) {
    await t.test(messages, async (t) => {
      const { received, ends, handlers } = lives()
      const app = await TestApp.start(t, { ...handlers, messages }, { healthySpeaks: messages })
      const client = await app.connect()
      client.write(Buffer.concat([good, bad, good]))
      t.same(await client.ended(), { code: 1003, reason: 'unsupported message type', tcp: 'fin' })
      await until(() => ends.length === 1, 'onDisconnect')
      t.same(received, ['good'])
      t.match(ends, [{ code: 1003, initiator: 'server' }])
      await app.assertBaseline()
    })
  }
})

t.test('21: a character may be spread over fragments', async (t) => {
  const { received, handlers } = lives()
  const app = await TestApp.start(t, handlers)
  const client = await app.connect()
  client.write(Buffer.concat([begun(EURO.subarray(0, 1)), encodeClientFrame({ opcode: continuation, fin: false, payload: EURO.subarray(1, 2) }), ended(EURO.subarray(2))]))
  await until(() => received.length === 1, 'the message')
  t.same(received, ['€'])
  await app.assertBaseline()
})

t.test('22: exactly as much as allowed', async (t) => {
  const { received, handlers } = lives()
  const app = await TestApp.start(t, { ...handlers, limits: { maxMessageBytes: MAX } })
  const client = await app.connect()
  client.write(Buffer.concat([textFrame('x'.repeat(MAX)), begun('y'.repeat(MAX - 1)), ended('y')]))
  await until(() => received.length === 2, 'both messages')
  t.same(received, ['x'.repeat(MAX), 'y'.repeat(MAX)])
  await app.assertBaseline()
})

for (const [what, payload] of [['empty ones', ''], ['of one byte', 'x']] as const) {
  t.test(`23: a message in too many fragments, ${what}`, async (t) => {
    const { received, ends, handlers } = lives()
    const app = await TestApp.start(t, handlers)
    const client = await app.connect()
    client.write(textFrame('before'))
    const fragments = Buffer.concat(Array.from({ length: 20_000 }, () => encodeClientFrame({ opcode: continuation, fin: false, payload })))
    client.write(Buffer.concat([begun(payload), fragments]))
    t.equal((await client.ended()).code, 1008)
    await until(() => ends.length === 1, 'onDisconnect')
    t.match(ends, [{ code: 1008, initiator: 'server' }])
    t.same(received, ['before'])
    await app.assertBaseline()
  })
}

t.test('23: a message that is never finished, though bytes keep coming, meets the read deadline', async (t) => {
  const { received, ends, handlers } = lives()
  const app = await TestApp.start(t, { ...handlers, heartbeat: { interval: 0, timeout: 500 } })
  // Not a client of this test: what it sends keeps it alive.
  const keepAlive = setInterval(() => { app.healthy.write(encodeClientFrame({ opcode: pong })) }, 50)
  t.teardown(() => { clearInterval(keepAlive) })
  const fragments = await app.connect()
  const header = await app.connect()
  const unfinished = encodeClientFrame({ opcode: text, declaredLength: 60_000 })
  fragments.write(Buffer.concat([textFrame('before'), begun('never')]))
  header.write(Buffer.concat([textFrame('before'), unfinished]))
  const drip = setInterval(() => {
    fragments.write(encodeClientFrame({ opcode: continuation, fin: false, payload: '.' }))
    header.write('.')
  }, 20)
  t.teardown(() => { clearInterval(drip) })
  await until(() => ends.length === 2, 'both onDisconnect')
  t.match(ends, Array(2).fill({ code: 4408, initiator: 'server' }))
  t.same(received, ['before', 'before'])
  clearInterval(drip)
  clearInterval(keepAlive)
  await app.assertBaseline()
})
