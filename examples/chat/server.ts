/*
 * A chat on fastify-hub: rooms, names, who is here, what was said. `npm start`, then open the address in two tabs.
 *
 * It speaks hub.v1 (docs/protocol.md) at /ws?name=<name>&tab=<any id>; its events are in events.ts. `tab` is optional: a
 * connection that comes with the name and the tab id of an older one takes its place (a tab that reconnects before its old
 * socket is found dead); with another tab id the name is taken, and the new connection is closed with 4509.
 *
 *   join           enters a room to talk in, "chat:<name>", which is listed while somebody is in it
 *   event say      publishes to the room, its author included: so everybody has the same messages in the same order
 *   event history  what was said in the room before
 *   event typing   is told to whoever watches the presence of the room
 *
 * A client is in the room "rooms" from the start: there the list of rooms is published whenever it has changed.
 *
 * With REDIS_URL it is one node of several, and the people on all of them are in one chat: ../cluster/start.ts starts three.
 * Behind a proxy TRUST_PROXY is the address of it, whose word for the addresses of clients is taken.
 */
import { randomUUID } from 'node:crypto'
import Fastify from 'fastify'
import fastifyHub, { type Connection, type EventData, type EventReply, type Identity } from 'fastify-hub'
import { CHAT, DIRECTORY, events, MAX_NAME, type Message } from './events.js'
import { claimName, cleanName, hasName } from './names.js'
import { servePage } from './page.js'
import { listenProblem, portOf } from './port.js'
import { tellRooms } from './room-list.js'

const MAX_ROOMS_EACH = 10
/** Codes from 4500 on tell a client not to come back by itself: see the table in docs/errors.md. */
const NAME_TAKEN = 4509
/** Milliseconds after which somebody who is typing, and says no more about it, is not. */
const TYPING_TTL = 6_000

const app = Fastify({
  logger: { level: process.env['LOG_LEVEL'] ?? 'warn' },
  trustProxy: process.env['TRUST_PROXY'] || false
})
const redisUrl = process.env['REDIS_URL']

await app.register(fastifyHub, {
  path: '/ws',
  // The page comes from this server, so the default, origins: 'same-origin', is right.
  subprotocols: ['hub.v1.json'],
  requireSubprotocol: true,
  limits: { maxMessageBytes: 8 * 1024, messagesPerSecond: 10, burst: 60, connectionsPerIp: 200 },
  history: { rooms: { [`${CHAT}*`]: { size: 100, ttl: 3_600_000 }, [DIRECTORY]: { size: 1, ttl: 0, mode: 'cache' } } },
  presence: { interval: 200 },
  // A tab that comes back, on whatever node, takes the place of its old connection.
  sessions: 'single-per-device',
  redis: redisUrl ? { url: redisUrl } : undefined,
  authorize: { join: mayJoin },
  identify,
  onConnect
})

/* ---- a connection, from its handshake to its end ---- */

/** Before the 101. What is thrown refuses the handshake, with its statusCode. */
function identify ({ query }: { query: unknown }): Identity {
  const { name, tab } = query as Record<string, unknown>
  const clean = cleanName(name)
  if (clean === null) throw problem(400, `name must be 1 to ${MAX_NAME} visible characters`)
  if (tab !== undefined && (typeof tab !== 'string' || !/^[\w-]{1,64}$/.test(tab))) throw problem(400, 'tab must be 1 to 64 letters, digits, _ or -')
  // Without a tab it is one that nobody comes back to.
  return { user: clean, device: tab ?? randomUUID() }
}

/** After the 101. What the client asks for meanwhile is kept until the promise resolves. */
async function onConnect (connection: Connection): Promise<void> {
  if (!await claimName(app.hub, connection)) {
    // A browser cannot see why a handshake was refused; a close code and its reason it can.
    connection.close(NAME_TAKEN, 'this name is taken')
    return
  }
  await connection.join(DIRECTORY)
  app.log.info({ user: connection.user, ip: connection.ip }, 'is here')
}

/** Asked for each room that a client wants to enter, after a reconnect too. An error with a statusCode below 500 is told to the client. */
function mayJoin ({ rooms }: Connection, room: string): boolean {
  const name = room.startsWith(CHAT) ? room.slice(CHAT.length) : null
  if (name === null || cleanName(name) !== name) throw problem(400, `a room is ${CHAT} and 1 to ${MAX_NAME} visible characters`)
  if ([...rooms].filter((other) => other.startsWith(CHAT)).length >= MAX_ROOMS_EACH) throw problem(403, `you can be in ${MAX_ROOMS_EACH} rooms at once`)
  return true
}

/* ---- what clients ask for: the data is as events.ts has it ---- */

app.hub.event('say', { schema: events.say, handler: say })
app.hub.event('history', { schema: events.history, handler: history })
app.hub.event('typing', { schema: events.typing, handler: typing })

async function say (connection: Connection, { room, id, text }: EventData<typeof events.say>): Promise<EventReply<typeof events.say>> {
  checkMember(connection, room)
  await app.hub.room(room).setEphemeral(nameOf(connection), 'typing', 0)
  const message: Message = { id, from: nameOf(connection), text, at: Date.now() }
  // Encoded once for all members, and kept for those who are away.
  await app.hub.room(room).publish(message)
  return { at: message.at }
}

async function history (connection: Connection, { room }: EventData<typeof events.history>): Promise<EventReply<typeof events.history>> {
  checkMember(connection, room)
  const { position, publications } = await app.hub.room(room).history()
  return { ...position, messages: publications.map(({ offset, data }) => ({ offset, message: data as Message })) }
}

async function typing (connection: Connection, { room, active }: EventData<typeof events.typing>): Promise<void> {
  checkMember(connection, room)
  await app.hub.room(room).setEphemeral(nameOf(connection), 'typing', active ? TYPING_TTL : 0)
}

function checkMember (connection: Connection, room: string): void {
  if (!connection.rooms.has(room)) throw problem(403, 'you are not in this room')
  if (!hasName(connection)) throw problem(403, 'your name is not yours any more')
}

/** identify gives each connection one. */
function nameOf ({ user }: Connection): string { return user ?? '' }

function problem (statusCode: number, message: string): Error {
  return Object.assign(new Error(message), { statusCode })
}

/* ---- beside the socket ---- */

await servePage(app)
tellRooms(app)

/** For a load balancer: whether this node wants more clients. */
app.get('/health', (_request, reply) => {
  const health = app.hub.health()
  return reply.code(health.status === 'ok' ? 200 : 503).send(health)
})

/* ---- start and stop ---- */

function fail (message: string): never {
  console.error(message)
  process.exit(1)
}

const host = process.env['HOST'] || '127.0.0.1'
let port = 0
try {
  port = portOf(process.env['PORT'])
} catch (error) {
  fail((error as Error).message)
}

try {
  const address = await app.listen({ host, port })
  console.log(`Chat on ${address} - open it in two tabs; Ctrl+C ends it.`)
} catch (error) {
  fail(listenProblem(error, host, port, 'npm start'))
}

// app.close() drains the hub: no more upgrades, and every client gets 1012, "service restart", which means: come back.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    app.close().catch((error: unknown) => { fail(`Could not close cleanly: ${String(error)}`) })
  })
}
