// What the nodes of bench/cluster.js share. Each is a program, `fork('servers/cluster-x.js', [JSON])`, that takes raw clients (messages as for the
// other servers, shared.js) and has members without a socket: then Redis and the nodes are measured, and not the network.
import { setTimeout as pause } from 'node:timers/promises'
import { answer } from '../lib.js'

/** Fewer than a hub lets wait. */
const MAX_OPEN = 10_000

export const options = JSON.parse(process.argv[2] ?? '{}')

/** @param publish publishes a text in a room; a promise, where it can tell when Redis has it. @param join puts a member without a socket into a room, that calls back with how many messages it has got */
export function serve ({ port, publish, join }) {
  let received = 0
  const roomOf = (i, rooms) => String(i % rooms).padStart(2, '0')
  answer({
    join: async (rooms) => {
      for (let i = 0; i < rooms; i++) await join(roomOf(i, rooms), (count) => { received += count })
    },
    /** As fast as it can, with so many under way. */
    flood: async ({ rooms, ms, inFlight, bytes }) => {
      const text = 'x'.repeat(bytes)
      const until = performance.now() + ms
      let published = 0
      let failed = 0
      const worker = async () => {
        while (performance.now() < until) {
          const room = roomOf(published++, rooms)
          try {
            await publish(room, text)
          } catch {
            failed++
          }
        }
      }
      await Promise.all(Array.from({ length: inFlight }, worker))
      return { published, failed }
    },
    /** At a rate, or what it can with so many under way. */
    pace: async ({ rooms, ms, perSecond, bytes }) => {
      const text = 'x'.repeat(bytes)
      const from = performance.now()
      const promises = []
      let published = 0
      let open = 0
      const one = async () => {
        open++
        await publish(roomOf(published, rooms), text)
        open--
      }
      for (let now = 0; now < ms; now = performance.now() - from) {
        const due = Math.min(now * perSecond / 1_000, published + MAX_OPEN - open)
        for (; published < due; published++) promises.push(one())
        await pause(1)
      }
      await Promise.all(promises)
      return { published, ms: performance.now() - from }
    },
    count: () => {
      const { user, system } = process.cpuUsage()
      return { received, cpu: (user + system) / 1_000, rss: process.memoryUsage.rss() }
    }
  })
  process.send({ port })
}
