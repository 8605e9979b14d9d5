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
 */
import { readFile } from 'node:fs/promises'
import Fastify from 'fastify'
import fastifyHub, { type Connection, type EventData, type EventReply, type Identity } from 'fastify-hub'
import { CHAT, DIRECTORY, events, MAX_NAME, NAME, type Directory, type Message } from './events.js'

const MAX_ROOMS_EACH = 10
const MAX_ROOMS_LISTED = 100
/** Codes from 4500 on tell a client not to come back by itself: see the table in docs/errors.md. */
const NAME_TAKEN = 4509
/** The list of rooms is looked at this often, in milliseconds, and told if it has changed. */
const LIST_EVERY = 250
/** Milliseconds after which somebody who is typing, and says no more about it, is not. */
const TYPING_TTL = 6_000

const app = Fastify({ logger: { level: process.env['LOG_LEVEL'] ?? 'warn' } })

await app.register(fastifyHub, {
  path: '/ws',
  // The page comes from this server, so the default, origins: 'same-origin', is right.
  subprotocols: ['hub.v1.json'],
  requireSubprotocol: true,
  limits: { maxMessageBytes: 8 * 1024, messagesPerSecond: 10, burst: 60, connectionsPerIp: 200 },
  history: { rooms: { [`${CHAT}*`]: { size: 100, ttl: 3_600_000 }, [DIRECTORY]: { size: 1, ttl: 0, mode: 'cache' } } },
  presence: { interval: 200 },
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
  return { user: clean, device: tab }
}

/** After the 101. What the client asks for meanwhile is kept until the promise resolves. */
async function onConnect (connection: Connection): Promise<void> {
  const others = [...app.hub.user(nameOf(connection)).connections()].filter((other) => other !== connection && other.state !== 'closing')
  // A browser cannot see why a handshake was refused; a close code and its reason it can.
  if (others.some(({ device }) => device === null || device !== connection.device)) {
    connection.close(NAME_TAKEN, 'this name is taken')
    return
  }
  for (const other of others) await other.kick('continued in another tab')
  await connection.join(DIRECTORY)
}

/** Asked for each room that a client wants to enter, after a reconnect too. An error with a statusCode below 500 is told to the client. */
function mayJoin ({ rooms }: Connection, room: string): boolean {
  const name = room.startsWith(CHAT) ? room.slice(CHAT.length) : null
  if (name === null || cleanName(name) !== name) throw problem(400, `a room is ${CHAT} and 1 to ${MAX_NAME} visible characters`)
  // Beside the list of rooms.
  if (rooms.size > MAX_ROOMS_EACH) throw problem(403, `you can be in ${MAX_ROOMS_EACH} rooms at once`)
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

function checkMember ({ rooms }: Connection, room: string): void {
  if (!rooms.has(room)) throw problem(403, 'you are not in this room')
}

/* ---- which rooms there are ---- */

let listed = ''

/** Nobody tells when a client enters or leaves a room, and rooms fill and empty in no time: so this looks, now and then. */
async function tellRooms (): Promise<void> {
  const sizes = new Map<string, number>()
  for (const { rooms } of app.hub.connections()) {
    for (const room of rooms) if (room.startsWith(CHAT)) sizes.set(room, (sizes.get(room) ?? 0) + 1)
  }
  const rooms = Array.from(sizes, ([room, people]) => ({ room, people }))
    .sort((a, b) => b.people - a.people)
    .slice(0, MAX_ROOMS_LISTED)
  const list = JSON.stringify(rooms)
  if (list === listed) return
  listed = list
  await app.hub.room(DIRECTORY).publish({ rooms } satisfies Directory)
}

const timer = setInterval(() => { tellRooms().catch((error: unknown) => { app.log.error(error) }) }, LIST_EVERY)
app.addHook('onClose', async () => { clearInterval(timer) })

/* ---- names ---- */

/** identify gives each connection one. */
function nameOf ({ user }: Connection): string { return user ?? '' }

/** @returns null for what is no name of a person or a room */
function cleanName (value: unknown): string | null {
  if (typeof value !== 'string') return null
  // Composed, so that the two ways to write é are one name.
  const name = value.trim().normalize('NFC')
  return name.length <= MAX_NAME && NAME.test(name) ? name : null
}

function problem (statusCode: number, message: string): Error {
  return Object.assign(new Error(message), { statusCode })
}

/* ---- the page ---- */

const pageHeaders = {
  'content-security-policy': "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-cache'
}
const files = [
  ['/', 'index.html', 'text/html; charset=utf-8'],
  ['/chat.css', 'chat.css', 'text/css; charset=utf-8'],
  ['/chat.js', 'chat.js', 'text/javascript; charset=utf-8'],
  ['/elements.js', 'elements.js', 'text/javascript; charset=utf-8'],
  ['/room.js', 'room.js', 'text/javascript; charset=utf-8'],
  // fastify-hub/client as one module: scripts/copy-assets.js.
  ['/client.js', 'client.js', 'text/javascript; charset=utf-8'],
  ['/icon.svg', 'icon.svg', 'image/svg+xml']
] as const
for (const [url, file, type] of files) {
  const content = await readFile(new URL(`public/${file}`, import.meta.url))
  app.get(url, (_request, reply) => reply.headers(pageHeaders).type(type).send(content))
}

/* ---- start and stop ---- */

function fail (message: string): never {
  console.error(message)
  process.exit(1)
}

const host = process.env['HOST'] || '127.0.0.1'
const given = process.env['PORT'] || '3000'
const port = /^\d{1,5}$/.test(given) ? Number(given) : NaN
if (!(port <= 65535)) fail(`PORT must be a number from 0 to 65535, got ${JSON.stringify(given)}`)

try {
  const address = await app.listen({ host, port })
  console.log(`Chat on ${address} - open it in two tabs; Ctrl+C ends it.`)
} catch (error) {
  const { code, message } = error as NodeJS.ErrnoException
  if (code !== 'EADDRINUSE') fail(`Cannot listen on ${host}:${port}: ${message}`)
  fail(`Port ${port} on ${host} is in use. Choose another one: PORT=${port === 65535 ? port - 1 : port + 1} npm start`)
}

// app.close() drains the hub: no more upgrades, and every client gets 1012, "service restart", which means: come back.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    app.close().catch((error: unknown) => { fail(`Could not close cleanly: ${String(error)}`) })
  })
}
