// One measurement: a server and the load, each a process of its own, and what the kernel says about the server.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { child } from './lib.js'

const here = (path) => new URL(path, import.meta.url).pathname
/** USER_HZ of Linux: the unit of /proc/PID/stat. */
const TICK_MS = 10
/** Of Debian's packages golang-go and golang-github-gorilla-websocket-dev. */
const GOCODE = '/usr/share/gocode'

const SERVERS = {
  hub: { name: 'fastify-hub', program: () => node('hub.js') },
  ws: { name: 'ws loop', program: () => node('ws.js') },
  'fastify-websocket': { name: '@fastify/websocket loop', program: () => node('fastify-websocket.js') },
  'socket.io': { name: 'Socket.IO', program: () => node('socket.io.js'), speak: 'socket.io' },
  uws: { name: 'uWebSockets', program: () => node('uws.js') },
  go: { name: 'Go hub (gorilla)', program: goHub }
}

export const nameOf = (id) => SERVERS[id].name

function node (file) {
  return [process.execPath, ['--expose-gc', here(`servers/${file}`)]]
}

let built = null
function goHub () {
  if (built === null) {
    if (!existsSync(`${GOCODE}/src/github.com/gorilla/websocket`)) throw new Error('apt-get install golang-go golang-github-gorilla-websocket-dev')
    built = join(mkdtempSync(join(tmpdir(), 'hub-bench-')), 'gohub')
    execFileSync('go', ['build', '-o', built, '.'], { cwd: here('servers/gohub'), env: { ...process.env, GO111MODULE: 'off', GOPATH: GOCODE } })
  }
  return [built, []]
}

class Server {
  #process
  #lines

  static async start (id, flags) {
    const server = new Server()
    const [command, args] = SERVERS[id].program()
    server.#process = spawn(command, [...args, ...flags], { stdio: ['pipe', 'pipe', 'inherit'] })
    await Promise.race([once(server.#process, 'spawn'), once(server.#process, 'error').then(([error]) => { throw error })])
    server.#lines = createInterface({ input: server.#process.stdout })[Symbol.asyncIterator]()
    server.port = (await server.#answer()).port
    return server
  }

  async ask (task) {
    this.#process.stdin.write(`${task}\n`)
    return await this.#answer()
  }

  async #answer () {
    const { value, done } = await this.#lines.next()
    if (done) throw new Error('the server has ended')
    return JSON.parse(value)
  }

  /** Of all its threads, in milliseconds. */
  get cpu () {
    const fields = readFileSync(`/proc/${this.#process.pid}/stat`, 'latin1').split(') ')[1].split(' ')
    return { user: Number(fields[11]) * TICK_MS, system: Number(fields[12]) * TICK_MS }
  }

  /** Bytes. */
  get rss () { return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${this.#process.pid}/status`, 'latin1'))[1]) * 1_024 }

  async end () {
    if (this.#process.exitCode !== null) return
    const gone = once(this.#process, 'exit')
    this.#process.stdin.end()
    await gone
  }
}

/** @returns what was measured; figures without a meaning here are absent */
export async function measure (workload, id, { ms, warmUp }) {
  const server = await Server.start(id, workload.flags ?? [])
  const load = child(here('load/main.js'), [])
  const speak = SERVERS[id].speak ?? 'plain'
  const open = async (options) => await load.ask({ open: { to: server.port, speak, ...options } })
  try {
    if (workload.storm !== undefined) return await storm(workload.storm, server, load, open)
    if (workload.idle !== undefined) return await idle(workload.idle, server, open)
    await open(workload.open)
    await load.ask({ run: { ...workload.run, ms: warmUp } })
    let turn = null
    if (workload.settle !== undefined) {
      await pause(workload.settle)
      // Not while the cost is measured: watching costs more.
      await server.ask('watch')
      await pause(workload.ms)
      turn = (await server.ask('delay')).max
    }
    if (workload.watch === true) await server.ask('watch')
    const before = server.cpu
    const seen = await load.ask({ run: { ...workload.run, ms: workload.ms ?? ms } })
    const after = server.cpu
    const user = after.user - before.user
    const system = after.system - before.system
    const each = seen.delivered === 0 ? {} : { user: 1_000 * user / seen.delivered, system: 1_000 * system / seen.delivered, cpu: 1_000 * (user + system) / seen.delivered }
    return {
      ...seen,
      ...each,
      share: (user + system) / seen.ms,
      perSecond: 1_000 * seen.delivered / seen.ms,
      rss: server.rss,
      ...workload.watch === true ? { turn: (await server.ask('delay')).max } : turn !== null && { turn }
    }
  } finally {
    await load.end()
    await server.end()
  }
}

async function storm (count, server, load, open) {
  await open({ count: 1_000 })
  await load.ask({ close: {} })
  const before = server.cpu
  const opened = await open({ count })
  const after = server.cpu
  const user = 1_000 * (after.user - before.user) / count
  const system = 1_000 * (after.system - before.system) / count
  return { ...opened, user, system, cpu: user + system, perSecond: 1_000 * count / opened.ms, share: (user + system) * count / 1_000 / opened.ms, rss: server.rss }
}

async function idle (count, server, open) {
  await open({ count: 500 })
  await server.ask('gc')
  const before = server.rss
  await open({ count: count - 500 })
  await server.ask('gc')
  await pause(1_000)
  await server.ask('gc')
  const { rss } = server
  return { rss, each: (rss - before) / (count - 500) }
}
