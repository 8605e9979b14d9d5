import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import type { Test } from 'tap'

/** `npm run setup:redis` puts one of them there. */
const PROGRAMS = ['redis-server', 'valkey-server']
const START_MS = 10_000
/** What a server says, and what a Sentinel. */
const READY = /Ready to accept connections|\+monitor master/
const TRIES = 5

export interface ServerOptions {
  /** More arguments of redis-server. */
  args?: string[]
  /** Whether it survives a kill: an append-only file, written with each command. Default false: it forgets all. */
  durable?: boolean
  /** Default: the environment's REDIS_SERVER, else redis-server or valkey-server from the PATH. */
  program?: string
  /** Lines of a file of settings, which a Sentinel needs: it writes into it. */
  settings?: string[]
}

/** A Redis server of the test's own, on 127.0.0.1. The test ends it. */
export class RedisServer {
  readonly port: number
  readonly #program: string
  readonly #args: readonly string[]
  #process: ChildProcess | null = null

  private constructor (port: number, program: string, args: readonly string[]) {
    this.port = port
    this.#program = program
    this.#args = args
  }

  static async start (t: Test, { args = [], durable = false, program = findProgram(), settings = [] }: ServerOptions = {}): Promise<RedisServer> {
    const dir = mkdtempSync(`${tmpdir()}/fastify-hub-redis-`)
    const file = `${dir}/settings.conf`
    writeFileSync(file, settings.join('\n'))
    const storage = durable ? ['--appendonly', 'yes', '--appendfsync', 'always'] : ['--appendonly', 'no']
    let server: RedisServer | undefined
    t.teardown(async () => {
      await server?.stop('SIGKILL')
      rmSync(dir, { recursive: true, force: true })
    })
    for (let tries = 1; ; tries++) {
      const port = await freePort()
      server = new RedisServer(port, program, [file, '--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--dir', dir, '--daemonize', 'no', ...storage, ...args])
      try {
        await server.start()
        return server
      } catch (error) {
        // Somebody else was faster with the port.
        if (tries === TRIES) throw error
      }
    }
  }

  get url (): string { return `redis://127.0.0.1:${this.port}` }

  /** Starts it again, with what it has kept. */
  async start (): Promise<void> {
    const child = spawn(this.#program, this.#args, { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#process = child
    let output = ''
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => { reject(new Error(`${this.#program} did not start: ${output}`)) }, START_MS)
      const settle = (fn: () => void): void => {
        clearTimeout(timer)
        fn()
      }
      for (const stream of [child.stdout, child.stderr]) {
        stream?.setEncoding('utf8').on('data', (data: string) => {
          output += data
          if (READY.test(output)) settle(resolve)
        })
      }
      child.once('error', (error) => { settle(() => { reject(error) }) })
      child.once('exit', () => { settle(() => { reject(new Error(`${this.#program} ended: ${output}`)) }) })
    })
  }

  /** Ends it; SIGKILL is a crash. */
  async stop (signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const child = this.#process
    this.#process = null
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill(signal)
    await ended
  }

  /** SIGSTOP: connections stay open, and nothing is answered. */
  signal (signal: 'SIGSTOP' | 'SIGCONT'): void { this.#process?.kill(signal) }
}

/** A Redis for tests that do not stop it: that of REDIS_URL, else one of the test's own. */
export async function redisUrl (t: Test): Promise<string> {
  return process.env['REDIS_URL'] ?? (await RedisServer.start(t)).url
}

/** A prefix of keys that nobody else has. */
export function ownPrefix (): string { return `test-${randomBytes(8).toString('hex')}` }

function findProgram (): string {
  const given = process.env['REDIS_SERVER']
  const found = given ?? PROGRAMS.find((name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0)
  if (found === undefined) throw new Error('this test needs redis-server (7.0 or later) or valkey-server in the PATH: npm run setup:redis')
  return found
}

/** A port that was free a moment ago. */
export async function freePort (): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
