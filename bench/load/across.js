// The clients of cluster.js: raw sockets, some that publish on one node, and one per room that reads on another. Latency is from the moment at
// which a message should have been written to its arrival.
import { createHistogram } from 'node:perf_hooks'
import { setTimeout as pause } from 'node:timers/promises'
import { answer } from '../lib.js'
import { PLAIN, SOCKET_IO } from './dialects.js'
import { message } from './messages.js'
import { clientFrame, Peer } from './peer.js'

const DIALECTS = { plain: PLAIN, 'socket.io': SOCKET_IO }
/** Milliseconds between two writes, at the least. */
const TICK_MS = 1
const PATIENCE_MS = 10_000

let dialect = PLAIN
let publisher = null
let readers = []
let latency = createHistogram()
let late = createHistogram()
let delivered = 0
let disorder = 0
let dueAt = []
/** Numbers that came: what comes twice does not stand for one that is lost. */
let seen = new Set()

const microseconds = (ms) => Math.max(1, Math.round(ms * 1_000))
const summary = (histogram) => ({ p50: histogram.percentile(50) / 1_000, p99: histogram.percentile(99) / 1_000, max: histogram.max / 1_000 })

answer({
  open: async ({ from, to, rooms, speak }) => {
    dialect = DIALECTS[speak]
    readers = Array.from({ length: rooms }, (_, i) => new Peer({
      port: to,
      room: String(i).padStart(2, '0'),
      dialect,
      offset: dialect.offset,
      onMessage: (peer, _room, number) => {
        if (number <= peer.last) disorder++
        if (seen.has(number)) return
        seen.add(number)
        delivered++
        latency.record(microseconds(performance.now() - dueAt[number]))
      }
    }))
    publisher = new Peer({ port: from, dialect, offset: dialect.offset, onMessage: () => {} })
    await Promise.all([publisher, ...readers].map((peer) => peer.ready))
    // What is joined when the connection stands may take a moment.
    await pause(1_000)
  },
  run: async ({ perSecond, ms, bytes }) => {
    latency = createHistogram()
    late = createHistogram()
    delivered = disorder = 0
    dueAt = []
    seen = new Set()
    for (const reader of readers) reader.last = -1
    const before = process.cpuUsage()
    const begun = performance.now()
    const every = 1_000 / perSecond
    for (let now = 0; now < ms; now = performance.now() - begun) {
      const frames = []
      while (dueAt.length * every <= now) {
        const number = dueAt.length
        const due = begun + number * every
        dueAt.push(due)
        late.record(microseconds(performance.now() - due))
        frames.push(clientFrame(dialect.wrap(message('r', number % readers.length, number, bytes))))
      }
      if (frames.length > 0) publisher.write(Buffer.concat(frames))
      await pause(Math.max(TICK_MS, dueAt.length * every - (performance.now() - begun)))
    }
    const published = dueAt.length
    const { user, system } = process.cpuUsage(before)
    const took = performance.now() - begun
    await arrival(published)
    return { published, lost: published - delivered, disorder, ...summary(latency), late: summary(late).p50, busy: (user + system) / 1_000 / took }
  }
})
process.send({})

/** Waits for the last messages, as long as some still come. */
async function arrival (published) {
  let last = -1
  for (let waited = 0; waited < PATIENCE_MS; waited += 20) {
    if (delivered >= published) return
    if (delivered !== last) waited = 0
    last = delivered
    await pause(20)
  }
}
