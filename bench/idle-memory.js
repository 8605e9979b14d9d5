// What an idle connection costs a server, and what its upgrade cost: fastify-hub beside @fastify/websocket and bare ws, in one run,
// interleaved, medians.
//   npm run bench:idle [-- --connections 19000 --repetitions 3 --servers ws,fastify,hub,hub.v1]
// Servers and clients are child processes, one of each at a time, because open files are limited per process. Each client has an
// address of its own in 127.0.0.0/8 (Linux answers to all of them), as in real life, and sends the headers of a browser.
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { answer, child, median, verdict } from './lib.js'

const { values } = parseArgs({
  options: {
    connections: { type: 'string', default: '19000' },
    repetitions: { type: 'string', default: '3' },
    servers: { type: 'string', default: 'ws,fastify,hub' },
    server: { type: 'string' },
    client: { type: 'string' },
    kind: { type: 'string' }
  }
})
const NAMES = { ws: 'bare ws', fastify: '@fastify/websocket', hub: 'fastify-hub', 'hub.v1': 'fastify-hub with hub.v1' }
/** It speaks hub.v1.json. */
const V1 = 'hub.v1'
const FRESH = 'just connected'
const USED = 'after an echo and a ping'
const ORIGIN = 'https://app.example.com'
/** Upgrades before the measurement, so that it finds compiled code and warm pools. */
const WARM_UP = 500
const AT_ONCE = 100
/** A text frame and a ping, masked with zeros, and the echo and the pong. */
const SAY = Buffer.from([0x81, 0x85, 0, 0, 0, 0, ...Buffer.from('hello'), 0x89, 0x80, 0, 0, 0, 0])
const HEARD_BYTES = 7 + 2
/** Of hub.v1: the first message, and a ping of the protocol beside that of the WebSocket. */
const RESUME = Buffer.from([0x81, 0x8f, 0, 0, 0, 0, ...Buffer.from('{"op":"resume"}')])
const SAY_V1 = Buffer.from([0x81, 0x8d, 0, 0, 0, 0, ...Buffer.from('{"op":"ping"}'), 0x89, 0x80, 0, 0, 0, 0])
const HEARD_V1_BYTES = 15 + 2

if (values.server !== undefined) await serve(values.server)
else if (values.client !== undefined) attend(Number(values.client), values.kind)
else await main()

async function main () {
  const connections = Number(values.connections)
  const kinds = values.servers.split(',')
  const results = Object.fromEntries(kinds.map((kind) => [kind, []]))
  for (let i = 0; i < Number(values.repetitions); i++) {
    for (const kind of kinds) results[kind].push(await measure(kind, connections))
  }
  console.log(`${connections} connections, medians of ${values.repetitions} runs, ratios to ${NAMES[kinds[0]]}, Node ${process.version}`)
  for (const row of Object.keys(results[kinds[0]][0])) {
    const cells = kinds.map((kind) => ({ name: NAMES[kind], value: median(results[kind].map((result) => result[row])) }))
    const ratio = (value) => cells[0].value < 1 ? '' : ` (${(value / cells[0].value).toFixed(2)})`
    console.log(`${row}: ${cells.map(({ name, value }) => `${name} ${value.toFixed(0)}${ratio(value)}`).join(', ')}`)
  }
  if (kinds.includes('ws') && kinds.includes('hub')) {
    for (const state of [FRESH, USED]) {
      const [ws, hub] = ['ws', 'hub'].map((kind) => median(results[kind].map((result) => result[`${state}, bytes of live heap each`])))
      verdict(hub <= ws, `${state}, an idle connection of fastify-hub has no more live heap than one of bare ws`)
    }
  }
}

async function measure (kind, connections) {
  const file = new URL(import.meta.url)
  const server = child(file, ['--server', kind, '--connections', String(connections)], { execArgv: ['--expose-gc'] })
  const { port } = await server.ask()
  const client = child(file, ['--client', String(port), '--kind', kind])
  await client.ask({ open: WARM_UP })
  await client.ask({ say: true })
  await client.ask({ close: true })
  const before = { ...await server.ask({ memory: true }), ...await server.ask({ cpu: true }) }
  await client.ask({ open: connections })
  const { cpu } = await server.ask({ cpu: true })
  const fresh = await server.ask({ memory: true })
  await client.ask({ say: true })
  const used = await server.ask({ memory: true })
  await client.end()
  await server.end()
  const each = (after, name) => (after[name] - before[name]) / connections
  return {
    [`${FRESH}, bytes of live heap each`]: each(fresh, 'heap'),
    [`${FRESH}, bytes of buffers each`]: each(fresh, 'buffers'),
    [`${FRESH}, bytes of RSS each`]: each(fresh, 'rss'),
    [`${USED}, bytes of live heap each`]: each(used, 'heap'),
    [`${USED}, bytes of buffers each`]: each(used, 'buffers'),
    [`${USED}, bytes of RSS each`]: each(used, 'rss'),
    'upgrade, microseconds of server CPU each': (cpu - before.cpu) / connections
  }
}

/* ---- the clients ---- */

function attend (port, kind) {
  const speaksV1 = kind === V1
  let sockets = []
  let received = 0
  let opened = 0
  const onData = (chunk) => { received += chunk.length }
  const open = async (i) => {
    const socket = connect({ port, host: '127.0.0.1', localAddress: `127.${1 + (i >> 16)}.${i >> 8 & 0xff}.${i & 0xff || 1}` })
    socket.write([
      `GET /ws?user=user-${i} HTTP/1.1`, `Host: 127.0.0.1:${port}`, 'Connection: Upgrade', 'Pragma: no-cache', 'Cache-Control: no-cache',
      'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36',
      'Upgrade: websocket', `Origin: ${ORIGIN}`, 'Sec-WebSocket-Version: 13', 'Accept-Encoding: gzip, deflate, br, zstd',
      'Accept-Language: en-US,en;q=0.9', `Cookie: session=${String(i).padStart(64, 's')}`, 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
      'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits', ...speaksV1 ? ['Sec-WebSocket-Protocol: hub.v1.json'] : [], '', ''
    ].join('\r\n'))
    const response = String(await once(socket, 'data'))
    if (!response.startsWith('HTTP/1.1 101') || !(speaksV1 || response.endsWith('\r\n\r\n'))) throw new Error(response)
    if (speaksV1) {
      socket.write(RESUME)
      if (response.endsWith('\r\n\r\n')) await once(socket, 'data')
    }
    socket.on('data', onData)
    sockets.push(socket)
  }
  answer({
    open: async (count) => {
      for (let done = 0; done < count; done += AT_ONCE) {
        await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - done) }, async () => { await open(opened++) }))
      }
    },
    say: async () => {
      received = 0
      for (const socket of sockets) socket.write(speaksV1 ? SAY_V1 : SAY)
      while (received < sockets.length * (speaksV1 ? HEARD_V1_BYTES : HEARD_BYTES)) await pause(20)
    },
    close: async () => {
      const closed = sockets.map((socket) => once(socket, 'close'))
      for (const socket of sockets) socket.destroy()
      await Promise.all(closed)
      sockets = []
      await pause(200)
    }
  })
}

/* ---- the servers ---- */

async function serve (kind) {
  const port = await { ws: startWs, fastify: startFastify, hub: startHub, [V1]: startHub }[kind]()
  answer({
    memory: settled,
    cpu: () => {
      const { user, system } = process.cpuUsage()
      return { cpu: user + system }
    }
  })
  process.send({ port })
}

/** Collects garbage until nothing is left of it. */
async function settled () {
  for (let last = Infinity, now = 0; Math.abs(last - now) > now / 10_000;) {
    last = now === 0 ? Infinity : now
    await pause(200)
    for (let i = 0; i < 4; i++) globalThis.gc()
    now = process.memoryUsage().heapUsed
  }
  const { heapUsed, external, rss } = process.memoryUsage()
  return { heap: heapUsed, buffers: external, rss }
}

function echo (data, isBinary) { this.send(data, { binary: isBinary }) }

async function startWs () {
  const { WebSocketServer } = await import('ws')
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', path: '/ws' })
  server.on('connection', (ws) => { ws.on('message', echo) })
  await once(server, 'listening')
  return server.address().port
}

async function startFastify () {
  const { default: Fastify } = await import('fastify')
  const { default: websocket } = await import('@fastify/websocket')
  const app = Fastify()
  await app.register(websocket)
  app.register(async (scope) => { scope.get('/ws', { websocket: true }, (ws) => { ws.on('message', echo) }) })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return app.server.address().port
}

async function startHub () {
  const { default: Fastify } = await import('fastify')
  const { default: fastifyHub } = await import('../dist/lib/index.js')
  const app = Fastify()
  await app.register(fastifyHub, {
    origins: [ORIGIN],
    subprotocols: values.server === V1 ? ['hub.v1.json'] : [],
    limits: { connections: Number(values.connections) },
    identify: (request) => ({ user: request.query.user, device: 'web' }),
    onMessage: (connection, message) => { connection.send(message) }
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return app.server.address().port
}
