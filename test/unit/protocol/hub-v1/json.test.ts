import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { MalformedMessage } from '../../../../lib/protocol/codec.js'
import { encodeBytes, encodeFrame, OPCODE_TEXT } from '../../../../lib/protocol/frame.js'
import { JsonText } from '../../../../lib/protocol/json-text.js'
import { jsonCodec } from '../../../../lib/protocol/hub-v1/json.js'
import { serverMessages, type ServerMessage } from '../../../../lib/protocol/hub-v1/schema.js'
import { arbitraryOf } from '../../../helpers/schema-arbitrary.js'
import { messageIn, readByOthers } from '../../../helpers/wire.js'

const decode = (text: string | Buffer): unknown => jsonCodec.decode(Buffer.from(text as string))

t.test('every message of the server is read back by JSON.parse', (t) => {
  for (const schema of Object.values(serverMessages)) {
    fc.assert(fc.property(arbitraryOf(schema), (message) => {
      assert.deepEqual(readByOthers(jsonCodec, jsonCodec.encode(message as ServerMessage)), message)
    }))
  }
  t.end()
})

t.test('what the application sends is data, bytes are base64', (t) => {
  const forwarded = (data: string | Buffer) => ({ toFrame: () => typeof data === 'string' ? encodeBytes(Buffer.from(data), OPCODE_TEXT) : encodeFrame(data) })
  const bytes = Buffer.from([0, 251, 255])
  for (const [payload, member] of [
    ['say "hi"\u2028', { data: 'say "hi"\u2028' }], [new JsonText('{"a":[1,null]}'), { data: { a: [1, null] } }],
    [bytes, { base64: 'APv/' }], [new Uint8Array(bytes), { base64: 'APv/' }], [bytes.subarray(1), { base64: '+/8=' }],
    [forwarded('text'), { data: 'text' }], [forwarded(bytes), { base64: 'APv/' }]
  ] as const) {
    t.same(readByOthers(jsonCodec, jsonCodec.publication('r"1', 3, payload)), { op: 'message', room: 'r"1', offset: 3, ...member })
    t.same(readByOthers(jsonCodec, jsonCodec.publication('r', 0, payload)), { op: 'message', room: 'r', ...member }, 'ephemeral: no offset')
    t.same(readByOthers(jsonCodec, jsonCodec.direct(payload)), { op: 'direct', ...member })
    t.same(readByOthers(jsonCodec, jsonCodec.direct(payload, 'a"1')), { op: 'direct', ...member, ack: 'a"1' })
  }
  t.same(readByOthers(jsonCodec, jsonCodec.encode({ op: 'message', room: 'r', offset: 1, data: bytes })), { op: 'message', room: 'r', offset: 1, base64: 'APv/' })
  t.same(readByOthers(jsonCodec, jsonCodec.encode({ op: 'direct', data: bytes })), { op: 'direct', base64: 'APv/' })
  t.end()
})

t.test('members that are undefined are none', (t) => {
  t.same(readByOthers(jsonCodec, jsonCodec.encode({ op: 'reply', id: 1, data: undefined })), { op: 'reply', id: 1 })
  t.end()
})

t.test('what comes is JSON, with the bytes of a publish as data', (t) => {
  t.same(decode('{"op":"publish","room":"r","base64":"APv/"}'), { op: 'publish', room: 'r', data: Buffer.from([0, 251, 255]) })
  t.same(decode('{"op":"publish","room":"r","base64":""}'), { op: 'publish', room: 'r', data: Buffer.alloc(0) })
  t.same(decode('{"op":"publish","room":"r","data":1,"room":"s"}'), { op: 'publish', room: 's', data: 1 }, 'of a member that is there twice, the last')
  for (const value of [null, 1, 'x', [], {}, { base64: 'AA==' }, { op: 'event', event: 'e', base64: 'AA==' }]) t.same(decode(JSON.stringify(value)), value)
  t.end()
})

t.test('base64 that is not RFC 4648 section 4, or beside data, stays: the check of the message tells it with its id', (t) => {
  for (const base64 of ['A', 'AA', 'AA=', 'A===', 'AA==\n', ' AA==', 'AA-_', 'AB==', 'AA==AA==', 'é', 1, null, ['AA==']]) {
    const message = { op: 'publish', room: 'r', id: 1, base64 }
    t.same(decode(JSON.stringify(message)), message)
  }
  const both = { op: 'publish', room: 'r', data: null, base64: 'AA==' }
  t.same(decode(JSON.stringify(both)), both)
  const long = 'A'.repeat(16 * 1024 * 1024)
  t.equal((decode(`{"op":"publish","base64":"${long}"}`) as { data: Buffer }).data.length, long.length / 4 * 3, 'however long it is')
  t.end()
})

t.test('members called __proto__ and constructor are members like others', (t) => {
  const message = decode('{"op":"publish","base64":"AA==","__proto__":{"room":"r"},"constructor":1}') as object
  t.same(Object.keys(message).sort(), ['__proto__', 'constructor', 'data', 'op'])
  t.equal(Object.getPrototypeOf(message), Object.prototype)
  t.equal('room' in message, false)
  t.end()
})

t.test('messages of clients, for tests: what is encoded is decoded, bytes too', (t) => {
  for (const data of [{ a: [1] }, Buffer.from([1, 2])]) {
    const message = { op: 'publish' as const, room: 'r', data }
    t.same(jsonCodec.decode(messageIn(jsonCodec.encode(message)).data), message)
  }
  t.end()
})

t.test('what is no JSON is told', (t) => {
  for (const text of ['', '{', '{"op":"ping"', "{'op':'ping'}", '\ufeff{"op":"ping"}', '{"op":NaN}', 'undefined', '{} {}', '['.repeat(100_000)]) {
    t.throws(() => decode(text), { name: 'MalformedMessage', message: /^not JSON: ./, isUtf8Problem: false })
  }
  t.doesNotThrow(() => decode('['.repeat(100_000) + ']'.repeat(100_000)))
  t.end()
})

t.test('decode throws nothing but MalformedMessage', (t) => {
  const pieces = fc.array(fc.constantFrom('{', '}', '[', ']', ':', ',', '"', '"op":', '"publish"', '"base64":', '"AA=="', '"data":', '1', '\\u', 'null', ' '), { maxLength: 20 }).map((list) => list.join(''))
  fc.assert(fc.property(fc.oneof(fc.json(), pieces, fc.string({ unit: 'binary' })), (text) => {
    try {
      decode(text)
    } catch (error) {
      assert.ok(error instanceof MalformedMessage)
    }
  }), { numRuns: 2000 })
  t.end()
})

t.test('a ping without an id is known by its bytes', (t) => {
  t.equal(jsonCodec.isPing(Buffer.from('{"op":"ping"}')), true)
  for (const text of ['{"op":"ping","id":1}', '{"op":"pong"}', '{"op":"ping"} ', '']) t.equal(jsonCodec.isPing(Buffer.from(text)), false)
  t.same(readByOthers(jsonCodec, jsonCodec.pong), { op: 'pong' })
  t.end()
})
