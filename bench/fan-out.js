// Server CPU per delivered message: fastify-hub against a loop over ws, in one run, interleaved, medians.
//   npm run bench [-- --receivers 1000 --repetitions 5]
// The load is this process: raw sockets that count bytes. The servers are child processes, one at a time.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: {
    receivers: { type: 'string', default: '1000' },
    repetitions: { type: 'string', default: '5' },
    server: { type: 'string' }
  }
})
const PAYLOAD = 'x'.repeat(64)
const FRAME_BYTES = PAYLOAD.length + 2
const WORKLOADS = [
  { name: '1 publication in flight', inFlight: 1, publications: 300 },
  { name: '16 publications in flight', inFlight: 16, publications: 3200 }
]

if (values.server === undefined) await main()
else await serve(values.server)

async function main () {
  const receivers = Number(values.receivers)
  const results = new Map()
  for (let i = 0; i < Number(values.repetitions); i++) {
    for (const kind of ['ws', 'hub']) {
      for (const [workload, cost] of await measure(kind, receivers)) {
        const key = `${workload} ${kind}`
        results.set(key, [...results.get(key) ?? [], cost])
      }
    }
  }
  console.log(`${receivers} receivers, ${PAYLOAD.length}-byte messages, medians of ${values.repetitions} runs, Node ${process.version}`)
  for (const { name } of WORKLOADS) {
    const ws = median(results.get(`${name} ws`))
    const hub = median(results.get(`${name} hub`))
    console.log(`${name}: ws loop ${ws.toFixed(2)} us of server CPU per delivery, fastify-hub ${hub.toFixed(2)} us, ratio ${(hub / ws).toFixed(2)}`)
  }
}

function median (numbers) {
  const sorted = numbers.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]
}

async function measure (kind, receivers) {
  const child = fork(new URL(import.meta.url), ['--server', kind])
  const [{ port }] = await once(child, 'message')
  let received = 0
  let expected = Infinity
  let reached = () => {}
  const sockets = await Promise.all(Array.from({ length: receivers }, async () => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.write(`GET /ws HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`)
    await once(socket, 'data')
    socket.on('data', (chunk) => {
      received += chunk.length
      if (received >= expected) reached()
    })
    return socket
  }))
  const costs = []
  for (const { name, inFlight, publications } of WORKLOADS) {
    child.send({ mark: true })
    const [before] = await once(child, 'message')
    for (let sent = 0; sent < publications; sent += inFlight) {
      received = 0
      expected = inFlight * receivers * FRAME_BYTES
      const done = new Promise((resolve) => { reached = resolve })
      child.send({ publish: inFlight })
      await done
      expected = Infinity
    }
    child.send({ mark: true })
    const [after] = await once(child, 'message')
    costs.push([name, (after.cpu - before.cpu) / (publications * receivers)])
  }
  for (const socket of sockets) socket.destroy()
  child.disconnect()
  await once(child, 'exit')
  return costs
}

async function serve (kind) {
  const { port, publish } = await (kind === 'hub' ? startHub() : startLoop())
  process.on('message', ({ mark, publish: count = 0 }) => {
    if (mark) {
      const { user, system } = process.cpuUsage()
      process.send({ cpu: user + system })
    }
    for (let i = 0; i < count; i++) publish()
  })
  process.on('disconnect', () => { process.exit() })
  process.send({ port })
}

async function startHub () {
  const { default: Fastify } = await import('fastify')
  const { default: fastifyHub } = await import('fastify-hub')
  const app = Fastify()
  await app.register(fastifyHub)
  await app.listen({ port: 0, host: '127.0.0.1' })
  return { port: app.server.address().port, publish: () => { app.hub.broadcast(PAYLOAD) } }
}

async function startLoop () {
  const { WebSocketServer } = await import('ws')
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', path: '/ws' })
  await once(server, 'listening')
  return {
    port: server.address().port,
    publish: () => {
      for (const client of server.clients) client.send(PAYLOAD)
    }
  }
}
