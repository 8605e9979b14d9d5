import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import WebSocket from 'ws'
import { Example } from '../helpers/program.js'
import { connectWs, type WsClient } from '../helpers/ws-client.js'

const CHAT = 'chat/server.js'

t.test('the chat says clearly why it can not start', async (t) => {
  for (const port of ['0x10', '65536', '-1', 'http']) {
    t.match(await new Example(t, CHAT, { PORT: port }).ended, { code: 1, stdout: '', stderr: /^PORT must be a number from 0 to 65535, got ".*"\n$/ }, `PORT=${port}`)
  }
  const other = createServer().listen(0, '127.0.0.1')
  t.teardown(() => { other.close() })
  await once(other, 'listening')
  const { port } = other.address() as AddressInfo
  const { code, stderr } = await new Example(t, CHAT, { PORT: String(port) }).ended
  t.equal(code, 1)
  t.equal(stderr, `Port ${port} on 127.0.0.1 is in use. Choose another one: PORT=${port + 1} npm start\n`)
})

t.test('the files of the page come with their types and a strict policy', async (t) => {
  const address = await new Example(t, CHAT, { PORT: '0' }).address()
  for (const [path, type] of Object.entries({ '/': 'text/html', '/chat.css': 'text/css', '/chat.js': 'text/javascript', '/link.js': 'text/javascript', '/icon.svg': 'image/svg+xml' })) {
    const { status, headers } = await fetch(address + path)
    t.equal(status, 200, path)
    t.ok(headers.get('content-type')?.startsWith(type), path)
    t.match(headers.get('content-security-policy'), /^default-src 'none'; script-src 'self';/, path)
  }
  t.equal((await fetch(`${address}/server.js`)).status, 404)
})

t.test('the chat answers what it does not understand, and goes on', async (t) => {
  const chat = new Example(t, CHAT, { PORT: '0' })
  const address = await chat.address()
  for (const query of ['', '?name=', '?name=%20', `?name=${'x'.repeat(33)}`, '?name=a%00b', '?name=a&name=b', '?name=a&tab=%20']) {
    const [, response] = await once(new WebSocket(`${address.replace('http', 'ws')}/ws${query}`).on('error', () => {}), 'unexpected-response')
    t.equal(response.statusCode, 400, query)
    response.destroy()
  }
  const socket = new WebSocket(`${address.replace('http', 'ws')}/ws?name=${encodeURIComponent('Zoë')}`)
  t.teardown(() => { socket.terminate() })
  const received: Array<Record<string, unknown>> = []
  socket.on('message', (data) => { received.push(JSON.parse(String(data))) })
  await once(socket, 'open')
  for (const message of ['', 'hello', 'null', '[]', '{"op":"sing"}', '{"op":"join"}', '{"op":"join","room":"\\u202e"}', '{"op":"say","room":"lobby","text":"no id"}']) socket.send(message)
  socket.send(JSON.stringify({ op: 'say', room: 'lobby', text: ' ', id: 1 }))
  socket.send(JSON.stringify({ op: 'say', room: 'elsewhere', text: 'hi', id: 2 }))
  socket.send(JSON.stringify({ op: 'say', room: 'lobby', text: 'hi', id: 3 }))
  // It need not be the last: who is where is told when it likes.
  while (!received.some(({ op }) => op === 'said')) await once(socket, 'message')
  t.match(received[0], { op: 'welcome', you: 'Zoë' })
  t.match(received[1], { op: 'joined', room: 'lobby', people: ['Zoë'] })
  const errors = received.filter(({ op }) => op === 'error')
  t.equal(errors.length, 10)
  t.match(errors.at(-1), { message: 'you are not in this room', id: 2 })
  t.match(received.find(({ op }) => op === 'said'), { op: 'said', room: 'lobby', id: 3, reached: 0 })

  const hasty = new WebSocket(`${address.replace('http', 'ws')}/ws?name=hasty`)
  await once(hasty, 'open')
  for (const room of ['a', 'b', 'c']) hasty.send(JSON.stringify({ op: 'join', room }))
  hasty.close()
  await once(hasty, 'close')
  const { code, stdout, stderr } = await chat.stop()
  t.equal(code, 0)
  t.match(stdout + stderr, /^Chat on .*\n$/, 'nothing of this is worth a line in the log')
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
