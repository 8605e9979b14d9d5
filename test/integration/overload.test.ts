import type { Test } from 'tap'
import t from 'tap'
import { TestApp } from '../helpers/app.js'
import { headerOf } from '../helpers/raw-client.js'
import { until } from '../helpers/until.js'

/** Far above what a busy machine adds by itself. */
const LIMIT_MS = 300
const TURN_MS = 500

/** Makes every turn of the event loop a long one, until it is told to stop. */
function keepBusy (t: Test): { turns: number, stop: () => void } {
  const busy = { turns: 0, stop: () => { clearInterval(timer) } }
  const timer = setInterval(() => {
    for (const end = performance.now() + TURN_MS; performance.now() < end;);
    busy.turns++
  }, 1)
  t.teardown(busy.stop)
  return busy
}

t.test('limits.maxLoopDelay: a late loop refuses upgrades early, says so, and recovers', async (t) => {
  let asked = 0
  const app = await TestApp.start(t, { limits: { maxLoopDelay: LIMIT_MS }, origins: () => { asked++; return true } })
  const connected = await app.connect()
  const busy = keepBusy(t)
  await until(() => app.hub.health().status === 'degraded', 'the delay to be noticed')
  t.match(app.hub.health().reasons, [/^the event loop is \d+ ms late, limits\.maxLoopDelay is 300: upgrades are refused$/])
  const refused = await app.request({ headers: { Origin: 'https://example.com' } })
  t.equal(refused.status, 503)
  t.match(JSON.parse(refused.body), { statusCode: 503, code: 'FST_HUB_OVERLOADED', error: 'Service Unavailable', message: 'This node is overloaded' })
  t.same(headerOf(refused, 'retry-after'), ['5'])
  t.equal(asked, 0, 'before the origin is looked at')
  t.equal((await app.request({ headers: { 'Sec-WebSocket-Version': '12' } })).status, 426, 'after the handshake is')
  t.equal(app.hub.stats().refused['FST_HUB_OVERLOADED'], 1)
  t.match(app.refusals(), [{ code: 'FST_HUB_OVERLOADED' }, { code: 'FST_HUB_UPGRADE_REQUIRED' }])
  await connected.roundTrip('who is inside stays')
  busy.stop()
  await until(() => app.hub.health().status === 'ok', 'the end of it')
  t.equal(app.hub.overloaded, false)
  t.equal((await app.request({ headers: { Origin: 'https://example.com' } })).status, 101)
  t.equal(asked, 1)
  await app.assertBaseline()
})

t.test('limits.maxLoopDelay 0, the default: nobody is refused for it', async (t) => {
  const app = await TestApp.start(t)
  const busy = keepBusy(t)
  await until(() => busy.turns > 3, 'some long turns')
  t.equal(app.hub.overloaded, false)
  await app.connect()
  busy.stop()
  await app.assertBaseline()
})

t.test('a drain is told before an overload', async (t) => {
  const app = await TestApp.start(t, { limits: { maxLoopDelay: LIMIT_MS } })
  const busy = keepBusy(t)
  await until(() => app.hub.overloaded, 'the delay to be noticed')
  const drained = app.hub.drain()
  t.match(JSON.parse((await app.request()).body), { code: 'FST_HUB_DRAINING' })
  t.equal(app.hub.health().status, 'draining')
  busy.stop()
  app.disconnectAll()
  await drained
})
