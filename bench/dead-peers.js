// How late a dead peer is noticed: a client whose process is stopped (SIGSTOP), and one whose packets vanish (the network goes
// down under it). Each must be closed within heartbeat.timeout and one tick of the timing wheel, 100 ms.
//   npm run bench:dead [-- --runs 50]
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { answer, child, inOwnNetwork, quantile, verdict } from './lib.js'

const file = fileURLToPath(import.meta.url)
const { values } = parseArgs({ options: { runs: { type: 'string', default: '50' }, server: { type: 'boolean' }, client: { type: 'string' } } })
const HEARTBEAT = { interval: 400, timeout: 1_000 }
const TICK = 100

if (values.server) await serve()
else if (values.client !== undefined) await attend(Number(values.client))
else if (!await inOwnNetwork(file)) await main()

async function main () {
  const runs = Number(values.runs)
  console.log(`heartbeat ${JSON.stringify(HEARTBEAT)}, ${runs} runs each, Node ${process.version}`)
  const server = child(file, ['--server'])
  const { port } = await server.ask()
  const ways = {
    stopped: { die: (client) => { client.process.kill('SIGSTOP') }, bury: (client) => { client.process.kill('SIGKILL') } },
    vanished: {
      die: () => { execFileSync('ip', ['link', 'set', 'lo', 'down']) },
      bury: (client) => {
        execFileSync('ip', ['link', 'set', 'lo', 'up'])
        client.process.kill('SIGKILL')
      }
    }
  }
  for (const [name, { die, bury }] of Object.entries(ways)) {
    const delays = []
    const codes = new Set()
    for (let run = 0; run < runs; run++) {
      const client = child(file, ['--client', String(port)])
      await client.ask()
      // Somewhere in the rhythm of the pings, not always at its beginning.
      await new Promise((resolve) => { setTimeout(resolve, 50 + Math.random() * 500) })
      die(client)
      const { silent, code } = await server.ask({ wait: true })
      bury(client)
      delays.push(silent)
      codes.add(code)
    }
    const late = delays.map((silent) => silent - HEARTBEAT.timeout)
    console.log(`${name}: closed with ${[...codes].join()} after ${quantile(delays, 0.5)} ms of silence in the middle, at least ${Math.min(...delays)}, at most ${Math.max(...delays)}`)
    verdict(late.every((ms) => ms >= 0 && ms <= TICK), `${late.filter((ms) => ms <= TICK).length} of ${runs} within ${HEARTBEAT.timeout} + ${TICK} ms`)
  }
  await server.end()
}

async function attend (port) {
  const { WebSocket } = await import('ws')
  const ws = new WebSocket(`ws://127.0.0.1:${port}/ws`)
  ws.on('error', () => {})
  ws.on('open', () => { process.send({}) })
}

async function serve () {
  const { default: Fastify } = await import('fastify')
  const { default: fastifyHub } = await import('../dist/lib/index.js')
  const app = Fastify()
  let closed = null
  await app.register(fastifyHub, {
    heartbeat: HEARTBEAT,
    onDisconnect: (connection, { code }) => { closed({ silent: Date.now() - connection.lastSeen, code }) }
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  answer({ wait: async () => await new Promise((resolve) => { closed = resolve }) })
  process.send({ port: app.server.address().port })
}
