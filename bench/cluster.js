// Several nodes on one redis-server, beside Socket.IO with its Redis Streams adapter and what one writes by hand with ws and Redis PUB/SUB, each in
// turn in the same run; medians, and ratios to PUB/SUB.
//   npm run bench:cluster [-- --only latency,saturation,redis --servers hub,pubsub --seconds 5 --repetitions 3 --rates 100,5000 --results cluster]
// latency: one client publishes on a node, others read on another one. saturation: three nodes publish as fast as they can, and read all. redis: the
// CPU time of Redis for each publication, with 1 to 4 nodes that read, as a + b x nodes.
import { parseArgs } from 'node:util'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { child, median, verdict } from './lib.js'
import { machine, show } from './page.js'
import { RedisServer } from './redis.js'

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: 'latency,saturation,redis' },
    servers: { type: 'string', default: 'hub,hub-history,socket.io,pubsub' },
    seconds: { type: 'string', default: '5' },
    repetitions: { type: 'string', default: '3' },
    rates: { type: 'string', default: '100,5000' },
    'redis-rates': { type: 'string', default: '2000,20000' },
    rooms: { type: 'string', default: '48' },
    'in-flight': { type: 'string', default: '2000' },
    results: { type: 'string', default: 'cluster' }
  }
})
const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const numbers = (list) => list.split(',').map(Number)
const MS = Number(values.seconds) * 1_000
const WARM_UP_MS = Math.min(3_000, MS)
const BYTES = 100
const LATENCY_ROOMS = 10
const NODES = 3
const READERS = [1, 2, 3, 4]
const PATIENCE_MS = 20_000
const SERVERS = {
  hub: { name: 'fastify-hub, no history', program: 'cluster-hub.js' },
  'hub-history': { name: 'fastify-hub, history of 100', program: 'cluster-hub.js', options: { history: 100 } },
  'socket.io': { name: 'Socket.IO, Redis Streams adapter', program: 'cluster-socket.io.js', speak: 'socket.io' },
  pubsub: { name: 'ws and PUB/SUB', program: 'cluster-pubsub.js' }
}
const CONTROL = 'pubsub'
const ids = values.servers.split(',')

/** So many nodes, on a Redis of their own. */
async function cluster (id, count, use) {
  const { program, options = {} } = SERVERS[id]
  const redis = await RedisServer.start()
  const nodes = Array.from({ length: count }, () => child(here(`servers/${program}`), [JSON.stringify({ redis: redis.url, bytes: BYTES, ...options })]))
  try {
    const ports = await Promise.all(nodes.map(async (node) => (await node.ask()).port))
    return await use({ redis, nodes, ports })
  } finally {
    await Promise.all(nodes.map((node) => node.end()))
    await redis.end()
  }
}

const counts = async (nodes) => await Promise.all(nodes.map((node) => node.ask({ count: true })))
const sum = (list, key) => list.reduce((total, item) => total + item[key], 0)

async function latency (id) {
  return await cluster(id, 2, async ({ redis, nodes, ports: [from, to] }) => {
    const load = child(here('load/across.js'), [])
    try {
      await load.ask()
      await load.ask({ open: { from, to, rooms: LATENCY_ROOMS, speak: SERVERS[id].speak ?? 'plain' } })
      const rates = {}
      for (const perSecond of numbers(values.rates)) {
        await load.ask({ run: { perSecond, ms: WARM_UP_MS, bytes: BYTES } })
        const before = { redis: redis.cpu, nodes: await counts(nodes) }
        const seen = await load.ask({ run: { perSecond, ms: MS, bytes: BYTES } })
        const after = { redis: redis.cpu, nodes: await counts(nodes) }
        rates[perSecond] = {
          ...seen,
          redisUs: 1_000 * (after.redis - before.redis) / seen.published,
          nodeUs: 1_000 * (sum(after.nodes, 'cpu') - sum(before.nodes, 'cpu')) / seen.published
        }
      }
      return rates
    } finally {
      await load.end()
    }
  })
}

async function saturation (id) {
  return await cluster(id, NODES, async ({ redis, nodes }) => {
    const rooms = Number(values.rooms)
    await Promise.all(nodes.map((node) => node.ask({ join: rooms })))
    await pause(1_000)
    const flood = async (ms) => {
      const before = { at: performance.now(), redis: redis.cpu, nodes: await counts(nodes) }
      const floods = await Promise.all(nodes.map((node) => node.ask({ flood: { rooms, ms, inFlight: Number(values['in-flight']), bytes: BYTES } })))
      const published = sum(floods, 'published') - sum(floods, 'failed')
      // The time counts until the last node has the last publication.
      let after = []
      let until = performance.now() + PATIENCE_MS
      let last = 0
      do {
        await pause(10)
        after = await counts(nodes)
        const received = sum(after, 'received')
        if (received !== last) until = performance.now() + PATIENCE_MS
        last = received
      } while (performance.now() < until && after.some(({ received }, i) => received - before.nodes[i].received < published))
      const took = performance.now() - before.at
      const received = after.map((node, i) => node.received - before.nodes[i].received)
      return {
        published,
        failed: sum(floods, 'failed'),
        lost: published * NODES - received.reduce((a, b) => a + b),
        perSecond: 1_000 * Math.min(...received) / took,
        redisUs: 1_000 * (redis.cpu - before.redis) / published,
        nodeUs: 1_000 * (sum(after, 'cpu') - sum(before.nodes, 'cpu')) / published,
        redisShare: (redis.cpu - before.redis) / took
      }
    }
    await flood(WARM_UP_MS)
    return await flood(MS)
  })
}

async function redisCpu (id) {
  const rows = {}
  for (const perSecond of numbers(values['redis-rates'])) {
    const each = []
    let attained = Infinity
    for (const readers of READERS) {
      each.push(await cluster(id, readers + 1, async ({ redis, nodes: [publisher, ...nodes] }) => {
        const rooms = Number(values.rooms)
        await Promise.all(nodes.map((node) => node.ask({ join: rooms })))
        await publisher.ask({ pace: { rooms, perSecond, ms: WARM_UP_MS, bytes: BYTES } })
        const before = redis.cpu
        const { published, ms } = await publisher.ask({ pace: { rooms, perSecond, ms: MS, bytes: BYTES } })
        attained = Math.min(attained, 1_000 * published / ms)
        await pause(200)
        return 1_000 * (redis.cpu - before) / published
      }))
    }
    rows[perSecond] = { each, attained, ...line(each) }
  }
  return rows
}

/** Least squares: microseconds of a publication that nobody reads, and for each node that reads. */
function line (each) {
  const x = READERS.reduce((a, b) => a + b) / READERS.length
  const y = each.reduce((a, b) => a + b) / each.length
  const b = READERS.reduce((total, n, i) => total + (n - x) * (each[i] - y), 0) / READERS.reduce((total, n) => total + (n - x) ** 2, 0)
  return { a: y - b * x, b }
}

/** Medians of runs of one shape. */
function medians (runs) {
  const [first] = runs
  if (typeof first === 'number') return median(runs)
  const entries = Object.entries(first).map(([key]) => [key, medians(runs.map((run) => run[key]))])
  return Array.isArray(first) ? entries.map(([, value]) => value) : Object.fromEntries(entries)
}

const WORKLOADS = { latency, saturation, redis: redisCpu }
const results = {}
for (const workload of values.only.split(',')) {
  const runs = Object.fromEntries(ids.map((id) => [id, []]))
  for (let i = 0; i < Number(values.repetitions); i++) {
    for (const id of ids) {
      runs[id].push(await WORKLOADS[workload](id))
      console.log(workload, id, JSON.stringify(runs[id].at(-1), (_, value) => typeof value === 'number' ? Math.round(value * 100) / 100 : value))
    }
  }
  results[workload] = Object.fromEntries(ids.map((id) => [id, medians(runs[id])]))
}
const lines = [`Medians of ${values.repetitions} interleaved runs of ${values.seconds} s; messages of ${BYTES} B; ${machine()}`, '', ...tables()]
console.log(`\n${lines.join('\n')}`)
show(values.results, lines, { options: values, results })
judge()

function tables () {
  const parts = []
  const ratio = (figure, control) => control === undefined ? '' : `${(figure / control).toFixed(2)}x`
  const table = (head, rows) => [`| | ${head.join(' | ')} |`, `| --- |${' ---: |'.repeat(head.length)}`, ...rows.map((row) => `| ${row.join(' | ')} |`), '']
  for (const perSecond of results.latency === undefined ? [] : numbers(values.rates)) {
    parts.push(`### From a client of one node to a client of another, ${perSecond.toLocaleString('en')} publications/s`, '', ...table(
      ['p50, ms', 'p99', 'max', 'p50 to PUB/SUB', 'p99 to PUB/SUB', 'lost', 'Redis, us each', 'both nodes, us each', 'of p50, the load was late'],
      ids.map((id) => {
        const { p50, p99, max, lost, redisUs, nodeUs, late } = results.latency[id][perSecond]
        const control = results.latency[CONTROL]?.[perSecond]
        return [SERVERS[id].name, p50.toFixed(2), p99.toFixed(2), max.toFixed(1), ratio(p50, control?.p50), ratio(p99, control?.p99), lost, redisUs.toFixed(1), nodeUs.toFixed(1), late.toFixed(2)]
      })
    ))
  }
  if (results.saturation !== undefined) {
    parts.push('### Three nodes that publish and read all, as fast as they can', '', ...table(
      ['publications/s', 'to PUB/SUB', 'lost', 'failed', 'Redis, us each', 'three nodes, us each', 'Redis, % of a core'],
      ids.map((id) => {
        const { perSecond, lost, failed, redisUs, nodeUs, redisShare } = results.saturation[id]
        return [SERVERS[id].name, Math.round(perSecond).toLocaleString('en'), ratio(perSecond, results.saturation[CONTROL]?.perSecond), lost.toLocaleString('en'), failed, redisUs.toFixed(2), nodeUs.toFixed(2), (100 * redisShare).toFixed(0)]
      })
    ))
  }
  for (const perSecond of results.redis === undefined ? [] : numbers(values['redis-rates'])) {
    parts.push(`### CPU of Redis for each publication, ${perSecond.toLocaleString('en')}/s from one node`, '', ...table(
      [...READERS.map((count) => `${count} read, us`), 'attained/s', 'a + b x nodes', '10 nodes to PUB/SUB'],
      ids.map((id) => {
        const { each, attained, a, b } = results.redis[id][perSecond]
        const control = results.redis[CONTROL]?.[perSecond]
        return [SERVERS[id].name, ...each.map((us) => us.toFixed(2)), Math.round(attained).toLocaleString('en'), `${a.toFixed(2)} + ${b.toFixed(2)} x nodes`, ratio(a + 10 * b, control && control.a + 10 * control.b)]
      })
    ))
  }
  return parts
}

function judge () {
  const busy = results.latency?.hub?.[5_000]
  if (busy !== undefined) {
    verdict(busy.p50 < 2, `p50 at 5,000/s: ${busy.p50.toFixed(2)} ms, target 2`)
    verdict(busy.p99 < 10, `p99 at 5,000/s: ${busy.p99.toFixed(2)} ms, target 10`)
    verdict(busy.lost === 0 && busy.disorder === 0, `lost ${busy.lost}, out of order ${busy.disorder}`)
  }
  const most = results.saturation?.hub
  if (most === undefined) return
  verdict(most.perSecond >= 100_000, `publications/s of three nodes: ${Math.round(most.perSecond).toLocaleString('en')}, target 100,000`)
  verdict(most.lost === 0 && most.failed === 0, `lost ${most.lost}, failed ${most.failed}`)
}
