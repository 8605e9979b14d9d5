/*
 * A hub with two places, and a line of three in front of it. Who is in stays for 30 s at most, then the next one comes.
 *
 *   npm run build && npm run build:examples
 *   node build/examples/admission-waiting-room.js                  # PORT=3001 for another port, STAY=5 for five seconds
 *
 * Open http://127.0.0.1:3000 in some tabs. A browser shakes hands for one WebSocket at a time (RFC 6455 section 4.1): of its
 * tabs only one stands in line, the others wait for that one. So fill the line from a terminal:
 *
 *   node --input-type=module -e "
 *     import WebSocket from 'ws'
 *     for (let i = 1; i <= 6; i++) {
 *       const socket = new WebSocket('ws://127.0.0.1:3000/ws')
 *       socket.on('open', () => console.log(i, 'is in'))
 *       socket.on('unexpected-response', (_, { statusCode, headers }) => console.log(i, 'got', statusCode, 'come again in', headers['retry-after'], 's'))
 *       socket.on('close', (code, reason) => console.log(i, 'is out:', code, String(reason)))
 *       socket.on('error', () => {})
 *     }"
 *
 *     1 is in
 *     2 is in
 *     6 got 503 come again in 5 s
 *     1 is out: 4000 your time is up
 *     3 is in
 *     ...
 *
 *   curl -i http://127.0.0.1:3000/health
 *     HTTP/1.1 503 Service Unavailable
 *     {"status":"degraded","reasons":["all 2 slots are taken (limits.connections), 3 of at most 3 upgrades wait in line"]}
 */
import Fastify from 'fastify'
import fastifyHub from 'fastify-hub'

const STAY_MS = Number(process.env['STAY'] || 30) * 1000
/** Who has to go may take as long as `deadlines.close` to do it: 5 s, and some more for timers that are late. */
const GO_MS = 6000
/** Below 4500: the client may come again. See the table in docs/errors.md. */
const TIME_IS_UP = 4000

const app = Fastify({ logger: true })

await app.register(fastifyHub, {
  path: '/ws',
  limits: {
    connections: 2,
    onFull: 'wait',
    maxWaiting: 3,
    // Each of the three waits for two others at most.
    waitTimeout: 2 * (STAY_MS + GO_MS),
    // Two who are in, three who wait, and room for this page: a flood of sockets that say nothing can not use up the files.
    sockets: 100
  },
  onConnect: (connection) => {
    // It does nothing to a connection that has ended before.
    setTimeout(() => { connection.close(TIME_IS_UP, 'your time is up') }, STAY_MS).unref()
  }
})

// For a load balancer: whether new clients should come here. Who is in, or in line, is served all the same.
app.get('/health', async (request, reply) => {
  const { status, reasons } = request.server.hub.health()
  return await reply.code(status === 'ok' ? 200 : 503).send({ status, reasons })
})

app.get('/', async (_request, reply) => await reply.type('text/html; charset=utf-8').send(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>Waiting room</title>
<style>
  body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 3rem auto; padding: 0 1rem }
  #you { font-size: 1.5rem }
  button { font: inherit; padding: .3rem 1rem }
</style>
<h1>Waiting room</h1>
<p id="you" role="status"></p>
<p><button id="button" type="button" hidden></button></p>
<p id="health"></p>
<script type="module">
  const [you, button, health] = ['you', 'button', 'health'].map((id) => document.getElementById(id))

  function come () {
    let state = 'in line'
    const socket = new WebSocket(location.origin.replace('http', 'ws') + '/ws')
    you.textContent = 'You are in line.'
    button.hidden = true
    socket.onopen = () => {
      state = 'in'
      you.textContent = 'You are in.'
      button.hidden = false
      button.textContent = 'Leave'
      button.onclick = () => { state = 'left'; socket.close() }
    }
    socket.onclose = ({ reason }) => {
      button.hidden = false
      button.textContent = 'Come back'
      button.onclick = () => { clearTimeout(timer); come() }
      let timer
      if (state === 'left') {
        you.textContent = 'You have left.'
      } else {
        // A page is told neither the status of a refused handshake nor its Retry-After. Not all should come back at once.
        const seconds = 5 + Math.round(5 * Math.random())
        you.textContent = (state === 'in' ? 'You are out: ' + (reason || 'the connection broke') : 'There was no place for you, or you waited too long') + '. Next try in ' + seconds + ' s.'
        timer = setTimeout(come, 1000 * seconds)
      }
    }
  }

  async function look () {
    try {
      const { status, reasons } = await (await fetch('/health')).json()
      health.textContent = 'The hub is ' + [status, ...reasons].join(': ') + '.'
    } catch {
      health.textContent = 'The server does not answer.'
    }
    setTimeout(look, 1000)
  }

  come()
  look()
</script>
`))

await app.listen({ host: process.env['HOST'] || '127.0.0.1', port: Number(process.env['PORT'] || 3000) })

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => { app.close().catch((error: unknown) => { app.log.error(error) }) })
}
