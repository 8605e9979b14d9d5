// A client in each codec of hub.v1 that keeps offering garbage: valid messages, nearly valid ones, damaged ones, random bytes, as
// test/helpers/garbage.ts makes them with fast-check. The server answers each id once, ends no connection but with a code that the
// protocol has for it, does not grow, and has nothing left when they have gone.
//   npm run bench:garbage [-- --seconds 60 --seed 1]
// The server is a process of its own, so that its memory is its own. Bad messages and any rate of them are allowed there: otherwise it would
// hear few of them.
import { fileURLToPath } from 'node:url'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { answer, child, verdict } from './lib.js'

const file = fileURLToPath(import.meta.url)
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    server: { type: 'boolean', default: false }
  }
})
const BATCH = 200
/** Looks at the memory of the server, in this time. */
const LOOKS = 6
const MIB = 2 ** 20
/** What the allocator and V8 may keep for themselves between two looks. */
const RSS_TOLERANCE = 1.1

if (values.server) await serve()
else await main()

async function main () {
  const { default: fc } = await import('fast-check')
  const { garbage } = await import('../build/test/helpers/garbage.js')
  const { GarbageClient } = await import('../build/test/helpers/garbage-client.js')
  const server = child(file, ['--server'], { execArgv: ['--expose-gc'] })
  const { url } = await server.ask()
  const ms = Number(values.seconds) * 1_000
  console.log(`${values.seconds} s of garbage in both codecs, seed ${values.seed}, Node ${process.version}`)

  const clients = ['hub.v1.json', 'hub.v1.msgpack'].map((codec) => ({ codec, client: new GarbageClient(url, codec), messages: garbage(codec) }))
  let seed = Number(values.seed)
  const look = async (name) => {
    const seen = await server.ask({ look: true })
    const { heap, external, rss, ...rest } = seen
    console.log(`${name.padEnd(10)} RSS ${(rss / MIB).toFixed(1)} MiB, live heap ${(heap / MIB).toFixed(1)}, buffers ${(external / MIB).toFixed(1)}; ${JSON.stringify(rest)}`)
    return seen
  }
  const before = await look('before')
  const looks = []
  for (let i = 1; i <= LOOKS; i++) {
    const end = performance.now() + ms / LOOKS
    await Promise.all(clients.map(async ({ client, messages }) => {
      while (performance.now() < end) await client.offer(fc.sample(messages, { seed: seed++, numRuns: BATCH }))
    }))
    looks.push(await look(`${Math.round(i * ms / LOOKS / 1_000)} s`))
  }
  await Promise.all(clients.map(async ({ client }) => { await client.close() }))
  const names = Object.keys(before).filter((name) => !['heap', 'external', 'rss'].includes(name))
  let after = await look('closed')
  for (let waited = 0; waited < 15_000 && names.some((name) => after[name] !== before[name]); waited += 1_000) {
    await pause(1_000)
    after = await look('then')
  }
  for (const { codec, client: { tally, problems } } of clients) {
    console.log(`${codec}: ${JSON.stringify(tally)}`)
    for (const problem of problems) console.log(problem)
    verdict(problems.length === 0, `${codec}: each of ${tally.offered.toLocaleString('en')} messages got the answer that it is due, and no other`)
  }
  verdict(names.every((name) => after[name] === before[name]), `back as before: ${names.join(', ')}`)
  // The first look is of a server that is still compiling.
  const [, second] = looks
  const last = looks.at(-1)
  verdict(last.rss <= second.rss * RSS_TOLERANCE, `RSS after GC: ${(second.rss / MIB).toFixed(1)} MiB after a third of the time, ${(last.rss / MIB).toFixed(1)} at the end`)
  await server.end()
}

async function serve () {
  const { remains, startGarbageServer } = await import('../build/test/helpers/garbage-server.js')
  const { hub, url } = await startGarbageServer()
  answer({
    look: async () => {
      for (let i = 0; i < 4; i++) {
        await pause(50)
        globalThis.gc()
      }
      const { heapUsed, external, rss } = process.memoryUsage()
      return { heap: heapUsed, external, rss, ...remains(hub) }
    }
  })
  process.send({ url })
}
