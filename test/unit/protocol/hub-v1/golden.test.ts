import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { decode, encode } from '@msgpack/msgpack'
import t from 'tap'
import { Value } from 'typebox/value'
import { jsonCodec } from '../../../../lib/protocol/hub-v1/json.js'
import { msgpackCodec } from '../../../../lib/protocol/hub-v1/msgpack.js'
import { clientMessages, serverMessages } from '../../../../lib/protocol/hub-v1/schema.js'
import { checkClientMessage } from '../../../../lib/protocol/hub-v1/validate.js'
import { clientSamples, serverSamples } from '../../../helpers/wire-samples.js'
import { messageIn } from '../../../helpers/wire.js'

/*
 * What goes over the wire, byte by byte: a change of these files is a change of the protocol. With WIRE_FIXTURES=write in the
 * environment they are written anew.
 */

/** One message: its text in hub.v1.json, and its bytes in hub.v1.msgpack. */
interface Golden { name: string, json: string, msgpack: string }

// From build/test/unit/protocol/hub-v1/
const FOLDER = new URL('../../../../../test/fixtures/wire/v1/', import.meta.url)

const golden = new Map<string, Golden[]>()
for (const [op, samples] of Object.entries(clientSamples)) {
  golden.set(`client-${op}.json`, Object.entries(samples).map(([name, message]) => ({ name, json: JSON.stringify(withBase64(message)), msgpack: Buffer.from(encode(message)).toString('hex') })))
}
for (const [op, samples] of Object.entries(serverSamples)) {
  golden.set(`server-${op}.json`, Object.entries(samples).map(([name, frame]) => ({ name, json: messageIn(frame(jsonCodec)).data.toString(), msgpack: messageIn(frame(msgpackCodec)).data.toString('hex') })))
}

if (process.env['WIRE_FIXTURES'] === 'write') {
  for (const name of readdirSync(FOLDER)) rmSync(new URL(name, FOLDER))
  for (const [name, messages] of golden) writeFileSync(new URL(name, FOLDER), `${JSON.stringify(messages, null, 2)}\n`)
}

const read = (name: string): Golden[] => JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8')) as Golden[]

/** As JSON has bytes. */
function withBase64 (message: object): object {
  if (!('data' in message) || !(message.data instanceof Uint8Array)) return message
  const { data, ...rest } = message
  return { ...rest, base64: Buffer.from(data as Uint8Array).toString('base64') }
}

t.test('every message of the schema has a file, and every file a message', (t) => {
  const expected = [...Object.keys(clientMessages).map((op) => `client-${op}.json`), ...Object.keys(serverMessages).map((op) => `server-${op}.json`)]
  t.same(readdirSync(FOLDER).sort(), expected.sort())
  t.end()
})

t.test('messages of the server are encoded as they were', (t) => {
  for (const [name, messages] of golden) if (name.startsWith('server-')) t.same(messages, read(name), name)
  t.end()
})

t.test('messages of the server mean the same in both encodings, and are those of the schema', (t) => {
  for (const [op, schema] of Object.entries(serverMessages)) {
    for (const { name, json, msgpack } of read(`server-${op}.json`)) {
      const message = JSON.parse(json) as object
      t.same(withBase64(decode(Buffer.from(msgpack, 'hex')) as object), message, `${op} ${name}`)
      t.ok(Value.Check(schema, message), `${op} ${name}`)
    }
  }
  t.end()
})

t.test('messages of clients are decoded as they were', (t) => {
  for (const [op, samples] of Object.entries(clientSamples)) {
    const messages = read(`client-${op}.json`)
    t.same(messages.map(({ name }) => name), Object.keys(samples), op)
    for (const { name, json, msgpack } of messages) {
      const expected = (samples as Record<string, object>)[name]
      for (const decoded of [jsonCodec.decode(Buffer.from(json)), msgpackCodec.decode(Buffer.from(msgpack, 'hex'))]) {
        t.same(decoded, expected, `${op} ${name}`)
        t.same(checkClientMessage(decoded), { message: expected }, `${op} ${name}`)
      }
    }
  }
  t.end()
})
