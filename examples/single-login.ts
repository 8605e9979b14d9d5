/*
 * One login per user, and tokens that expire.
 *
 *   npm run build && npm run build:examples
 *   node build/examples/single-login.js                       # PORT=3001 for another port, TOKEN_TTL=10000 for shorter tokens
 *
 * Open http://127.0.0.1:3000 in two tabs and log in as the same user: the older tab is told 4502, says so, and does not come
 * back by itself. Each tab renews its token before it expires, in place, by a message. To end a user's login from outside:
 *
 *   curl -s -X POST http://127.0.0.1:3000/users/ada/kick
 *     {"kicked":1}
 */
import { randomUUID } from 'node:crypto'
import Fastify from 'fastify'
import fastifyHub, { type Connection } from 'fastify-hub'

// In place of your session store, or of signed tokens. Milliseconds.
const TTL = Number(process.env['TOKEN_TTL'] || 60_000)
const tokens = new Map<string, { user: string, expiresAt: number }>()

function issue (user: string): { token: string, expiresAt: number } {
  for (const [token, { expiresAt }] of tokens) if (expiresAt <= Date.now()) tokens.delete(token)
  const token = randomUUID()
  const expiresAt = Date.now() + TTL
  tokens.set(token, { user, expiresAt })
  return { token, expiresAt }
}

const found = (token: unknown): { user: string, expiresAt: number } | undefined => tokens.get(String(token))

// The log would show the tokens in the addresses of requests.
const app = Fastify({ logger: { serializers: { req: ({ method, url }) => ({ method, path: url.split('?')[0] }) } } })

const id = { type: 'string', minLength: 1, maxLength: 60 }
const bodyWith = (field: string): object => ({ type: 'object', required: [field], additionalProperties: false, properties: { [field]: id } })

await app.register(fastifyHub, {
  path: '/ws',
  sessions: 'single-per-user',
  // A browser sends no headers of ours with a WebSocket. In earnest use a cookie: addresses end up in logs.
  identify: ({ query }) => {
    const session = found((query as { token?: string }).token)
    if (session === undefined) throw new Error('no such token') // 401
    return { user: session.user, expiresAt: session.expiresAt }
  },
  onConnect: (connection) => { connection.send({ op: 'welcome', user: connection.user, expiresAt: connection.expiresAt }) },
  onMessage: (connection, message) => { connection.send(answer(connection, message.text())) }
})

function answer (connection: Connection, text: string): object {
  try {
    const { op, token } = JSON.parse(text) as { op: unknown, token: unknown }
    if (op !== 'refresh') return { op: 'error', message: 'only refresh is understood' }
    const session = found(token)
    // Somebody else's token must not keep this login alive.
    if (session === undefined || session.user !== connection.user) return { op: 'error', message: 'not a token of yours' }
    // false: it was too late, and the connection is closed with 4401. What is sent to it then goes nowhere.
    connection.refresh(session.expiresAt)
    return { op: 'refreshed', expiresAt: connection.expiresAt }
  } catch {
    return { op: 'error', message: 'not a message' }
  }
}

// In earnest: with a password.
app.post<{ Body: { user: string } }>('/login', { schema: { body: bodyWith('user') } }, async (request) => issue(request.body.user))

app.post<{ Body: { token: string } }>('/renew', { schema: { body: bodyWith('token') } }, async (request, reply) => {
  const session = found(request.body.token)
  if (session === undefined || session.expiresAt <= Date.now()) return await reply.code(401).send({ statusCode: 401, error: 'Unauthorized', message: 'The token has expired' })
  return issue(session.user)
})

// In earnest: for administrators only.
app.post<{ Params: { id: string } }>('/users/:id/kick', { schema: { params: { type: 'object', properties: { id } } } }, async (request) => {
  const { id: user } = request.params
  // First the tokens: a client that ignores 4501 would come back with one.
  for (const [token, session] of tokens) if (session.user === user) tokens.delete(token)
  return { kicked: await app.hub.user(user).kick('logged out by an administrator') }
})

app.get('/', async (_request, reply) => await reply.type('text/html').send(page))

const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Single login</title>
<form><label>User <input name="user" value="ada" required maxlength="60"></label> <button>Log in here</button></form>
<p role="status">Logged out</p>
<script type="module">
const post = async (path, body) => {
  const response = await fetch(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
  if (!response.ok) throw new Error('HTTP ' + response.status)
  return await response.json()
}
const show = (text) => { document.querySelector('[role=status]').textContent = text }
let socket, session, timer

async function login (user) {
  end()
  session = await post('login', { user })
  connect()
}
function end () {
  clearTimeout(timer)
  if (socket) socket.onclose = null
  socket?.close()
}
function connect () {
  // Of two logins at once, as by a double click, the older one is told 4502: that is not the end of this tab.
  end()
  socket = new WebSocket(new URL('ws?token=' + session.token, location.href.replace('http', 'ws')))
  socket.onmessage = ({ data }) => {
    const { op, user, expiresAt } = JSON.parse(data)
    if (op === 'welcome') show('Logged in as ' + user)
    // At half of its time: a try that fails has another before the end.
    if (op !== 'error') again(renew, (expiresAt - Date.now()) / 2)
  }
  socket.onclose = ({ code, reason }) => {
    clearTimeout(timer)
    // 4500 and above: do not come back. A tab that did would throw the other one out, which would come back in turn.
    if (code >= 4500) return show(code === 4502 ? 'Logged in elsewhere' : 'Logged out: ' + reason)
    show('Connecting again')
    // 4401, or a network that broke: with a new token, if the old one is still good for that.
    again(async () => { await renew(); connect() }, 500 + Math.random() * 1000)
  }
}
async function renew () {
  session = await post('renew', { token: session.token })
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ op: 'refresh', token: session.token }))
}
function again (fn, ms) {
  clearTimeout(timer)
  timer = setTimeout(() => {
    fn().catch((error) => {
      if (error.message === 'HTTP 401') { end(); show('Logged out: the token has expired') }
      else again(fn, 1000 + Math.random() * 4000)
    })
  }, ms)
}
document.querySelector('form').onsubmit = (event) => {
  event.preventDefault()
  login(new FormData(event.target).get('user')).catch((error) => { show(error.message) })
}
</script>
</html>`

await app.listen({ host: process.env['HOST'] || '127.0.0.1', port: Number(process.env['PORT'] || 3000) })

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => { app.close().catch((error: unknown) => { app.log.error(error) }) })
}
