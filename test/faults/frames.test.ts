import t from 'tap'
import { TestApp } from '../helpers/app.js'
import { lives } from '../helpers/lives.js'
import { binaryFrame, closeFrame, encodeClientFrame, OPCODE, textFrame } from '../helpers/raw-frames.js'
import { until } from '../helpers/until.js'

const broken: Array<[what: string, frame: Buffer, code: number]> = [
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
    const app = await TestApp.start(t, handlers)
    const client = await app.connect()
    client.write(Buffer.concat([textFrame('before'), frame, textFrame('after')]))
    t.equal((await client.ended()).code, code)
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
