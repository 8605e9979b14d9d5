/*
 * A chat on fastify-hub: rooms, names, who is here. `npm start`, then open the address in two tabs.
 *
 * The protocol is JSON text over a WebSocket at /ws?name=<name>&tab=<any id>. `tab` is optional: a connection that
 * comes with the name and the tab id of an older one takes its place (a tab that reconnects before its old socket is
 * found dead); with another tab id the name is taken, and the new connection is closed with 4509.
 *
 *   client -> server
 *     { op: 'join', room }                       enters a room, which exists while somebody is in it
 *     { op: 'leave', room }
 *     { op: 'say', room, text, id }              `id`, a string or a number, comes back in the answer
 *
 *   server -> client
 *     { op: 'welcome', you, rooms }              first message: your name, and `rooms` as below
 *     { op: 'joined', room, people }             answers join, and tells of the room that everybody starts in
 *     { op: 'left', room }                       answers leave
 *     { op: 'said', room, id, at, reached }      answers say: when, and how many other connections get it
 *     { op: 'message', room, from, text, at }    somebody else said something; `at` is ms since the Unix epoch
 *     { op: 'people', room, people }             who is in one of your rooms, after a change
 *     { op: 'rooms', rooms: [{ name, people }] } all rooms and the number of connections in each, after a change
 *     { op: 'error', message, id? }              a message of yours was not understood, or not allowed
 */
import { readFile } from 'node:fs/promises'
import Fastify from 'fastify'
import fastifyHub, { type Connection, type Identity, type Message } from 'fastify-hub'

/** What this application keeps on each connection. */
declare module 'fastify-hub' {
  interface HubConnectionData {
    name: string
  }
}

const LOBBY = 'lobby'
const MAX_NAME = 32
const MAX_TEXT = 1000
const MAX_ROOMS_EACH = 10
const MAX_ROOMS_LISTED = 100
/** Codes from 4500 on tell a client not to come back by itself: see the table in docs/errors.md. */
const NAME_TAKEN = 4509
/** Changes of who is where are told at most this often, in milliseconds, however many come and go. */
const TELL_EVERY = 50

/** Letters, marks, digits, punctuation, symbols and single spaces: nothing invisible, which would make two names look the same. */
const NAME = /^[\p{L}\p{M}\p{N}\p{P}\p{S}]+(?: [\p{L}\p{M}\p{N}\p{P}\p{S}]+)*$/u

const app = Fastify({ logger: { level: process.env['LOG_LEVEL'] ?? 'warn' } })

await app.register(fastifyHub, {
  path: '/ws',
  // The page comes from this server, so the default, origins: 'same-origin', is right.
  messages: 'text',
  limits: { maxMessageBytes: 8 * 1024, messagesPerSecond: 10, burst: 30, connectionsPerIp: 200 },
  identify,
  onConnect,
  onMessage,
  onDisconnect
})

/* ---- a connection, from its handshake to its end ---- */

/** Before the 101. What is thrown refuses the handshake, with its statusCode. */
function identify ({ query }: { query: unknown }): Identity {
  const { name, tab } = query as Record<string, unknown>
  const clean = cleanName(name)
  if (clean === null) throw Object.assign(new Error(`name must be 1 to ${MAX_NAME} visible characters`), { statusCode: 400 })
  if (tab !== undefined && (typeof tab !== 'string' || !/^[\w-]{1,64}$/.test(tab))) {
    throw Object.assign(new Error('tab must be 1 to 64 letters, digits, _ or -'), { statusCode: 400 })
  }
  return { user: clean, device: tab, data: { name: clean } }
}

/** After the 101. What the client sends meanwhile is kept until the promise resolves. */
async function onConnect (connection: Connection): Promise<void> {
  const { name } = connection.data
  const others = [...app.hub.user(name).connections()].filter((other) => other !== connection && other.state !== 'closing')
  // A browser cannot see why a handshake was refused; a close code and its reason it can.
  if (others.some(({ device }) => device === null || device !== connection.device)) {
    connection.close(NAME_TAKEN, 'this name is taken')
    return
  }
  for (const other of others) await other.kick('continued in another tab')
  connection.send({ op: 'welcome', you: name, rooms: listRooms() })
  await join(connection, LOBBY)
}

/** One message at a time. A handler that throws would close the connection with 1011, so what can go wrong is answered. */
async function onMessage (connection: Connection, message: Message): Promise<void> {
  const request = parse(message)
  switch (request.op) {
    case 'join': return await join(connection, request.room)
    case 'leave': return await leave(connection, request.room)
    case 'say': return await say(connection, request)
    case 'error': connection.send(request)
  }
}

/** It is in no room any more, but still tells which ones it was in. */
function onDisconnect (connection: Connection): void {
  for (const room of connection.rooms) changed(room)
}

/* ---- what clients ask for ---- */

async function join (connection: Connection, room: string): Promise<void> {
  if (connection.rooms.size >= MAX_ROOMS_EACH && !connection.rooms.has(room)) {
    connection.send({ op: 'error', message: `you can be in ${MAX_ROOMS_EACH} rooms at once` })
    return
  }
  await connection.join(room)
  connection.send({ op: 'joined', room, people: await peopleIn(room) })
  changed(room)
}

async function leave (connection: Connection, room: string): Promise<void> {
  await connection.leave(room)
  changed(room)
  connection.send({ op: 'left', room })
}

async function say (connection: Connection, { room, text, id }: Say): Promise<void> {
  if (!connection.rooms.has(room)) {
    connection.send({ op: 'error', message: 'you are not in this room', id })
    return
  }
  const at = Date.now()
  const message = { op: 'message', room, from: connection.data.name, text, at }
  // Encoded once for all members. Counts are of this node; a slow reader's copy waits in its queue, and is counted too.
  const { sent, queued } = await app.hub.room(room).publish(message, { except: connection })
  connection.send({ op: 'said', room, id, at, reached: sent + queued })
}

/* ---- who is where ---- */

const rooms = new Set<string>()
const changes = new Set<string>()
let timer: NodeJS.Timeout | undefined

/** Tells a room who is in it, and everybody which rooms there are: soon, and once for all changes until then. */
function changed (room: string): void {
  changes.add(room)
  timer ??= setTimeout(() => {
    timer = undefined
    tell().catch((error: unknown) => { app.log.error(error) })
  }, TELL_EVERY)
}

async function tell (): Promise<void> {
  const names = [...changes]
  changes.clear()
  for (const name of names) {
    const room = app.hub.room(name)
    if (room.size > 0) rooms.add(name)
    else rooms.delete(name)
    await room.publish({ op: 'people', room: name, people: await peopleIn(name) })
  }
  await app.hub.broadcast({ op: 'rooms', rooms: listRooms() })
}

async function peopleIn (room: string): Promise<string[]> {
  return (await app.hub.room(room).presence()).map(({ user }) => user)
}

function listRooms (): Array<{ name: string, people: number }> {
  return [...rooms]
    .map((name) => ({ name, people: app.hub.room(name).size }))
    .sort((a, b) => b.people - a.people)
    .slice(0, MAX_ROOMS_LISTED)
}

app.addHook('onClose', async () => { clearTimeout(timer) })

/* ---- nothing that a client sends is taken for granted ---- */

interface Say { op: 'say', room: string, text: string, id: string | number }
interface Refused { op: 'error', message: string, id?: string | number }
type Request = Say | { op: 'join', room: string } | { op: 'leave', room: string } | Refused

function parse (message: Message): Request {
  let body: unknown
  try {
    body = message.json()
  } catch {
    return { op: 'error', message: 'not JSON' }
  }
  if (typeof body !== 'object' || body === null) return { op: 'error', message: 'not a JSON object' }
  const { op, room, text, id } = body as Record<string, unknown>
  if (op !== 'join' && op !== 'leave' && op !== 'say') return { op: 'error', message: 'op must be join, leave or say' }
  const name = cleanName(room)
  if (name === null) return { op: 'error', message: `room must be 1 to ${MAX_NAME} visible characters` }
  if (op !== 'say') return { op, room: name }
  if (typeof id !== 'number' && (typeof id !== 'string' || id.length > 64)) {
    return { op: 'error', message: 'id must be a number or a string of at most 64 characters' }
  }
  if (typeof text !== 'string' || text.trim() === '' || text.length > MAX_TEXT) {
    return { op: 'error', message: `text must be 1 to ${MAX_TEXT} characters`, id }
  }
  return { op, room: name, text, id }
}

/** @returns null for what is no name of a person or a room */
function cleanName (value: unknown): string | null {
  if (typeof value !== 'string') return null
  // Composed, so that the two ways to write é are one name.
  const name = value.trim().normalize('NFC')
  return name.length <= MAX_NAME && NAME.test(name) ? name : null
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
  ['/link.js', 'link.js', 'text/javascript; charset=utf-8'],
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
