// Memory and fairness with readers that never read: 2,000 connections, 200 of them stuck, 1,000 broadcasts of 1 KiB.
//   npm run bench:slow [-- --connections 2000 --stuck 200 --messages 1000]
// In a network namespace of its own, with kernel buffers of 64 KiB: with those of a usual Linux the kernel alone would
// take all of it (it absorbs about 3.75 MiB per connection on the loopback), and nothing would ever be queued.
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { answer, child, inOwnNetwork, open, verdict } from './lib.js'

const file = fileURLToPath(import.meta.url)
const { values } = parseArgs({
  options: {
    connections: { type: 'string', default: '2000' },
    stuck: { type: 'string', default: '200' },
    messages: { type: 'string', default: '1000' },
    server: { type: 'string' },
    clients: { type: 'string' }
  }
})
const KIB = 1024
const MIB = 1024 * KIB
const PAYLOAD_BYTES = KIB
const FRAME_BYTES = PAYLOAD_BYTES + 4
const IN_FLIGHT = 16
const QUEUE = { maxMessages: 64, maxBytes: MIB, maxTotalBytes: 256 * MIB }
const WRITE_BYTES = 64 * KIB
const POLICIES = ['drop-oldest', 'reject-new', 'disconnect']

if (values.server !== undefined) await serve(values.server)
else if (values.clients !== undefined) attend(Number(values.clients))
else if (!await inOwnNetwork(file)) await main()

async function main () {
  for (const name of ['tcp_wmem', 'tcp_rmem']) writeFileSync(`/proc/sys/net/ipv4/${name}`, `4096 16384 ${64 * KIB}`)
  const [connections, stuck, messages] = [values.connections, values.stuck, values.messages].map(Number)
  console.log(`${connections} connections, ${stuck} of which never read, ${messages} broadcasts of ${PAYLOAD_BYTES} bytes, Node ${process.version}`)
  for (const policy of POLICIES) await measure(policy, connections - stuck, stuck, messages)
}

async function measure (policy, readers, stuck, messages) {
  const server = child(file, ['--server', policy], { execArgv: ['--expose-gc'] })
  const { port } = await server.ask()
  const clients = child(file, ['--clients', String(port)])
  await clients.ask({ open: { readers, stuck } })
  const before = await server.ask({ state: true })
  for (let sent = 0; sent < messages; sent += IN_FLIGHT) {
    await server.ask({ publish: { from: sent, count: Math.min(IN_FLIGHT, messages - sent) } })
    await clients.ask({ until: Math.min(sent + IN_FLIGHT, messages) })
  }
  const during = await server.ask({ state: true })
  const read = await clients.ask({ report: true })
  const late = await clients.ask({ resume: true })
  const after = await server.ask({ state: true })
  await clients.end()
  await server.end()

  const mib = (bytes) => `${(bytes / MIB).toFixed(1)} MiB`
  console.log(`\n${policy}: RSS ${mib(before.rss)} before, ${mib(during.rss)} during (at most ${mib(during.peak)}), ${mib(after.rss)} after; live heap and buffers ${mib(before.live)}, ${mib(during.live)}, ${mib(after.live)}`)
  // What waits in queues is shared here, but the formula must hold without that, too.
  const queued = Math.min(QUEUE.maxTotalBytes, stuck * Math.min(QUEUE.maxBytes, QUEUE.maxMessages * FRAME_BYTES))
  const bound = queued + stuck * WRITE_BYTES
  console.log(`formula: min(maxTotalBytes, slow x min(maxBytes, maxMessages x message)) + slow x 64 KiB = ${mib(queued)} + ${mib(stuck * WRITE_BYTES)} = ${mib(bound)}`)
  verdict(during.live - before.live <= bound, `live memory grew by ${mib(during.live - before.live)}, at most ${mib(bound)}`)
  verdict(read.complete === readers && read.broken === 0, `${read.complete} of ${readers} readers have all ${messages} messages, in order`)
  const { sent, queued: waited, dropped, rejected } = after.messages
  console.log(`counters: ${JSON.stringify(after.messages)}`)
  verdict(sent + dropped === after.accepted, `${sent} sent + ${dropped} dropped = the ${after.accepted} that broadcast called sent or queued`)
  const got = late.got.reduce((sum, count) => sum + count, 0)
  if (policy === 'disconnect') {
    verdict(after.ends[4429] === stuck && after.connections === readers, `${after.ends[4429] ?? 0} of ${stuck} stuck ones are closed with 4429, ${after.connections} connections are left`)
    verdict(rejected === stuck, `${rejected} rejected: the one message for each that did not fit`)
  } else {
    verdict(after.connections === readers + stuck, `all ${after.connections} connections are still there`)
    verdict(late.broken === 0, 'what the stuck ones read in the end is in order')
    verdict(got + dropped + rejected === stuck * messages, `${got} read late + ${dropped} dropped + ${rejected} rejected = ${stuck} x ${messages}`)
    verdict(sent === readers * messages + got, `${sent} sent = ${readers} x ${messages} + ${got}`)
    verdict(policy === 'drop-oldest' ? rejected === 0 && late.last === messages - 1 : dropped === 0, policy === 'drop-oldest' ? 'the newest message reached each of them' : 'nothing that was queued was dropped')
    verdict(waited >= stuck && after.queuedBytes === 0, `${waited} had to wait, none waits now`)
  }
}

/* ---- the clients ---- */

function attend (port) {
  const readers = []
  const stuck = []
  let until = 0
  let reached = null
  const settle = () => {
    if (reached !== null && readers.every(({ next }) => next >= until)) {
      reached({})
      reached = null
    }
  }
  /** Reads frames of a fixed size, and checks that their numbers grow. */
  const reader = ({ socket, rest }) => {
    const state = { socket, next: 0, got: 0, last: -1, broken: 0, rest, closed: false, heard: Date.now() }
    socket.on('data', (chunk) => {
      state.heard = Date.now()
      let bytes = state.rest.length === 0 ? chunk : Buffer.concat([state.rest, chunk])
      for (; bytes.length >= FRAME_BYTES; bytes = bytes.subarray(FRAME_BYTES)) {
        const number = Number(bytes.toString('latin1', 4, 12))
        if (number <= state.last) state.broken++
        state.last = number
        state.got++
        if (number === state.next) state.next++
      }
      state.rest = Buffer.from(bytes)
      settle()
    })
    socket.on('close', () => { state.closed = true })
    return state
  }
  answer({
    open: async (counts) => {
      for (let i = 0; i < counts.readers; i++) readers.push(reader(await open(port)))
      for (let i = 0; i < counts.stuck; i++) {
        const { socket } = await open(port)
        socket.pause()
        stuck.push(socket)
      }
    },
    until: async (count) => {
      until = count
      return await new Promise((resolve) => {
        reached = resolve
        settle()
      })
    },
    report: () => ({ complete: readers.filter(({ next, got }) => next === until && got === until).length, broken: readers.reduce((sum, { broken }) => sum + broken, 0) }),
    resume: async () => {
      const states = stuck.map((socket) => reader({ socket, rest: Buffer.alloc(0) }))
      for (const { socket } of states) socket.resume()
      // Over when each has ended, or has been silent for a while.
      while (states.some(({ closed, heard }) => !closed && Date.now() - heard < 1_000)) await new Promise((resolve) => { setTimeout(resolve, 100) })
      return { got: states.map(({ got }) => got), last: Math.min(...states.map(({ last }) => last)), broken: states.reduce((sum, { broken }) => sum + broken, 0) }
    }
  })
}

/* ---- the server ---- */

async function serve (overflow) {
  const { default: Fastify } = await import('fastify')
  const { default: fastifyHub } = await import('../dist/lib/index.js')
  const app = Fastify()
  const ends = {}
  /** As `broadcast` told its caller. */
  let accepted = 0
  await app.register(fastifyHub, {
    queue: { ...QUEUE, overflow },
    deadlines: { write: 0 },
    heartbeat: { interval: 0, timeout: 0 },
    onDisconnect: (_, { code }) => { ends[code] = (ends[code] ?? 0) + 1 }
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  let peak = 0
  const text = (number) => String(number).padStart(8, '0').padEnd(PAYLOAD_BYTES, '.')
  answer({
    publish: async ({ from, count }) => {
      for (let i = 0; i < count; i++) {
        const told = await app.hub.broadcast(text(from + i))
        accepted += told.sent + told.queued
      }
      peak = Math.max(peak, process.memoryUsage.rss())
    },
    state: async () => {
      for (let i = 0; i < 3; i++) {
        globalThis.gc()
        await new Promise((resolve) => { setTimeout(resolve, 50) })
      }
      const { rss, heapUsed, external } = process.memoryUsage()
      const { messages, connections, queuedBytes } = app.hub.stats()
      return { rss, peak: Math.max(peak, rss), live: heapUsed + external, messages, connections, queuedBytes, ends, accepted }
    }
  })
  process.send({ port: app.server.address().port })
}
