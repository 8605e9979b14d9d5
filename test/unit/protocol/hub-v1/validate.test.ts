import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { jsonCodec } from '../../../../lib/protocol/hub-v1/json.js'
import { clientMessages, serverMessages } from '../../../../lib/protocol/hub-v1/schema.js'
import { checkClientMessage } from '../../../../lib/protocol/hub-v1/validate.js'
import { arbitraryOf, jsonValues } from '../../../helpers/schema-arbitrary.js'

const position = { epoch: 'e', offset: 3 }
const rooms = (names: readonly string[]): object => Object.fromEntries(names.map((name) => [name, position]))
const NAME = 'a string of 1 to 255 bytes of UTF-8'
const ID = 'a whole number of at least 0 or a string of 1 to 64 characters'

t.test('every message that the schema allows is taken as it is', (t) => {
  for (const [op, schema] of Object.entries(clientMessages)) {
    fc.assert(fc.property(arbitraryOf(schema).filter((message) => op !== 'publish' || (Object.hasOwn(message as object, 'data') && !Object.hasOwn(message as object, 'base64'))), (message) => {
      const result = checkClientMessage(message)
      assert.ok('message' in result, JSON.stringify(result))
      assert.equal(result.message, message)
    }))
  }
  t.end()
})

t.test('messages that are right', (t) => {
  for (const message of [
    { op: 'ping' }, { op: 'ping', id: 0 }, { op: 'ping', id: '😀'.repeat(64) }, { op: 'ping', more: NaN, room: 5, data: NaN, base64: 1 },
    { op: 'join', room: '__proto__' }, { op: 'join', room: 'constructor', since: position }, { op: 'leave', room: 'é'.repeat(127) },
    { op: 'publish', room: 'r', data: null }, { op: 'publish', room: 'r', data: Buffer.from('x') }, { op: 'event', event: 'constructor' }, { op: 'event', event: 'e', data: false, base64: 'x' },
    { op: 'resume' }, { op: 'resume', rooms: {} }, { op: 'resume', rooms: rooms(['toString', 'constructor', '\n', 'a\nb', 'a/b', '~']) },
    { op: 'resume', rooms: rooms(Array.from({ length: 1000 }, (_, i) => `${i}`)) }, JSON.parse('{"op":"resume","rooms":{"__proto__":{"epoch":"e","offset":3}}}'),
    { op: 'ack', ids: [] }, { op: 'refresh' }, { op: 'presence', room: 'r', watch: false }
  ]) t.equal((checkClientMessage(message) as { message: unknown }).message, message)
  t.end()
})

t.test('what is no object with an op', (t) => {
  for (const [value, got] of [[null, 'null'], [1, '1'], ['x', '"x"'], [true, 'true'], [[], 'a list'], [[{ op: 'ping' }], 'a list'], [Buffer.alloc(1), 'bytes'], [undefined, 'nothing']] as const) {
    t.same(checkClientMessage(value), { problem: { code: 'malformed', message: `expected an object with a member op, got ${got}` } })
  }
  for (const [value, got] of [[{}, 'nothing'], [{ op: 1 }, '1'], [{ op: ['ping'] }, 'a list'], [Object.create({ op: 'ping' }), 'nothing'], [JSON.parse('{"__proto__":{"op":"ping"}}'), 'nothing']] as const) {
    t.same(checkClientMessage(value), { problem: { code: 'malformed', path: '/op', message: `op: expected a string, got ${got}` } })
  }
  t.same(checkClientMessage({ id: 5 }), { problem: { code: 'malformed', path: '/op', message: 'op: expected a string, got nothing', id: 5 } })
  t.end()
})

t.test('an op that there is not, or not from a client', (t) => {
  const ops = ['', 'nope', 'PING', '__proto__', 'constructor', 'toString', 'hasOwnProperty', ...Object.keys(serverMessages).filter((op) => !Object.hasOwn(clientMessages, op))]
  for (const op of ops) {
    t.same(checkClientMessage({ op, id: 'a' }), { problem: { code: 'unknown_op', path: '/op', message: `there is no op ${JSON.stringify(op)} from a client`, id: 'a' } })
  }
  t.match(checkClientMessage({ op: 'x'.repeat(60_000) }), { problem: { message: 'there is no op a string of 60000 characters from a client' } })
  t.end()
})

t.test('a wrong member is named, with what was expected and got', (t) => {
  const long = 'é'.repeat(128)
  for (const [message, path, text] of [
    [{ op: 'join' }, '/room', 'room: expected a string of 1 to 255 characters, got nothing'],
    [{ op: 'join', room: ['r'] }, '/room', 'room: expected a string of 1 to 255 characters, got a list'],
    [{ op: 'leave', room: '' }, '/room', 'room: expected a string of 1 to 255 characters, got ""'],
    [{ op: 'join', room: long }, '/room', `room: expected ${NAME}, got a string of 128 characters`],
    [{ op: 'presence', room: '\ud800' }, '/room', `room: expected ${NAME}, got "\\ud800"`],
    [{ op: 'publish', room: long, data: 1 }, '/room', `room: expected ${NAME}, got a string of 128 characters`],
    [{ op: 'join', room: 'r', since: null }, '/since', 'since: expected an object of epoch: a string of 1 to 255 characters, offset: a whole number of at least 0, got null'],
    [{ op: 'join', room: 'r', since: { epoch: 'e' } }, '/since/offset', 'since.offset: expected a whole number of at least 0, got nothing'],
    [{ op: 'join', room: 'r', since: { epoch: 'e', offset: 1.5 } }, '/since/offset', 'since.offset: expected a whole number of at least 0, got 1.5'],
    [{ op: 'join', room: 'r', since: { epoch: 'e', offset: 2 ** 53 } }, '/since/offset', 'since.offset: expected a whole number of at least 0, got 9007199254740992'],
    [{ op: 'resume', rooms: [] }, '/rooms', 'rooms: expected an object of at most 1,000 members, each an object of epoch: a string of 1 to 255 characters, offset: a whole number of at least 0, got a list'],
    [{ op: 'resume', rooms: { 'a/b': { epoch: 'e', offset: -1 } } }, '/rooms/a~1b/offset', 'rooms.a/b.offset: expected a whole number of at least 0, got -1'],
    [{ op: 'resume', rooms: { 'a\n': 5 } }, '/rooms/a\n', 'rooms.a\n: expected an object of epoch: a string of 1 to 255 characters, offset: a whole number of at least 0, got 5'],
    [JSON.parse('{"op":"resume","rooms":{"__proto__":5}}'), '/rooms/__proto__', 'rooms.__proto__: expected an object of epoch: a string of 1 to 255 characters, offset: a whole number of at least 0, got 5'],
    [{ op: 'resume', rooms: rooms(['r', '']) }, '/rooms', `rooms: expected each name to be ${NAME}, got ""`],
    [{ op: 'resume', rooms: rooms([long]) }, '/rooms', `rooms: expected each name to be ${NAME}, got a string of 128 characters`],
    [{ op: 'resume', session: 'x'.repeat(2049) }, '/session', 'session: expected a string of at most 2,048 characters, got a string of 2049 characters'],
    [{ op: 'ack', ids: ['a', 5] }, '/ids/1', 'ids.1: expected a string of 1 to 255 characters, got 5'],
    [{ op: 'ack', ids: Array(1001).fill('a') }, '/ids', 'ids: expected a list of at most 1,000, each a string of 1 to 255 characters, got a list'],
    [{ op: 'presence', room: 'r', watch: 1 }, '/watch', 'watch: expected true or false, got 1'],
    [{ op: 'event', event: null }, '/event', 'event: expected a string of 1 to 255 characters, got null'],
    [{ op: 'event', event: 'e', data: [NaN] }, '/data/0', 'data: expected JSON values, got a number that is not finite'],
    [{ op: 'event', event: 'e', data: Buffer.alloc(1) }, '/data', 'data: expected JSON values, got bytes, which only the whole `data` of a publish may be'],
    [{ op: 'refresh', data: { token: Buffer.alloc(1) } }, '/data/token', 'data: expected JSON values, got bytes, which only the whole `data` of a publish may be'],
    [{ op: 'publish', room: 'r', data: { a: [Buffer.alloc(1)] } }, '/data/a/0', 'data: expected JSON values, got bytes, which only the whole `data` of a publish may be'],
    [{ op: 'publish', room: 'r' }, '/data', 'data: expected any JSON value, or bytes, got nothing'],
    [{ op: 'publish', room: 'r', base64: '?' }, '/base64', 'base64: expected base64 (RFC 4648 section 4) in place of data, in hub.v1.json only'],
    [{ op: 'publish', room: 'r', data: 1, base64: 'AA==' }, '/base64', 'base64: expected base64 (RFC 4648 section 4) in place of data, in hub.v1.json only'],
    [{ op: 'publish', room: 'r', base64: 1 }, '/base64', 'base64: expected a string, got 1']
  ] as Array<[object, string, string]>) {
    t.same(checkClientMessage({ ...message, id: 7 }), { problem: { code: 'invalid_message', path, message: text, id: 7 } })
  }
  t.end()
})

t.test('more than 1,000 rooms are too many', (t) => {
  const result = checkClientMessage({ op: 'resume', rooms: rooms(Array.from({ length: 1001 }, (_, i) => `${i}`)), id: 1 })
  t.match(result, { problem: { code: 'invalid_message', path: '/rooms', message: /^rooms: expected an object of at most 1,000 members, .* got an object$/, id: 1 } })
  t.match(checkClientMessage({ op: 'ack', ids: Array.from({ length: 1001 }, () => 0) }), { problem: { path: '/ids', message: /^ids: expected a list of at most 1,000, .* got a list$/ } }, 'whatever is in it')
  t.end()
})

t.test('of many wrong members the first is named', (t) => {
  const ids: unknown[] = Array.from({ length: 1000 }, (_, i) => `${i}`)
  ids.fill('', 700)
  t.match(checkClientMessage({ op: 'ack', ids }), { problem: { path: '/ids/700', message: 'ids.700: expected a string of 1 to 255 characters, got ""' } })
  const wrong = rooms(['a', 'b', 'c'])
  Object.assign(wrong, { b: { epoch: 'e' }, c: 5 })
  t.match(checkClientMessage({ op: 'resume', rooms: wrong }), { problem: { path: '/rooms/b/offset', message: 'rooms.b.offset: expected a whole number of at least 0, got nothing' } })
  t.end()
})

t.test('an id that is none is told, and not carried over', (t) => {
  for (const [id, got] of [[-1, '-1'], [0.5, '0.5'], [2 ** 53, '9007199254740992'], ['', '""'], ['x'.repeat(65), 'a string of 65 characters'], [null, 'null'], [{}, 'an object'], [NaN, 'NaN']] as const) {
    t.same(checkClientMessage({ op: 'ping', id }), { problem: { code: 'invalid_message', path: '/id', message: `id: expected ${ID}, got ${got}` } })
    t.notOk('id' in (checkClientMessage({ op: 'nope', id }) as { problem: object }).problem)
  }
  t.end()
})

t.test('no value is too strange, and each valid id is answered', (t) => {
  const op = fc.oneof(fc.constantFrom(...Object.keys(clientMessages), '__proto__', 'constructor'), jsonValues)
  const members = fc.record({ op, id: fc.oneof(fc.nat(), jsonValues), room: jsonValues, rooms: jsonValues, since: jsonValues, data: jsonValues, base64: jsonValues, ids: jsonValues, event: jsonValues, watch: jsonValues, session: jsonValues }, { requiredKeys: [] })
  // Once more as text, so that a member called __proto__ is one.
  fc.assert(fc.property(fc.oneof(members, fc.jsonValue()), (value) => {
    const decoded = jsonCodec.decode(Buffer.from(JSON.stringify(value)))
    const result = checkClientMessage(decoded)
    if ('message' in result) {
      assert.equal(result.message, decoded)
      return
    }
    const { code, message, path, id } = result.problem
    assert.ok(['malformed', 'unknown_op', 'invalid_message'].includes(code) && message !== '')
    assert.ok(path === undefined || path.startsWith('/'))
    const sent: unknown = typeof decoded === 'object' && decoded !== null && !Array.isArray(decoded) ? (decoded as { id?: unknown }).id : undefined
    const isId = typeof sent === 'string' ? sent.length > 0 && [...sent].length <= 64 : Number.isSafeInteger(sent) && (sent as number) >= 0
    assert.equal(id, isId ? sent : undefined)
  }), { numRuns: 1500 })
  t.end()
})
