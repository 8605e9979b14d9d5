// All connections are cut at once, and come back: 5,000 clients of the SDK, in rooms with history. How the tries are spread in time, beside
// what the backoff promises; how fast the server takes them; how many get what they have missed from its memory; what that does to its
// event loop.
//   npm run bench:storm [-- --connections 5000 --rooms 100]
// Server and clients are a process each. Both are on the same two cores, so that the rate is theirs together.
import { mkdirSync, writeFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { answer, child, quantile, verdict } from './lib.js'

const file = fileURLToPath(import.meta.url)
const { values } = parseArgs({
  options: {
    connections: { type: 'string', default: '5000' },
    rooms: { type: 'string', default: '100' },
    server: { type: 'boolean', default: false },
    clients: { type: 'string' }
  }
})
const COUNT = Number(values.connections)
const ROOMS = Number(values.rooms)
/** Publications of each room while nobody is there. */
const MISSED = 5
const AT_ONCE = 100
/** lib/client/backoff.ts: the first delay of a client that was connected. */
const DELAY_MS = [100, 1_000]
const STEP_MS = 50
const WIDTH = 60
/** Time that processes agree about. */
const now = () => performance.timeOrigin + performance.now()

if (values.server) await serve()
else if (values.clients !== undefined) await attend(values.clients)
else await main()

async function main () {
  const server = child(file, ['--server'])
  const { url } = await server.ask()
  const clients = child(file, ['--clients', url, '--connections', values.connections, '--rooms', values.rooms])
  await clients.ask()
  await clients.ask({ open: true })
  const before = await server.ask({ figures: true })
  const back = clients.ask({ back: true })
  const { at, took } = await server.ask({ cut: true })
  const { delays, tries, opened, complete, gaps, codes, cpu } = await back
  const { accepted, ...after } = await server.ask({ figures: true })
  await clients.end()
  await server.end()

  const since = (times) => times.map((time) => time - at)
  const series = [
    ['a try was due, by the backoff as documented', histogram(delays.map(({ seen }) => seen - at).flatMap((seen) => expected(seen)), COUNT)],
    ['a try began', histogram(since(tries))],
    ['the server had the connection', histogram(since(accepted))]
  ]
  console.log(`${COUNT.toLocaleString('en')} clients in ${ROOMS} rooms, cut in ${took.toFixed(0)} ms, Node ${process.version}; each # of the histograms is ${unit(series).toFixed(0)} in ${STEP_MS} ms`)
  for (const [name, counts] of series) plot(name, counts, unit(series))
  const each = delays.map(({ delay }) => delay)
  console.log(`\ndelays of the first try: ${[0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99].map((share) => `p${100 * share} ${quantile(each, share).toFixed(0)} ms`).join(', ')}`)
  console.log(`accepted: p50 ${quantile(since(accepted), 0.5).toFixed(0)} ms after the cut, p99 ${quantile(since(accepted), 0.99).toFixed(0)}, the last ${Math.max(...since(accepted)).toFixed(0)}; most in ${STEP_MS} ms ${Math.max(...series[2][1])}`)
  console.log(`up to date: p50 ${quantile(since(opened), 0.5).toFixed(0)} ms after the cut, the last ${Math.max(...since(opened)).toFixed(0)}; ${tries.length} tries, ${JSON.stringify(codes)}`)
  console.log(`server: longest delay of the event loop ${after.delay.toFixed(1)} ms (p99 ${after.p99.toFixed(1)}), CPU ${((after.cpu - before.cpu) / 1_000).toFixed(0)} ms, ${((after.cpu - before.cpu) / COUNT).toFixed(0)} us each; the clients' ${(cpu / 1_000).toFixed(0)} ms`)
  const { recovered, unrecovered } = after.recovery
  verdict(recovered === COUNT && unrecovered === 0, `recovered from memory: ${recovered.toLocaleString('en')}, not: ${unrecovered}`)
  verdict(complete === COUNT && gaps === 0, `clients that heard all ${MISSED} publications they had missed, in order, once: ${complete.toLocaleString('en')}; gaps: ${gaps}`)
  const off = distance(each)
  verdict(off < 0.05, `the delays are spread as documented, evenly from ${DELAY_MS[0]} to ${DELAY_MS[1]} ms: largest distance of the distributions ${off.toFixed(3)}`)
  await draw(series)
}

/** When a client that saw its end then may try: each moment of the interval with the same weight. */
function expected (seen) {
  const [from, to] = DELAY_MS
  return Array.from({ length: 18 }, (_, i) => seen + from + (i + 0.5) * (to - from) / 18)
}

/** How many per step; with a total, so many in all. */
function histogram (times, total = times.length) {
  const counts = []
  for (const time of times) {
    const step = Math.max(0, Math.floor(time / STEP_MS))
    while (counts.length <= step) counts.push(0)
    counts[step] += total / times.length
  }
  return counts
}

function unit (series) { return Math.max(...series.flatMap(([, counts]) => counts)) / WIDTH }

function plot (name, counts, each) {
  console.log(`\n${name}`)
  for (const [step, count] of counts.entries()) console.log(`${String(step * STEP_MS).padStart(6)} ms ${String(Math.round(count)).padStart(5)} ${'#'.repeat(Math.round(count / each))}`)
}

/** The distance of Kolmogorov and Smirnov to the even distribution. */
function distance (delays) {
  const [from, to] = DELAY_MS
  const sorted = delays.toSorted((a, b) => a - b)
  return Math.max(...sorted.map((delay, i) => {
    const should = Math.min(1, Math.max(0, (delay - from) / (to - from)))
    return Math.max(Math.abs(should - i / sorted.length), Math.abs(should - (i + 1) / sorted.length))
  }))
}

async function draw (series) {
  const { compile } = await import('vega-lite')
  const vega = await import('vega')
  const { spec } = compile({
    data: { values: series.flatMap(([what, counts]) => [...counts, 0].map((count, step) => ({ what, ms: step * STEP_MS, count }))) },
    background: 'white',
    title: `${COUNT.toLocaleString('en')} clients cut at once`,
    width: 640,
    height: 240,
    mark: { type: 'line', interpolate: 'step-after', strokeWidth: 2 },
    encoding: {
      x: { field: 'ms', type: 'quantitative', title: 'milliseconds since the cut' },
      y: { field: 'count', type: 'quantitative', title: `clients in ${STEP_MS} ms` },
      color: { field: 'what', type: 'nominal', title: null, sort: null, scale: { range: ['#9aa5b1', '#d97706', '#1b7f4d'] }, legend: { orient: 'bottom', labelLimit: 400 } }
    }
  })
  const folder = new URL('results/', import.meta.url)
  mkdirSync(folder, { recursive: true })
  writeFileSync(new URL('storm.svg', folder), await new vega.View(vega.parse(spec), { renderer: 'none' }).toSVG())
}

/* ---- the clients ---- */

async function attend (url) {
  const { WebSocket } = await import('ws')
  const { createClient } = await import('../dist/lib/client/index.js')
  class Socket extends WebSocket {
    constructor (address, protocol) { super(address, protocol, { perMessageDeflate: false }) }
  }
  const clients = []
  const tries = []
  const codes = {}
  let gaps = 0
  let storm = false
  const open = async (i) => {
    const client = createClient({ url, WebSocket: Socket })
    const one = { client, heard: [], seen: 0, delay: 0, opened: 0 }
    clients.push(one)
    const room = client.room(`room ${i % ROOMS}`)
    room.on('message', (n) => { one.heard.push(n) })
    room.on('gap', () => { gaps++ })
    client.on('state', (state) => {
      if (!storm) return
      if (state.is === 'waiting') {
        const how = `${state.code} ${state.reason}`.trim()
        codes[how] = (codes[how] ?? 0) + 1
        if (one.seen === 0) one.seen = now()
      } else if (state.is === 'connecting') {
        tries.push(now())
        if (one.delay === 0) one.delay = now() - one.seen
      } else if (state.is === 'open') {
        one.opened = now()
      }
    })
    client.open()
    await room.join()
  }
  answer({
    open: async () => {
      for (let done = 0; done < COUNT; done += AT_ONCE) {
        await Promise.all(Array.from({ length: Math.min(AT_ONCE, COUNT - done) }, (_, i) => open(done + i)))
      }
      storm = true
    },
    back: async () => {
      const { user, system } = process.cpuUsage()
      while (clients.some(({ opened }) => opened === 0)) await new Promise((resolve) => { setTimeout(resolve, 100) })
      const used = process.cpuUsage()
      return {
        delays: clients.map(({ seen, delay }) => ({ seen, delay })),
        tries,
        opened: clients.map(({ opened }) => opened),
        complete: clients.filter(({ heard }) => heard.length === MISSED && heard.every((n, i) => n === i + 1)).length,
        gaps,
        codes,
        cpu: used.user - user + used.system - system
      }
    }
  })
  process.send({})
}

/* ---- the server ---- */

async function serve () {
  const { default: Fastify } = await import('fastify')
  const { default: fastifyHub } = await import('../dist/lib/index.js')
  const app = Fastify()
  const accepted = []
  const delay = monitorEventLoopDelay({ resolution: 5 })
  await app.register(fastifyHub, {
    subprotocols: ['hub.v1.json'],
    authorize: { join: () => true },
    history: { size: 100 },
    onConnect: () => { accepted.push(now()) }
  })
  await app.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 })
  answer({
    cut: async () => {
      accepted.length = 0
      const at = now()
      for (const connection of [...app.hub.connections()]) connection.terminate()
      const took = now() - at
      delay.enable()
      for (let n = 1; n <= MISSED; n++) {
        for (let i = 0; i < ROOMS; i++) await app.hub.room(`room ${i}`).publish(n)
      }
      return { at, took }
    },
    figures: () => {
      delay.disable()
      const { user, system } = process.cpuUsage()
      return { accepted, recovery: app.hub.stats().recovery, cpu: user + system, delay: delay.max / 1e6, p99: delay.percentile(99) / 1e6 }
    }
  })
  process.send({ url: `ws://127.0.0.1:${app.server.address().port}/ws` })
}
