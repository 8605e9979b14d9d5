import t, { type Test } from 'tap'
import type { Inboxes } from '../../../lib/core/ports.js'
import { startCluster, type FakeCluster } from '../../helpers/fake-cluster.js'
import type { FakeHub, FakeHubOptions } from '../../helpers/fake-hub.js'
import { RedisInboxWorld } from '../../helpers/redis-inboxes.js'
import { redisUrl } from '../../helpers/redis-server.js'
import { until } from '../../helpers/until.js'
import { V1Peer } from '../../helpers/v1-peer.js'

const url = await redisUrl(t)

/** Two hubs that have all in common in process, but for what they tell each other. */
async function start (t: Test, options: FakeHubOptions = {}): Promise<{ cluster: FakeCluster, nodes: [FakeHub, FakeHub] }> {
  const world = new RedisInboxWorld({ url })
  const ready: Array<Promise<unknown>> = []
  const { cluster, nodes } = await startCluster(2, {
    inboxes: (nodeId, listener): Inboxes => {
      const node = world.node(listener, nodeId)
      ready.push(node)
      return {
        nodes: async () => await (await node).inboxes.nodes(),
        send: async (to, message) => await (await node).inboxes.send(to, message),
        close: async () => { await (await node).inboxes.close() }
      }
    },
    ...options
  })
  await Promise.all(ready)
  t.teardown(async () => {
    for (const { hub } of nodes) await hub.stop()
    await world.close()
  })
  return { cluster, nodes: nodes as [FakeHub, FakeHub] }
}

t.test('messages for users, kicks and figures over Redis', async (t) => {
  const { nodes: [one, two] } = await start(t)
  const peer = await two.connect({ user: 'ann' })
  for (const [i, data] of ['text', { json: 1 }, Buffer.from([1, 2])].entries()) {
    t.same(await one.hub.user('ann').send(data, { key: `${i}` }), { delivered: 1, nodes: [two.hub.nodeId], stored: false })
  }
  two.clock.turn()
  t.same(peer.transport.messages, ['text', '{"json":1}', Buffer.from([1, 2])])
  const { partial, nodes, total } = await one.hub.stats({ cluster: true })
  t.same(nodes, [one.hub.stats(), two.hub.stats()])
  t.same([partial, total.connections], [false, 1])
  t.equal(await one.hub.user('ann').kick('über', { code: 1001 }), 1)
  t.same(peer.transport.closed, { code: 1001, reason: 'über' })
})

t.test('single logins over Redis: of one user, of one device, and of none', async (t) => {
  for (const sessions of ['single-per-user', 'single-per-device'] as const) {
    const { nodes: [one, two] } = await start(t, { sessions })
    const [web, none] = sessions === 'single-per-user' ? [null, await one.connect({ user: 'ann' })] : [await one.connect({ user: 'ann', device: 'web' }), await one.connect({ user: 'ann' })]
    const newer = await two.connect({ user: 'ann' })
    await until(() => newer.connection.registered, 'the newer login')
    t.same([web?.transport.closed, none.transport.closed], [web === null ? undefined : null, { code: 4502, reason: 'replaced' }])
  }
})

t.test('messages that are kept are fetched when Redis says so', async (t) => {
  const { cluster, nodes: [one, two] } = await start(t)
  const peer = await V1Peer.connect(two.hub, cluster.clock, { user: 'ann' })
  t.same(await one.hub.user('ann').send('kept', { offline: {} }), { delivered: 1, nodes: [two.hub.nodeId], stored: true })
  await cluster.settle()
  t.same(peer.of('direct').map(({ data }) => data), ['kept'])
})
