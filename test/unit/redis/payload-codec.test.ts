import fc from 'fast-check'
import t from 'tap'
import { InboundMessage } from '../../../lib/core/message.js'
import { JsonText } from '../../../lib/protocol/json-text.js'
import { decodePayload, encodePayload } from '../../../lib/redis/payload-codec.js'

t.test('how payloads lie in Redis: what has been stored must be read by every later version', async (t) => {
  for (const [payload, hex] of [
    ['', '00'],
    ['aü', '0061c3bc'],
    [new Uint8Array([]), '01'],
    [new Uint8Array([0, 255]), '0100ff'],
    [new JsonText('{}'), '027b7d'],
    [new InboundMessage(Buffer.from('ü'), false), '00c3bc'],
    [new InboundMessage(Buffer.from([255]), true), '01ff']
  ] as const) t.equal(encodePayload(payload).toString('hex'), hex)
})

t.test('text, JSON and bytes come back as what they were', async (t) => {
  fc.assert(fc.property(fc.string({ unit: 'binary', size: 'max', maxLength: 300 }), (text) => decodePayload(encodePayload(text)) === text))
  fc.assert(fc.property(fc.json(), (json) => {
    const decoded = decodePayload(encodePayload(new JsonText(json)))
    return decoded instanceof JsonText && decoded.text === json
  }))
  fc.assert(fc.property(fc.uint8Array({ maxLength: 1_000 }), (bytes) => {
    const decoded = decodePayload(encodePayload(bytes))
    return decoded instanceof Uint8Array && Buffer.compare(decoded, bytes) === 0
  }))
  const large = 'ü'.repeat(100_000)
  t.equal(decodePayload(encodePayload(large)), large)
})

t.test('messages of a peer come back as their text, or their bytes, also those that were cut into frames', async (t) => {
  for (const size of [0, 1, 200, 70_000, 200_000]) {
    const body = Buffer.alloc(size, 'x')
    t.equal(decodePayload(encodePayload(new InboundMessage(Buffer.from(body), false))), body.toString())
    t.same(decodePayload(encodePayload(new InboundMessage(Buffer.from(body), true))), body)
  }
})

t.test('what the caller does with its bytes later does not change them', async (t) => {
  const bytes = Buffer.from('bytes')
  const encoded = encodePayload(bytes)
  bytes.fill('!')
  t.same(decodePayload(encoded), Buffer.from('bytes'))
})

t.test('bytes that are kept keep nothing else alive', async (t) => {
  const answer = Buffer.concat([encodePayload(Buffer.from('bytes')), Buffer.alloc(60_000)])
  const decoded = decodePayload(answer.subarray(0, 6)) as Uint8Array
  t.equal(decoded.buffer.byteLength, 5)
  answer.fill(0)
  t.same(decoded, Buffer.from('bytes'))
})

t.test('what is no payload, or one of a later version, is told', async (t) => {
  t.throws(() => decodePayload(Buffer.from([3, 0])), { name: 'RangeError', message: 'a payload of the unknown kind 3' })
  t.throws(() => decodePayload(Buffer.alloc(0)), { name: 'RangeError', message: 'a payload of the unknown kind of no bytes' })
})
