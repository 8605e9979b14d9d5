// All connections are cut at once, and come back: 5,000 clients of the SDK, in rooms with history. How the tries are spread in time, beside
// what the backoff promises; how fast the server takes them; how many get what they have missed from its memory; what that does to its
// event loop.
//   npm run bench:storm [-- --connections 5000 --rooms 100 --min 1000,5000]
// --min: `backoff.min` of the clients, the first delay at most; a run for each. Server and clients are a process each, and on the same cores:
// where more come back in a second than both have time for, the rate is that of the machine, and with a longer delay that of the backoff.
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
    min: { type: 'string', default: '1000,5000' },
    server: { type: 'boolean', default: false },
    clients: { type: 'string' }
  }
})
const COUNT = Number(values.connections)
const ROOMS = Number(values.rooms)
/** Publications of each room while nobody is there. */
const MISSED = 5
const AT_ONCE = 100
/** Shortest delay: lib/client/backoff.ts. */
const FLOOR_MS = 100
const STEPS = 40
const WIDTH = 60
/** Time that processes agree about. */
const now = () => performance.timeOrigin + performance.now()

if (values.server) await serve()
else if (values.clients !== undefined) await attend(values.clients)
else for (const min of values.min.split(',')) await main(Number(min))

async function main (min) {
  const server = child(file, ['--server'])
  const { url } = await server.ask()
  const clients = child(file, ['--clients', url, '--connections', values.connections, '--rooms', values.rooms, '--min', String(min)])
  await clients.ask()
  await clients.ask({ open: true })
  const before = await server.ask({ figures: true })
  const back = clients.ask({ back: true })
  const { at, took } = await server.ask({ cut: true })
  const { seen, delays, tries, opened, complete, gaps, ends, cpu } = await back
  const { accepted, ...after } = await server.ask({ figures: true })
  await clients.end()
  await server.end()

  const since = (times) => times.map((time) => time - at)
  const last = Math.max(...since(opened))
  const step = Math.ceil(last / STEPS / 50) * 50
  const due = since(seen).flatMap((time) => Array.from({ length: 100 }, (_, i) => time + FLOOR_MS + (i + 0.5) / 100 * (min - FLOOR_MS)))
  const series = [
    ['a try is due, by the backoff as documented', histogram(due, step, COUNT)],
    ['a try begins', histogram(since(tries), step)],
    ['the server has the connection', histogram(since(accepted), step)]
  ]
  const unit = Math.max(...series.flatMap(([, counts]) => counts)) / WIDTH
  console.log(`\n${COUNT.toLocaleString('en')} clients in ${ROOMS} rooms, backoff.min ${min} ms, cut in ${took.toFixed(0)} ms, Node ${process.version}; each # of the histograms is ${unit.toFixed(0)} clients`)
  for (const [name, counts] of series) plot(name, counts, step, unit)
  const shares = (list, ...of) => of.map((share) => `p${100 * share} ${quantile(list, share).toFixed(0)}`).join(', ')
  console.log(`\nall ends seen after ${Math.max(...since(seen)).toFixed(0)} ms; first delays, ms: ${shares(delays, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)}`)
  console.log(`accepted, ms after the cut: ${shares(since(accepted), 0.01, 0.1, 0.5, 0.9, 0.99)}, the last ${Math.max(...since(accepted)).toFixed(0)}; most in a second ${busiest(accepted).toLocaleString('en')}`)
  console.log(`up to date: ${shares(since(opened), 0.5, 0.99)}, the last ${last.toFixed(0)}; ${tries.length.toLocaleString('en')} tries, ${JSON.stringify(ends)}`)
  console.log(`server: longest delay of the event loop ${after.delay.toFixed(1)} ms (p99 ${after.p99.toFixed(1)}), CPU ${((after.cpu - before.cpu) / 1_000).toFixed(0)} ms, ${((after.cpu - before.cpu) / COUNT).toFixed(0)} us each; the clients' ${(cpu / 1_000).toFixed(0)} ms`)
  const { recovered, unrecovered } = after.recovery
  verdict(recovered === COUNT && unrecovered === 0, `recovered from memory: ${recovered.toLocaleString('en')}, not: ${unrecovered}`)
  verdict(complete === COUNT && gaps === 0, `clients that heard all ${MISSED} publications they had missed, in order, once: ${complete.toLocaleString('en')}; gaps: ${gaps}`)
  const off = distance(delays, FLOOR_MS, min)
  // Of 5,000 that are evenly spread, one in a million is further away.
  verdict(off < 2.7 / Math.sqrt(COUNT), `the first delays are spread as documented, evenly from ${FLOOR_MS} to ${min} ms: largest distance of the distributions ${off.toFixed(4)}`)
  await draw(series, step, min)
}

/** How many per step; with a total, so many in all. */
function histogram (times, step, total = times.length) {
  const counts = []
  for (const time of times) {
    const at = Math.max(0, Math.floor(time / step))
    while (counts.length <= at) counts.push(0)
    counts[at] += total / times.length
  }
  return counts
}

function plot (name, counts, step, unit) {
  console.log(`\n${name}`)
  for (const [i, count] of counts.entries()) console.log(`${String(i * step).padStart(6)} ms ${String(Math.round(count)).padStart(5)} ${'#'.repeat(Math.round(count / unit))}`)
}

function busiest (times) {
  const sorted = times.toSorted((a, b) => a - b)
  let first = 0
  return Math.max(...sorted.map((time, i) => {
    while (sorted[first] < time - 1_000) first++
    return i - first + 1
  }))
}

/** The distance of Kolmogorov and Smirnov to the even distribution. */
function distance (delays, from, to) {
  const sorted = delays.toSorted((a, b) => a - b)
  return Math.max(...sorted.map((delay, i) => {
    const should = Math.min(1, Math.max(0, (delay - from) / (to - from)))
    return Math.max(Math.abs(should - i / sorted.length), Math.abs(should - (i + 1) / sorted.length))
  }))
}

async function draw (series, step, min) {
  const { compile } = await import('vega-lite')
  const vega = await import('vega')
  const { spec } = compile({
    data: { values: series.flatMap(([what, counts]) => [...counts, 0].map((count, i) => ({ what, ms: i * step, count }))) },
    background: 'white',
    title: `${COUNT.toLocaleString('en')} clients cut at once, backoff.min ${min} ms`,
    width: 640,
    height: 240,
    mark: { type: 'line', interpolate: 'step-after', strokeWidth: 2 },
    encoding: {
      x: { field: 'ms', type: 'quantitative', title: 'milliseconds since the cut' },
      y: { field: 'count', type: 'quantitative', title: `clients in ${step} ms` },
      color: { field: 'what', type: 'nominal', title: null, sort: null, scale: { range: ['#9aa5b1', '#d97706', '#1b7f4d'] }, legend: { orient: 'bottom', labelLimit: 400 } }
    }
  })
  const folder = new URL('results/', import.meta.url)
  mkdirSync(folder, { recursive: true })
  writeFileSync(new URL(`storm-${min}.svg`, folder), await new vega.View(vega.parse(spec), { renderer: 'none' }).toSVG())
}

/* ---- the clients ---- */

async function attend (url) {
  const { WebSocket } = await import('ws')
  const { createClient } = await import('../dist/lib/client/index.js')
  class Socket extends WebSocket {
    constructor (address, protocol) { super(address, protocol, { perMessageDeflate: false }) }
  }
  const backoff = { min: Number(values.min) }
  const clients = []
  const tries = []
  const ends = {}
  let gaps = 0
  let storm = false
  const open = async (i) => {
    const client = createClient({ url, WebSocket: Socket, backoff })
    const one = { heard: [], seen: 0, delay: 0, opened: 0 }
    clients.push(one)
    const room = client.room(`room ${i % ROOMS}`)
    room.on('message', (n) => { one.heard.push(n) })
    room.on('gap', () => { gaps++ })
    client.on('state', (state) => {
      if (!storm) return
      if (state.is === 'waiting') {
        const how = `${state.code} ${state.reason}`.trim()
        ends[how] = (ends[how] ?? 0) + 1
        if (one.seen !== 0) return
        one.seen = now()
        one.delay = state.retryAt - Date.now()
      } else if (state.is === 'connecting') {
        tries.push(now())
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
      // What their states are due to has come.
      await new Promise((resolve) => { setTimeout(resolve, 1_000) })
      storm = true
    },
    back: async () => {
      const before = process.cpuUsage()
      while (clients.some(({ opened }) => opened === 0)) await new Promise((resolve) => { setTimeout(resolve, 100) })
      const { user, system } = process.cpuUsage(before)
      return {
        seen: clients.map(({ seen }) => seen),
        delays: clients.map(({ delay }) => delay),
        tries,
        opened: clients.map(({ opened }) => opened),
        complete: clients.filter(({ heard }) => heard.length === MISSED && heard.every((n, i) => n === i + 1)).length,
        gaps,
        ends,
        cpu: user + system
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
