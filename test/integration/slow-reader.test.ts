import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t, { type Test } from 'tap'
import type { Connection, HubEvents, HubOptions } from '../../lib/index.js'
import { TestApp } from '../helpers/app.js'
import { lives } from '../helpers/lives.js'
import type { RawClient } from '../helpers/raw-client.js'
import { until } from '../helpers/until.js'

const CHUNK = 32 * 1024
/** More than the kernel takes in before anything blocks. */
const TOTAL = 24 * 1024 * 1024
const COUNT = TOTAL / CHUNK

type Overflow = HubEvents['overflow'][1]

/** A numbered message of a fixed size. */
const numbered = (n: number): Buffer => {
  const message = Buffer.alloc(CHUNK, 0x2e)
  message.writeUInt32BE(n)
  return message
}

interface Slow { app: TestApp, client: RawClient, connection: Connection, overflows: Overflow[], results: Record<string, number> }

/** Sends TOTAL bytes, some each turn, to a client that does not read. */
async function flood (t: Test, options: HubOptions, bound = 1024 * 1024): Promise<Slow> {
  const app = await TestApp.start(t, options)
  const overflows: Overflow[] = []
  app.hub.on('overflow', (_, info) => { overflows.push(info) })
  const client = await app.connect()
  client.socket.pause()
  const [connection] = app.connections() as [Connection]
  const results: Record<string, number> = {}
  let most = 0
  for (let n = 0; n < COUNT; n++) {
    const result = connection.send(numbered(n))
    results[result] = (results[result] ?? 0) + 1
    most = Math.max(most, connection.queued.bytes)
    if (n % 4 === 3) await new Promise((resolve) => { setImmediate(resolve) })
  }
  t.ok(most <= bound, `the queue stays within its bytes: ${most}`)
  return { app, client, connection, overflows, results }
}

async function readAll (client: RawClient, last: number): Promise<number[]> {
  client.socket.resume()
  const numbers: number[] = []
  while (numbers.at(-1) !== last) {
    const { data } = await client.message()
    if (data.length !== CHUNK) throw new Error('a message was torn')
    numbers.push(data.readUInt32BE())
  }
  return numbers
}

t.test('drop-oldest: the newest survive, in order, and the counts are exact', async (t) => {
  const { app, client, connection, overflows, results } = await flood(t, { queue: { maxMessages: 64 } })
  const { sent, queued, dropped, rejected } = app.hub.stats().messages
  t.equal(dropped, overflows.reduce((sum, info) => sum + info.dropped, 0), 'each eviction is told')
  t.ok(dropped > 0)
  t.equal(rejected, 0)
  t.equal(queued, results['queued'], 'counted as what send said')
  t.equal(app.hub.stats().queuedBytes, connection.queued.bytes)
  t.ok(connection.queued.messages <= 64)
  t.ok(sent < COUNT)
  const numbers = await readAll(client, COUNT - 1)
  t.equal(numbers.length, COUNT - dropped, 'what was not dropped arrived')
  t.same(numbers, [...numbers].sort((a, b) => a - b), 'in order')
  const gaps = numbers.filter((n, i) => i > 0 && n !== (numbers[i - 1] as number) + 1)
  t.equal(gaps.length, 1, 'one gap: the oldest of the queue went')
  t.equal(app.hub.stats().queuedBytes, 0)
  await app.assertBaseline()
})

t.test('reject-new: the queued ones survive', async (t) => {
  const { app, client, overflows, results } = await flood(t, { queue: { overflow: 'reject-new' } })
  const { dropped, rejected } = app.hub.stats().messages
  t.equal(dropped, 0)
  t.equal(rejected, results['rejected'])
  t.ok(overflows.length > 0)
  t.ok(overflows.every(({ policy, dropped }) => policy === 'reject-new' && dropped === 0))
  const arrived = COUNT - rejected
  const numbers = await readAll(client, arrived - 1)
  t.same(numbers, Array.from({ length: arrived }, (_, i) => i))
  await app.assertBaseline()
})

t.test('disconnect: reported as 4429', async (t) => {
  const { ends, handlers } = lives()
  const { app, client, results } = await flood(t, { ...handlers, queue: { overflow: 'disconnect' } })
  await until(() => ends.length === 1, 'onDisconnect')
  t.match(ends, [{ code: 4429, initiator: 'server' }])
  t.equal(results['rejected'], 1)
  t.ok((results['closed'] ?? 0) > 0)
  client.socket.resume()
  t.equal((await client.ended()).code, null, 'a Close could not overtake what blocks the socket')
  await app.assertBaseline()
})

t.test('a reader that comes back before anything overflows loses nothing', async (t) => {
  const { app, client, overflows } = await flood(t, { queue: { maxMessages: 0, maxBytes: 0 } }, Infinity)
  t.same(overflows, [])
  t.same(await readAll(client, COUNT - 1), Array.from({ length: COUNT }, (_, i) => i))
  t.equal(app.hub.stats().queuedBytes, 0)
  await app.assertBaseline()
})

t.test('memory stays bounded, and others are served', async (t) => {
  const app = await TestApp.start(t)
  const stuck = await Promise.all(Array.from({ length: 5 }, async () => await app.connect()))
  for (const { socket } of stuck) socket.pause()
  const reader = await app.connect()
  const message = Buffer.alloc(CHUNK)
  let read = 0
  for (let n = 0; n < 2 * COUNT; n++) {
    message.writeUInt32BE(n)
    await app.hub.broadcast(message, { except: [...app.hub.user('healthy').connections()] })
    const { data } = await reader.message()
    if (data.readUInt32BE() === n) read++
  }
  t.equal(read, 2 * COUNT, 'who reads gets all')
  t.ok(app.hub.stats().queuedBytes <= 5 * 1024 * 1024, 'five queues of at most 1 MiB')
  for (const connection of app.connections()) t.ok(connection.queued.bytes <= 1024 * 1024)
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  const buffers = process.memoryUsage().arrayBuffers
  t.ok(buffers < 32 * 1024 * 1024, `buffers of this process: ${buffers}`)
  await app.assertBaseline()
})
