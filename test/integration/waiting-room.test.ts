import t from 'tap'
import { TestApp } from '../helpers/app.js'
import { headerOf, type RawClient } from '../helpers/raw-client.js'
import { until } from '../helpers/until.js'

/** Fills the hub's one place and puts `count` upgrades in line, one after the other. */
async function line (app: TestApp, count: number): Promise<{ inside: RawClient, waiting: RawClient[] }> {
  const inside = await app.connect()
  const waiting: RawClient[] = []
  for (let i = 0; i < count; i++) {
    const client = await app.open()
    client.sendHandshake({ path: `/ws?n=${i}` })
    waiting.push(client)
    await until(() => app.hub.admission.waiting === i + 1, `waiter ${i}`)
  }
  return { inside, waiting }
}

t.test('first come, first served', async (t) => {
  const order: unknown[] = []
  const app = await TestApp.start(t, {
    limits: { connections: 1, onFull: 'wait', waitTimeout: 0 },
    identify: ({ query }) => {
      order.push((query as { n?: string }).n)
      return {}
    }
  })
  const { inside, waiting } = await line(app, 5)
  t.same(order, [undefined], 'nobody is identified while waiting')
  t.equal(app.hub.stats().waiting, 5)
  let current = inside
  for (const next of waiting) {
    current.sendClose(1000)
    await next.upgraded()
    current = next
  }
  t.same(order, [undefined, '0', '1', '2', '3', '4'])
  t.equal(app.hub.stats().waiting, 0)
  await app.assertBaseline()
})

t.test('who leaves the line frees the place', async (t) => {
  const order: unknown[] = []
  const app = await TestApp.start(t, {
    limits: { connections: 1, onFull: 'wait', waitTimeout: 0, maxWaiting: 3 },
    identify: ({ query }) => {
      order.push((query as { n?: string }).n)
      return {}
    }
  })
  const { inside, waiting: [first, second, third] } = await line(app, 3) as { inside: RawClient, waiting: [RawClient, RawClient, RawClient] }
  const beyond = await app.request()
  t.equal(beyond.status, 503, 'the line is full')
  t.match(JSON.parse(beyond.body), { code: 'FST_HUB_FULL' })
  first.finish()
  await until(() => app.hub.admission.waiting === 2, 'FIN')
  second.reset()
  await until(() => app.hub.admission.waiting === 1, 'RST')
  inside.reset()
  await third.upgraded()
  t.same(order, [undefined, '2'])
  await app.assertBaseline()
})

t.test('a whole line that leaves together with the one inside', async (t) => {
  const app = await TestApp.start(t, { limits: { connections: 1, onFull: 'wait', waitTimeout: 0 } })
  const { inside, waiting } = await line(app, 50)
  for (const client of [inside, ...waiting]) client.reset()
  await until(() => app.held === 0 && app.hub.admission.waiting === 0, 'an empty hub')
  await app.connect()
  await app.assertBaseline()
})

t.test('waitTimeout', async (t) => {
  const app = await TestApp.start(t, { limits: { connections: 1, onFull: 'wait', waitTimeout: 1_000 } })
  const { inside, waiting: [client] } = await line(app, 1) as { inside: RawClient, waiting: [RawClient] }
  const response = await client.response()
  t.equal(response.status, 503)
  t.match(JSON.parse(response.body), { code: 'FST_HUB_WAIT_TIMEOUT' })
  t.match(headerOf(response, 'retry-after'), [/^[1-9]\d*$/])
  t.equal(app.refusals().length, 1)
  await inside.roundTrip('still inside')
  await app.assertBaseline()
})

t.test('waiting is not part of deadlines.admit', async (t) => {
  const app = await TestApp.start(t, { limits: { connections: 1, onFull: 'wait', waitTimeout: 0 }, deadlines: { admit: 1_000 } })
  const { inside, waiting: [client] } = await line(app, 1) as { inside: RawClient, waiting: [RawClient] }
  await new Promise((resolve) => { setTimeout(resolve, 2_000) })
  inside.sendClose(1000)
  await client.upgraded()
  await app.assertBaseline()
})

t.test('waiting counts per address', async (t) => {
  const app = await TestApp.start(t, { limits: { connections: 2, connectionsPerIp: 2, onFull: 'wait', waitTimeout: 0 } })
  const others = await Promise.all([1, 2].map(async () => await app.open({ localAddress: '127.0.0.3' })))
  for (const other of others) await other.upgrade()
  const waiters = [await app.open(), await app.open()]
  for (const waiter of waiters) waiter.sendHandshake()
  await until(() => app.hub.admission.waiting === 2, 'two in line')
  t.equal((await app.request()).status, 429)
  for (const other of others) other.sendClose(1000)
  for (const waiter of waiters) await waiter.upgraded()
  await app.assertBaseline()
})

t.test('a drain refuses who waits', async (t) => {
  const app = await TestApp.start(t, { limits: { connections: 1, onFull: 'wait', waitTimeout: 0 } })
  const { inside, waiting } = await line(app, 3)
  const closed = app.app.close()
  const responses = await Promise.all(waiting.map(async (client) => await client.response()))
  t.same(responses.map(({ status }) => status), [503, 503, 503])
  for (const response of responses) {
    t.match(JSON.parse(response.body), { code: 'FST_HUB_DRAINING' })
    t.match(headerOf(response, 'retry-after'), [/^[1-9]\d*$/])
  }
  t.same((await Promise.all([inside.ended(), app.healthy.ended()])).map(({ code }) => code), [1012, 1012])
  await closed
  t.same([app.hub.admission.held, app.hub.admission.waiting, app.hub.wheel.size, app.sockets.size], [0, 0, 0, 0])
})
