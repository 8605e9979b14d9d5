// What connections, members of rooms, rooms and nodes cost Redis and their node: the constants of bench/scale.js.
//   npm run bench:redis [-- --count 20000]
// The ports of one node are put together as the plugin does it, on a redis-server of this script's own. Bytes are the growth of
// `used_memory` (INFO memory) by entry, so that the tables of keys and of expiries are in them; of one key also MEMORY USAGE. CPU time is
// that of the whole server (INFO cpu: sockets and scripts), without what a node without connections takes meanwhile; commands are those
// of INFO commandstats, those of scripts included. Steps are asked for 16 at a time. The clock of the node is moved by hand, so that renewals
// come as often as they do, and sooner. Everything is done once with few before it is measured.
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Redis } from 'ioredis'
import { Keys } from '../build/lib/redis/keys.js'
import { RedisPorts } from '../build/lib/redis/redis-ports.js'
import { TestClock } from '../build/lib/testing/test-clock.js'
import { RedisServer } from '../build/test/helpers/redis-server.js'

const { values } = parseArgs({ options: { count: { type: 'string', default: '20000' } } })
const FEW = 500
const AT_ONCE = 16
const STEP_MS = 250
/** Real milliseconds for what follows from a step of the node's clock, which is a lot of renewals, or little. */
const [LONG_MS, SHORT_MS] = [20, 4]
/** Every entry of the directory is renewed within the first, every room compared with Redis within the second. */
const RENEWAL_MS = 30_000
/** Everybody in a room enters again within this. */
const ROUND_MS = 300_000
const AUDIT_MS = 600_000
const MEMBERS = 100
const MESSAGES = 10
const KEPT = 20
const PAYLOAD = 'x'.repeat(100)
const LISTENER = {
  onRemoved: () => {},
  onLeaseLost: () => {},
  onPresence: () => {},
  onGap: () => {},
  onEpoch: () => {},
  onDropped: () => {},
  onNodeMessage: () => {},
  onPublications: () => ({ sent: 0, queued: 0, dropped: 0, rejected: 0 })
}
const OPTIONS = {
  prefix: 'hub',
  partitions: 16,
  timeout: 60_000,
  stream: { maxLength: 1_000_000, ttl: 300_000 },
  policyOf: (room) => room.startsWith('log') ? { size: 1_000_000, ttl: 300_000, mode: 'log' } : { size: 0, ttl: 0, mode: 'log' },
  presenceInterval: 1_000,
  maxOffline: 100,
  log: { info: () => {}, warn: () => {}, error: (details, message) => { console.error(message, details) } }
}

const ends = []
const server = await RedisServer.start({ teardown: (end) => { ends.push(end) } })
const redis = new Redis(server.url)
const keys = new Keys(OPTIONS.prefix, OPTIONS.partitions, false)
/** CPU of a second of a node without connections, in microseconds. */
let idleMicros = 0
try {
  await main(Number(values.count))
} finally {
  redis.disconnect()
  for (const end of ends) await end()
}

async function main (count) {
  const version = /redis_version:(\S+)/.exec(await redis.info('server'))[1]
  console.log(`Redis ${version}, Node ${process.version}; ${count} of each, ${OPTIONS.partitions} partitions\n`)
  const node = await start()
  for (const [number, print] of [[FEW, () => {}], [count, line]]) {
    const tag = `${number}`.padStart(8, '0')
    await measureIdle(node, print)
    await measureDirectory(node, number, tag, print)
    await measurePresence(node, number, tag, print)
    await measureRooms(node, number, tag, print)
    await measurePublications(node, number, tag, print)
    await measureOffline(node, number, tag, print)
  }
  await node.close()
}

async function start () {
  const clock = new TestClock(Date.now())
  const nodeId = randomUUID()
  const parts = await RedisPorts.create({ ...OPTIONS, url: server.url, client: undefined, nodeId, clock })
  const ports = Object.fromEntries(['broker', 'directory', 'presence', 'offlineStore'].map((name) => [name, parts.ports[name](LISTENER)]))
  const inboxes = parts.ports.inboxes(nodeId, LISTENER)
  await parts.begin(false)
  await ports.broker.subscribe('')
  const pass = async (ms, pause = LONG_MS) => {
    for (let passed = 0; passed < ms; passed += STEP_MS) {
      await clock.advance(STEP_MS)
      await sleep(pause)
    }
  }
  const close = async () => {
    await parts.close(async () => {
      await inboxes.close()
      for (const port of Object.values(ports)) await port.close()
    })
  }
  return { ...ports, clock, nodeId, pass, close }
}

async function measureIdle ({ pass }, print) {
  await pass(RENEWAL_MS)
  idleMicros = 0
  const { commands, micros } = await cost(async () => { await pass(RENEWAL_MS, SHORT_MS) })
  idleMicros = micros / (RENEWAL_MS / 1_000)
  print('commands of a node without connections, per second, beside its blocked read', commands / (RENEWAL_MS / 1_000), 'node.commands')
  print('CPU, us per second', idleMicros, 'node.micros')
}

async function measureDirectory ({ directory, clock, nodeId, pass }, count, tag, print) {
  const entries = numbered(count, (i) => ({
    id: randomUUID(), nodeId, user: `user${tag}-${i}`, device: 'web', ip: '203.0.113.117', subprotocol: 'hub.v1.json', connectedAt: clock.now(), lastSeen: clock.now()
  }))
  const heap = heapUsed(entries)
  const claimed = await cost(async () => { await each(entries, async (entry) => { await directory.claim(entry, 'none') }) })
  print('a connection in the directory: bytes', claimed.bytes / count, 'connection.bytes')
  print('of them MEMORY USAGE of its hash', await redis.memory('USAGE', keys.connection(entries[0].user, entries[0].id)))
  print('and of the index of its user', await redis.memory('USAGE', keys.user(entries[0].user)))
  print('heap of its node, bytes', (heapUsed() - heap) / count, 'connection.heap')
  print('claim: CPU, us', claimed.micros / count, 'connection.claim')
  await pass(RENEWAL_MS)
  const renewed = await cost(async () => { await pass(RENEWAL_MS) }, RENEWAL_MS)
  print('renewal of all, in 30 s: scripts', renewed.scripts)
  print('CPU, us for each', renewed.micros / count, 'connection.renewal')
  const removed = await cost(async () => { await each(entries, async (entry) => { await directory.remove(entry) }) })
  print('removal: CPU, us', removed.micros / count, 'connection.removal')
}

async function measurePresence ({ presence, pass }, count, tag, print) {
  const members = numbered(count, (i) => [`room${tag}-${Math.floor(i / MEMBERS)}`, `user${tag}-${i}`, randomUUID()])
  const heap = heapUsed(members)
  const entered = await cost(async () => { await each(members, async (member) => { await presence.enter(...member) }) })
  print(`a member of a room of ${MEMBERS}: bytes`, entered.bytes / count, 'member.bytes')
  print('heap of its node, bytes', (heapUsed() - heap) / count, 'member.heap')
  print('entering: CPU, us', entered.micros / count, 'member.enter')
  await pass(RENEWAL_MS)
  const renewed = await cost(async () => { await pass(ROUND_MS, SHORT_MS) }, ROUND_MS)
  print('all enter again, in 300 s: scripts', renewed.scripts)
  print('CPU, us for each', renewed.micros / count, 'member.renewal')
  const left = await cost(async () => { await each(members, async (member) => { await presence.leave(...member) }) })
  print('leaving: CPU, us', left.micros / count, 'member.leave')
}

async function measureRooms ({ broker, pass }, count, tag, print) {
  const rooms = numbered(count, (i) => `quiet${tag}-${i}`)
  const heap = heapUsed(rooms)
  const begun = await cost(async () => { await each(rooms, async (room) => { await broker.subscribe(room) }) })
  print('a room: bytes', begun.bytes / count, 'room.bytes')
  print('of them MEMORY USAGE of its hash', await redis.memory('USAGE', keys.meta(rooms[0])))
  print('heap of the broker of a node with a member in it, bytes', (heapUsed() - heap) / count, 'room.heap')
  print('its first member on a node: CPU, us', begun.micros / count, 'room.subscribe')
  const compared = await cost(async () => { await pass(AUDIT_MS, SHORT_MS) }, AUDIT_MS)
  print('comparison with Redis, each 10 min: CPU, us', compared.micros / count, 'room.audit')
  for (const room of rooms) await broker.unsubscribe(room)
}

async function measurePublications ({ broker }, count, tag, print) {
  const log = `log${tag}`
  const batches = Math.ceil(count / AT_ONCE)
  const publish = async (room) => { for (let i = 0; i < batches; i++) await Promise.all(numbered(AT_ONCE, async () => await broker.publish(room, PAYLOAD, {}))) }
  await broker.publish(log, PAYLOAD, {})
  const single = await cost(async () => { for (let i = 0; i < count; i++) await broker.publish('quiet', PAYLOAD, {}) })
  print('an entry of the bus with one publication of 100 B: bytes', single.bytes / count, 'bus.bytes1')
  const batched = await cost(async () => { await publish('quiet') })
  print('one with 16 of them: bytes', batched.bytes / batches, 'bus.bytes16')
  const logged = await cost(async () => { await publish(log) })
  print('one of them in the log of its room: bytes', (logged.bytes - batched.bytes) / count, 'log.bytes')
  const few = numbered(Math.ceil(count / KEPT), (i) => `log${tag}-${i}`)
  const kept = await cost(async () => { await each(few, async (room) => { for (let i = 0; i < KEPT; i++) await broker.publish(room, PAYLOAD, {}) }) })
  print(`a room with a log of ${KEPT}: bytes`, (kept.bytes - few.length * KEPT * single.bytes / count) / few.length, 'log.of20')
  const { epoch, offset } = (await broker.history(log, undefined, 1)).position
  const asked = await cost(async () => { for (let i = 0; i < FEW; i++) await broker.history(log, { epoch, offset: offset - 10 }, 0) })
  print('asking a log for the latest ten: CPU, us', asked.micros / FEW, 'log.question')
}

async function measureOffline ({ offlineStore }, count, tag, print) {
  const users = numbered(Math.ceil(count / MESSAGES), (i) => `user${tag}-${i}`)
  const put = await cost(async () => { await each(users, async (user) => { for (let i = 0; i < MESSAGES; i++) await offlineStore.put(user, PAYLOAD, 86_400_000) }) })
  print(`one of ${MESSAGES} messages of 100 B for a user who is away: bytes`, put.bytes / (users.length * MESSAGES), 'offline.bytes')
  print('keeping it: CPU, us', put.micros / (users.length * MESSAGES), 'offline.put')
  const nobody = numbered(count, (i) => `nobody${tag}-${i}`)
  const listed = await cost(async () => { await each(nobody, async (user) => { await offlineStore.list(user, undefined, 32) }) })
  print('asking for them where there are none: CPU, us', listed.micros / count, 'offline.list')
}

function numbered (count, make) {
  return Array.from({ length: count }, (_, i) => make(i))
}

async function each (list, step) {
  for (let i = 0; i < list.length; i += AT_ONCE) await Promise.all(list.slice(i, i + AT_ONCE).map(step))
}

/** What a step costs Redis. @param idle milliseconds of the node's clock that pass in it, in which it does what it always does */
async function cost (step, idle = 0) {
  const before = await figures()
  await step()
  const after = await figures()
  return {
    bytes: after.memory - before.memory,
    micros: after.micros - before.micros - idle / 1_000 * idleMicros,
    commands: after.commands - before.commands,
    scripts: after.scripts - before.scripts
  }
}

async function figures () {
  const [cpu, stats, memory] = [await redis.info('cpu'), await redis.info('commandstats'), await redis.info('memory')]
  const figure = (text, name) => Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(text)[1])
  const calls = new Map(Array.from(stats.matchAll(/^cmdstat_(\S+):calls=(\d+)/gm), ([, name, count]) => [name, Number(count)]))
  const callsOf = (...names) => names.reduce((sum, name) => sum + (calls.get(name) ?? 0), 0)
  return {
    memory: figure(memory, 'used_memory'),
    micros: 1e6 * (figure(cpu, 'used_cpu_user') + figure(cpu, 'used_cpu_sys')),
    commands: [...calls.values()].reduce((sum, count) => sum + count, 0) - callsOf('info', 'xreadgroup'),
    scripts: callsOf('eval', 'evalsha')
  }
}

/** @param kept what is the caller's own: its strings are made what they are in memory at last */
function heapUsed (kept) {
  JSON.stringify(kept)
  globalThis.gc()
  globalThis.gc()
  return process.memoryUsage().heapUsed
}

function line (text, value, name = '') {
  console.log(`${value.toFixed(value < 100 ? 1 : 0).padStart(10)}  ${text}${name === '' ? '' : ` (${name})`}`)
}
