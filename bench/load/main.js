// The load: a process of its own that opens connections, publishes, and measures from the write of a message to its arrival. It is
// told what to do by run.js, task by task, and says how busy it was itself.
import { performance, createHistogram } from 'node:perf_hooks'
import { setTimeout as pause } from 'node:timers/promises'
import { answer } from '../lib.js'
import { PLAIN, SOCKET_IO } from './dialects.js'
import { message } from './messages.js'
import { clientFrame, Peer } from './peer.js'

/** Publications whose time of sending is remembered, of each room. */
const REMEMBERED = 4_096
const ROOMS = 100
/** How long the last messages may take. */
const PATIENCE_MS = 20_000
const DIALECTS = { plain: PLAIN, 'socket.io': SOCKET_IO }

let dialect = PLAIN
let port = 0
let kind = 'b'
let sizes = [64]
/** All but the publisher, which receives, too, but is not looked at. */
const receivers = []
const silent = []
let publisher = null
const numbers = new Uint32Array(ROOMS)
const sentAt = new Float64Array(ROOMS * REMEMBERED)
let histogram = createHistogram()
let delivered = 0
let disorder = 0
let onDelivered = () => {}

answer({
  /** Opens connections. `rooms`: each gets one of a hundred, all of the same size, at random. */
  open: async ({ to, speak = 'plain', count, rooms = false, deflate = false, json = false, nonReaders = 0, atOnce = 100 }) => {
    port = to
    dialect = DIALECTS[speak]
    const roomsOf = rooms ? shuffled(Array.from({ length: count }, (_, i) => i % ROOMS)) : null
    const opening = createHistogram()
    let next = 0
    const worker = async () => {
      while (next < count) {
        const i = next++
        const begun = performance.now()
        const peer = makePeer({ i, room: roomsOf === null ? null : String(roomsOf[i]).padStart(2, '0'), deflate, json })
        await peer.ready
        opening.record(Math.max(1, Math.round((performance.now() - begun) * 1_000)))
        if (i < nonReaders) {
          peer.stop()
          silent.push(peer)
        } else {
          receivers.push(peer)
        }
      }
    }
    const before = performance.now()
    await Promise.all(Array.from({ length: atOnce }, worker))
    publisher ??= await makePublisher({ deflate, json })
    return { ms: performance.now() - before, ...latencies(opening) }
  },
  close: async () => {
    for (const peer of [...receivers, ...silent]) peer.destroy()
    receivers.length = silent.length = 0
    await pause(200)
  },
  /** Runs one of the ways to load, and tells what it saw. */
  run: async ({ way, message: { kind: what = 'b', sizes: bytes = [64] } = {}, ...options }) => {
    kind = what
    sizes = bytes
    histogram = createHistogram()
    delivered = disorder = 0
    const cpu = process.cpuUsage()
    const begun = performance.now()
    const told = await WAYS[way](options)
    const ms = performance.now() - begun
    const { user, system } = process.cpuUsage(cpu)
    return {
      delivered,
      disorder,
      disconnected: receivers.filter((peer) => peer.closed).length,
      ms,
      busy: (user + system) / 1_000 / ms,
      ...latencies(histogram),
      ...told
    }
  }
})

const WAYS = {
  /** So many publications under way; the next goes out when one has come everywhere. */
  inFlight: async ({ inFlight, ms }) => {
    const arrived = new Map()
    const until = performance.now() + ms
    let published = 0
    let finished = 0
    let pending = []
    await new Promise((resolve) => {
      const publish = () => {
        pending.push(publication(0))
        published++
        if (pending.length === 1) {
          setImmediate(() => {
            publisher.write(Buffer.concat(pending))
            pending = []
          })
        }
      }
      onDelivered = (number) => {
        const count = (arrived.get(number) ?? 0) + 1
        if (count < receivers.length) return arrived.set(number, count)
        arrived.delete(number)
        finished++
        if (performance.now() < until) publish()
        else if (finished === published) resolve()
      }
      for (let i = 0; i < inFlight; i++) publish()
    })
    return { expected: published * receivers.length }
  },

  /** A rate that does not wait for anybody, in bursts. Latency counts from when a message should have been sent. */
  open: async ({ perSecond, burst, ms }) => {
    const every = 1_000 * burst / perSecond
    const begun = performance.now()
    let published = 0
    onDelivered = () => {}
    for (let i = 0; i * every < ms; i++) {
      const due = begun + i * every
      const early = due - performance.now()
      if (early > 0.5) await pause(early)
      publisher.write(Buffer.concat(Array.from({ length: burst }, () => publication(0, due))))
      published += burst
    }
    const expected = published * receivers.length
    await arrival(expected)
    return { expected }
  },

  /** As many publications for each room, all in one write; the next write when all have come. */
  rooms: async ({ perRoom, ms }) => {
    const until = performance.now() + ms
    let expected = 0
    while (performance.now() < until) {
      const frames = Array.from({ length: perRoom }, () => Array.from({ length: ROOMS }, (_, room) => publication(room))).flat()
      expected += perRoom * receivers.length
      const all = new Promise((resolve) => { onDelivered = () => { if (delivered === expected) resolve() } })
      publisher.write(Buffer.concat(frames))
      await all
    }
    return { expected }
  },

  /** Each connection says something, waits for the echo, and says the next. */
  echo: async ({ ms }) => {
    const until = performance.now() + ms
    let expected = 0
    await new Promise((resolve) => {
      const say = (peer) => {
        peer.saidAt = performance.now()
        expected++
        peer.write(clientFrame(dialect.wrap(message('e', 0, ++peer.said, sizes[0]))))
      }
      onDelivered = (_, peer) => {
        if (performance.now() < until) say(peer)
        else if (delivered === expected) resolve()
      }
      for (const peer of receivers) {
        peer.said = peer.last = 0
        say(peer)
      }
    })
    return { expected }
  },

  /** Nobody says anything. */
  silence: async ({ ms }) => {
    await pause(ms)
    return { expected: 0 }
  }
}

function makePeer ({ i = 0, room = null, deflate, json }) {
  return new Peer({
    port,
    localAddress: `127.${1 + (i >> 16)}.${i >> 8 & 0xff}.${i & 0xff || 1}`,
    room,
    deflate,
    dialect,
    offset: json ? dialect.objectOffset : dialect.offset,
    onMessage: received
  })
}

async function makePublisher (options) {
  const peer = makePeer(options)
  peer.ignored = true
  await peer.ready
  return peer
}

function received (peer, room, number) {
  if (peer.ignored) return
  delivered++
  if (number !== peer.last + 1) disorder++
  const since = kind === 'e' ? peer.saidAt : sentAt[room * REMEMBERED + number % REMEMBERED]
  histogram.record(Math.max(1, Math.round((performance.now() - since) * 1_000)))
  onDelivered(number, peer)
}

/** A publication, as a frame. */
function publication (room, due = performance.now()) {
  const number = ++numbers[room]
  sentAt[room * REMEMBERED + number % REMEMBERED] = due
  return clientFrame(dialect.wrap(message(kind, room, number, sizes[number % sizes.length])))
}

/** Waits for the last messages, as long as some still come. */
async function arrival (expected) {
  let last = -1
  for (let waited = 0; waited < PATIENCE_MS && !receivers.every((peer) => peer.closed); waited += 20) {
    if (delivered >= expected) return
    if (delivered !== last) waited = 0
    last = delivered
    await pause(20)
  }
}

function latencies (histogram) {
  const ms = (microseconds) => microseconds / 1_000
  return { p50: ms(histogram.percentile(50)), p99: ms(histogram.percentile(99)), p999: ms(histogram.percentile(99.9)), max: ms(histogram.max) }
}

function shuffled (list) {
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1))
    ;[list[i], list[j]] = [list[j], list[i]]
  }
  return list
}
