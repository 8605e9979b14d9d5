// Many clients of a cluster while things break: what is lost, doubled and out of order. A redis-server that keeps an append-only file, three
// nodes and the clients are processes of their own; the clients go to other nodes all the time.
//   npm run bench:chaos [-- --phase calm,redis-kill --seconds 60 --members 300 --rooms 30 --publishers 20 --rate 200 --reconnects 20 --fsync always]
// Phases: calm; redis-kill: SIGKILL, and it is back after 2 s; node-kill: SIGKILL of a node, back after 2 s; link-5, link-40: the connections of one
// node to Redis end, and for so many seconds it gets no other; stall-5, stall-40: nothing passes over them, and then all of it at once;
// stop-5, stop-40: the process of a node is stopped (SIGSTOP), and goes on; drain: a node empties itself, and is started again. What breaks does so twice in a run, except what takes 40 s. Without --phase, all of them, and
// bench/results/chaos.{json,md} are written.
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { setTimeout as pause } from 'node:timers/promises'
import { child, verdict } from './lib.js'
import { machine, show } from './page.js'
import { freePort, Proxy, RedisServer } from './redis.js'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const { values } = parseArgs({
  options: {
    phase: { type: 'string' },
    seconds: { type: 'string', default: '60' },
    members: { type: 'string', default: '300' },
    rooms: { type: 'string', default: '30' },
    publishers: { type: 'string', default: '20' },
    rate: { type: 'string', default: '200' },
    reconnects: { type: 'string', default: '20' },
    fsync: { type: 'string', default: 'always' }
  }
})
const NODES = 3
const DOWN_MS = 2_000
/** After what has broken is whole again, the run goes on for as long, at least. */
const AFTER_MS = 10_000
/** When it breaks, as shares of the time. */
const TWICE = [0.25, 0.6]
const ONCE = [0.15]

/** What breaks: one call each time, which resolves when all is whole again. The link with the proxy is that of node 0. */
const PHASES = {
  calm: { at: [], break: async () => {} },
  'redis-kill': {
    at: TWICE,
    break: async ({ redis }) => {
      await redis.kill()
      await pause(DOWN_MS)
      await redis.start()
    }
  },
  'node-kill': { at: TWICE, break: async ({ nodes }, time) => { await nodes[time % NODES].restart('SIGKILL') } },
  'link-5': { at: TWICE, break: async ({ proxy }) => { await broken(proxy, 'cut', 5_000) } },
  'link-40': { at: ONCE, break: async ({ proxy }) => { await broken(proxy, 'cut', 40_000) } },
  'stall-5': { at: TWICE, break: async ({ proxy }) => { await broken(proxy, 'stall', 5_000) } },
  'stall-40': { at: ONCE, break: async ({ proxy }) => { await broken(proxy, 'stall', 40_000) } },
  'stop-5': { at: TWICE, break: async ({ nodes }, time) => { await nodes[time % NODES].stopFor(5_000) } },
  'stop-40': { at: ONCE, break: async ({ nodes }) => { await nodes[0].stopFor(40_000) } },
  drain: { at: TWICE, break: async ({ nodes }, time) => { await nodes[time % NODES].restart('drain') } }
}

async function broken (proxy, how, ms) {
  proxy[how]()
  await pause(ms)
  proxy.restore()
}

class Node {
  #options
  #child = null
  #isExpected = false
  crashes = 0

  constructor (options) { this.#options = options }

  get url () { return `ws://127.0.0.1:${this.#options.port}/ws` }

  async start () {
    this.#child = child(here('servers/node.js'), [JSON.stringify(this.#options)])
    this.#isExpected = false
    this.#child.process.once('exit', () => { if (!this.#isExpected) this.crashes++ })
    await this.#child.ask()
  }

  async restart (how) {
    this.#isExpected = true
    if (how === 'drain') await this.#child.ask({ drain: true })
    const gone = new Promise((resolve) => { this.#child.process.once('exit', resolve) })
    if (how === 'drain') this.#child.process.disconnect()
    else this.#child.process.kill(how)
    await gone
    await pause(DOWN_MS)
    await this.start()
  }

  async stopFor (ms) {
    this.#child.process.kill('SIGSTOP')
    await pause(ms)
    this.#child.process.kill('SIGCONT')
  }

  async figures () { return await this.#child.ask({ figures: true }) }

  async end () {
    this.#isExpected = true
    if (this.#child.process.exitCode === null && this.#child.process.signalCode === null) await this.#child.end()
  }
}

const chosen = values.phase?.split(',') ?? Object.keys(PHASES)
for (const name of chosen) if (PHASES[name] === undefined) throw new Error(`--phase: of ${Object.keys(PHASES).join(', ')}; got ${name}`)
const results = {}
for (const name of chosen) results[name] = await run(name)
if (values.phase === undefined) report()

async function run (name) {
  const phase = PHASES[name]
  const redis = await RedisServer.start({ fsync: values.fsync })
  const proxy = await Proxy.start(redis.port)
  const nodes = []
  let load = null
  try {
    for (let i = 0; i < NODES; i++) {
      nodes.push(new Node({
        redis: i === 0 ? proxy.url : redis.url,
        port: await freePort(),
        history: { size: 10_000 },
        resume: { secret: 'the same on all nodes, and no secret at all' },
        drain: { spread: 1_000, timeout: 5_000 }
      }))
    }
    await Promise.all(nodes.map((node) => node.start()))
    const { members, rooms, publishers, rate, reconnects, seconds } = values
    load = child(here('load/chaos.js'), [JSON.stringify({ urls: nodes.map(({ url }) => url), members: Number(members), rooms: Number(rooms), publishers: Number(publishers), rate: Number(rate), reconnects: Number(reconnects) })])
    await load.ask()
    await load.ask({ open: true })
    const ms = Math.max(Number(seconds) * 1_000, phase.at === ONCE ? Math.ceil(40_000 / (1 - ONCE[0])) + AFTER_MS : 0)
    const running = load.ask({ run: ms })
    const from = performance.now()
    for (const [time, share] of phase.at.entries()) {
      await pause(Math.max(0, from + share * ms - performance.now()))
      await phase.break({ redis, proxy, nodes }, time)
    }
    await running
    const seen = await load.ask({ end: true })
    const figures = await Promise.all(nodes.map((node) => node.figures()))
    const logged = {}
    for (const figure of figures) for (const [what, count] of Object.entries(figure.logged)) logged[what] = (logged[what] ?? 0) + count
    const result = { ...seen, crashes: nodes.reduce((sum, { crashes }) => sum + crashes, 0), logged, health: figures.flatMap(({ health }) => health.reasons) }
    print(name, ms, result)
    return result
  } finally {
    await load?.end()
    await Promise.all(nodes.map((node) => node.end().catch(() => {})))
    proxy.end()
    await redis.end()
  }
}

function print (name, ms, { published, acknowledged, rejected, rejectedAndHeard, delivered, lost, told, doubled, repeated, disordered, wronglyAcknowledged, waiting, newEpochs, onEpochs, recovered, unrecovered, unasked, reconnects, settled, crashes, logged, health, errors, examples, states, took }) {
  const many = (number) => number.toLocaleString('en')
  console.log(`\n${name}, ${ms / 1_000} s: ${values.members} members in ${values.rooms} rooms, ${values.publishers} publishers, ${many(reconnects)} reconnects`)
  console.log(`  published ${many(published)}: ${many(acknowledged)} acknowledged, others ${JSON.stringify(rejected)}, of which ${rejectedAndHeard} were delivered all the same; until acknowledged, ms: p50 ${took[0].toFixed(1)}, p99 ${took[1].toFixed(1)}, longest ${took[2].toFixed(0)}`)
  console.log(`  delivered ${many(delivered)}; joins again: recovered ${many(recovered)}, not recovered ${unrecovered}, without a word ${unasked}; all up to date ${settled.toFixed(0)} ms after the end`)
  if (newEpochs > 0) console.log(`  logs that began anew at a member: ${newEpochs}`)
  if (onEpochs > 0) console.log(`  logs that went on in another epoch at a member: ${onEpochs}`)
  for (const [what, counts] of Object.entries({ 'clients heard of': errors, 'nodes have logged': logged })) for (const [text, count] of Object.entries(counts)) console.log(`  ${what} ${count} x ${text}`)
  if (health.length > 0) console.log(`  health: ${health.join('; ')}`)
  for (const text of [...examples, ...states]) console.log(`  ${text}`)
  verdict(lost === 0, `lost without a word: ${lost}; lost, and told: ${told}`)
  verdict(doubled === 0 && repeated === 0, `doubled: ${doubled}; sent twice, and dropped by the client: ${repeated}`)
  verdict(disordered === 0 && wronglyAcknowledged === 0, `out of order, or another order elsewhere: ${disordered}; acknowledged with another's place: ${wronglyAcknowledged}`)
  verdict(waiting === 0 && crashes === 0, `members that have not come to the end: ${waiting}; nodes that crashed: ${crashes}`)
}

function report () {
  const { seconds, members, rooms, publishers, rate, fsync } = values
  const rows = Object.entries(results).map(([name, { published, acknowledged, rejected, delivered, lost, told, doubled, repeated, disordered, recovered, unrecovered, unasked }]) => {
    const cells = [published, acknowledged, published - acknowledged, rejected.uncertain ?? 0, delivered, lost, told, doubled + repeated, disordered, recovered, unrecovered + unasked]
    return `| ${name} | ${cells.map((cell) => cell.toLocaleString('en')).join(' | ')} |`
  })
  show('chaos', [
    `${seconds} s each, ${members} members in ${rooms} rooms, ${publishers} publishers, ${rate} publications/s; appendfsync ${fsync}; ${machine()}`,
    '',
    '| | published | acknowledged | not | of these unknown | delivered | lost | lost and told | doubled | out of order | joins recovered | not |',
    `| --- |${' ---: |'.repeat(11)}`,
    ...rows
  ], { options: values, results })
}
