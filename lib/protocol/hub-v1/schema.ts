import { Type, type Static, type TArray, type TInteger, type TOptional, type TSchema, type TString } from 'typebox'

/*
 * The messages of hub.v1, by their `op`. docs/protocol.md has a row, and test/fixtures/wire/v1 a golden file, for each.
 * Objects of both directions may grow: whoever reads one ignores members that it does not know.
 */

/** Rooms in one `resume`. */
const MAX_ROOMS = 1000

/** Bytes are base64 (RFC 4648 section 4) in hub.v1.json, and `data` itself in hub.v1.msgpack. */
const bytes = Type.Optional(Type.String({ description: 'Bytes, in place of `data`, as base64 (RFC 4648 section 4). hub.v1.json only: hub.v1.msgpack has them as `data`.' }))
const anything = (description: string): TOptional<TSchema> => Type.Optional(Type.Unknown({ description }))
const room = Type.String({ minLength: 1, maxLength: 255, description: 'Name of the room: 1 to 255 bytes of UTF-8.' })
/** A key of `rooms`. Of Type.String() itself the pattern leaves out names with a line break, whose positions would not be looked at. */
const roomKey = Type.String({ pattern: '^[\\s\\S]*$' })
const epoch = Type.String({ minLength: 1, maxLength: 255, description: 'In which `offset` counts: another one means that the log was lost, unless the server says that it goes on.' })
const offset = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description: "Place in the room's log: contiguous from 1; 0 is the place before the first publication." })
const position = Type.Object({ epoch, offset })
/** What a request is known by: its answer has the same. */
const id = Type.Union([Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }), Type.String({ minLength: 1, maxLength: 64 })], { description: 'Of the request: its answer has the same. Without one there is no answer but an error.' })
const optionalId = Type.Optional(id)
/** Of the `id` of a request. */
export const requestId: TSchema = id
const users = (description: string): TOptional<TArray<TString>> => Type.Optional(Type.Array(Type.String(), { description }))
const milliseconds = (description: string): TInteger => Type.Integer({ minimum: 0, description })

/** A message of one kind. */
const message = <const Op extends string, Properties extends Record<string, TSchema>>(op: Op, description: string, properties: Properties) =>
  Type.Object({ op: Type.Literal(op), ...properties }, { description })

const clientSchemas = {
  resume: message('resume', 'The first message of a connection: what the client still has from the one before. Rooms are joined as by `join`, each with its own answer.', {
    session: Type.Optional(Type.String({ maxLength: 2048, description: '`session` of the last `hello`: what was sent twice under one id is then done once. Good for one resume, and for the same user.' })),
    rooms: Type.Optional(Type.Record(roomKey, position, { maxProperties: MAX_ROOMS, description: `Last known position by room, of at most ${MAX_ROOMS.toLocaleString('en')} rooms.` })),
    id: optionalId
  }),
  join: message('join', 'Enters a room.', { room, since: Type.Optional(Type.Object({ epoch, offset }, { description: 'Last known position: what was published since then follows first.' })), id: optionalId }),
  leave: message('leave', 'Leaves a room.', { room, id: optionalId }),
  publish: message('publish', 'Sends to all members of a room, the sender included if it is one.', { room, data: anything('What is published, a JSON value.'), base64: bytes, id: optionalId }),
  event: message('event', 'Calls the handler of an event.', { event: Type.String({ minLength: 1, maxLength: 255, description: 'Name of the event.' }), data: anything("As the event's schema has it."), id: optionalId }),
  ack: message('ack', 'Direct messages have been taken care of, and need not be kept.', { ids: Type.Array(Type.String({ minLength: 1, maxLength: 255 }), { maxItems: 1000, description: '`ack` of direct messages.' }), id: optionalId }),
  refresh: message('refresh', 'New credentials, before the old ones expire.', { data: anything('Whatever the application takes for credentials.'), id: optionalId }),
  presence: message('presence', 'Asks who is in a room that the connection is in.', { room, watch: Type.Optional(Type.Boolean({ description: 'From now on: whether to be told of changes.' })), id: optionalId }),
  ping: message('ping', 'Asks for a sign of life: a browser sees no ping of the WebSocket protocol.', { id: optionalId })
}

const serverSchemas = {
  hello: message('hello', 'The first message of the server.', {
    version: Type.Literal(1, { description: 'Of this protocol.' }),
    connection: Type.String({ description: 'Id of the connection.' }),
    user: Type.Union([Type.String(), Type.Null()], { description: 'Whom the connection speaks for; null: nobody.' }),
    session: Type.String({ description: 'For `resume` on the next connection.' }),
    expiresAt: Type.Optional(Type.Integer({ minimum: 0, description: 'When the credentials expire, in milliseconds since the Unix epoch: `refresh` before that.' })),
    heartbeat: Type.Object({
      interval: milliseconds('A client that heard nothing for this long asks with `ping`. 0: no need to.'),
      timeout: milliseconds('A client that says nothing for this long is closed with 4408. 0: never.')
    }, { description: 'How each side finds out that the other has gone.' }),
    limits: Type.Object({
      maxMessageBytes: Type.Integer({ minimum: 0, description: 'Of one message to the server. 0: no limit.' }),
      messagesPerSecond: Type.Number({ minimum: 0, description: 'That the server takes. 0: no limit.' }),
      burst: Type.Integer({ minimum: 1, description: 'That may come at once within that rate.' })
    }, { description: 'What the server takes from this connection.' })
  }),
  joined: message('joined', 'The connection is in a room. From `offset` on, each publication follows, none left out, none twice.', {
    room,
    epoch,
    offset,
    head: Type.Integer({ minimum: 0, description: 'Offset of the latest publication when this was written: those from `offset` to here were missed, and follow first.' }),
    recovered: Type.Optional(Type.Boolean({ description: 'Answers `since`. true: `offset` is that of `since`, or before it, on a node that has heard less: then some come again; unasked, the log goes on in this `epoch`. false: what was published since then is not known any more, reload.' })),
    cache: Type.Optional(Type.Boolean({ description: 'true: of this room only the latest publication counts, and offsets may jump.' })),
    id: optionalId
  }),
  left: message('left', 'The connection is not in a room any more.', { room, id: optionalId }),
  message: message('message', 'A publication.', { room, offset: Type.Optional(Type.Integer({ minimum: 1, description: 'Place of the publication. Without one it is ephemeral, and in no log.' })), data: anything('What was published.'), base64: bytes }),
  skip: message('skip', 'A publication that this connection does not get: its place in the log, so that there is no hole.', { room, offset: Type.Integer({ minimum: 1, description: 'Place of the publication.' }) }),
  direct: message('direct', 'For this connection, this user or everybody; in no room.', { data: anything('What was sent.'), base64: bytes, ack: Type.Optional(Type.String({ description: 'Sent again on the next connection unless an `ack` names it.' })) }),
  reply: message('reply', 'Answers a request.', { id, data: anything('What it answers.') }),
  error: message('error', 'A message could not be understood, or not be done.', {
    code: Type.String({ description: 'One of the codes below.' }),
    message: Type.String({ description: 'For people.' }),
    id: optionalId,
    room: Type.Optional(Type.String({ description: 'The room that it is about.' })),
    path: Type.Optional(Type.String({ description: 'JSON Pointer (RFC 6901) to what is wrong.' }))
  }),
  presence: message('presence', 'Changes in a room that is watched: all that came and went within an interval.', {
    room,
    users: Type.Optional(Type.Array(Type.Object({ user: Type.String({ description: 'Id of the user.' }), connections: Type.Integer({ minimum: 1, description: 'That the user has in the room.' }) }), { description: 'Everybody: changes before this were not told.' })),
    joined: users('Who is here, and was not.'),
    left: users('Who was here, and is not.'),
    states: Type.Optional(Type.Array(Type.Object({ user: Type.String({ description: 'Id of the user.' }), key: Type.String({ description: 'Which state.' }), active: Type.Boolean({ description: 'Whether it began.' }) }), { description: 'Ephemeral states that began or ended, such as typing.' }))
  }),
  gap: message('gap', 'Publications of a room are lost for this connection: reload. From `offset` on, each publication follows.', { room, since: Type.Object({ epoch, offset }, { description: 'The last good position.' }), epoch, offset }),
  goodbye: message('goodbye', 'The server is about to close the connection.', { reconnectIn: milliseconds('After which to come back: each client gets another one.') }),
  pong: message('pong', 'Answers `ping`.', { id: optionalId })
}

/** Messages of clients, by `op`. */
export const clientMessages: { readonly [Op in ClientOp]: TSchema } = clientSchemas
/** Messages of servers, by `op`. */
export const serverMessages: { readonly [Op in ServerOp]: TSchema } = serverSchemas

export type ClientOp = keyof typeof clientSchemas
export type ServerOp = keyof typeof serverSchemas
/** One message of a client; with an `op`, those of that kind. */
export type ClientMessage<Op extends ClientOp = ClientOp> = { [K in Op]: Static<(typeof clientSchemas)[K]> }[Op]
/** One message of a server; with an `op`, those of that kind. */
export type ServerMessage<Op extends ServerOp = ServerOp> = { [K in Op]: Static<(typeof serverSchemas)[K]> }[Op]
/** What a request is known by. */
export type RequestId = Static<typeof id>
