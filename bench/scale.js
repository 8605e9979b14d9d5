// "Scale" of docs/operations.md: what a cluster asks of Redis and of its nodes, computed from what one connection, one member of a room, one
// publication costs. Nothing is measured here.
//   npm run bench:scale [-- --write]
// Prints the tables as the page has them; `npm run check:docs` compares. With --write they are put into the page.
import { readFileSync, writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { Keys } from '../dist/lib/redis/keys.js'

const PAGE = new URL('../docs/operations.md', import.meta.url)
const [BEGIN, END] = ['<!-- scale: made by npm run bench:scale -->\n', '<!-- end of scale -->\n']

/** What one of each costs: bytes, microseconds of a core. */
const COST = {
  // npm run bench:cluster -- --only redis,saturation: at 2,000/s from one node 0.4 scripts and reads for each publication, and 72.5 + 13.4 us x
  // nodes that read; at most, with full batches, 1.8 us with three nodes. Most of a script and of a read are system calls, slow on that machine.
  publication: { script: 180, each: 1.2, read: 34 },
  // npm run bench:redis, on Redis 7.0.15 and 2 cores of an AMD EPYC, one of which the script itself kept busy.
  node: { micros: 117 },
  connection: { bytes: 606, heap: 147, claim: 31, renewal: 11, removal: 10 },
  member: { bytes: 141, heap: 324, enter: 15, renewal: 9, leave: 11 },
  room: { heap: 1_097, subscribe: 13, audit: 7 },
  bus: { alone: 211, batched: 2_076 },
  // A room with a log of 20: a stream takes 4 KB at once.
  log: { of20: 4_543, question: 118 },
  offline: { list: 11 },
  // A member who enters alone costs so much more than one who is renewed with others.
  script: { micros: 7 },
  // npm run bench:idle: RSS of an idle connection whose user is known.
  idle: { bytes: 3_736 }
}

/** What nodes do, whether anybody asks or not: seconds, and entries per script. As in lib/redis. */
const RHYTHM = { renewal: 30, audit: 600, turn: 2.5, batch: 100, presenceRound: 300, presenceBatch: 256, presenceTurn: 1, life: 5, streamTtl: 300, streamLength: 100_000 }

/** The application that the tables are about. */
const APP = { connectionsPerNode: 50_000, rooms: 3, members: 100, publishers: 0.01 }
/** The default, and what a Redis Cluster of some masters is better off with. */
const [FEW, MANY] = [16, 256]

/** Seconds between two calls of one process, at the least: a script, or a read, and what goes around it. */
const ROUND_TRIP = 0.00076
/** Publications per second where little waits, and publications of a batch where much does. */
const [CALM, FULL] = [2_000, 512]

/** Share of a core that a Redis is given: beyond it, what is asked for at once has to wait too long. */
const BUSY = 0.5

/** All tables, as the page has them. */
export function scaleTables () {
  return [
    '**What a publication of 100 B costs one Redis**, when there is little to do, and when its core is full.\n',
    ...throughput(),
    '\n**Partitions on the fullest master** of a Redis Cluster whose slots are divided evenly, and how much more than one Redis it can do.\n',
    ...spread(),
    `\n**A cluster at rest**: ${count(APP.connectionsPerNode)} connections on a node at most, each with a user, in ${APP.rooms} rooms of ${APP.members}; one of ${1 / APP.publishers} publishes each second, 100 B; the latest 20 are kept.\n`,
    ...rest(),
    '\n**All come back at once**: what Redis needs to take them out, and in again on other nodes.\n',
    ...storm(),
    ''
  ].join('\n')
}

function throughput () {
  const { script, each, read } = COST.publication
  const rows = [1, 3, 10, 20, 50, 100].map((nodes) => {
    const calm = publicationLoad(CALM, 1, nodes) / CALM
    const full = (script + read * nodes) / FULL + each
    return [nodes, `${(calm * 1e6).toFixed(0)} us`, percent(calm * CALM), `${full.toFixed(1)} us`, whole(1e6 / full, 1_000), `${whole(COST.bus.batched / 16 * nodes / full)} MB/s`]
  })
  return table(['nodes that read', `each, at ${count(CALM)}/s from one node`, 'of its core', `each, with ${FULL} in a batch`, 'until its core is full', 'sends then'], rows)
}

/** Cores of Redis for so many publications per second of some nodes together, that others read. Who waits for an answer gathers what comes meanwhile. */
function publicationLoad (perSecond, publishers, readers) {
  const { script, each, read } = COST.publication
  const scripts = publishers * gathered(perSecond / publishers)
  return (scripts * script + perSecond * each + readers * gathered(scripts) * read) / 1e6
}

/** Calls per second, of what one process has to say. */
function gathered (perSecond) { return perSecond / (1 + perSecond * ROUND_TRIP) }

function spread () {
  const counts = [FEW, 64, MANY, 1_024]
  const rows = [2, 3, 6, 12].map((masters) => [masters, ...counts.map((partitions) => {
    const most = fullest(masters, partitions)
    return `${most} of ${count(partitions)}: ${(partitions / most).toFixed(1)} x`
  })])
  return table(['masters', ...counts.map((partitions) => `${count(partitions)} partitions`)], rows)
}

function rest () {
  const sizes = [10_000, 100_000, 1_000_000]
  const all = sizes.map((size) => clusterOf(size, FEW))
  const row = (name, cell) => [name, ...all.map(cell)]
  return table(['', ...sizes.map((size) => `${count(size)} connections`)], [
    row('nodes', ({ nodes }) => nodes),
    row('memory of a node: idle connections', ({ heap }) => megabytes(heap.connections)),
    row('what it knows of them for Redis', ({ heap }) => megabytes(heap.redis)),
    row('memory of Redis: directory', ({ bytes }) => megabytes(bytes.directory)),
    row('presence', ({ bytes }) => megabytes(bytes.presence)),
    row('rooms and their history', ({ bytes }) => megabytes(bytes.rooms)),
    row('bus', ({ bytes }) => megabytes(bytes.bus)),
    row('scripts that renew, per second', ({ scripts }) => whole(scripts)),
    row('core of Redis: directory', ({ load }) => percent(load.directory)),
    row('presence', ({ load }) => percent(load.presence)),
    row('rooms and nodes', ({ load }) => percent(load.rooms)),
    row('publications', ({ load }) => percent(load.publications)),
    row('together', ({ total }) => percent(total)),
    row('publications per second', ({ publications }) => whole(publications)),
    row('sent to nodes for them, per second', ({ sent }) => megabytes(sent)),
    row(`masters for that, each busy for ${percent(BUSY)} at most, with ${MANY} partitions`, (_, i) => mastersFor(clusterOf(sizes[i], MANY).total))
  ])
}

function storm () {
  const { connection, member, room, log, offline } = COST
  // A connection of hub.v1 looks twice for messages of its user.
  const perConnection = connection.removal + connection.claim + 2 * offline.list + APP.rooms * (member.leave + member.enter)
  // All who come back to a node at one position of a room ask once.
  const perRoom = room.subscribe + log.question
  const rows = [10_000, 50_000, 100_000, 1_000_000].map((connections) => {
    const { rooms, onNodes } = roomsOf(connections)
    const seconds = (connections * perConnection + rooms * onNodes * perRoom) / 1e6
    return [count(connections), ...[1, 3, 6].map((masters) => `${(seconds * fullest(masters, MANY) / MANY).toFixed(1)} s`)]
  })
  return table(['connections', 'one Redis', `3 masters, ${MANY} partitions`, `6 masters, ${MANY} partitions`], rows)
}

/** What a cluster of so many connections takes. */
function clusterOf (connections, partitions) {
  const { connection, member, room, bus, log, idle, node, script } = COST
  const { nodes, members, rooms, onNodes } = roomsOf(connections)
  const perNode = connections / nodes
  const publications = connections * APP.publishers
  const scripts = {
    directory: nodes * scriptsPerSecond(perNode, partitions, RHYTHM.turn, RHYTHM.renewal, RHYTHM.batch),
    presence: nodes * (partitions / RHYTHM.life + scriptsPerSecond(perNode * APP.rooms, partitions, RHYTHM.presenceTurn, RHYTHM.presenceRound, RHYTHM.presenceBatch))
  }
  const load = {
    directory: (connections / RHYTHM.renewal * connection.renewal + scripts.directory * script.micros) / 1e6,
    presence: (members / RHYTHM.presenceRound * member.renewal + scripts.presence * script.micros) / 1e6,
    rooms: (rooms * onNodes / RHYTHM.audit * room.audit + nodes * node.micros) / 1e6,
    publications: publicationLoad(publications, nodes, nodes)
  }
  return {
    nodes,
    publications,
    load,
    total: Object.values(load).reduce((sum, share) => sum + share, 0),
    heap: { connections: perNode * idle.bytes, redis: perNode * (connection.heap + APP.rooms * member.heap) + rooms * onNodes / nodes * room.heap },
    bytes: {
      directory: connections * connection.bytes,
      presence: members * member.bytes,
      rooms: rooms * log.of20,
      bus: Math.min(publications * RHYTHM.streamTtl, RHYTHM.streamLength) * bus.alone
    },
    scripts: scripts.directory + scripts.presence,
    sent: publications * bus.alone * nodes
  }
}

/** Members of a room are anywhere: it has some on as many nodes as it can. */
function roomsOf (connections) {
  const nodes = nodesFor(connections)
  const members = connections * APP.rooms
  return { nodes, members, rooms: members / APP.members, onNodes: Math.min(nodes, APP.members) }
}

/** Of one node: each partition in its turn, as many scripts as its share needs. */
function scriptsPerSecond (entries, partitions, turn, round, batch) {
  return partitions / turn * Math.ceil(entries / partitions * turn / round / batch)
}

function nodesFor (connections) { return Math.max(2, Math.ceil(connections / APP.connectionsPerNode)) }

function mastersFor (load) {
  let masters = 1
  while (load * fullest(masters, MANY) / MANY > BUSY) masters++
  return masters
}

/** Partitions on the master that has most of them. Each has a range of slots, as `redis-cli --cluster create` divides them. */
function fullest (masters, partitions) {
  const keys = new Keys('hub', partitions, false)
  const counts = new Array(masters).fill(0)
  for (let partition = 0; partition < partitions; partition++) {
    const [, tag] = /\{(.+?)\}/.exec(keys.bus(partition))
    counts[Math.min(masters - 1, Math.floor(crc16(tag) % 16_384 / (16_384 / masters)))]++
  }
  return Math.max(...counts)
}

/** CRC-16/XMODEM, by which Redis Cluster finds the slot of a key: "Key distribution model" of its specification. */
function crc16 (text) {
  let crc = 0
  for (const byte of Buffer.from(text)) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000) === 0 ? crc << 1 & 0xffff : (crc << 1 ^ 0x1021) & 0xffff
  }
  return crc
}

function table (head, rows) {
  const lines = [head, head.map((_, i) => i === 0 ? '---' : '---:'), ...rows]
  return lines.map((cells) => `| ${cells.join(' | ')} |`)
}

function count (number) { return number.toLocaleString('en') }

function whole (number, step = 1) { return count(Math.round(number / step) * step) }

function megabytes (bytes) { return bytes < 10e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${whole(bytes / 1e6)} MB` }

function percent (share) { return `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %` }

/** What the page has between its marks, and the page with something else there. */
export function scaleOfPage (page, tables) {
  const [start, end] = [page.indexOf(BEGIN), page.indexOf(END)]
  if (start === -1 || end < start) throw new Error('docs/operations.md has no place for the tables of scale')
  const from = start + BEGIN.length
  return { shown: page.slice(from, end).trim(), page: `${page.slice(0, from)}\n${tables.trim()}\n\n${page.slice(end)}` }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const tables = scaleTables()
  if (process.argv.includes('--write')) writeFileSync(PAGE, scaleOfPage(readFileSync(PAGE, 'utf8'), tables).page)
  else console.log(tables)
}
