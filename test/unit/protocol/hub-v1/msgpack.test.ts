import assert from 'node:assert/strict'
import { decode as decodeByOthers, encode as encodeByOthers } from '@msgpack/msgpack'
import fc from 'fast-check'
import t from 'tap'
import { MalformedMessage } from '../../../../lib/protocol/codec.js'
import { encodeBytes, encodeFrame, OPCODE_TEXT } from '../../../../lib/protocol/frame.js'
import { JsonText } from '../../../../lib/protocol/json-text.js'
import { jsonCodec } from '../../../../lib/protocol/hub-v1/json.js'
import { msgpackCodec } from '../../../../lib/protocol/hub-v1/msgpack.js'
import { clientMessages, serverMessages, type ServerMessage } from '../../../../lib/protocol/hub-v1/schema.js'
import { arbitraryOf, jsonValues } from '../../../helpers/schema-arbitrary.js'
import { messageIn, readByOthers } from '../../../helpers/wire.js'

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')
const json = (value: unknown): JsonText => new JsonText(JSON.stringify(value))
const bytesOf = (data: unknown): Buffer => messageIn(msgpackCodec.publication('r', 0, json(data))).data

t.test('every message of the server is read back by another implementation, and is what JSON has', (t) => {
  for (const schema of Object.values(serverMessages)) {
    fc.assert(fc.property(arbitraryOf(schema), (message) => {
      assert.deepEqual(readByOthers(msgpackCodec, msgpackCodec.encode(message as ServerMessage)), message)
    }))
  }
  t.end()
})

t.test('every message of a client that another implementation has written is read', (t) => {
  for (const schema of Object.values(clientMessages)) {
    fc.assert(fc.property(arbitraryOf(schema), (message) => {
      assert.deepEqual(msgpackCodec.decode(Buffer.from(encodeByOthers(message))), message)
    }))
  }
  t.end()
})

t.test('what the application sends is data', (t) => {
  const bytes = Buffer.from([0, 251, 255])
  const forwarded = (data: string | Buffer) => ({ toFrame: () => typeof data === 'string' ? encodeBytes(Buffer.from(data), OPCODE_TEXT) : encodeFrame(data) })
  for (const [payload, data] of [
    ['say "hi"', 'say "hi"'], [json({ a: [1, null] }), { a: [1, null] }], [bytes, new Uint8Array(bytes)], [new Uint8Array(bytes), new Uint8Array(bytes)],
    [forwarded('text'), 'text'], [forwarded(bytes), new Uint8Array(bytes)]
  ] as const) {
    t.same(readByOthers(msgpackCodec, msgpackCodec.publication('r', 3, payload)), { op: 'message', room: 'r', offset: 3, data })
    t.same(readByOthers(msgpackCodec, msgpackCodec.publication('r', 0, payload)), { op: 'message', room: 'r', data }, 'ephemeral: no offset')
    t.same(readByOthers(msgpackCodec, msgpackCodec.direct(payload)), { op: 'direct', data })
    t.same(readByOthers(msgpackCodec, msgpackCodec.direct(payload, 'a1')), { op: 'direct', data, ack: 'a1' })
  }
  t.same(readByOthers(msgpackCodec, msgpackCodec.encode({ op: 'message', room: 'r', offset: 1, data: bytes })), { op: 'message', room: 'r', offset: 1, data: new Uint8Array(bytes) })
  t.end()
})

t.test('any JSON value has the meaning that it has in hub.v1.json', (t) => {
  fc.assert(fc.property(jsonValues, (value) => {
    assert.deepEqual(readByOthers(msgpackCodec, msgpackCodec.publication('r', 1, json(value))), readByOthers(jsonCodec, jsonCodec.publication('r', 1, json(value))))
  }))
  const at = new Date(0)
  for (const data of [{ at }, { a: undefined, b: NaN }, new Map([[1, 2]]), { toJSON: () => 'x' }, /x/, new Error('x'), Buffer.from('x')]) {
    const reply: ServerMessage = { op: 'reply', id: 1, data }
    t.same(readByOthers(msgpackCodec, msgpackCodec.encode(reply)), readByOthers(jsonCodec, jsonCodec.encode(reply)))
  }
  t.throws(() => msgpackCodec.encode({ op: 'reply', id: 1, data: 1n }), TypeError)
  t.end()
})

t.test('members with names that msgpackr takes for methods are data', (t) => {
  for (const text of ['{"constructor":1,"toJSON":1}', '{"toJSON":{}}', '{"hasOwnProperty":1,"constructor":{"prototype":{}}}']) {
    t.same(readByOthers(msgpackCodec, msgpackCodec.publication('r', 0, new JsonText(text))), { op: 'message', room: 'r', data: JSON.parse(text) as unknown })
  }
  t.end()
})

t.test('a member called __proto__ stays one, both ways', (t) => {
  const text = '{"a":[{"__proto__":{"x":1},"b":"__proto__"}],"__proto__":1,"c":4294967296}'
  const { data } = msgpackCodec.decode(bytesOf(JSON.parse(text))) as { data: object }
  t.equal(JSON.stringify(data), text)
  t.equal(Object.getPrototypeOf(data), Object.prototype)
  t.end()
})

t.test('whole numbers are integers on the wire, as far as they are exact', (t) => {
  for (const [value, bytes] of [
    [4_294_967_295, 'ce ffffffff'], [4_294_967_296, 'd3 0000000100000000'], [-2_147_483_648, 'd2 80000000'], [-2_147_483_649, 'd3 ffffffff7fffffff'],
    [Number.MAX_SAFE_INTEGER, 'd3 001fffffffffffff'], [Number.MIN_SAFE_INTEGER, 'd3 ffe0000000000001'], [2 ** 53, 'cb 4340000000000000'], [0.5, 'cb 3fe0000000000000'], [1e300, 'cb 7e37e43c8800759c'], [-0, '00']
  ] as const) t.ok(bytesOf(value).subarray(-hex(bytes).length).equals(hex(bytes)), `${value}`)
  t.same(readByOthers(msgpackCodec, msgpackCodec.publication('r', 2 ** 40, 'x')), { op: 'message', room: 'r', offset: 2 ** 40, data: 'x' })
  t.ok(messageIn(msgpackCodec.publication('r', 2 ** 40, 'x')).data.includes(hex('d3 0000010000000000')))
  t.ok(messageIn(msgpackCodec.encode({ op: 'reply', id: 1, data: { expiresAt: 1_700_000_000_000 } })).data.includes(hex('d3 0000018bcfe56800')))
  t.end()
})

t.test('lone surrogates, which have no UTF-8, become U+FFFD', (t) => {
  for (const lone of ['\ud800', '\udc00x', `\ud800${'x'.repeat(100)}`]) {
    const expected = lone.replace(/\p{Surrogate}/u, '\ufffd')
    t.same(readByOthers(msgpackCodec, msgpackCodec.direct(lone)), { op: 'direct', data: expected })
    t.same(readByOthers(msgpackCodec, msgpackCodec.direct(json([lone, { [lone]: null }]))), { op: 'direct', data: [expected, { [expected]: null }] })
    t.same(readByOthers(msgpackCodec, msgpackCodec.encode({ op: 'error', code: 'internal', message: lone })), { op: 'error', code: 'internal', message: expected })
  }
  t.end()
})

t.test('a frame is a copy: of what the application may change, and of the buffer of msgpackr', (t) => {
  const bytes = Buffer.from('one')
  const first = msgpackCodec.direct(bytes)
  bytes.fill(0)
  const large = msgpackCodec.direct('x'.repeat(100_000))
  for (let i = 0; i < 1000; i++) msgpackCodec.direct(`${i}`.repeat(100))
  t.same(readByOthers(msgpackCodec, first), { op: 'direct', data: new Uint8Array(Buffer.from('one')) })
  t.same(readByOthers(msgpackCodec, large), { op: 'direct', data: 'x'.repeat(100_000) })
  t.end()
})

t.test('bytes and numbers that JSON has not are decoded: the check of the message tells them with its id', (t) => {
  const nan = msgpackCodec.decode(hex('81 a1 61 cb 7ff8000000000000')) as { a: number }
  t.ok(Number.isNaN(nan.a))
  t.same(msgpackCodec.decode(hex('81 a1 61 c4 02 0102')), { a: Buffer.from([1, 2]) })
  t.same(msgpackCodec.decode(hex('81 a1 61 91 c4 01 05')), { a: [Buffer.from([5])] })
  t.equal(msgpackCodec.decode(hex('cf 0020000000000001')), JSON.parse('9007199254740993'), 'an integer beyond 2^53 is rounded as by JSON.parse')
  t.equal(msgpackCodec.decode(hex('d3 ffdfffffffffffff')), JSON.parse('-9007199254740993'))
  t.same(msgpackCodec.decode(hex('82 a1 61 01 a1 61 02')), { a: 2 }, 'of a member that is there twice, the last')
  t.end()
})

t.test('messages of clients, for tests: what is encoded is decoded, bytes too', (t) => {
  for (const data of [{ a: [1] }, Buffer.from([1, 2])]) {
    const message = { op: 'publish' as const, room: 'r', data }
    t.same(msgpackCodec.decode(messageIn(msgpackCodec.encode(message)).data), message)
  }
  t.end()
})

t.test('what is no MessagePack of hub.v1 is told', (t) => {
  t.throws(() => msgpackCodec.decode(hex('81 a2 6f')), { name: 'MalformedMessage', message: 'not MessagePack: it ends after 3 bytes, too early', isUtf8Problem: false })
  t.throws(() => msgpackCodec.decode(hex('a1 ff')), { name: 'MalformedMessage', message: 'not MessagePack: at byte 1, a string that is not UTF-8', isUtf8Problem: true })
  t.end()
})

t.test('decode throws nothing but MalformedMessage, and reads what another implementation reads', (t) => {
  const flipped = fc.tuple(fc.oneof(jsonValues, ...Object.values(clientMessages).map(arbitraryOf)), fc.nat(), fc.integer({ min: 0, max: 255 })).map(([value, at, byte]) => {
    const bytes = Buffer.from(encodeByOthers(value))
    bytes[at % bytes.length] = byte
    return bytes
  })
  fc.assert(fc.property(fc.oneof(fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)), flipped), (bytes) => {
    const copy = Buffer.from(bytes)
    let value: unknown
    try {
      value = msgpackCodec.decode(bytes)
    } catch (error) {
      assert.ok(error instanceof MalformedMessage)
      return
    }
    if (bytes.includes('__proto__')) return
    const plain = (_: string, member: unknown): unknown => member instanceof Uint8Array ? [...member] : member
    assert.equal(JSON.stringify(value, plain), JSON.stringify(decodeByOthers(copy), plain))
  }), { numRuns: 5000 })
  t.end()
})

t.test('a ping without an id is known by its bytes, which another implementation writes, too', (t) => {
  t.equal(msgpackCodec.isPing(Buffer.from(encodeByOthers({ op: 'ping' }))), true)
  t.equal(msgpackCodec.isPing(Buffer.from(encodeByOthers({ op: 'ping', id: 1 }))), false)
  t.same(readByOthers(msgpackCodec, msgpackCodec.pong), { op: 'pong' })
  t.end()
})
