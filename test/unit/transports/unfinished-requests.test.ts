import { EventEmitter } from 'node:events'
import type { Server } from 'node:http'
import t from 'tap'
import { TestClock } from '../../../lib/testing/index.js'
import { endUnfinishedRequests } from '../../../lib/transports/unfinished-requests.js'

const INTERVAL = 5_000

/** A server whose only peer has sent half a request, and is late with the rest of it. */
function halfAsked (description = 'http.server.connections'): { server: Server & { listening: boolean }, ended: () => boolean } {
  let ended = false
  const expired = (): unknown[] => [{ socket: { destroy: () => { ended = true } } }, { socket: null }]
  const server = Object.assign(new EventEmitter(), { listening: true, connectionsCheckingInterval: INTERVAL, [Symbol(description)]: { expired } })
  return { server: server as unknown as Server & { listening: boolean }, ended: () => ended }
}

t.test('who is late is left to Node, which answers, as long as the server listens', async (t) => {
  const clock = new TestClock()
  const { server, ended } = halfAsked()
  endUnfinishedRequests(server, clock)
  await clock.advance(INTERVAL)
  t.equal(ended(), false)
  server.listening = false
  await clock.advance(INTERVAL)
  t.equal(ended(), true)
  server.emit('close')
  t.equal(clock.timers, 0)
})

t.test('nobody is looked for where none is, or Node keeps its connections in another way', (t) => {
  const clock = new TestClock()
  endUnfinishedRequests(halfAsked('another').server, clock)
  const { server } = halfAsked()
  server.listening = false
  endUnfinishedRequests(server, clock)
  t.equal(clock.timers, 0)
  t.end()
})
