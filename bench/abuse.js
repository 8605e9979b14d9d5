// What abusers do to the others: 200 connections echo a message each 50 ms; beside them one that floods 100,000 small messages, one
// that sends 64 KiB messages at full speed, one that never finishes a message. Each comes back at once when it is closed.
//   npm run bench:abuse [-- --seconds 15 --repetitions 3 --only 'default limits' --turns --cold]
// The verdict is on runs with them and runs without, each on a server of its own, which has seen such abusers before: in its first seconds
// with them V8 compiles what was not needed until then, on the clients' core as often as not (--cold: it has seen none). As a control they turn upon another server of the same
// kind, in a process of its own, on which nobody else is: what they do to the 200 then is the machine's doing. With --turns the same 200 are measured on one server, alone
// and beside them by turns, and each turn is divided by the one before it: what else a machine does changes the p99 of the very same
// thing by as much as the abusers do, but less within seconds, and that server has seen abusers before. Without a verdict.
// The clients and the abusers share a core (taskset, of util-linux), and the abusers run at a lower priority, or on two cores they
// would slow the server down by what they take of the processor, whatever it does. The server has both: its garbage is collected by
// threads beside it.
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { setPriority } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { answer, child, median, open, quantile, verdict } from './lib.js'

const file = fileURLToPath(import.meta.url)
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '15' },
    repetitions: { type: 'string', default: '3' },
    turns: { type: 'boolean', default: false },
    cold: { type: 'boolean', default: false },
    only: { type: 'string' },
    server: { type: 'string' },
    normal: { type: 'string' },
    abusers: { type: 'string' }
  }
})
const NORMAL = 200
const EVERY_MS = 50
const FLOOD = 100_000
const ECHO_BYTES = 8
const LIMIT = 2
const WARM_UP_MS = 3_000
const DEFAULTS = 'default limits'
const SETTINGS = {
  [DEFAULTS]: {},
  'bytesPerSecond: 256 KiB': { limits: { bytesPerSecond: 256 * 1024 } },
  'no limit of bytes': { limits: { bytesPerSecond: 0 } },
  'over the rate: dropped, never closed': { limits: { violations: 0 } },
  'no rate limits at all': { limits: { messagesPerSecond: 0, bytesPerSecond: 0 } }
}

if (values.server !== undefined) await serve(SETTINGS[values.server])
else if (values.normal !== undefined) echo(Number(values.normal))
else if (values.abusers !== undefined) abuse(Number(values.abusers))
else await main()

async function main () {
  console.log(`${NORMAL} connections, an echo each ${EVERY_MS} ms, ${values.repetitions} times ${values.seconds} s alone and ${values.seconds} s beside abusers, medians, Node ${process.version}`)
  for (const name of values.only === undefined ? Object.keys(SETTINGS) : [values.only]) {
    const { alone, beside, elsewhere = [] } = await (values.turns ? byTurns(name) : byRuns(name))
    const show = (results) => `p50 ${median(results.map(({ p50 }) => p50)).toFixed(2)} ms, p99 ${median(results.map(({ p99 }) => p99)).toFixed(2)} ms`
    const lost = [...alone, ...beside, ...elsewhere].reduce((sum, one) => sum + one.lost, 0)
    const { abuse, stats } = beside.at(-1)
    console.log(`\n${name}: alone ${show(alone)}; beside abusers ${show(beside)}`)
    console.log(`the last of these: ${JSON.stringify(abuse)}, server: ${JSON.stringify(stats)}`)
    if (values.turns) {
      console.log(`turn by turn: ${spread(beside.map(({ p99 }, i) => p99 / alone[i].p99))}, ${lost} echoes lost`)
      console.log(`for comparison, each turn alone divided by the one alone before it: ${spread(alone.slice(1).map(({ p99 }, i) => p99 / alone[i].p99))}`)
      continue
    }
    const p99 = (results) => median(results.map(({ p99 }) => p99))
    console.log(`control, abusers on another server: ${show(elsewhere)}, p99 ${(p99(elsewhere) / p99(alone)).toFixed(2)} x that without them (each: ${each(elsewhere)}; beside: ${each(beside)}; alone: ${each(alone)} ms)`)
    const ratio = p99(beside) / p99(alone)
    const text = `p99 ${ratio.toFixed(2)} x that without them, ${lost} echoes lost`
    if (name === DEFAULTS) verdict(lost === 0 && ratio <= LIMIT, text)
    else console.log(`for comparison: ${text}`)
  }
}

function each (results) { return results.map(({ p99 }) => p99.toFixed(2)).join(' ') }

function spread (ratios) {
  const [low, middle, high] = [0.25, 0.5, 0.75].map((share) => quantile(ratios, share).toFixed(2))
  return `median ${middle} x, half of them between ${low} and ${high}`
}

async function byRuns (name) {
  const results = { alone: [], beside: [], elsewhere: [] }
  for (let i = 0; i < Number(values.repetitions); i++) {
    for (const [where, measured] of Object.entries(results)) {
      const { turn, end } = await start(name)
      measured.push(await turn(where))
      await end()
    }
  }
  return results
}

async function byTurns (name) {
  const [alone, beside] = [[], []]
  const { turn, end } = await start(name)
  for (let i = 0; i < Number(values.repetitions); i++) {
    alone.push(await turn('alone'))
    beside.push(await turn('beside'))
  }
  await end()
  return { alone, beside }
}

/** A server and the 200 normal ones, and the function that measures these once. */
async function start (name) {
  const server = child(file, ['--server', name])
  const { port } = await server.ask()
  const normal = onOneCore(child(file, ['--normal', String(port)]))
  await normal.ask({ open: true })
  // A server in production is warm, and so is a client that measures.
  await normal.ask({ run: WARM_UP_MS })
  if (!values.cold && !values.turns) {
    const abusers = onOneCore(child(file, ['--abusers', String(port)]))
    await abusers.ask({ begin: true })
    await normal.ask({ run: 2 * WARM_UP_MS })
    await abusers.end()
    await normal.ask({ run: WARM_UP_MS })
  }
  const turn = async (where) => {
    const other = where === 'elsewhere' ? child(file, ['--server', name]) : null
    const target = other === null ? port : (await other.ask()).port
    const abusers = where === 'alone' ? null : onOneCore(child(file, ['--abusers', String(target)]))
    await abusers?.ask({ begin: true })
    const latencies = await normal.ask({ run: Number(values.seconds) * 1_000 })
    const abuse = await abusers?.ask({ report: true })
    const stats = await server.ask({ stats: true })
    await abusers?.end()
    await other?.end()
    return { ...latencies, abuse, stats }
  }
  const end = async () => {
    await normal.end()
    await server.end()
  }
  return { turn, end }
}

/** Keeps all threads of a process on the first core. */
function onOneCore (one) {
  execFileSync('taskset', ['--all-tasks', '--pid', '--cpu-list', '0', String(one.process.pid)], { stdio: 'ignore' })
  return one
}

function textFrame (payload, { fin = true, declared = payload.length } = {}) {
  const header = declared < 126 ? Buffer.from([0, 0x80 | declared]) : declared < 65_536 ? Buffer.from([0, 0x80 | 126, declared >> 8, declared & 0xff]) : Buffer.from([0, 0x80 | 127, 0, 0, 0, 0, 0, declared >> 16, declared >> 8 & 0xff, declared & 0xff])
  header[0] = (fin ? 0x80 : 0) | 1
  // Masked with zeros.
  return Buffer.concat([header, Buffer.alloc(4), payload])
}

function echo (port) {
  const sockets = []
  let latencies = []
  const now = () => performance.now()
  answer({
    open: async () => {
      for (let i = 0; i < NORMAL; i++) {
        const { socket } = await open(port)
        socket.setNoDelay(true)
        let rest = Buffer.alloc(0)
        socket.on('data', (chunk) => {
          let bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
          for (; bytes.length >= 2 + ECHO_BYTES; bytes = bytes.subarray(2 + ECHO_BYTES)) latencies.push(now() - bytes.readUInt32BE(2) / 100)
          rest = bytes
        })
        sockets.push(socket)
      }
    },
    run: async (ms) => {
      const say = (socket) => {
        const payload = Buffer.alloc(ECHO_BYTES, 0x2e)
        payload.writeUInt32BE(Math.round(now() * 100))
        // As binary: a time is no text.
        const frame = textFrame(payload)
        frame[0] = 0x82
        sent++
        socket.write(frame)
      }
      // On a fixed schedule, each in its own phase. Intervals would fall into step after the first delay, and stay there.
      const begun = now()
      const speak = (until) => new Promise((resolve) => {
        const timer = setInterval(() => {
          const due = Math.min(now() - begun, until) * NORMAL / EVERY_MS
          for (; turn < due; turn++) say(sockets[turn % NORMAL])
          if (now() - begun < until) return
          clearInterval(timer)
          resolve()
        }, 1)
      })
      let turn = 0
      let sent = 0
      await speak(ms)
      const all = () => latencies.length === sent
      for (let waited = 0; !all() && waited < 5_000; waited += 50) await new Promise((resolve) => { setTimeout(resolve, 50) })
      const result = { p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99), lost: sent - latencies.length }
      latencies = []
      return result
    }
  })
}

function abuse (port) {
  // In Linux a priority is one thread's: without this, the threads that collect its garbage keep the clients waiting.
  for (const thread of readdirSync('/proc/self/task')) setPriority(Number(thread), 19)
  const done = { flooded: 0, large: 0, connections: 0 }
  const rounds = async (attack) => {
    for (;;) {
      const { socket } = await open(port)
      done.connections++
      socket.resume()
      await attack(socket)
      if (!socket.destroyed) await once(socket, 'close')
    }
  }
  const drained = async (socket) => {
    const either = new AbortController()
    const { signal } = either
    await Promise.race([once(socket, 'drain', { signal }), once(socket, 'close', { signal })]).catch(() => {})
    either.abort()
  }
  const small = Buffer.concat(Array.from({ length: 1_000 }, () => textFrame(Buffer.from('x'))))
  const large = textFrame(Buffer.alloc(64 * 1024, 'x'))
  answer({
    begin: () => {
      rounds(async (socket) => {
        while (done.flooded < FLOOD && !socket.destroyed) {
          done.flooded += 1_000
          if (!socket.write(small)) await drained(socket)
        }
      })
      rounds(async (socket) => {
        while (!socket.destroyed) {
          done.large++
          if (!socket.write(large)) await drained(socket)
        }
      })
      rounds(async (socket) => {
        socket.write(textFrame(Buffer.from('never'), { declared: 60_000 }))
        while (!socket.destroyed) {
          socket.write('x')
          await new Promise((resolve) => { setTimeout(resolve, 1) })
        }
      })
    },
    report: () => done
  })
}

async function serve (settings) {
  const { default: Fastify } = await import('fastify')
  const { default: fastifyHub } = await import('../dist/lib/index.js')
  const app = Fastify()
  const closed = {}
  await app.register(fastifyHub, {
    ...settings,
    onMessage: (connection, message) => { connection.send(message) },
    onDisconnect: (_, { code }) => { closed[code] = (closed[code] ?? 0) + 1 }
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  answer({
    stats: () => {
      const { received, limited, sent, dropped } = app.hub.stats().messages
      return { received, limited, sent, dropped, closed }
    }
  })
  process.send({ port: app.server.address().port })
}
