import { toUSVString } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { jsonCodec } from '../../../lib/client/json.js'
import { msgpack } from '../../../lib/client/msgpack.js'
import { jsonCodec as serverJson } from '../../../lib/protocol/hub-v1/json.js'
import { msgpackCodec as serverMsgpack } from '../../../lib/protocol/hub-v1/msgpack.js'
import { payloadOf, type Frame } from '../../../lib/protocol/frame.js'

const codecs = [
  { client: jsonCodec, server: serverJson, received: (frame: Frame) => payloadOf(frame).payload.toString() },
  { client: msgpack(), server: serverMsgpack, received: (frame: Frame) => { const { payload } = payloadOf(frame); return payload.buffer.slice(payload.byteOffset, payload.byteOffset + payload.length) } }
]
const bytes = new Uint8Array(Array.from({ length: 256 }, (_, i) => i))

for (const { client, server, received } of codecs) {
  t.test(`${client.name}: client and server understand each other`, (t) => {
    t.equal(client.name, server.name)
    fc.assert(fc.property(fc.jsonValue({ noUnicodeString: false }), fc.integer({ min: 0 }), (data, id) => {
      // msgpackr reads a member of this name as __proto_, and does well.
      fc.pre(!JSON.stringify(data).includes('__proto__'))
      // JSON has no negative zero.
      const value: unknown = JSON.parse(JSON.stringify(data))
      const message = { op: 'publish', room: 'a', data: value, id } as const
      t.strictSame(server.decode(Buffer.from(client.encode(message))), message)
      const reply = { op: 'reply', id, data: value } as const
      t.strictSame(client.decode(received(server.encode(reply))), reply)
    }))
    t.end()
  })

  t.test(`${client.name}: bytes stay bytes`, (t) => {
    const sent = server.decode(Buffer.from(client.encode({ op: 'publish', room: 'a', data: bytes, id: 1 }))) as { data: Uint8Array }
    t.strictSame(new Uint8Array(sent.data), bytes)
    const got = client.decode(received(server.direct(Buffer.from(bytes)))) as { data: Uint8Array }
    t.ok(got.data instanceof Uint8Array)
    t.strictSame(new Uint8Array(got.data), bytes)
    t.end()
  })

  t.test(`${client.name}: what is not of the format throws`, (t) => {
    t.throws(() => client.decode(client === jsonCodec ? '{' : new Uint8Array([0x92, 1]).buffer))
    t.throws(() => client.decode(client === jsonCodec ? new ArrayBuffer(1) : 'text'), TypeError)
    t.end()
  })
}

t.test('bytes where the server looks for none are refused', (t) => {
  for (const { client } of codecs) {
    t.throws(() => client.encode({ op: 'event', event: 'e', data: bytes, id: 1 }), new TypeError('bytes are data of publications only, not of event'))
    t.throws(() => client.encode({ op: 'refresh', data: bytes, id: 1 }), new TypeError('bytes are data of publications only, not of refresh'))
  }
  t.end()
})

t.test('JSON that is no object is passed on as it is', (t) => {
  for (const value of ['1', 'null', '"text"', '[1]']) t.strictSame(jsonCodec.decode(value), JSON.parse(value))
  t.end()
})

t.test('what the application sends has the same meaning in both: that of JSON.stringify', (t) => {
  const values: Record<string, unknown> = {
    'a member that is undefined': { text: 'x', to: undefined },
    'a hole': [1, undefined],
    'a Date': { at: new Date(0) },
    'a toJSON': { toJSON: () => 'text' },
    'a member called toJSON': JSON.parse('{"toJSON":1}'),
    'a URL': new URL('http://hub/'),
    'a Map, a Set, a RegExp, an Error': [new Map([['a', 1]]), new Set([1]), /a/, new Error('e')],
    'no numbers': [NaN, Infinity, -0],
    'large numbers': [2 ** 31, 2 ** 32, 2 ** 53 - 1, -(2 ** 53) + 1, 2 ** 60, 1e300],
    'a function and a symbol': { f () {}, s: Symbol('x'), list: [Symbol('x')] },
    'a symbol': Symbol('x'),
    'bytes within': { b: new Uint8Array([1]), f: new Float32Array([1.5]) },
    'a boxed number': Object(3),
    'a key __proto__': JSON.parse('{"__proto__":1}')
  }
  for (const [name, data] of Object.entries(values)) {
    const message = { op: 'event', event: 'e', data, id: 1 } as const
    const expected: unknown = JSON.parse(JSON.stringify(message))
    for (const { client, server } of codecs) t.strictSame(server.decode(Buffer.from(client.encode(message))), expected, `${client.name}: ${name}`)
  }
  for (const { client } of codecs) {
    const cycle: unknown[] = []
    cycle.push(cycle)
    for (const data of [1n, cycle]) t.throws(() => client.encode({ op: 'event', event: 'e', data, id: 1 }), TypeError)
  }
  t.end()
})

t.test('msgpack: what has no UTF-8 is replaced, and nothing else is', (t) => {
  const { client, server } = codecs[1] as (typeof codecs)[number]
  fc.assert(fc.property(fc.string({ unit: fc.oneof(fc.constantFrom('\\', 'u', 'd', '8', '3', '\ud83d', '\ude00', '"', '\n'), fc.string({ unit: 'binary', minLength: 1, maxLength: 1 })) }), (text) => {
    const data = { [text]: [text] }
    const sent = server.decode(Buffer.from(client.encode({ op: 'event', event: text, data, id: 1 })))
    fc.pre(text !== '__proto__')
    t.strictSame(sent, { op: 'event', event: toUSVString(text), data: { [toUSVString(text)]: [toUSVString(text)] }, id: 1 })
  }))
  t.end()
})

t.test('msgpack: a room whose name has no UTF-8 is not another one', (t) => {
  t.throws(() => msgpack().encode({ op: 'join', room: 'a\ud83d', id: 1 }), new TypeError('a name that has no UTF-8: "a\\ud83d"'))
  t.ok(msgpack().encode({ op: 'join', room: '\ud83d\ude00', id: 1 }).length > 0)
  t.end()
})
