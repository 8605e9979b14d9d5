/*
 * States of which only the latest counts: 200 prices that change all the time. Each update has a key, the symbol: where an
 * older price of it still waits for a slow reader, the new one takes its place. So a reader that cannot keep up gets fewer
 * updates, but never an old price after a new one, and its queue holds one message per symbol at most.
 *
 *   npm run build && npm run build:examples
 *   node build/examples/state-updates-with-key.js                  # PORT=3001 for another port
 *
 * Open http://127.0.0.1:3000, or watch a reader that stops reading for ten seconds:
 *
 *   node --input-type=module -e "
 *     import WebSocket from 'ws'
 *     const socket = new WebSocket('ws://127.0.0.1:3000/ws')
 *     let count = 0, latest
 *     socket.on('message', (data) => { count++; latest = JSON.parse(data) })
 *     setInterval(() => console.log(count, 'updates, the latest of', latest?.symbol, 'is', Date.now() - latest?.at, 'ms old'), 1000)
 *     setTimeout(() => { socket.pause(); console.log('stops reading') }, 3000)
 *     setTimeout(() => { socket.resume(); console.log('reads again') }, 13000)"
 *
 * What its kernel had taken in comes first, a few seconds old; behind it only the latest price of each symbol. Meanwhile:
 *
 *   curl -s http://127.0.0.1:3000/stats
 *     {"sent":1291600,"queued":38200,"dropped":0,"rejected":0,"replaced":38000}
 */
import Fastify from 'fastify'
import fastifyHub from 'fastify-hub'

interface Price { symbol: string, price: number, at: number, change: number }

const SYMBOLS = 200
const EVERY_MS = 20

const prices = new Map<string, Price>(Array.from({ length: SYMBOLS }, (_, i) => {
  const symbol = `S${String(i).padStart(3, '0')}`
  return [symbol, { symbol, price: 100, at: Date.now(), change: 0 }]
}))

const app = Fastify({ logger: true })

await app.register(fastifyHub, {
  path: '/ws',
  // Room for each symbol once: with fewer, what is dropped would be the last word on its symbol.
  queue: { maxMessages: SYMBOLS },
  onConnect: async (connection) => {
    await connection.join('prices')
    // Everything once, then what changes. Nothing can come between: this is one turn of the event loop.
    for (const price of prices.values()) connection.send(price)
  }
})

const market = setInterval(() => {
  for (const price of prices.values()) {
    price.price = Math.max(1, Math.round((price.price + Math.random() - 0.5) * 100) / 100)
    price.at = Date.now()
    price.change++
    // Ephemeral: an update that is replaced would be a hole in the log of the room.
    app.hub.room('prices').publish(price, { key: price.symbol, ephemeral: true }).catch((error: unknown) => { app.log.error(error) })
  }
}, EVERY_MS)
app.addHook('preClose', async () => { clearInterval(market) })

app.get('/prices', async () => [...prices.values()])

app.get('/stats', async (request) => {
  const { sent, queued, dropped, rejected, replaced } = request.server.hub.stats().messages
  return { sent, queued, dropped, rejected, replaced }
})

app.get('/', async (_request, reply) => await reply.type('text/html; charset=utf-8').send(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>Prices</title>
<style>
  body { font: 1rem/1.4 system-ui, sans-serif; margin: 1.5rem }
  #prices { display: grid; grid-template-columns: repeat(auto-fill, minmax(7.5rem, 1fr)); gap: .25rem .75rem; font-variant-numeric: tabular-nums }
  #prices div { display: flex; justify-content: space-between; border-bottom: 1px solid #ccc }
</style>
<h1>Prices</h1>
<p id="state" role="status">connecting</p>
<div id="prices"></div>
<script type="module">
  const [state, list] = ['state', 'prices'].map((id) => document.getElementById(id))
  const cells = new Map()
  let updates = 0
  const socket = new WebSocket(location.origin.replace('http', 'ws') + '/ws')
  socket.onmessage = ({ data }) => {
    const { symbol, price } = JSON.parse(data)
    let cell = cells.get(symbol)
    if (cell === undefined) {
      const row = list.appendChild(document.createElement('div'))
      row.append(symbol, cell = document.createElement('span'))
      cells.set(symbol, cell)
    }
    cell.textContent = price.toFixed(2)
    updates++
  }
  const timer = setInterval(() => {
    state.textContent = updates + ' updates per second'
    updates = 0
  }, 1000)
  socket.onclose = ({ code, reason }) => {
    clearInterval(timer)
    state.textContent = 'closed: ' + code + ' ' + reason
  }
</script>
</html>`))

await app.listen({ host: process.env['HOST'] || '127.0.0.1', port: Number(process.env['PORT'] || 3000) })

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => { app.close().catch((error: unknown) => { app.log.error(error) }) })
}
