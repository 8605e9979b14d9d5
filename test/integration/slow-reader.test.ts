import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t, { type Test } from 'tap'
import type { Connection, HubEvents, HubOptions } from '../../lib/index.js'
import { TestApp } from '../helpers/app.js'
import { lives } from '../helpers/lives.js'
import type { RawClient } from '../helpers/raw-client.js'
import { until } from '../helpers/until.js'

const CHUNK = 32 * 1024
const MIB = 1024 * 1024
/** No kernel takes in that much: what has not blocked by then never will. */
const ENDLESS = 1024 * MIB / CHUNK

type Overflow = HubEvents['overflow'][1]

/** A numbered message of a fixed size. */
const numbered = (n: number): Buffer => {
  const message = Buffer.alloc(CHUNK, 0x2e)
  message.writeUInt32BE(n)
  return message
}

interface Slow { app: TestApp, client: RawClient, connection: Connection, overflows: Overflow[], count: number, accepted: number[], results: Record<string, number> }

/**
 * Sends to a client that does not read, some messages each turn, until it is enough: how much the kernel takes in before
 * anything blocks differs.
 */
async function flood (t: Test, options: HubOptions, enough: (slow: Slow) => boolean, bound = MIB): Promise<Slow> {
  const app = await TestApp.start(t, options)
  const overflows: Overflow[] = []
  app.hub.on('overflow', (_, info) => { overflows.push(info) })
  const client = await app.connect()
  client.socket.pause()
  const [connection] = app.connections() as [Connection]
  const results: Record<string, number> = {}
  const slow = { app, client, connection, overflows, count: 0, accepted: [] as number[], results }
  let most = 0
  while (!enough(slow)) {
    if (slow.count === ENDLESS) throw new Error(`never enough: ${JSON.stringify(results)}`)
    const n = slow.count++
    const result = connection.send(numbered(n))
    if (result === 'sent' || result === 'queued') slow.accepted.push(n)
    results[result] = (results[result] ?? 0) + 1
    most = Math.max(most, connection.queued.bytes)
    if (slow.count % 4 === 0) await turn()
  }
  t.ok(most <= bound, `the queue stays within its bytes: ${most}`)
  return slow
}

const turn = async (): Promise<void> => { await new Promise((resolve) => { setImmediate(resolve) }) }

const overflown = ({ overflows }: Slow): boolean => overflows.length >= 100

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

t.test('31: never reads, drop-oldest: the newest survive, in order, and the counts are exact', async (t) => {
  const { app, client, connection, overflows, count, results } = await flood(t, { queue: { maxMessages: 64 } }, overflown)
  const { sent, queued, dropped, rejected } = app.hub.stats().messages
  t.equal(dropped, overflows.reduce((sum, info) => sum + info.dropped, 0), 'each eviction is told')
  t.ok(dropped > 0)
  t.equal(rejected, 0)
  t.equal(queued, results['queued'], 'counted as what send said')
  t.equal(app.hub.stats().queuedBytes, connection.queued.bytes)
  const kept = connection.queued.messages
  t.ok(kept > 0 && kept <= 64)
  t.ok(sent < count)
  const numbers = await readAll(client, count - 1)
  t.equal(numbers.length, count - dropped, 'what was not dropped arrived')
  t.same(numbers, [...numbers].sort((a, b) => a - b), 'in order')
  t.same(numbers.slice(-kept), Array.from({ length: kept }, (_, i) => count - kept + i), 'the oldest of the queue went')
  t.equal(app.hub.stats().queuedBytes, 0)
  await app.assertBaseline()
})

t.test('32: reject-new: the queued ones survive', async (t) => {
  const { app, client, overflows, accepted, results } = await flood(t, { queue: { overflow: 'reject-new' } }, overflown)
  const { dropped, rejected } = app.hub.stats().messages
  t.equal(dropped, 0)
  t.equal(rejected, results['rejected'])
  t.ok(overflows.every(({ policy, dropped }) => policy === 'reject-new' && dropped === 0))
  t.same(await readAll(client, accepted.at(-1) as number), accepted)
  await app.assertBaseline()
})

t.test('33: disconnect: reported as 4429', async (t) => {
  const { ends, handlers } = lives()
  const { app, client, results } = await flood(t, { ...handlers, queue: { overflow: 'disconnect' } }, ({ results }) => (results['closed'] ?? 0) >= 10)
  await until(() => ends.length === 1, 'onDisconnect')
  t.match(ends, [{ code: 4429, initiator: 'server' }])
  t.equal(results['rejected'], 1)
  client.socket.resume()
  t.equal((await client.ended()).code, null, 'a Close could not overtake what blocks the socket')
  await app.assertBaseline()
})

t.test('35: a reader that comes back before anything overflows loses nothing', async (t) => {
  const { app, client, overflows, count } = await flood(t, { queue: { maxMessages: 0, maxBytes: 0 } }, ({ connection }) => connection.queued.messages >= 500, Infinity)
  t.same(overflows, [])
  t.same(await readAll(client, count - 1), Array.from({ length: count }, (_, i) => i))
  t.equal(app.hub.stats().queuedBytes, 0)
  await app.assertBaseline()
})

t.test('memory stays bounded, and others are served', async (t) => {
  const app = await TestApp.start(t)
  const full = new Set<Connection>()
  app.hub.on('overflow', (connection) => { full.add(connection) })
  const stuck = await Promise.all(Array.from({ length: 5 }, async () => await app.connect()))
  for (const { socket } of stuck) socket.pause()
  const reader = await app.connect()
  let sent = 0
  const broadcast = async (): Promise<void> => {
    if (sent === ENDLESS) throw new Error('nothing overflows')
    await app.hub.broadcast(numbered(sent), { except: [...app.hub.user('healthy').connections()] })
    const { data } = await reader.message()
    if (data.readUInt32BE() !== sent++) throw new Error('who reads missed a message')
  }
  while (full.size < stuck.length) await broadcast()
  // From here on every message is one too many, five times: 160 MiB.
  for (let i = 0; i < 1_000; i++) await broadcast()
  t.equal(full.size, stuck.length, 'who reads gets all')
  t.ok(app.hub.stats().queuedBytes <= 5 * MIB, 'five queues of at most 1 MiB')
  for (const connection of app.connections()) t.ok(connection.queued.bytes <= MIB)
  setFlagsFromString('--expose-gc')
  const collectGarbage = runInNewContext('gc') as () => void
  const buffers = (): number => process.memoryUsage().arrayBuffers
  await until(() => {
    collectGarbage()
    return buffers() < 32 * MIB
  }, () => `buffers of this process to shrink: ${buffers()}`)
  await app.assertBaseline()
})

t.test('34: reads a byte now and then: ended by the write deadline', async (t) => {
  const { ends, handlers } = lives()
  const app = await TestApp.start(t, { ...handlers, deadlines: { write: 500 }, queue: { maxMessages: 0, maxBytes: 0 } })
  const client = await app.connect()
  client.socket.pause()
  const trickle = setInterval(() => { client.socket.read(1) }, 50)
  t.teardown(() => { clearInterval(trickle) })
  const [connection] = app.connections() as [Connection]
  while (connection.queued.messages === 0) {
    connection.send(numbered(0))
    await turn()
  }
  await until(() => ends.length === 1, 'onDisconnect')
  t.match(ends, [{ code: 4429, reason: 'slow reader', initiator: 'server' }])
  t.equal(app.hub.stats().queuedBytes, 0)
  clearInterval(trickle)
  client.destroy()
  await app.assertBaseline()
})

t.test('37: one message larger than the queue is rejected at once, slow reader or not', async (t) => {
  const app = await TestApp.start(t, { queue: { maxBytes: 100_000 } })
  const client = await app.connect()
  const [connection] = app.connections() as [Connection]
  t.equal(connection.send('x'.repeat(200_000)), 'rejected')
  t.match(await app.hub.broadcast(Buffer.alloc(200_000)), { sent: 0, queued: 0, dropped: 0, rejected: 2 })
  t.equal(connection.send('fits'), 'sent')
  t.equal(await client.text(), 'fits')
  t.equal(connection.queued.messages, 0)
  await app.assertBaseline()
})

t.test('the queues of the process share one budget: the fattest gives way', async (t) => {
  const told: string[] = []
  const app = await TestApp.start(t, { queue: { maxMessages: 0, maxBytes: 0, maxTotalBytes: 2 * MIB }, deadlines: { write: 0 } })
  app.hub.on('overflow', ({ id }, { policy, dropped }) => { told.push(`${id} ${policy} ${dropped}`) })
  const clients = [await app.connect(), await app.connect()]
  const [fat, thin] = app.connections() as [Connection, Connection]
  for (const { socket } of clients) socket.pause()
  for (const [connection, messages] of [[fat, 50], [thin, 5]] as const) {
    for (let i = 0; connection.queued.messages < messages; i++) {
      if (i === ENDLESS) throw new Error('never blocked')
      connection.send(numbered(i))
      if (i % 4 === 0) await turn()
    }
  }
  t.same(told, [], 'there is room for both')
  const before = fat.queued.messages
  for (let i = 0; i < 20; i++) t.equal(thin.send(numbered(i)), 'queued')
  await turn()
  t.ok(fat.queued.messages < before, 'the fat one gave way')
  t.equal(thin.queued.messages, 25, 'and the thin one lost nothing')
  t.ok(told.length > 0 && told.every((line) => line.startsWith(`${fat.id} drop-oldest`)))
  t.equal(app.hub.stats().messages.dropped, before - fat.queued.messages)
  t.match(app.hub.health(), { status: 'degraded' })
  for (const client of clients) client.destroy()
  await app.assertBaseline()
})
