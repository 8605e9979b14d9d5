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
  t.throws(() => jsonCodec.encode({ op: 'event', event: 'e', data: bytes, id: 1 }), new TypeError('hub.v1.json has bytes in publications only, not in event: use hub.v1.msgpack'))
  t.end()
})

t.test('JSON that is no object is passed on as it is', (t) => {
  for (const value of ['1', 'null', '"text"', '[1]']) t.strictSame(jsonCodec.decode(value), JSON.parse(value))
  t.end()
})
