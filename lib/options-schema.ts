import { Type, type TObject, type TSchema } from 'typebox'

/*
 * The schema of the options: types, bounds, defaults and the sentences of docs/options.md. What a schema can not say
 * (functions, contradictions between options) is checked in resolve-options.ts.
 */

/** What the option `redis.url` may be. */
export const REDIS_URL = "'redis://user:password@host:6379/0', rediss:// for TLS, or the path of a socket"

/** 2^31 - 1 ms, about 24 days: what Node's own timers take. */
const MAX_MS = 2_147_483_647

const ms = (description: string, fallback: number, minimum = 0, maximum = MAX_MS): TSchema =>
  Type.Optional(Type.Integer({ minimum, maximum, default: fallback, description, unit: 'ms' }))

const count = (description: string, fallback: number, minimum = 0): TSchema =>
  Type.Optional(Type.Integer({ minimum, maximum: Number.MAX_SAFE_INTEGER, default: fallback, description }))

const oneOf = (values: string[], fallback: string, description: string): TSchema =>
  Type.Optional(Type.Enum(values, { default: fallback, description }))

const flag = (fallback: boolean, description: string): TSchema =>
  Type.Optional(Type.Boolean({ default: fallback, description }))

/** Checked in resolve-options.ts. */
const special = (expected: string, description: string, shownDefault = '-'): TSchema =>
  Type.Optional(Type.Unknown({ expected, description, shownDefault }))

const fn = (description: string): TSchema => special('a function', description)

const group = (properties: Record<string, TSchema>, description: string): TSchema =>
  Type.Optional(Type.Object(properties, { additionalProperties: false, description }))

export const optionsSchema: TObject = Type.Object({
  path: special('a string that starts with /, or a list of them', 'Path, or paths, of the WebSocket route, below the prefix of the surrounding register; not percent-encoded. Parameters and wildcards are those of Fastify.', "'/ws'"),
  decorateAs: Type.Optional(Type.String({ minLength: 1, default: 'hub', description: 'Name of the decorator that holds the hub. A second hub in one app needs its own.' })),
  guardUpgrades: flag(true, 'Answer upgrades to routes of this app that have no WebSocket with 426, where the bare stack would answer 101. Turn it off when another library handles upgrades on the same server. Routes declared before the hub are not guarded when the app registered @fastify/websocket before the hub: register the hub first.'),
  origins: special("'same-origin', '*', an origin, a RegExp without g or y, a function, or a list of them", "Which Origin headers may connect: an origin, `https://*.example.com` (exactly one label), `https://**.example.com` (one or more), `'same-origin'` (the header's host is `request.host`), `'null'`, a RegExp on the whole header, a function, or a list of these. `'*'` allows every page of the web.", "'same-origin'"),
  allowMissingOrigin: flag(true, 'Admit clients that send no Origin header. Browsers always send one.'),
  subprotocols: Type.Optional(Type.Array(Type.String({ minLength: 1 }), { uniqueItems: true, default: [], description: 'Subprotocols that the server speaks, in order of preference. `hub.v1.json` and `hub.v1.msgpack` are the protocol of this plugin; every other one passes application messages unwrapped, and must not begin with `hub.`. See [protocol.md](protocol.md).' })),
  requireSubprotocol: flag(false, 'Refuse a client that offers none of `subprotocols` with 400.'),
  messages: oneOf(['any', 'text', 'binary'], 'any', 'Which kind of message a peer may send; the other closes the connection with 1003.'),
  identify: fn('Says who a connection is: `(request, reply) => Identity | null`, sync or async, as the last preHandler before the 101. null refuses with 403, a thrown error with its `statusCode` or 401. Without it, connections are anonymous.'),
  onConnect: fn('`(connection) => unknown`. A connection entered the hub. A promise is awaited before its messages are handled; a failure closes it with 1011.'),
  onMessage: fn('`(connection, message) => unknown`. Messages of one connection are handled in order, one at a time; a failure closes that connection with 1011.'),
  onDisconnect: fn('`(connection, info) => unknown`. Exactly one call for each onConnect that began, after its last message was handled.'),
  sessions: oneOf(['many', 'single-per-user', 'single-per-device'], 'many', "How many logins a user may have at once. The newest one wins, and the older is closed with 4502 before the newer's onConnect. `'single-per-device'` counts each device by itself; connections without a device are one device together. Anonymous connections are not counted."),
  authorize: group({
    join: fn('`(connection, room) => boolean`, sync or async: whether it may enter the room. Asked for each room that it is not in yet, after a reconnect too; not for what the server joins. Without it nobody may.'),
    publish: fn('`(connection, room, data) => boolean`, sync or async: whether it may publish this in the room. Without it nobody may.')
  }, 'What peers that speak hub.v1 may do.'),
  refresh: fn('`(connection, data) => Identity | null`, sync or async: new credentials of a peer that speaks hub.v1. The answer says who it is with them, as that of `identify` does; it must be the same user. null refuses them, and the old ones hold until they expire.'),
  history: group({
    size: count('Publications kept per room. 0: none.', 0),
    ttl: ms('How long a publication is kept. 0: no limit, also in rooms that nobody uses any more.', 300_000),
    mode: oneOf(['log', 'cache'], 'log', "`'log'`: whoever comes back gets all that was missed, or is told that it is gone. `'cache'`: only the latest publication counts, and whoever comes gets it."),
    rooms: special('an object: by room name or pattern, an object with size, ttl or mode', 'Other values by room name, or pattern, in which `*` stands for any characters: `{ "chat:*": { size: 100 } }`. The first that fits holds.')
  }, 'What is kept of rooms, so that whoever comes back gets what was missed.'),
  offline: group({
    maxMessages: count('Messages kept per user; beyond, the oldest goes. 0: none can be kept.', 100),
    ttl: ms('How long a message is kept, unless its own `ttl` says otherwise. 0: no limit.', 86_400_000)
  }, 'Messages for users who are not there.'),
  presence: group({
    interval: ms('Between two messages about changes in one room.', 1_000, 50)
  }, 'Who is in a room.'),
  redis: group({
    url: special(REDIS_URL, 'Where Redis is; either this or `client`. Special characters of the password are percent-encoded. Parameters that it takes are `db`, `family`, `username` and `password`; for all else that ioredis can be told, give a `client`.'),
    client: special('an instance of ioredis: Redis or Cluster', 'An instance of ioredis, also one for Sentinel or Redis Cluster; either this or `url`. Connections like its own are made, with its server, credentials and TLS, and it is neither used itself nor closed: it may be closed, or made with `lazyConnect: true` so that it never connects.'),
    prefix: Type.Optional(Type.String({ minLength: 1, pattern: '^[^{}]*$', default: 'hub', expected: 'a string that is not empty and has no braces', description: 'What all keys begin with: the same on all nodes, and another one for another hub. The `keyPrefix` of `client` comes in front of it.' })),
    lazy: flag(false, 'Start also while Redis can not be reached; what needs it fails with `FST_HUB_BROKER_UNAVAILABLE` until it can. Otherwise `register` fails.'),
    partitions: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_024, default: 16, description: 'Parts over which rooms and users are spread: what a Redis Cluster divides among its masters. There a node reads only those in which it has somebody. Must be the same on all nodes.' })),
    timeout: ms('How long a call waits for Redis. Then it fails with `FST_HUB_BROKER_UNAVAILABLE`, and may have been done all the same. At most 9 s: after 10 s the other nodes may take this one for dead.', 5_000, 100, 9_000),
    stream: group({
      maxLength: count('Entries that are kept, about; on a Redis Cluster, of each partition. One is what a node had to tell of it in one go. Who falls behind further than that fills the hole from history, or tells it.', 100_000, 100),
      ttl: ms('How long entries are kept, for nodes that were cut off.', 300_000, 1_000)
    }, 'What nodes have to tell each other, until all have read it.')
  }, 'Several nodes: they share rooms, history, users, presence and offline messages in Redis 7 or later, or Valkey, by way of the package ioredis 6, which is installed beside this one. Without this option, a hub is one process.'),
  resume: group({
    ttl: ms('For how long after its end a connection can be resumed, so that a request that is sent twice is done once. 0: never.', 120_000),
    secret: Type.Optional(Type.String({ minLength: 32, description: 'For the tokens, at least 32 characters.', shownDefault: 'a random one per process, so that no token outlives it' }))
  }, 'How a hub.v1 client goes on after a reconnect.'),
  asyncapi: group({
    path: special('a string that starts with /', 'Path of the document, such as `/asyncapi.json`. Without it none is served.'),
    title: Type.Optional(Type.String({ minLength: 1, default: 'fastify-hub', description: 'Title of the API.' })),
    version: Type.Optional(Type.String({ minLength: 1, default: '1.0.0', description: 'Version of the API.' }))
  }, 'An AsyncAPI 3 document of the events, rooms and messages of hub.v1.'),
  heartbeat: group({
    interval: ms('A peer that was silent for this long is sent a ping, or up to a 120th of that later, at most 250 ms, so that many go out in one go. 0: no pings.', 30_000),
    timeout: ms('A peer that was silent for this long is closed with 4408. Only a complete message, ping or pong counts. 0: never. Must be longer than interval.', 60_000)
  }, 'How dead peers are noticed.'),
  deadlines: group({
    admit: ms('From the moment a slot is held to the 101: all hooks and `identify`; time in the waiting line is not part of it. A promise of a function in `origins` has as long before that. Then 503. 0: no limit.', 10_000),
    write: ms('For the kernel to take one write of at most 64 KiB; then it is ended as a slow reader, 4429. A full kernel takes more when the peer has read about a third of what lies in it, which may be 1.4 MiB: docs/guarantees.md. 0: no limit.', 10_000),
    handler: ms('One run of an asynchronous onConnect or onMessage. Then the connection is closed with 1011. 0: no limit.', 30_000),
    close: ms('From our Close frame to the end of the socket. Then it is terminated. 0: until the peer has been silent for heartbeat.timeout; one that has answered with its own Close has 30 s to end its side. A login that would take the place of another (`sessions`) has as long to answer a ping.', 5_000)
  }, 'How long things may take.'),
  queue: group({
    maxMessages: count('Messages that may wait behind a blocked socket, per connection. 0: no limit.', 64),
    maxBytes: count('Bytes that may wait, per connection; a larger message is rejected at once. 0: no limit.', 1024 * 1024),
    overflow: oneOf(['drop-oldest', 'reject-new', 'disconnect'], 'drop-oldest', 'What a full queue does with a new message: evict older ones, refuse it, or end the connection as a slow reader.'),
    maxTotalBytes: Type.Optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description: 'Bytes that may wait in all queues of the process together; a message that waits in many counts once, and each with about half a KiB for bookkeeping. Beyond it the policy of the new message holds for the fattest queue, until there is room. Of several hubs in one process the smallest number that is given holds for all. 0: no limit.', shownDefault: '`268_435_456`' }))
  }, 'The queue between the application and one slow reader.'),
  compression: group({
    level: Type.Optional(Type.Integer({ minimum: 0, maximum: 9, default: 0, description: 'Of zlib, 1 (fast) to 9 (small). A message is compressed once for all its receivers, in the thread of the application. 0: off, the extension is not offered.' })),
    threshold: count('Messages of at least this many bytes on the wire are compressed. 0: every message.', 1024)
  }, 'permessage-deflate (RFC 7692). Without context takeover: each message by itself.'),
  inbound: group({
    maxPending: count('Messages that may wait for an asynchronous handler before the socket is paused. What one read had brought in is kept beyond that.', 4, 1)
  }, 'The way in of one connection.'),
  limits: group({
    connections: Type.Optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description: 'Connections of this hub. 0: no limit. A number above what the open-file limit allows is warned of.', shownDefault: 'the open-file limit less 1,024, at most 100,000' })),
    connectionsPerIp: count('Connections, and upgrades that wait, per address (`request.ip`; IPv6 by /64). Then 429. 0: no limit.', 0),
    upgradesPerSecond: Type.Optional(Type.Number({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, default: 0, description: 'Upgrades per second and address, with a burst of one second. Then 429. 0: no limit.' })),
    sockets: count('Open sockets of the HTTP server, those included that never become a WebSocket; more are closed on arrival, without an answer. Sets `server.maxConnections`, unless the app has. Must be at least `connections` where that is given; leave room for those who wait and are refused. 0: nothing is set.', 0),
    onFull: oneOf(['reject', 'wait'], 'reject', 'What happens at `connections`: 503 at once, or a place in a first-come line.'),
    waitTimeout: ms('How long an upgrade waits in line. Then 503. 0: no limit.', 5_000),
    maxWaiting: count('Places in the line. Then 503. 0: nobody waits.', 1_000),
    maxLoopDelay: ms('While the event loop is later than this, upgrades get 503: how late the timer of the hub comes, averaged over its last ticks, at most 50 ms apart, so that a single pause must be twice as long. 0: they never do.', 0),
    maxMessageBytes: count('Largest message of a peer, all fragments together. Then 1009. 0: no limit.', 64 * 1024),
    messagesPerSecond: Type.Optional(Type.Number({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, default: 100, description: 'Messages, pings and unasked pongs included, per second and connection. What is over it is dropped. 0: no limit.' })),
    burst: count('Messages that may come at once within that rate, beside those that were sent within it while the hub did not read: docs/guarantees.md.', 200, 1),
    bytesPerSecond: count('Payload bytes per second and connection, with a burst of one second. Who is ahead of it is not read until it is not, so that TCP slows it down; nothing is dropped. 0: no limit.', 1024 * 1024),
    violations: count('Messages over the rate in a row that close the connection with 1008. 0: never.', 10)
  }, 'Caps and rates.'),
  drain: group({
    spread: Type.Optional(Type.Integer({ minimum: 0, maximum: MAX_MS, description: 'Closing all connections is spread over this time, but at least 128 are closed per 100 ms. 0: all at once. Must be less than timeout.', unit: 'ms', shownDefault: '5 s, or a third of timeout if that is less' })),
    timeout: ms('What is left then is terminated. 0: wait for ever.', 15_000)
  }, 'How the hub empties itself when the app closes.'),
  route: special('an object with schema, config, constraints, preValidation, preHandler or logLevel', "Passed to Fastify's route: `schema`, `config`, `constraints`, `preValidation`, `preHandler`, `logLevel`."),
  websocket: special('an object: options of @fastify/websocket', 'Options of @fastify/websocket, which this plugin registers unless the app has done so before. Of its `options`, those that this plugin sets or relies on are refused: `server`, `noServer`, `path`, `maxPayload` (it is `limits.maxMessageBytes`), `handleProtocols`, `perMessageDeflate` (it is `compression`), `skipUTF8Validation`.'),
  clock: special('a Clock: an object with now, monotonic, every and defer', 'Time. For tests: a `TestClock` of `fastify-hub/testing`, which moves only when the test moves it; see [testing.md](testing.md).'),
  cluster: special('a TestCluster of fastify-hub/testing', 'Other hubs of the process, as whose fellow node this one behaves. For tests: a `TestCluster` of `fastify-hub/testing`, whose clock is that of all its hubs; see [testing.md](testing.md#several-nodes).')
}, { additionalProperties: false })
