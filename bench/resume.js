// All clients of a node come back on another one at once: their own is killed. What Redis is asked for then: a room's log once for each position
// from which it is resumed, and not once for each client; and how long it takes until all have what they have missed.
//   npm run bench:resume [-- --clients 5000 --rooms 200 --min 1000 --anonymous]
// --min: `backoff.min` of the clients. Without --anonymous each client is a user of its own, whom the directory and the rooms' presence have.
import { parseArgs } from 'node:util'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { answer, child, quantile, verdict } from './lib.js'
import { machine, show } from './page.js'
import { difference, RedisServer } from './redis.js'

const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: '5000' },
    rooms: { type: 'string', default: '200' },
    min: { type: 'string', default: '1000' },
    anonymous: { type: 'boolean', default: false },
    results: { type: 'string' },
    attend: { type: 'string' }
  }
})
const file = fileURLToPath(import.meta.url)
const CLIENTS = Number(values.clients)
const ROOMS = Number(values.rooms)
/** Publications of each room while nobody is there. */
const MISSED = 5
const AT_ONCE = 100
const IDLE_MS = 5_000
/** Milliseconds after which what has not come never will. */
const PATIENCE_MS = 120_000
/** Time that processes agree about. */
const now = () => performance.timeOrigin + performance.now()
const roomName = (i) => `room ${i % ROOMS}`
const many = (number) => Math.round(number).toLocaleString('en')

if (values.attend !== undefined) await attend(JSON.parse(values.attend))
else await main()

async function main () {
  const redis = await RedisServer.start({ fsync: 'everysec' })
  const start = () => child(fileURLToPath(new URL('servers/node.js', import.meta.url)), [JSON.stringify({
    redis: redis.url,
    history: { size: 100 },
    resume: { secret: 'the same on all nodes, and no secret at all' },
    limits: { messagesPerSecond: 0 },
    userByQuery: !values.anonymous
  })])
  const first = start()
  const second = start()
  let load = null
  try {
    const urls = (await Promise.all([first.ask(), second.ask()])).map(({ port }) => `ws://127.0.0.1:${port}/ws`)
    load = child(file, ['--attend', JSON.stringify(urls), '--clients', values.clients, '--rooms', values.rooms, '--min', values.min, ...values.anonymous ? ['--anonymous'] : []])
    await load.ask()
    await load.ask({ open: true })
    // What it costs that they are there.
    const quiet = await redis.asked()
    await pause(IDLE_MS)
    const idle = difference(quiet, await redis.asked())
    const back = load.ask({ back: true })
    const gone = new Promise((resolve) => { first.process.once('exit', resolve) })
    const at = now()
    first.process.kill('SIGKILL')
    await gone
    await second.ask({ publish: { rooms: Array.from({ length: ROOMS }, (_, i) => roomName(i)), each: MISSED } })
    const published = now() - at
    const before = await redis.asked()
    const cpuBefore = await second.ask({ figures: true })
    const { opened, complete, gaps, recovered, unrecovered, cpu } = await back
    const asked = difference(before, await redis.asked())
    const figures = await second.ask({ figures: true })
    const took = Math.max(...opened) - at
    report({ took, published, half: quantile(opened, 0.5) - at, asked, idle, complete, gaps, recovered, unrecovered, cpu: (figures.cpu - cpuBefore.cpu) / 1_000, loadCpu: cpu / 1_000, logged: figures.logged })
  } finally {
    await load?.end()
    await second.end()
    if (first.process.exitCode === null && first.process.signalCode === null) await first.end()
    await redis.end()
  }
}

function report (result) {
  const { took, half, published, asked, idle, complete, gaps, recovered, unrecovered, cpu, loadCpu, logged } = result
  const lines = []
  lines.push(`${many(CLIENTS)} ${values.anonymous ? 'anonymous clients' : 'users'} in ${ROOMS} rooms, backoff.min ${values.min} ms, Node ${process.version}`)
  lines.push(`the last was live ${took.toFixed(0)} ms after the kill, half of them after ${half.toFixed(0)} ms; what they had missed was published until ${published.toFixed(0)} ms`)
  lines.push(`CPU: node ${cpu.toFixed(0)} ms, ${(1_000 * cpu / CLIENTS).toFixed(0)} us each; Redis ${asked.cpu.toFixed(0)} ms, ${(1_000 * asked.cpu / CLIENTS).toFixed(0)} us each; clients ${loadCpu.toFixed(0)} ms`)
  lines.push(`Redis was sent ${many(asked.had)} bytes, ${many(asked.had / CLIENTS)} for each client, and answered with ${many(asked.sent)}, ${many(asked.sent / CLIENTS)} each; idle for ${IDLE_MS / 1_000} s: ${many(idle.had)} and ${many(idle.sent)}`)
  for (const [name, { calls, us }] of Object.entries(asked.commands).toSorted(([, a], [, b]) => b.calls - a.calls)) {
    lines.push(`  ${name.padEnd(20)} ${many(calls).padStart(9)} times, ${(calls / CLIENTS).toFixed(2)} for each client; ${many(us)} us${idle.commands[name] === undefined ? '' : `; idle ${many(idle.commands[name].calls)}`}`)
  }
  for (const [text, count] of Object.entries(logged)) lines.push(`  the node has logged ${count} x ${text}`)
  console.log(`\n${lines.join('\n')}`)
  // The script that reads a log has one HGET, and so has a partition of the bus when the node begins to read it.
  const fetches = (asked.commands.hget?.calls ?? 0) - (asked.commands['xgroup|create']?.calls ?? 0)
  verdict(complete === CLIENTS && gaps === 0, `clients that heard all ${MISSED} publications they had missed, in order, once: ${many(complete)}; gaps: ${gaps}`)
  verdict(recovered === CLIENTS && unrecovered === 0, `joins that were recovered: ${many(recovered)}, not: ${unrecovered}`)
  verdict(fetches <= 2 * ROOMS, `logs were read ${many(fetches)} times, of ${ROOMS} rooms with one position each`)
  if (values.results !== undefined) show(values.results, ['```', ...lines, '```', machine()], { options: values, result })
}

/* ---- the clients ---- */

async function attend ([first, second]) {
  const { WebSocket } = await import('ws')
  const { createClient } = await import('../dist/lib/client/index.js')
  class Socket extends WebSocket {
    constructor (address, protocol) { super(address, protocol, { perMessageDeflate: false }) }
  }
  let isOver = false
  let gaps = 0
  let recovered = 0
  let unrecovered = 0
  const clients = []
  const open = async (i) => {
    const query = values.anonymous ? '' : `?user=user-${i}`
    const client = createClient({ url: () => (isOver ? second : first) + query, WebSocket: Socket, backoff: { min: Number(values.min) } })
    const one = { heard: [], opened: 0 }
    clients.push(one)
    const room = client.room(roomName(i))
    room.on('message', (n) => { one.heard.push(n) })
    room.on('gap', () => { gaps++ })
    client.on('state', ({ is }) => {
      if (is === 'waiting') isOver = true
      if (isOver && is === 'open') one.opened = now()
    })
    client.open()
    await room.join()
    room.on('joined', (info) => {
      if (info.recovered === true) recovered++
      else unrecovered++
    })
  }
  answer({
    open: async () => {
      for (let done = 0; done < CLIENTS; done += AT_ONCE) {
        await Promise.all(Array.from({ length: Math.min(AT_ONCE, CLIENTS - done) }, (_, i) => open(done + i)))
      }
    },
    back: async () => {
      const before = process.cpuUsage()
      const late = now() + PATIENCE_MS
      while (now() < late && clients.some(({ opened, heard }) => opened === 0 || heard.length < MISSED)) await pause(50)
      const { user, system } = process.cpuUsage(before)
      return { opened: clients.map(({ opened }) => opened), complete: clients.filter(({ heard }) => heard.length === MISSED && heard.every((n, i) => n === i + 1)).length, gaps, recovered, unrecovered, cpu: user + system }
    }
  })
  process.send({})
}
