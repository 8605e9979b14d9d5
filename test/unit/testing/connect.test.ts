import t from 'tap'
import type { Hub } from '../../../lib/core/types.js'
import { connect, type ConnectOptions } from '../../../lib/testing/connect.js'
import { FakeHub, startHub } from '../../helpers/fake-hub.js'
import { PromisedDirectory } from '../../helpers/promised-directory.js'
import { gate, settled } from '../../helpers/until.js'

t.test('the connection is who the test says', async (t) => {
  const { hub } = await startHub()
  const data = { name: 'Ada' }
  const { connection } = await connect(hub, { user: 'ada', device: 'web', data, ip: '2001:db8::1', subprotocol: 'raw' })
  t.match(connection, { user: 'ada', device: 'web', ip: '2001:db8::1', subprotocol: 'raw' })
  t.equal(connection.data, data)
  t.equal(hub.get(connection.id), connection)
  const { connection: anonymous } = await connect(hub, { user: undefined, ip: null })
  t.match(anonymous, { user: null, device: null, ip: null, subprotocol: null, data: {} })
  t.equal(hub.size, 2)
})

t.test('resolves when onConnect has begun', async (t) => {
  const { promise, open } = gate()
  const begun: string[] = []
  const { hub } = await startHub({
    onConnect: async (connection) => {
      begun.push(connection.id)
      await promise
    }
  })
  const peers = await Promise.all([connect(hub), connect(hub)])
  t.same(begun, peers.map(({ connection }) => connection.id))
  t.match(peers, [{ connection: { state: 'connecting' } }, { connection: { state: 'connecting' } }])
  open()
  await settled()
  t.match(peers, [{ connection: { state: 'open' } }, { connection: { state: 'open' } }])
})

t.test('resolves with the end where the server closes it instead', async (t) => {
  class Away extends PromisedDirectory {
    override async claim (): Promise<never> { throw new Error('the directory is away') }
  }
  const { hub } = await startHub({ directory: new Away(), onConnect: () => { t.fail('there is no connection') } })
  const peer = await connect(hub)
  t.equal((await peer.closed).code, 1011)
  t.equal(hub.admission.held, 0)
})

t.test('takes a slot, which its end gives back; a refusal is counted', async (t) => {
  const { hub } = await startHub({ limits: { connections: 2, connectionsPerIp: 1 } })
  const peer = await connect(hub, { ip: '10.0.0.1' })
  await t.rejects(connect(hub, { ip: '10.0.0.1' }), { code: 'FST_HUB_TOO_MANY_CONNECTIONS_PER_IP' })
  await connect(hub)
  await t.rejects(connect(hub), { code: 'FST_HUB_FULL' })
  t.match(hub.stats(), { admitted: 2, refused: { FST_HUB_FULL: 1, FST_HUB_TOO_MANY_CONNECTIONS_PER_IP: 1 } })
  peer.close()
  await peer.closed
  await connect(hub, { ip: '10.0.0.1' })
})

t.test('waits for a slot where the hub lets it', async (t) => {
  const { hub, clock } = await startHub({ limits: { connections: 1, onFull: 'wait', waitTimeout: 5_000, maxWaiting: 10 } })
  const first = await connect(hub)
  const second = connect(hub)
  const third = t.rejects(connect(hub), { code: 'FST_HUB_WAIT_TIMEOUT' })
  await clock.settle()
  t.equal(hub.stats().waiting, 2)
  first.close()
  const { connection } = await second
  t.equal(connection.state, 'open')
  await clock.advance(5_200)
  await third
  const draining = t.rejects(connect(hub), { code: 'FST_HUB_DRAINING' })
  await hub.drain()
  await draining
  await t.rejects(connect(hub), { code: 'FST_HUB_DRAINING' })
  await hub.stop()
  await t.rejects(connect(hub), { code: 'FST_HUB_DRAINING' })
})

t.test('refuses what is no hub, or not yet', async (t) => {
  for (const hub of [undefined, {}, 'hub']) {
    await t.rejects(connect(hub as Hub), { code: 'FST_HUB_INVALID_ARGUMENT', message: /^hub: expected the hub of an app, such as app.hub, got / })
  }
  const { hub } = new FakeHub()
  await t.rejects(connect(hub), { code: 'FST_HUB_INVALID_ARGUMENT', message: /app.ready\(\)/ })
  t.equal(hub.admission.held, 0)
})

t.test('refuses wrong options', async (t) => {
  const { hub } = await startHub()
  for (const [options, message] of [
    [null, /^options: expected an object, got null/],
    [{ usr: 'ada' }, /^options.usr: expected no such option; there are user, /],
    [{ constructor: 1 }, /^options.constructor: expected no such option/],
    [{ user: '' }, /^options.user: expected a string of 1 to 255 bytes of UTF-8, got ""/],
    [{ device: 5 }, /^options.device: expected a string of 1 to 255 bytes/],
    [{ expiresAt: 1_700_000_000 }, /^options.expiresAt: expected a valid Date, or milliseconds/],
    [{ data: null }, /^options.data: expected an object, got null/],
    [{ ip: 'localhost' }, /^options.ip: expected an IP address, or null, got "localhost"/],
    [{ subprotocol: '' }, /^options.subprotocol: expected a string, or null, got ""/],
    [{ kernel: -1 }, /^options.kernel: expected a number of bytes of at least 0, got -1/]
  ] as const) await t.rejects(connect(hub, options as unknown as ConnectOptions), { code: 'FST_HUB_INVALID_ARGUMENT', message })
  t.same([hub.size, hub.admission.held], [0, 0])
})

t.test('kernel: what a peer that does not read may be sent before it counts as slow', async (t) => {
  const { hub, clock } = await startHub()
  const peer = await connect(hub, { kernel: 10 })
  peer.stuck()
  for (const expected of ['sent', 'sent', 'sent', 'queued']) {
    t.equal(peer.connection.send('ab'), expected)
    await clock.settle()
  }
  const endless = await connect(hub, { kernel: Infinity })
  endless.vanish()
  for (let i = 0; i < 100; i++) t.equal(endless.connection.send('x'.repeat(10_000)), 'sent')
})
