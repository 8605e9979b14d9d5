import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import WebSocket from 'ws'
import { Example } from '../helpers/program.js'
import { createClient, type HubClient } from '../../lib/client/index.js'
import { connectWs, type WsClient } from '../helpers/ws-client.js'
import { until } from '../helpers/until.js'
import type { events } from '../../examples/chat/events.js'

const CHAT = 'chat/server.js'

// They wait for programs of their own.
t.jobs = 3

/** The status that a handshake is refused with. */
async function refusal (url: string, subprotocol?: string): Promise<number | undefined> {
  const [, response] = await once(new WebSocket(url, subprotocol === undefined ? [] : [subprotocol]).on('error', () => {}), 'unexpected-response')
  response.destroy()
  return response.statusCode
}

/** Sends requests of hub.v1. @returns their answers, in that order */
async function answers (socket: WsClient, requests: object[]): Promise<Array<Record<string, unknown>>> {
  const found = new Map<unknown, Record<string, unknown>>()
  for (const [id, request] of requests.entries()) socket.send(JSON.stringify({ ...request, id }))
  while (found.size < requests.length) {
    const message = JSON.parse(await socket.text()) as Record<string, unknown>
    if (message['id'] !== undefined) found.set(message['id'], message)
  }
  return requests.map((_, id) => found.get(id) ?? {})
}

t.test('the chat says clearly why it can not start', async (t) => {
  await Promise.all(['0x10', '65536', '-1', 'http'].map(async (port) => {
    t.match(await new Example(t, CHAT, { PORT: port }).ended, { code: 1, stdout: '', stderr: /^PORT must be a number from 0 to 65535, got ".*"\n$/ }, `PORT=${port}`)
  }))
  const other = createServer().listen(0, '127.0.0.1')
  t.teardown(() => { other.close() })
  await once(other, 'listening')
  const { port } = other.address() as AddressInfo
  const { code, stderr } = await new Example(t, CHAT, { PORT: String(port) }).ended
  t.equal(code, 1)
  t.equal(stderr, `Port ${port} on 127.0.0.1 is in use. Choose another one: PORT=${port + 1} npm start\n`)
})

t.test('the cluster says clearly why it can not start', async (t) => {
  const start = 'cluster/start.js'
  const other = createServer().listen(0, '127.0.0.1')
  t.teardown(() => { other.close() })
  await once(other, 'listening')
  const { port } = other.address() as AddressInfo
  // Programs that are there, whatever they do.
  const programs = { REDIS_SERVER: process.execPath, NGINX: process.execPath }
  const cases: Array<[env: Record<string, string>, message: string]> = [
    [{ REDIS_SERVER: 'no-redis' }, 'There is no no-redis in the PATH. On Debian: apt-get install redis-server'],
    [{ NGINX: 'no-nginx' }, 'There is no no-nginx in the PATH. On Debian: apt-get install nginx'],
    [{ PORT: 'http' }, 'PORT must be a number from 0 to 65535, got "http"'],
    [{ PORT: String(port) }, `Port ${port} on 127.0.0.1 is in use. Choose another one: PORT=${port + 1} npm run start:cluster`]
  ]
  await Promise.all(cases.map(async ([env, message]) => {
    t.match(await new Example(t, start, { ...programs, ...env }).ended, { code: 1, stdout: '', stderr: `${message}\n` })
  }))
  const { code, stderr } = await new Example(t, start, { ...programs, PORT: '0' }).ended
  t.equal(code, 1)
  t.match(stderr, /^redis has ended: .+\n$/, 'with the reason')
})

t.test('the files of the page come with their types and a strict policy', async (t) => {
  const address = await new Example(t, CHAT, { PORT: '0' }).address()
  for (const [path, type] of Object.entries({ '/': 'text/html', '/chat.css': 'text/css', '/chat.js': 'text/javascript', '/room.js': 'text/javascript', '/elements.js': 'text/javascript', '/client.js': 'text/javascript', '/icon.svg': 'image/svg+xml' })) {
    const { status, headers } = await fetch(address + path)
    t.equal(status, 200, path)
    t.ok(headers.get('content-type')?.startsWith(type), path)
    t.match(headers.get('content-security-policy'), /^default-src 'none'; script-src 'self';/, path)
  }
  t.equal((await fetch(`${address}/server.js`)).status, 404)
})

t.test('the chat answers what it does not understand, and goes on', async (t) => {
  const chat = new Example(t, CHAT, { PORT: '0' })
  const address = (await chat.address()).replace('http', 'ws')
  for (const query of ['', '?name=', '?name=%20', `?name=${'x'.repeat(33)}`, '?name=a%00b', '?name=a&name=b', '?name=a&tab=%20']) {
    t.equal(await refusal(`${address}/ws${query}`, 'hub.v1.json'), 400, query)
  }
  t.equal(await refusal(`${address}/ws?name=a`), 400, 'without a subprotocol')

  const socket = await connectWs(t, `${address}/ws?name=${encodeURIComponent('Zoë')}`, ['hub.v1.json'])
  t.match(JSON.parse(await socket.text()), { op: 'hello', user: 'Zoë' })
  t.match(await answers(socket, [
    { op: 'sing' },
    { op: 'join' },
    { op: 'join', room: 'rooms of others' },
    { op: 'join', room: 'chat:\u202e' },
    { op: 'publish', room: 'chat:lobby', data: 'as nobody' },
    { op: 'event', event: 'shout' },
    { op: 'event', event: 'say', data: { room: 'chat:lobby', id: 'x', text: ' ' } },
    { op: 'event', event: 'say', data: { room: 'chat:lobby', id: 'x', text: 'hi', from: 'somebody else' } },
    { op: 'event', event: 'say', data: { room: 'chat:lobby', id: 'x', text: 'hi' } },
    { op: 'event', event: 'history', data: { room: 'chat:lobby' } },
    { op: 'event', event: 'typing', data: { room: 'chat:lobby', active: true } },
    { op: 'join', room: 'chat:lobby' },
    { op: 'event', event: 'say', data: { room: 'chat:lobby', id: 'x', text: 'hi' } },
    { op: 'event', event: 'history', data: { room: 'chat:lobby' } }
  ]), [
    { code: 'unknown_op' },
    { code: 'invalid_message', path: '/room' },
    { code: 'rejected', message: 'a room is chat: and 1 to 32 visible characters' },
    { code: 'rejected' },
    { code: 'not_allowed' },
    { code: 'unknown_event' },
    { code: 'invalid_data', path: '/data/text' },
    { code: 'invalid_data', path: '/data/from' },
    { code: 'rejected', message: 'you are not in this room' },
    { code: 'rejected' },
    { code: 'rejected' },
    { op: 'joined', offset: 0 },
    { op: 'reply', data: { at: Number } },
    { op: 'reply', data: { offset: 1, messages: [{ offset: 1, message: { id: 'x', from: 'Zoë', text: 'hi' } }] } }
  ])
  const rooms = Array.from({ length: 10 }, (_, i) => ({ op: 'join', room: `chat:${i}` }))
  t.match((await answers(socket, rooms)).at(-1), { code: 'rejected', message: 'you can be in 10 rooms at once' })

  const hasty = await connectWs(t, `${address}/ws?name=hasty`, ['hub.v1.json'])
  for (const room of ['a', 'b', 'c']) hasty.send(JSON.stringify({ op: 'join', room: `chat:${room}` }))
  hasty.ws.close()
  await hasty.closed
  const { code, stdout, stderr } = await chat.stop()
  t.equal(code, 0)
  t.match(stdout + stderr, /^Chat on .*\n$/, 'nothing of this is worth a line in the log')
})

t.test('a client of the chat has the types of its events', async (t) => {
  const chat = new Example(t, CHAT, { PORT: '0' })
  const address = (await chat.address()).replace('http', 'ws')
  const clientOf = (name: string): HubClient<typeof events> => {
    const client = createClient<typeof events>({ url: `${address}/ws?name=${name}`, WebSocket })
    t.teardown(() => { client.close() })
    client.open()
    return client
  }
  const [ada, bob] = [clientOf('ada'), clientOf('bob')]
  const room = 'chat:lobby'
  const heard: unknown[] = []
  let lists: unknown
  ada.room('rooms').on('message', (data) => { lists = data })
  ada.room(room).on('message', (message, { offset }) => { heard.push({ ...message as object, offset }) })
  await ada.room(room).join()
  await bob.room(room).join()
  t.same((await ada.room(room).presence()).users, [{ user: 'ada', connections: 1 }, { user: 'bob', connections: 1 }])
  const { at } = await bob.emit('say', { room, id: 'one', text: 'hello' })
  await ada.emit('typing', { room, active: true })
  t.same((await bob.room(room).presence()).states, [{ user: 'ada', key: 'typing' }])
  t.same(heard, [{ id: 'one', from: 'bob', text: 'hello', at, offset: 1 }])
  const { messages } = await ada.emit('history', { room })
  t.same(messages.map(({ message }) => message.text), ['hello'])
  await until(() => JSON.stringify(lists) === '{"rooms":[{"room":"chat:lobby","people":2}]}', 'the list of rooms')
})

t.test('routes notify everybody, or one user', async (t) => {
  const example = new Example(t, 'notify-from-route.js', { PORT: '0' })
  const address = await example.address()
  const post = async (path: string, body: object): Promise<{ status: number, body: unknown }> => {
    const response = await fetch(address + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
    return { status: response.status, body: await response.json() }
  }
  const socket = new WebSocket(`${address.replace('http', 'ws')}/ws?user=ada`)
  await once(socket, 'open')
  const first = once(socket, 'message')
  t.same(await post('/announce', { text: 'Tea is ready' }), { status: 200, body: { sent: 1, queued: 0, rejected: 0 } })
  t.same(JSON.parse(String((await first)[0])), { type: 'announcement', text: 'Tea is ready' })
  const second = once(socket, 'message')
  t.same(await post('/users/ada/notify', { text: 'Your parcel is here' }), { status: 200, body: { delivered: 1 } })
  t.same(JSON.parse(String((await second)[0])), { type: 'notification', text: 'Your parcel is here' })
  t.match(await post('/users/bob/notify', { text: 'Hello?' }), { status: 404, body: { message: 'bob is not connected' } })
  t.match(await post('/announce', {}), { status: 400 })
  const [, refused] = await once(new WebSocket(`${address.replace('http', 'ws')}/ws`).on('error', () => {}), 'unexpected-response')
  t.equal(refused.statusCode, 400)
  refused.destroy()
  const closed = once(socket, 'close')
  t.match(await example.stop(), { code: 0 })
  t.match(await closed, [1012, Buffer.from('service restart')])
})

t.test('states with a key: a reader that stops gets the latest of each, and never an old one after a new one', async (t) => {
  const example = new Example(t, 'state-updates-with-key.js', { PORT: '0' })
  const address = await example.address()
  const stats = async (): Promise<Record<string, number>> => await (await fetch(`${address}/stats`)).json() as Record<string, number>
  const socket = new WebSocket(`${address.replace('http', 'ws')}/ws`)
  t.teardown(() => { socket.terminate() })
  const changes = new Map<string, number>()
  let backwards = 0
  socket.on('message', (data) => {
    const { symbol, change } = JSON.parse(String(data)) as { symbol: string, change: number }
    if (change < (changes.get(symbol) ?? 0)) backwards++
    changes.set(symbol, change)
  })
  await once(socket, 'open')
  socket.pause()
  // The kernel takes in some megabytes first.
  while ((await stats())['replaced'] as number < 1_000) await new Promise((resolve) => { setTimeout(resolve, 100) })
  const prices = await (await fetch(`${address}/prices`)).json() as Array<{ symbol: string, change: number }>
  t.equal(prices.length, 200)
  socket.resume()
  while (!prices.every(({ symbol, change }) => (changes.get(symbol) ?? -1) >= change)) await once(socket, 'message')
  t.equal(backwards, 0)
  t.match(await stats(), { dropped: 0, rejected: 0 })
  t.match(await (await fetch(address)).text(), '<title>Prices</title>')
})

t.test('single login: the newest wins, tokens expire and are refreshed, a route kicks', async (t) => {
  const example = new Example(t, 'single-login.js', { PORT: '0', TOKEN_TTL: '4000' })
  const address = await example.address()
  const post = async (path: string, body?: object): Promise<{ status: number, body: Record<string, unknown> }> => {
    const response = await fetch(address + path, { method: 'POST', ...body !== undefined && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) } })
    return { status: response.status, body: await response.json() as Record<string, unknown> }
  }
  const login = async (user: string): Promise<string> => String((await post('/login', { user })).body['token'])
  const url = (token: string): string => `${address.replace('http', 'ws')}/ws?token=${token}`
  const connect = async (token: string): Promise<WsClient> => {
    const client = await connectWs(t, url(token))
    t.match(JSON.parse(await client.text()), { op: 'welcome' })
    return client
  }
  const refused = async (token: string): Promise<unknown> => await connectWs(t, url(token)).then(() => 'admitted', (error: Error) => error.message)

  const token = await login('ada')
  const older = await connect(token)
  const newer = await connect(token)
  t.same(await older.closed, { code: 4502, reason: 'replaced' })

  const bob = await connect(await login('bob'))
  for (const [message, expected] of [
    ['x', 'not a message'], ['null', 'not a message'], ['{"op":"sing"}', 'only refresh is understood'],
    ['{"op":"refresh"}', 'not a token of yours'], [JSON.stringify({ op: 'refresh', token: await login('ada') }), 'not a token of yours']
  ] as const) {
    bob.send(message)
    t.same(JSON.parse(await bob.text()), { op: 'error', message: expected })
  }
  const renewed = await post('/renew', { token })
  newer.send(JSON.stringify({ op: 'refresh', token: renewed.body['token'] }))
  t.same(JSON.parse(await newer.text()), { op: 'refreshed', expiresAt: renewed.body['expiresAt'] })
  t.same(await bob.closed, { code: 4401, reason: 'credentials expired' })
  t.match(await refused(token), /401/, 'an expired token')
  t.match(await refused('nonsense'), /401/)
  t.match(await post('/renew', { token }), { status: 401 })
  t.match(await post('/login', {}), { status: 400 })

  const last = await login('cid')
  const cid = await connect(last)
  t.same(await post('/users/cid/kick'), { status: 200, body: { kicked: 1 } })
  t.same(await cid.closed, { code: 4501, reason: 'logged out by an administrator' })
  t.match(await refused(last), /401/, 'its token has gone, too')
  t.same(await post('/users/cid/kick'), { status: 200, body: { kicked: 0 } })
  t.match(await (await fetch(address)).text(), /<title>Single login<\/title>/)
  t.match(await example.stop(), { code: 0 })
})

t.test('a full hub lets people wait, refuses those beyond the line, and says so', async (t) => {
  const example = new Example(t, 'admission-waiting-room.js', { PORT: '0', STAY: '600' })
  const address = await example.address()
  const health = async (): Promise<{ code: number, status: string, slots: string | undefined }> => {
    const response = await fetch(`${address}/health`)
    const { status, reasons } = await response.json() as { status: string, reasons: string[] }
    // Beside it, a machine that is busy may be late.
    return { code: response.status, status, slots: reasons.find((reason) => reason.includes('slots')) }
  }
  const page = await fetch(address)
  t.equal(page.headers.get('content-type'), 'text/html; charset=utf-8')
  t.match(await page.text(), /<title>Waiting room<\/title>/)
  t.equal((await health()).slots, undefined)

  const sockets: WebSocket[] = []
  const come = (): WebSocket => {
    const socket = new WebSocket(`${address.replace('http', 'ws')}/ws`).on('error', () => {})
    t.teardown(() => { socket.terminate() })
    sockets.push(socket)
    return socket
  }
  for (let i = 0; i < 2; i++) await once(come(), 'open')
  // In line one after the other, so that their order is known.
  for (let waiting = 0; waiting <= 3; waiting++) {
    let now = await health()
    while (now.slots?.includes(`${waiting - 1} of at most`) === true) now = await health()
    t.same(now, { code: 503, status: 'degraded', slots: `all 2 slots are taken (limits.connections), ${waiting} of at most 3 upgrades wait in line` })
    if (waiting < 3) come()
  }
  const [, refused] = await once(come(), 'unexpected-response')
  t.equal(refused.statusCode, 503)
  t.equal(refused.headers['retry-after'], '5')
  refused.destroy()

  const [first, , third, fourth, fifth] = sockets as [WebSocket, WebSocket, WebSocket, WebSocket, WebSocket]
  const next = once(third, 'open')
  first.close()
  await next
  t.same([fourth, fifth].map(({ readyState }) => readyState), [WebSocket.CONNECTING, WebSocket.CONNECTING], 'first come, first served')
  const [drained] = await Promise.all([once(fourth, 'unexpected-response'), once(third, 'close'), example.stop()])
  t.equal(drained[1].statusCode, 503, 'who waits while it ends is told, and does not wait for nothing')
  t.match(await example.ended, { code: 0 })
})

t.test('who waits behind people that are slow to go gets in all the same', async (t) => {
  // They have to go as soon as they are in.
  const example = new Example(t, 'admission-waiting-room.js', { PORT: '0', STAY: '0.001' })
  const address = await example.address()
  const come = (): WebSocket => {
    const socket = new WebSocket(`${address.replace('http', 'ws')}/ws`)
    t.teardown(() => { socket.terminate() })
    return socket
  }
  const slow = [come(), come()]
  for (const socket of slow) socket.on('open', () => { socket.pause() })
  await Promise.all(slow.map(async (socket) => await once(socket, 'open')))
  const waiting = [come(), come(), come()]
  const inside = Promise.all(waiting.map(async (socket) => await once(socket, 'open')))
  // Long after their time is up: whoever had only that to wait for is refused by now.
  for (let looks = 0; looks < 100; looks++) await fetch(`${address}/health`)
  for (const socket of slow) socket.resume()
  t.equal((await inside).length, 3)
})
