import Fastify from 'fastify'
import t, { type Test } from 'tap'
import fastifyHub from '../../lib/index.js'
import { RawClient, type Handshake } from '../helpers/raw-client.js'
import { gate, until } from '../helpers/until.js'
import { listen } from '../helpers/ws-client.js'

async function open (t: Test, address: string, handshake?: Handshake): Promise<RawClient> {
  const client = await RawClient.connect(Number(address.split(':')[1]))
  t.teardown(() => { client.destroy() })
  if (handshake !== undefined) client.sendHandshake(handshake)
  return client
}

t.test('an upgrade of another route that ends its hooks while the app closes does not hold the close', async (t) => {
  const app = Fastify()
  const inHook = gate()
  const late = gate()
  await app.register(fastifyHub)
  app.get('/other', { websocket: true }, () => {})
  app.get('/late', { websocket: true, preHandler: async () => { inHook.open(); await late.promise } }, () => {})
  const address = await listen(t, app)
  // Both take their time to close: the hub waits for one, and @fastify/websocket's server for the other.
  const slow = [await open(t, address), await open(t, address)] as const
  for (const client of slow) client.polite = false
  await slow[0].upgrade()
  await slow[1].upgrade({ path: '/other' })
  const other = await open(t, address, { path: '/late' })
  await inHook.promise
  const closed = app.close()
  await until(() => app.hub.health().status === 'draining', 'the drain')
  late.open()
  t.equal((await other.response()).status, 503)
  for (const client of slow) client.sendClose(1012)
  await closed
})

t.test('an upgrade behind a request that is being answered while the app closes leaves that answer whole', async (t) => {
  const app = Fastify()
  const inHandler = gate()
  const answer = gate()
  const closing = gate()
  await app.register(fastifyHub)
  // Runs behind that of the hub, which has nothing to wait for.
  app.addHook('preClose', async () => { closing.open() })
  app.get('/slow', async () => {
    inHandler.open()
    await answer.promise
    return 'slow'
  })
  const address = await listen(t, app)
  const client = await open(t, address)
  client.write('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n')
  await inHandler.promise
  const closed = app.close()
  await closing.promise
  const upgraded = new Promise((resolve) => { app.server.once('upgrade', resolve) })
  client.sendHandshake()
  await upgraded
  answer.open()
  const response = await client.response()
  t.equal(response.status, 200)
  t.equal(response.body, 'slow')
  await closed
})
