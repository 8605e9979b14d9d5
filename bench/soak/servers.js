// The Redis of the soak: a server that keeps an append-only file, and where it has one, a replica that can take over.
import { mkdtempSync, readdirSync, rmSync, statSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { RedisServer } from '../../build/test/helpers/redis-server.js'
import { TcpProxy } from '../../build/test/helpers/tcp-proxy.js'

/** How often the size of an append-only file is noted, and for how long: a crash of the machine takes what was not on disk. */
const NOTE_MS = 50
const NOTES = 120
const LOOK_MS = 20
/** What was lost of before has what was published before anything broke. */
const BEGUN_MS = 2_000

export class Servers {
  /** When data was lost, in milliseconds of the run, and how. */
  losses = []
  /** Whether all was. */
  isFlushed = false
  #t
  #variant
  #now
  #all = []
  #master = null
  /** Of a replica: the way of all nodes to the master, and of the replica to it. */
  #front = null
  #replication = null
  #steps = Promise.resolve()

  static async start (t, variant, now) {
    const servers = new Servers()
    servers.#t = t
    servers.#variant = variant
    servers.#now = now
    servers.#master = await servers.#add()
    if (variant.hasReplica) {
      servers.#front = await TcpProxy.start(t, () => servers.#master.server.port)
      servers.#replication = await TcpProxy.start(t, () => servers.#master.server.port)
      await servers.#follow(await servers.#add())
    }
    return servers
  }

  /** Where nodes find it. */
  get port () { return this.#front?.port ?? this.#master.server.port }

  /** Speaks with the master, beside the nodes. */
  get redis () { return this.#master.redis }

  /** One thing at a time happens to servers. */
  async #step (step) {
    this.#steps = this.#steps.then(step)
    await this.#steps
  }

  /** It is killed, and started again. @param age milliseconds: what was written later was not on disk, if so little is promised; Infinity: nothing was */
  async crash (downMs, age) {
    await this.#step(async () => {
      const { server, sizes, dir } = this.#master
      const size = sizes.at(-1 - Math.round(age / NOTE_MS)) ?? sizes[0]
      await server.stop('SIGKILL')
      if (age === Infinity) return await this.#startEmpty(downMs)
      if (this.#variant.fsync === 'everysec') {
        // Also without this: what the disk was too slow for waits in the server.
        this.losses.push({ at: this.#now(), what: `the latest ${age} ms` })
        if (this.#now() - age < BEGUN_MS) this.isFlushed = true
        const file = fileOf(dir)
        if (size?.file === file && size.bytes < statSync(file).size) truncateSync(file, size.bytes)
      }
      await pause(downMs)
      await server.start()
    })
  }

  async #startEmpty (downMs) {
    const { server, sizes, dir } = this.#master
    this.losses.push({ at: this.#now(), what: 'started empty' })
    this.isFlushed = true
    rmSync(join(dir, 'appendonlydir'), { recursive: true, force: true })
    sizes.length = 0
    await pause(downMs)
    await server.start()
  }

  async stall (ms) {
    await this.#step(async () => {
      const { server } = this.#master
      server.signal('SIGSTOP')
      await pause(ms)
      server.signal('SIGCONT')
    })
  }

  /** The replica takes over, without what was written in the last milliseconds; then the other one follows it. */
  async failOver (lagMs, isHalfOpen) {
    await this.#step(async () => {
      const old = this.#master
      const next = this.#all.find((one) => one !== old)
      this.#replication.hold('down')
      await pause(lagMs)
      if (isHalfOpen) this.#front.halfOpen()
      await old.server.stop('SIGKILL')
      this.#replication.cut()
      await next.redis.replicaof('NO', 'ONE')
      this.#master = next
      this.losses.push({ at: this.#now(), what: `the replica took over, ${lagMs} ms behind` })
      this.#front.cut()
      await old.server.start()
      await this.#follow(old)
    })
  }

  async flush () {
    this.losses.push({ at: this.#now(), what: 'FLUSHALL' })
    this.isFlushed = true
    await this.redis.flushall()
  }

  /** The position of a room has come to its end, though nodes know it. */
  async forget (room, key) {
    this.losses.push({ at: this.#now(), what: `forgot ${room}` })
    await this.redis.del(key)
  }

  async setMemory (bytes) { for (const { redis } of this.#all) await redis.config('SET', 'maxmemory', `${bytes}`) }

  async #add () {
    const dir = mkdtempSync(join(tmpdir(), 'hub-soak-'))
    this.#t.teardown(() => { rmSync(dir, { recursive: true, force: true }) })
    const server = await RedisServer.start(this.#t, {
      args: ['--dir', dir, '--appendonly', 'yes', '--appendfsync', this.#variant.fsync, '--repl-diskless-sync-delay', '0', '--stream-node-max-entries', '4']
    })
    const redis = new Redis(server.url, { retryStrategy: () => 50, maxRetriesPerRequest: null })
    redis.on('error', () => {})
    const sizes = []
    const notes = setInterval(() => {
      const file = fileOf(dir)
      if (file !== null) sizes.push({ file, bytes: statSync(file).size })
      if (sizes.length > NOTES) sizes.shift()
    }, NOTE_MS)
    this.#t.teardown(() => {
      clearInterval(notes)
      redis.disconnect()
    })
    const one = { server, redis, dir, sizes }
    this.#all.push(one)
    return one
  }

  async #follow ({ redis }) {
    await redis.replicaof('127.0.0.1', this.#replication.port)
    while (!/master_link_status:up/.test(await redis.info('replication'))) await pause(LOOK_MS)
  }
}

/** The file that commands are appended to; null: there is none yet. */
function fileOf (dir) {
  const folder = join(dir, 'appendonlydir')
  try {
    const files = readdirSync(folder).filter((name) => name.endsWith('.incr.aof'))
    return files.length === 0 ? null : join(folder, files.toSorted((a, b) => Number(a.split('.')[2]) - Number(b.split('.')[2])).at(-1))
  } catch {
    return null
  }
}
