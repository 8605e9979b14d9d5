/*
 * The chat (../chat/server.ts) on three nodes: a redis-server, three processes, and nginx in front of them, which share one
 * address. `npm run start:cluster`, then open the address in two tabs, which are then on two nodes. To see what
 * happens to the people on a node that dies, end one with `kill -9` and the pid that is printed. Ctrl+C ends them all.
 *
 * It needs redis-server (or valkey-server) and nginx: REDIS_SERVER and NGINX name others than those in the PATH. All of it
 * listens on 127.0.0.1, nginx on PORT (3000; 0 is any), and keeps what it writes in a temporary folder.
 */
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { listenProblem, portOf } from '../chat/port.js'
import { Child, findProgram, Problem } from './child.js'

const HOST = '127.0.0.1'
const NODES = 3
const TRIES = 5
/** Milliseconds: a node drains for 15 s at most (`drain.timeout`); the others have nothing to do when it is their turn. */
const NODE_PATIENCE = 20_000
const PATIENCE = 5_000
/** Milliseconds after which another Ctrl+C is one. npm passes on the first, which the terminal has sent to all. */
const AGAIN = 1_000

const nodes: Child[] = []
/** In the order in which they are started. */
const servers: Child[] = []
let folder: string | null = null
let isEnding = false
let askedAt = Infinity

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    // Whoever asks twice is in a hurry.
    if (performance.now() - askedAt > AGAIN) process.exit(1)
    askedAt = Math.min(askedAt, performance.now())
    end(0)
  })
}
process.on('exit', () => {
  for (const child of [...nodes, ...servers]) child.kill()
  if (folder !== null) rmSync(folder, { recursive: true, force: true })
})

try {
  await start()
} catch (error) {
  // What is ended while it starts has no problem.
  if (!isEnding) console.error(error instanceof Problem ? error.message : error)
  end(1)
}

async function start (): Promise<void> {
  const redis = findProgram(orThis('REDIS_SERVER', ['redis-server', 'valkey-server']), 'redis-server')
  const nginx = findProgram(orThis('NGINX', ['nginx']), 'nginx')
  const port = await choosePort()
  folder = mkdtempSync(`${tmpdir()}/fastify-hub-cluster-`)
  // Started by root, nginx does its work as another user.
  chmodSync(folder, 0o711)

  const redisPort = await startRedis(redis, folder)
  const addresses = await Promise.all(Array.from({ length: NODES }, async (_, i) => await startNode(i + 1, redisPort)))
  const address = await startNginx(nginx, folder, port, addresses)
  for (const [i, { pid }] of nodes.entries()) console.log(`node ${i + 1} on ${addresses[i]}, pid ${pid}`)
  console.log(`Chat on ${address}, on ${NODES} nodes - open it in two tabs; Ctrl+C ends it.`)
}

/** A program that the environment names in place of others. */
function orThis (variable: string, names: readonly string[]): readonly string[] {
  const given = process.env[variable]
  return given ? [given] : names
}

/** @returns its port */
async function startRedis (program: string, dir: string): Promise<number> {
  for (let tries = 1; ; tries++) {
    const port = await freePort(0)
    const args = ['--port', `${port}`, '--bind', HOST, '--dir', dir, '--daemonize', 'no', '--save', '', '--appendonly', 'no', '--maxmemory-policy', 'noeviction']
    const child = begin(servers, program, args, { name: 'redis', ready: /Ready to accept connections/, isShown: () => false })
    try {
      await child.ready
      return port
    } catch (error) {
      // Somebody else was faster with the port.
      if (tries === TRIES || isEnding) throw error
    }
  }
}

/** @returns its host and port */
async function startNode (number: number, redisPort: number): Promise<string> {
  const child = begin(nodes, process.execPath, [fileURLToPath(new URL('../chat/server.js', import.meta.url))], {
    name: `node ${number}`,
    env: { HOST, PORT: '0', REDIS_URL: `redis://${HOST}:${redisPort}`, TRUST_PROXY: HOST },
    ready: /^Chat on http:\/\/[\d.:]+/,
    isShown: (line) => !line.startsWith('Chat on ')
  })
  return (await child.ready).replace(/^.*\//, '')
}

/** @returns the address of all */
async function startNginx (program: string, dir: string, port: number, addresses: readonly string[]): Promise<string> {
  const config = readFileSync(new URL('nginx.conf', import.meta.url), 'utf8')
  // There, 3000 is nginx, and 3001 and on are the nodes.
  const ours = [`${HOST}:${port}`, ...addresses]
  writeFileSync(`${dir}/nginx.conf`, config.replace(/127\.0\.0\.1:300(\d)\b/g, (_, i: string) => ours[Number(i)] ?? ''))
  const child = begin(servers, program, ['-p', dir, '-c', 'nginx.conf', '-e', 'stderr', '-g', 'daemon off;'], { name: 'nginx' })
  // It does not tell when it has started.
  let isOver = false
  child.ended.then(() => { isOver = true }, () => { isOver = true })
  while (!await fetch(`http://${HOST}:${port}/health`).then(({ ok }) => ok, () => false)) {
    if (isOver) await child.ready
    await sleep(50)
  }
  return `http://${HOST}:${port}`
}

function begin (list: Child[], program: string, args: readonly string[], options: Omit<ConstructorParameters<typeof Child>[2], 'onLost'>): Child {
  if (isEnding) throw new Problem('it is ended already')
  const child = new Child(program, args, {
    ...options,
    onLost: (why) => {
      console.error(why)
      lost(child)
    }
  })
  list.push(child)
  return child
}

/** nginx sends the people of a node that has ended to the others, as long as there are others. */
function lost (child: Child): void {
  const i = nodes.indexOf(child)
  if (i >= 0) nodes.splice(i, 1)
  if (i < 0 || nodes.length === 0) end(1)
}

/** The nodes first, so that nginx can pass on what they say to their clients. */
function end (code: number): void {
  if (isEnding) return
  isEnding = true
  Promise.all(nodes.map(async (node) => { await node.end(NODE_PATIENCE) }))
    .then(async () => { for (const server of [...servers].reverse()) await server.end(PATIENCE) })
    .catch((error: unknown) => { console.error(error) })
    .finally(() => { process.exit(code) })
}

async function choosePort (): Promise<number> {
  let port = 0
  try {
    port = portOf(process.env['PORT'])
    return await freePort(port)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw new Problem((error as Error).message)
    throw new Problem(listenProblem(error, HOST, port, 'npm run start:cluster'))
  }
}

/** That one, or for 0 any that is free. @throws what `listen` does (as a rejection) */
async function freePort (port: number): Promise<number> {
  const server = createServer().listen(port, HOST)
  await once(server, 'listening')
  const { port: free } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return free
}
