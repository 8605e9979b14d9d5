// What an idle connection costs a server, and what its upgrade cost: fastify-hub beside @fastify/websocket and bare ws, in one run,
// interleaved, medians.
//   npm run bench:idle [-- --connections 19000 --repetitions 3 --servers ws,fastify,hub]
// Servers and clients are child processes, one of each at a time, because open files are limited per process. Each client has an
// address of its own in 127.0.0.0/8 (Linux answers to all of them), as in real life, and sends the headers of a browser.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { parseArgs } from 'node:util'
import { writeHeapSnapshot } from 'node:v8'

const { values } = parseArgs({
  options: {
    connections: { type: 'string', default: '19000' },
    repetitions: { type: 'string', default: '3' },
    servers: { type: 'string', default: 'ws,fastify,hub' },
    server: { type: 'string' },
    client: { type: 'string' },
    snapshot: { type: 'boolean', default: false }
  }
})
const NAMES = { ws: 'bare ws', fastify: '@fastify/websocket', hub: 'fastify-hub' }
const ORIGIN = 'https://app.example.com'
/** Upgrades before the measurement, so that it finds compiled code and warm pools. */
const WARM_UP = 500
const AT_ONCE = 100
/** A text frame and a ping, masked with zeros, and the echo and the pong. */
const SAY = Buffer.from([0x81, 0x85, 0, 0, 0, 0, ...Buffer.from('hello'), 0x89, 0x80, 0, 0, 0, 0])
const HEARD_BYTES = 7 + 2

if (values.server !== undefined) await serve(values.server)
else if (values.client !== undefined) attend(Number(values.client))
else await main()

async function main () {
  const connections = Number(values.connections)
  const kinds = values.servers.split(',')
  const results = Object.fromEntries(kinds.map((kind) => [kind, []]))
  for (let i = 0; i < Number(values.repetitions); i++) {
    for (const kind of kinds) results[kind].push(await measure(kind, connections))
  }
  console.log(`${connections} connections, medians of ${values.repetitions} runs, Node ${process.version}`)
  for (const [row, unit] of [['fresh', 'bytes'], ['used', 'bytes'], ['accept', 'us']]) {
    for (const column of Object.keys(results[kinds[0]][0][row])) {
      const medianOf = (kind) => median(results[kind].map((result) => result[row][column]))
      const cells = kinds.map((kind) => `${NAMES[kind]} ${medianOf(kind).toFixed(unit === 'us' ? 1 : 0)} (${(medianOf(kind) / medianOf(kinds[0])).toFixed(2)})`)
      console.log(`${row}, ${column}, ${unit} each: ${cells.join(', ')}`)
    }
  }
}

function median (numbers) {
  const sorted = numbers.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]
}

async function measure (kind, connections) {
  const server = fork(new URL(import.meta.url), ['--server', kind, '--connections', String(connections)], { execArgv: ['--expose-gc'] })
  const { port } = await answerOf(server)
  const client = fork(new URL(import.meta.url), ['--client', String(port)])
  const ask = async (child, question) => {
    child.send(question)
    return await answerOf(child)
  }
  await ask(client, { open: WARM_UP })
  await ask(client, { say: true })
  await ask(client, { close: true })
  const before = await ask(server, { measure: true })
  await ask(client, { open: connections })
  const opened = await ask(server, { cpu: true })
  const fresh = await ask(server, { measure: true })
  await ask(client, { say: true })
  const used = await ask(server, { measure: true, snapshot: values.snapshot })
  const per = (after) => Object.fromEntries(Object.keys(after.memory).map((name) => [name, (after.memory[name] - before.memory[name]) / connections]))
  client.disconnect()
  await once(client, 'exit')
  server.disconnect()
  await once(server, 'exit')
  return { fresh: per(fresh), used: per(used), accept: { 'server CPU': (opened.cpu - before.cpu) / connections } }
}

/** What a child process says next. */
async function answerOf (child) {
  const ended = new AbortController()
  const [answer] = await Promise.race([
    once(child, 'message', { signal: ended.signal }),
    once(child, 'exit', { signal: ended.signal }).then(([code]) => { throw new Error(`a child process ended with ${code}`) })
  ]).finally(() => { ended.abort() })
  return answer
}

/* ---- the clients ---- */

function attend (port) {
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
      'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits', '', ''
    ].join('\r\n'))
    const [answer] = await once(socket, 'data')
    if (!answer.toString().startsWith('HTTP/1.1 101') || !answer.toString().endsWith('\r\n\r\n')) throw new Error(answer.toString())
    socket.on('data', onData)
    sockets.push(socket)
  }
  const tasks = {
    open: async (count) => {
      for (let done = 0; done < count; done += AT_ONCE) {
        await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - done) }, async () => { await open(opened++) }))
      }
    },
    say: async () => {
      received = 0
      for (const socket of sockets) socket.write(SAY)
      while (received < sockets.length * HEARD_BYTES) await pause(20)
    },
    close: async () => {
      const closed = sockets.map((socket) => once(socket, 'close'))
      for (const socket of sockets) socket.destroy()
      await Promise.all(closed)
      sockets = []
      await pause(200)
    }
  }
  process.on('message', (question) => {
    const [[task, argument]] = Object.entries(question)
    tasks[task](argument).then(() => { process.send({}) })
  })
  process.on('disconnect', () => { process.exit() })
}

function pause (ms) { return new Promise((resolve) => { setTimeout(resolve, ms) }) }

/* ---- the servers ---- */

async function serve (kind) {
  const port = await { ws: startWs, fastify: startFastify, hub: startHub }[kind]()
  process.on('message', ({ measure, snapshot }) => {
    const cpu = cpuUsed()
    if (!measure) {
      process.send({ cpu })
      return
    }
    settled().then((memory) => {
      if (snapshot) writeHeapSnapshot(`${kind}.heapsnapshot`)
      process.send({ memory, cpu: cpuUsed() })
    })
  })
  process.on('disconnect', () => { process.exit() })
  process.send({ port })
}

function cpuUsed () {
  const { user, system } = process.cpuUsage()
  return user + system
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
  return { 'live heap': heapUsed, external, RSS: rss }
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
  const { default: fastifyHub } = await import('fastify-hub')
  const app = Fastify()
  await app.register(fastifyHub, {
    origins: [ORIGIN],
    limits: { connections: Number(values.connections) },
    identify: (request) => ({ user: request.query.user, device: 'web' }),
    onMessage: (connection, message) => { connection.send(message) }
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return app.server.address().port
}
