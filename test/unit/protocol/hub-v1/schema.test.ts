import t from 'tap'
import { Value } from 'typebox/value'
import { hubCodecOf, HUB_SUBPROTOCOLS } from '../../../../lib/protocol/hub-v1/codecs.js'
import { wireErrors } from '../../../../lib/protocol/hub-v1/errors.js'
import { clientMessages, serverMessages } from '../../../../lib/protocol/hub-v1/schema.js'

interface MessageView { type: string, description?: string, additionalProperties?: unknown, required: string[], properties: Record<string, { const?: string, description?: string }> }

t.test('every message is known by its op, says what it is for, and may grow', (t) => {
  for (const [op, schema] of [...Object.entries(clientMessages), ...Object.entries(serverMessages)]) {
    const { type, description, additionalProperties, required, properties } = schema as unknown as MessageView
    t.equal(type, 'object', op)
    t.match(description, /\.$/, `${op} has a sentence`)
    t.equal(properties['op']?.const, op)
    t.ok(required.includes('op'))
    t.equal(additionalProperties, undefined)
  }
  t.end()
})

t.test('every request may have an id, and every answer has it', (t) => {
  for (const [op, schema] of Object.entries(clientMessages)) t.ok((schema as unknown as MessageView).properties['id'], op)
  for (const op of ['joined', 'left', 'reply', 'error', 'pong'] as const) t.ok((serverMessages[op] as unknown as MessageView).properties['id'], op)
  t.end()
})

t.test('the schema of rooms looks at every position, whatever the name', (t) => {
  for (const name of ['r', 'a\nb', '\n', '\u2028', '__proto__', '']) {
    t.equal(Value.Check(clientMessages.resume, { op: 'resume', rooms: Object.fromEntries([[name, 5]]) }), false, encodeURI(name))
    t.equal(Value.Check(clientMessages.resume, { op: 'resume', rooms: Object.fromEntries([[name, { epoch: 'e', offset: 0 }]]) }), true)
  }
  t.end()
})

t.test('codes of errors are snake_case, once each', (t) => {
  const codes = Object.values(wireErrors)
  t.equal(new Set(codes).size, codes.length)
  for (const code of codes) t.match(code, /^[a-z]+(_[a-z]+)*$/)
  t.end()
})

t.test('a codec is found by its subprotocol', (t) => {
  t.same(HUB_SUBPROTOCOLS, ['hub.v1.json', 'hub.v1.msgpack'])
  for (const name of HUB_SUBPROTOCOLS) t.equal(hubCodecOf(name)?.name, name)
  for (const name of [null, '', 'chat', 'hub.v1', 'constructor']) t.equal(hubCodecOf(name), null)
  t.end()
})
