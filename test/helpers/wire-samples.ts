import type { HubCodec } from '../../lib/protocol/codec.js'
import { encodeBytes, OPCODE_TEXT, type Frame } from '../../lib/protocol/frame.js'
import { JsonText } from '../../lib/protocol/json-text.js'
import type { ClientMessage, ServerMessage } from '../../lib/protocol/hub-v1/schema.js'

/** Bytes of which base64 has all of its alphabet that is not letters and digits, and its padding. */
const bytes = Buffer.from('00fbff10', 'hex')
const json = new JsonText(JSON.stringify({ text: 'Grüße 😀', at: 1_700_000_000_000, list: [1, -1, 0.5, true, null] }))
const position = { epoch: '01JD8Z3K6V', offset: 41 }

/** Messages of clients, by what is special about them; bytes are in `data`. */
export const clientSamples: { readonly [Op in ClientMessage['op']]: Record<string, ClientMessage<Op>> } = {
  resume: {
    'with nothing': { op: 'resume' },
    'with all': { op: 'resume', session: 'abc.def', rooms: { 'chat:1': position, 'a\nb': { epoch: 'x', offset: 0 } }, id: 1 }
  },
  join: {
    plain: { op: 'join', room: 'chat:1', id: 2 },
    'from a position on': { op: 'join', room: 'chat:1', since: position, id: 'join-1' }
  },
  leave: { plain: { op: 'leave', room: 'chat:1', id: 3 } },
  publish: {
    text: { op: 'publish', room: 'chat:1', data: 'hello', id: 4 },
    'an object': { op: 'publish', room: 'Grüße', data: { text: 'hello', n: 4_294_967_296 }, id: 5 },
    null: { op: 'publish', room: 'chat:1', data: null },
    bytes: { op: 'publish', room: 'chat:1', data: bytes, id: Number.MAX_SAFE_INTEGER }
  },
  event: {
    'with data': { op: 'event', event: 'sum', data: { a: 1, b: 2.5 }, id: 6 },
    'without data': { op: 'event', event: 'seen' }
  },
  ack: { plain: { op: 'ack', ids: ['1-0', '2-0'], id: 7 } },
  refresh: { plain: { op: 'refresh', data: { token: 'new' }, id: 8 } },
  presence: {
    once: { op: 'presence', room: 'chat:1', id: 9 },
    'and from now on': { op: 'presence', room: 'chat:1', watch: true, id: 10 }
  },
  ping: { plain: { op: 'ping' }, 'with an id': { op: 'ping', id: 11 } }
}

type Encode = (codec: HubCodec) => Frame
const encode = (message: ServerMessage): Encode => (codec) => codec.encode(message)

/** Messages of the server: how each is encoded. */
export const serverSamples: { readonly [Op in ServerMessage['op']]: Record<string, Encode> } = {
  hello: {
    'of a user': encode({
      op: 'hello', version: 1, connection: 'n1-42', user: 'alice', session: 'abc.def', heartbeat: { interval: 30_000, timeout: 60_000 }, limits: { maxMessageBytes: 65_536, messagesPerSecond: 100, burst: 200 }
    }),
    'of nobody': encode({
      op: 'hello', version: 1, connection: 'n1-43', user: null, session: 'abc.def', heartbeat: { interval: 0, timeout: 0 }, limits: { maxMessageBytes: 0, messagesPerSecond: 0.5, burst: 1 }
    })
  },
  joined: {
    plain: encode({ op: 'joined', room: 'chat:1', ...position, head: 41, id: 2 }),
    recovered: encode({ op: 'joined', room: 'chat:1', ...position, head: 43, recovered: true, id: 'join-1' }),
    'not recovered': encode({ op: 'joined', room: 'chat:1', epoch: 'new', offset: 3, head: 3, recovered: false }),
    'of a room that keeps the latest only': encode({ op: 'joined', room: 'price:1', ...position, head: 42, cache: true })
  },
  left: { plain: encode({ op: 'left', room: 'chat:1', id: 3 }) },
  message: {
    text: (codec) => codec.publication('chat:1', 42, 'hello'),
    JSON: (codec) => codec.publication('Grüße', 43, json),
    bytes: (codec) => codec.publication('chat:1', 44, bytes),
    'of a raw peer': (codec) => codec.publication('chat:1', 4_294_967_296, { toFrame: () => encodeBytes(Buffer.from('raw'), OPCODE_TEXT) }),
    ephemeral: (codec) => codec.publication('chat:1', 0, new JsonText('null'))
  },
  skip: { plain: encode({ op: 'skip', room: 'chat:1', offset: 45 }) },
  direct: {
    text: (codec) => codec.direct('hello'),
    JSON: (codec) => codec.direct(json, '1-0'),
    bytes: (codec) => codec.direct(bytes, '2-0')
  },
  reply: {
    'with data': encode({ op: 'reply', id: 6, data: 3.5 }),
    'of a publish': encode({ op: 'reply', id: 4, data: { epoch: position.epoch, offset: 42 } }),
    'of a refresh': encode({ op: 'reply', id: 8, data: { expiresAt: 1_700_000_000_000 } }),
    'without data': encode({ op: 'reply', id: 7 })
  },
  error: {
    plain: encode({ op: 'error', code: 'malformed', message: 'not JSON' }),
    'with all': encode({ op: 'error', code: 'invalid_message', message: 'since.offset: expected a whole number of at least 0, got -1', id: 2, room: 'chat:1', path: '/since/offset' })
  },
  presence: {
    everybody: encode({ op: 'presence', room: 'chat:1', users: [{ user: 'alice', connections: 2 }] }),
    changes: encode({ op: 'presence', room: 'chat:1', joined: ['bob'], left: ['carol'], states: [{ user: 'alice', key: 'typing', active: true }] })
  },
  gap: { plain: encode({ op: 'gap', room: 'chat:1', since: position, epoch: 'new', offset: 7 }) },
  goodbye: { plain: encode({ op: 'goodbye', reconnectIn: 1500 }) },
  pong: { plain: (codec) => codec.pong, 'with an id': encode({ op: 'pong', id: 11 }) }
}
