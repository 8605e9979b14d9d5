// Very many raw connections over several nodes, each process within its limit of open files: what they take of memory, how long a broadcast needs to the
// last of them, and what Redis has to do for the directory while nobody says anything.
//   npm run bench:many [-- --connections 60000 --nodes 4 --broadcasts 10 --idle 60 --heartbeat 30]
// Seconds: --idle, over which Redis is watched; --heartbeat, `heartbeat.interval`. Each connection is a user of its own.
import { parseArgs } from 'node:util'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { answer, child, median, verdict } from './lib.js'
import { machine, show } from './page.js'
import { difference, RedisServer } from './redis.js'

const { values } = parseArgs({
  options: {
    connections: { type: 'string', default: '60000' },
    nodes: { type: 'string', default: '4' },
    broadcasts: { type: 'string', default: '10' },
    idle: { type: 'string', default: '60' },
    heartbeat: { type: 'string', default: '30' },
    results: { type: 'string' },
    load: { type: 'string' }
  }
})
const file = fileURLToPath(import.meta.url)
const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const COUNT = Number(values.connections)
const NODES = Number(values.nodes)
const WARM = 200
const AT_ONCE = 50
const PATIENCE_MS = 60_000
/** What V8 and the kernel still do after the last upgrade. */
const SETTLE_MS = 10_000
/** Of a broadcast, for load/peer.js. */
const HEAD = 'b00'
const DIGITS = 8
/** Time that processes agree about. */
const now = () => performance.timeOrigin + performance.now()
const many = (number) => Math.round(number).toLocaleString('en')

if (values.load !== undefined) await load(JSON.parse(values.load))
else await main()

async function main () {
  const redis = await RedisServer.start()
  const heartbeat = Number(values.heartbeat) * 1_000
  const options = { redis: redis.url, origins: '*', userByQuery: true, heartbeat: { interval: heartbeat, timeout: 2 * heartbeat } }
  const nodes = Array.from({ length: NODES }, () => child(here('servers/node.js'), [JSON.stringify(options)], { execArgv: ['--expose-gc'] }))
  const loads = []
  try {
    const ports = await Promise.all(nodes.map(async (node) => (await node.ask()).port))
    const share = Math.ceil(COUNT / NODES)
    loads.push(...ports.map((port, i) => child(file, ['--load', JSON.stringify({ port, process: i, count: Math.min(share, COUNT - i * share) })])))
    await Promise.all(loads.map((one) => one.ask()))
    await Promise.all(loads.map((one) => one.ask({ open: WARM })))
    const figures = async () => await Promise.all(nodes.map((node) => node.ask({ figures: true })))
    const memoryOf = async () => {
      await Promise.all(nodes.map((node) => node.ask({ gc: true })))
      await pause(1_000)
      await Promise.all(nodes.map((node) => node.ask({ gc: true })))
      return await figures()
    }
    const before = await memoryOf()
    const memory = Number((await redis.info('memory')).used_memory)
    const opening = now()
    await Promise.all(loads.map((one) => one.ask({ open: null })))
    const opened = now() - opening
    await pause(SETTLE_MS)
    const after = await memoryOf()
    // What the system has taken back of a process that was quiet is missing in its RSS, and not in its heap.
    const [each, heapEach] = ['rss', 'heap'].map((key) => after.map((one, i) => (one[key] - before[i][key]) / (Math.min(share, COUNT - i * share) - WARM)))
    const redisEach = (Number((await redis.info('memory')).used_memory) - memory) / (COUNT - WARM * NODES)

    const cpuBefore = await figures()
    const asked = await redis.asked()
    const idleSince = now()
    await pause(Number(values.idle) * 1_000)
    const idle = difference(asked, await redis.asked())
    const idleMs = now() - idleSince
    const cpuAfter = await figures()
    const nodesShare = cpuAfter.map(({ cpu }, i) => (cpu - cpuBefore[i].cpu) / 1_000 / idleMs)

    const broadcasts = []
    for (let i = 1; i <= Number(values.broadcasts); i++) {
      await Promise.all(loads.map((one) => one.ask({ expect: i })))
      const arrivals = loads.map((one) => one.ask({ arrival: true }))
      const cpu = { nodes: (await figures()).map((one) => one.cpu), redis: redis.cpu }
      const at = now()
      await nodes[i % NODES].ask({ broadcast: `${HEAD}${String(i).padStart(DIGITS, '0')}`.padEnd(64, '.') })
      const seen = await Promise.all(arrivals)
      const nodesCpu = (await figures()).reduce((sum, one, n) => sum + one.cpu - cpu.nodes[n], 0) / 1_000
      broadcasts.push({ first: Math.min(...seen.map((one) => one.first)) - at, last: Math.max(...seen.map((one) => one.last)) - at, delivered: seen.reduce((sum, one) => sum + one.delivered, 0), own: seen[i % NODES].last - at, cpu: nodesCpu, redisCpu: redis.cpu - cpu.redis })
      await pause(500)
    }
    const ends = await Promise.all(loads.map((one) => one.ask({ ended: true })))
    const [ended, doubled] = ['closed', 'doubled'].map((key) => ends.reduce((sum, one) => sum + one[key], 0))
    report({ opened, each, heapEach, redisEach, rss: after.map((one) => one.rss), idle, idleMs, nodesShare, broadcasts, ended, doubled, logged: (await figures()).map((one) => one.logged) })
  } finally {
    await Promise.all(loads.map((one) => one.end()))
    await Promise.all(nodes.map((node) => node.end()))
    await redis.end()
  }
}

function report (result) {
  const { opened, each, heapEach, redisEach, rss, idle, idleMs, nodesShare, broadcasts, ended, doubled, logged } = result
  const seconds = idleMs / 1_000
  const of = (key) => broadcasts.map((one) => one[key])
  const lines = []
  lines.push(`${many(COUNT)} raw connections, each of a user, over ${NODES} nodes, Node ${process.version}; opened in ${(opened / 1_000).toFixed(1)} s`)
  const kib = (list) => list.map((bytes) => (bytes / 1_024).toFixed(2)).join(', ')
  lines.push(`RSS of each connection: ${kib(each)} KiB, live heap and buffers: ${kib(heapEach)} KiB; RSS of the nodes: ${rss.map((bytes) => (bytes / 2 ** 20).toFixed(0)).join(', ')} MiB; memory of Redis for each: ${(redisEach / 1_024).toFixed(2)} KiB`)
  lines.push(`broadcast of 64 B, from the call to the last: median ${median(of('last')).toFixed(0)} ms, longest ${Math.max(...of('last')).toFixed(0)}; the first ${median(of('first')).toFixed(1)} ms; the last of the node that was called ${median(of('own')).toFixed(0)} ms; CPU of the nodes ${(1_000 * median(of('cpu')) / COUNT).toFixed(2)} us for each delivery, of Redis ${median(of('redisCpu'))} ms`)
  lines.push(`silent for ${seconds.toFixed(0)} s, heartbeat ${values.heartbeat} s: Redis ${(100 * idle.cpu / idleMs).toFixed(2)} % of a core, ${(Object.values(idle.commands).reduce((sum, { calls }) => sum + calls, 0) / seconds).toFixed(0)} commands/s, ${many(idle.had / seconds)} bytes/s to it and ${many(idle.sent / seconds)} from it; nodes ${nodesShare.map((share) => (100 * share).toFixed(2)).join(', ')} % of a core`)
  for (const [name, { calls, us }] of Object.entries(idle.commands).toSorted(([, a], [, b]) => b.us - a.us).slice(0, 15)) lines.push(`  ${name.padEnd(20)} ${(calls / seconds).toFixed(1).padStart(9)} in a second, ${(us / seconds).toFixed(0)} us`)
  for (const lines of logged) for (const [text, count] of Object.entries(lines)) lines.push(`  a node has logged ${count} x ${text}`)
  console.log(`\n${lines.join('\n')}`)
  verdict(doubled === 0 && broadcasts.every(({ delivered }) => delivered === COUNT), `broadcasts that all of them got: ${broadcasts.filter(({ delivered }) => delivered === COUNT).length} of ${broadcasts.length}; that came twice to one of them: ${doubled}`)
  verdict(ended === 0, `connections that ended: ${ended}`)
  if (values.results !== undefined) show(values.results, ['```', ...lines, '```', machine()], { options: values, result })
}

/* ---- the load of one node ---- */

async function load ({ port, process: number, count }) {
  const { Peer } = await import('./load/peer.js')
  const peers = []
  let delivered = 0
  let wanted = -1
  let first = 0
  let last = 0
  let onComplete = () => {}
  let doubled = 0
  const onMessage = (peer, _room, n) => {
    if (n !== wanted) return
    if (peer.last === n) {
      doubled++
      return
    }
    last = now()
    if (delivered++ === 0) first = last
    if (delivered === peers.length) onComplete()
  }
  const open = async (i) => {
    // An address has some 28,000 ports.
    const peer = new Peer({ port, localAddress: `127.${1 + number}.${1 + (i >> 12)}.${1 + (i & 0x3f)}`, user: `user-${number}-${i}`, onMessage })
    await peer.ready
    peers.push(peer)
  }
  answer({
    open: async (some) => {
      const until = some ?? count
      let next = peers.length
      await Promise.all(Array.from({ length: AT_ONCE }, async () => { while (next < until) await open(next++) }))
    },
    expect: (n) => {
      delivered = 0
      wanted = n
    },
    arrival: async () => {
      const complete = new Promise((resolve) => {
        onComplete = resolve
        if (delivered === peers.length) resolve()
      })
      const late = new AbortController()
      await Promise.race([complete, pause(PATIENCE_MS, undefined, { signal: late.signal }).catch(() => {})])
      late.abort()
      return { first, last, delivered }
    },
    ended: () => ({ closed: peers.filter((peer) => peer.closed).length, doubled })
  })
  process.send({})
}
