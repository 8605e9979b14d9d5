// A redis-server of the measurement's own, and the network to it, which can be cut.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Redis } from 'ioredis'

/** USER_HZ of Linux: the unit of /proc/PID/stat. */
const TICK_MS = 10
const START_MS = 30_000
const READY = 'Ready to accept connections'

/** Of all threads of a process, in milliseconds. */
export function cpuOf (pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1].split(' ')
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS
}

export async function freePort () {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

/** redis-server, or what REDIS_SERVER names, on 127.0.0.1. It is ended with this process at the latest. */
export class RedisServer {
  #process = null
  #args
  #dir
  #client = null
  #last = () => {
    this.#process?.kill('SIGKILL')
    rmSync(this.#dir, { recursive: true, force: true })
  }

  /** @param fsync of an append-only file; null: nothing is kept */
  static async start ({ fsync = null } = {}) {
    const server = new RedisServer()
    server.#dir = mkdtempSync(join(tmpdir(), 'hub-bench-redis-'))
    server.port = await freePort()
    const storage = fsync === null ? ['--appendonly', 'no'] : ['--appendonly', 'yes', '--appendfsync', fsync]
    server.#args = ['--port', `${server.port}`, '--bind', '127.0.0.1', '--save', '', '--dir', server.#dir, ...storage]
    process.once('exit', server.#last)
    await server.start()
    return server
  }

  get url () { return `redis://127.0.0.1:${this.port}` }

  /** Again, with what it has kept. */
  async start () {
    const child = spawn(process.env.REDIS_SERVER ?? 'redis-server', this.#args, { stdio: ['ignore', 'pipe', 'inherit'] })
    this.#process = child
    let output = ''
    const late = AbortSignal.timeout(START_MS)
    child.stdout.setEncoding('utf8').on('data', (text) => { if (!output.includes(READY)) output += text })
    await Promise.race([once(child, 'spawn'), once(child, 'error').then(([error]) => { throw error })])
    while (!output.includes(READY)) {
      if (late.aborted || child.exitCode !== null) throw new Error(`redis-server did not start: ${output}`)
      await pause(10)
    }
  }

  async kill () {
    const gone = once(this.#process, 'exit')
    this.#process.kill('SIGKILL')
    await gone
    this.#process = null
  }

  /** Its version, as it says. */
  async version () { return (await this.info('server')).valkey_version ?? (await this.info('server')).redis_version }

  /** Milliseconds of all its threads. */
  get cpu () { return cpuOf(this.#process.pid) }

  /** The lines of a section of INFO. */
  async info (section) {
    this.#client ??= new Redis(this.port, '127.0.0.1')
    const text = await this.#client.info(section)
    return Object.fromEntries(text.split('\r\n').filter((line) => line.includes(':')).map((line) => line.split(/:(.*)/)))
  }

  /** What it has been asked for since it was started: times by command, those within scripts by the name of the script's commands too; bytes that it has sent and had. */
  async asked () {
    const commands = {}
    for (const [name, figures] of Object.entries(await this.info('commandstats'))) {
      const [, calls, usec] = /calls=(\d+),usec=(\d+)/.exec(figures)
      commands[name.replace('cmdstat_', '')] = { calls: Number(calls), us: Number(usec) }
    }
    const { total_net_output_bytes: sent, total_net_input_bytes: had } = await this.info('stats')
    return { commands, sent: Number(sent), had: Number(had), cpu: this.cpu }
  }

  async end () {
    this.#client?.disconnect()
    if (this.#process !== null) await this.kill()
    process.off('exit', this.#last)
    this.#last()
  }
}

/** What was asked for between two answers of `asked`. */
export function difference (before, after) {
  const commands = Object.fromEntries(Object.entries(after.commands)
    .map(([name, { calls, us }]) => [name, { calls: calls - (before.commands[name]?.calls ?? 0), us: us - (before.commands[name]?.us ?? 0) }])
    .filter(([, { calls }]) => calls > 0))
  return { commands, sent: after.sent - before.sent, had: after.had - before.had, cpu: after.cpu - before.cpu }
}

/** The link of one node to Redis. */
export class Proxy {
  #pairs = new Set()
  #server
  /** `open`; `cut`: connections end at once, and nobody gets one; `stalled`: nothing passes, and all of it later, as TCP does over a network that is back. */
  #state = 'open'

  static async start (target) {
    const proxy = new Proxy()
    proxy.#server = createServer((client) => { proxy.#join(client, target) }).listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    proxy.url = `redis://127.0.0.1:${proxy.#server.address().port}`
    return proxy
  }

  cut () {
    this.#state = 'cut'
    for (const pair of this.#pairs) for (const socket of pair) socket.resetAndDestroy().destroy()
  }

  stall () {
    this.#state = 'stalled'
    for (const pair of this.#pairs) for (const socket of pair) socket.pause()
  }

  restore () {
    this.#state = 'open'
    for (const pair of this.#pairs) for (const socket of pair) socket.resume()
  }

  end () {
    this.#server.close()
    this.cut()
  }

  #join (client, target) {
    client.on('error', () => {})
    if (this.#state === 'cut') return client.resetAndDestroy()
    const server = connect({ port: target, host: '127.0.0.1', noDelay: true })
    const pair = [client.setNoDelay(), server]
    this.#pairs.add(pair)
    const pass = (from, to) => {
      from.on('data', (chunk) => {
        if (to.write(chunk)) return
        from.pause()
        to.once('drain', () => { if (this.#state === 'open') from.resume() })
      })
      from.on('error', () => {})
      from.on('close', () => {
        to.destroySoon()
        this.#pairs.delete(pair)
      })
      if (this.#state === 'stalled') from.pause()
    }
    pass(client, server)
    pass(server, client)
  }
}
