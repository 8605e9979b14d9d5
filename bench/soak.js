// The brokers of three nodes while everything breaks: is each room one order on all nodes, nothing twice, and nothing lost without a word?
//   npm run bench:soak [-- --seeds 10 --seed 1 --seconds 10 --variant replica]
// A real redis-server, and a network of its own for each node, which is cut, held and half open. Redis is killed, stopped, emptied, full,
// forgets scripts and groups, and ends connections; nodes come and go. Variants, in turn by seed: `always` and `everysec` keep an append-only
// file, of which everysec loses the latest at a crash, and `snapshot` the last seconds; `replica` takes over, and may lack the latest; `small` keeps a short bus, which is
// trimmed as well. Each node publishes texts that are known into rooms with a large log, a small one, of the latest only, and none.
// A seed is the load and what breaks; what happens depends on time as well, so that a violation may take some runs of its seed to come again.
// The ports of this checkout are tested as they are in build/.
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Keys } from '../build/lib/redis/keys.js'
import { Judge } from './soak/judge.js'
import { SoakNode } from './soak/node.js'
import { Random } from './soak/random.js'
import { Servers } from './soak/servers.js'
import { choose, TROUBLES } from './soak/troubles.js'

const VARIANTS = {
  always: { fsync: 'always', hasReplica: false, busLength: 10_000, troubles: [] },
  everysec: { fsync: 'everysec', hasReplica: false, busLength: 10_000, troubles: ['crash', 'crashes', 'apart'] },
  snapshot: { fsync: 'everysec', hasReplica: false, busLength: 10_000, troubles: ['older', 'apart'] },
  replica: { fsync: 'always', hasReplica: true, busLength: 10_000, troubles: ['failOver'] },
  small: { fsync: 'always', hasReplica: false, busLength: 8, troubles: ['trim'] }
}
const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '10' },
    seed: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '10' },
    variant: { type: 'string' }
  }
})

/** What is kept of each room. `isLarge`: more than a run has. `isCalm`: nothing is published in it while something breaks. `isLeft`: nodes leave it, and come back. */
const LARGE = { size: 100_000, ttl: 600_000, mode: 'log', isLarge: true }
const SMALL = { size: 20, ttl: 600_000, mode: 'log' }
const CACHE = { size: 1, ttl: 600_000, mode: 'cache' }
const NONE = { size: 0, ttl: 0, mode: 'log' }
const ROOMS = {
  large1: LARGE,
  large2: LARGE,
  largeLeft: { ...LARGE, isLeft: true },
  small1: SMALL,
  smallLeft: { ...SMALL, isLeft: true },
  cache: CACHE,
  none1: NONE,
  none2: NONE,
  noneLeft: { ...NONE, isLeft: true },
  calm: { ...LARGE, isCalm: true }
}
const names = Object.keys(ROOMS)
const busy = names.filter((room) => ROOMS[room].isCalm !== true)
const left = names.filter((room) => ROOMS[room].isLeft === true)
const policyOf = (room) => ROOMS[room] ?? NONE

const PARTITIONS = 4
const TIMEOUT_MS = 4_000
/** Before anything breaks: longer than what everysec may lose. */
const CALM_MS = 1_300
const MAX_OPEN = 400
/** At rest: for what is under way, for the latest to be everywhere, and then for what comes behind it. */
const SETTLE_MS = 3 * TIMEOUT_MS
const TAIL_MS = 10_000
const DEAF_MS = 20_000
const LOOK_MS = 20
const AGAIN_MS = 50
/** Of each kind of violation and each room, so many are printed. */
const EXAMPLES = 2

const strays = []
process.on('unhandledRejection', (error) => { strays.push(error) })

const chosen = values.variant === undefined ? Object.keys(VARIANTS) : values.variant.split(',')
for (const name of chosen) if (VARIANTS[name] === undefined) throw new Error(`--variant: of ${Object.keys(VARIANTS).join(', ')}; got ${name}`)
for (let i = 0; i < Number(values.seeds); i++) {
  const seed = Number(values.seed) + i
  await run(seed, chosen[seed % chosen.length])
}
process.exit()

async function run (seed, name) {
  const ends = []
  const t = { teardown: (end) => { ends.unshift(end) } }
  const from = performance.now()
  const now = () => Math.round(performance.now() - from)
  try {
    const world = await begin(t, VARIANTS[name], new Random(seed), now)
    await work(world, new Random(seed ^ 0x5eed))
    const judge = await rest(world)
    judge.judge()
    for (const error of strays.splice(0)) judge.fail('stray', String(error.stack))
    print(seed, name, world, judge)
  } finally {
    for (const end of ends) await end()
  }
}

async function begin (t, variant, random, now) {
  const servers = await Servers.start(t, variant, now)
  const keys = new Keys('soak', PARTITIONS, false)
  const world = { servers, keys, now, random, kinds: choose(variant, random), busy, nodes: [], troubles: [], isOver: false, confirmed: new Map() }
  let count = 0
  const join = async (rooms) => {
    const node = await SoakNode.start(t, { name: `node${++count}`, keys, port: () => servers.port, policyOf, timeout: TIMEOUT_MS, busLength: variant.busLength, now })
    t.teardown(async () => { if (!node.isClosed) await node.close() })
    world.nodes.push(node)
    await Promise.all([node.hearEveryone(), ...rooms.map(async (room) => { await node.subscribe(room) })])
    return node
  }
  world.invite = async () => {
    try {
      const guest = await join(random.some(names, 4))
      load(world, guest, random)
      return guest
    } catch {
      // Redis is away.
      return null
    }
  }
  world.fixed = await Promise.all([join(names), join(names), join(names)])
  world.publisher = await join([])
  return world
}

/** Load, and one trouble after the other, or two at once. */
async function work (world, random) {
  const { fixed, publisher, now } = world
  for (const node of fixed) for (let i = 0; i < 5; i++) publish(world, node, 'calm')
  const loads = [...fixed, publisher].map((node, i) => load(world, node, new Random(random.between(0, 2 ** 30) + i)))
  await pause(CALM_MS)
  const end = now() + Number(values.seconds) * 1_000
  const open = []
  while (now() < end) {
    const kind = random.pick(world.kinds)
    const trouble = TROUBLES[kind]({ ...world, node: random.pick([...fixed, publisher]) }, random)
    world.troubles.push({ at: now(), kind })
    open.push(trouble)
    if (random.chance(0.5)) await trouble
    await pause(random.between(50, 1_200))
  }
  await Promise.all(open)
  world.isOver = true
  await Promise.all(loads)
}

async function load (world, node, random) {
  const positions = new Map()
  while (!world.isOver && !node.isClosed) {
    await pause(random.between(1, 15))
    if (node.isClosed) return
    if (node.open.size < MAX_OPEN) for (let n = random.chance(0.03) ? 40 : random.between(0, 4); n > 0; n--) publish(world, node, random.pick(busy))
    if (random.chance(0.1)) node.sendEphemeral(random.pick(['', 'large1', 'none1']))
    for (const [room, view] of node.current) if (view.position !== null && random.chance(0.02)) positions.set(room, view.position)
    if (random.chance(0.05)) {
      const room = random.pick(busy)
      node.ask(room, random.chance(0.8) ? positions.get(room) : undefined, random.chance(0.3) ? 5 : 0, world.confirmed.get(room))
    }
    const room = random.pick(left)
    if (node !== world.publisher && random.chance(0.01)) node[node.current.has(room) ? 'unsubscribe' : 'subscribe'](room)
  }
}

async function publish ({ confirmed }, node, room) {
  const entry = await node.publish(room)
  const { position } = entry
  if (position !== null && (confirmed.get(room)?.epoch !== position.epoch || confirmed.get(room).offset < position.offset)) confirmed.set(room, position)
  return entry
}

/** When nothing breaks any more: everything settles, the latest is everywhere, and no room is deaf. */
async function rest (world) {
  const { servers, fixed, nodes, keys, random } = world
  await servers.setMemory(0)
  const ends = new Map()
  const judge = new Judge({ nodes, fixed, rooms: names, policyOf, ends, losses: servers.losses, isFlushed: servers.isFlushed })
  const missing = () => fixed.flatMap((node) => names.filter((room) => !isUpToDate(node, room)).map((room) => ({ node, room })))
  const isUpToDate = (node, room) => {
    const at = node.current.get(room)?.position
    const position = ends.get(room)?.position
    if (at === undefined || position === undefined) return true
    // Of a log that has begun anew, and has nothing yet, nobody needs to know.
    return at?.epoch === position.epoch ? at.offset === position.offset : position.offset === 0
  }
  const standings = async () => {
    for (const room of names) {
      const [epoch, offset] = await servers.redis.hmget(keys.meta(room), 'e', 'o')
      if (epoch !== null) ends.set(room, { position: { epoch, offset: Number(offset) }, publications: [] })
    }
  }
  if (!await until(() => nodes.every(({ open }) => open.size === 0), SETTLE_MS)) judge.fail('unsettled', `${nodes.map(({ name, open }) => `${name}: ${open.size}`).join()} of what was called`)
  // A link breaks, and then comes the last that is published for now: nothing is behind it by which it would be missed.
  random.pick(fixed).proxy[random.pick(['cut', 'halfOpen'])]()
  await pause(random.between(50, 1_500))
  await Promise.all(names.map(async (room) => { await sayLast(world, random.pick(fixed), room, judge) }))
  await standings()
  await until(() => missing().length === 0, TAIL_MS)
  for (const { node, room } of missing()) judge.fail('late', `${node.name} is at ${JSON.stringify(node.current.get(room)?.position)} of ${room}, which is at ${JSON.stringify(ends.get(room)?.position)}`, room)
  await Promise.all(fixed.map(async (node) => { await Promise.all(names.map(async (room) => { await sayLast(world, node, room, judge) })) }))
  await Promise.all(left.flatMap((room) => fixed.map(async (node) => { await node.subscribe(room) })))
  await standings()
  await until(() => missing().length === 0, DEAF_MS)
  const [node] = fixed
  for (const room of names) {
    await node.ask(room, undefined, 0, undefined)
    const question = node.questions.at(-1)
    if (question.room !== room) judge.fail('fault', `${room} could not be asked for at the end`)
    else ends.set(room, question.answer)
  }
  return judge
}

async function sayLast (world, node, room, judge) {
  const until = world.now() + SETTLE_MS
  while (world.now() < until) {
    if ((await publish(world, node, room)).position !== null) return
    await pause(AGAIN_MS)
  }
  judge.fail('fault', `${node.name} could not publish in ${room} at the end`)
}

async function until (holds, ms) {
  const end = performance.now() + ms
  while (!holds()) {
    if (performance.now() > end) return false
    await pause(LOOK_MS)
  }
  return true
}

function print (seed, name, { nodes, troubles, servers }, { violations, counts }) {
  const published = nodes.flatMap((node) => node.published)
  const confirmed = published.filter(({ position }) => position !== null).length
  const rejected = published.filter(({ error }) => error !== null).length
  const longest = published.reduce((most, { at, ended }) => Math.max(most, (ended ?? Infinity) - at), 0)
  const broken = new Map()
  for (const { kind } of troubles) broken.set(kind, (broken.get(kind) ?? 0) + 1)
  console.log(`${violations.size === 0 ? 'holds' : 'FAILS'} seed ${seed} ${name}: ${published.length} published, ${confirmed} confirmed, ${rejected} rejected, the longest after ${longest} ms; ${counts.heard} heard, ${counts.gaps} gaps, ${counts.turns} turns, ${counts.redone} done again, ${counts.lost} lost; ${servers.losses.length} losses, ${counts.epochs} epochs at most; ${Array.from(broken, ([kind, count]) => `${kind} ${count}`).join(', ')}`)
  if (violations.size === 0) return
  process.exitCode = 1
  console.log(`  what broke: ${troubles.map(({ at, kind }) => `${at} ${kind}`).join(', ')}; what was lost: ${servers.losses.map(({ at, what }) => `${at} ${what}`).join(', ') || 'nothing'}`)
  for (const [kind, list] of violations) {
    const rooms = new Map()
    for (const { room } of list) rooms.set(room, (rooms.get(room) ?? 0) + 1)
    console.log(`  ${kind}: ${Array.from(rooms, ([room, count]) => `${room} ${count}`).join(', ')}`)
    for (const [room] of rooms) for (const { text } of list.filter((one) => one.room === room).slice(0, EXAMPLES)) console.log(`    ${text}`)
  }
}
