import t, { type Test } from 'tap'
import type { ClusterStats, HubStats } from '../../../../lib/core/types.js'
import { FST_HUB_BROKER_UNAVAILABLE } from '../../../../lib/errors.js'
import { startCluster, type FakeCluster } from '../../../helpers/fake-cluster.js'
import { startHub, type FakeHub } from '../../../helpers/fake-hub.js'

async function start (t: Test, count: number): Promise<{ cluster: FakeCluster, nodes: [FakeHub, FakeHub, FakeHub] }> {
  const { cluster, nodes } = await startCluster(count)
  t.teardown(async () => { for (const { hub } of nodes) await hub.stop() })
  return { cluster, nodes: nodes as [FakeHub, FakeHub, FakeHub] }
}

async function ask (cluster: FakeCluster, { hub }: FakeHub, timeout?: number): Promise<ClusterStats> {
  const [stats] = await Promise.all([hub.stats({ cluster: true, timeout }), cluster.settle()])
  return stats
}

t.test('one node: its own figures, complete', async (t) => {
  const fake = await startHub()
  await fake.connect({ user: 'ann' })
  const own = fake.hub.stats()
  t.same(await fake.hub.stats({ cluster: true }), { partial: false, nodes: [own], total: { ...own, nodeId: 'total' } })
  t.same(Object.keys((await fake.hub.stats({ cluster: true })).total), Object.keys(own))
})

t.test('all nodes, the one that asks first, and their sums', async (t) => {
  const { cluster, nodes } = await start(t, 3)
  const [one, two, three] = nodes
  await one.connect({ user: 'ann' })
  await two.connect({ user: 'ann' })
  await two.connect({ user: 'bob' })
  for (const { hub } of nodes) hub.refuse({ code: 'FST_HUB_FULL' })
  two.hub.refuse({ statusCode: 401 })
  two.hub.refuse({ statusCode: 401 })
  const { partial, nodes: stats, total } = await ask(cluster, one)
  t.equal(partial, false)
  t.same(stats[0], one.hub.stats())
  const byId = (a: HubStats, b: HubStats): number => a.nodeId < b.nodeId ? -1 : 1
  t.same([...stats].sort(byId), nodes.map(({ hub }) => hub.stats()).sort(byId))
  t.match(total, { nodeId: 'total', connections: 3, users: 3, admitted: 3, messages: { sent: 0 } })
  t.same(total.refused, { FST_HUB_FULL: 3, 401: 2 })
  const { total: same } = await ask(cluster, three)
  t.same(same, total)
})

t.test('a node that does not answer in time: partial, without it', async (t) => {
  const { cluster, nodes: [one, two, three] } = await start(t, 3)
  cluster.copies = ({ to }) => to === two.hub.nodeId ? 0 : 1
  const results: ClusterStats[] = []
  for (const timeout of [undefined, 500]) one.hub.stats({ cluster: true, timeout }).then((stats) => { results.push(stats) }).catch(t.threw)
  await cluster.clock.advance(490)
  t.equal(results.length, 0)
  await cluster.clock.advance(110)
  t.equal(results.length, 1)
  await cluster.clock.advance(1_300)
  t.equal(results.length, 1, 'the other has 2 s')
  await cluster.clock.advance(250)
  t.equal(results.length, 2)
  for (const { partial, nodes, total } of results) {
    t.equal(partial, true)
    t.same(nodes.map(({ nodeId }) => nodeId), [one.hub.nodeId, three.hub.nodeId])
    t.equal(total.nodeId, 'total')
  }
})

t.test('the nodes are not known: partial, this one alone', async (t) => {
  const { cluster, nodes: [one] } = await start(t, 2)
  cluster.nodesFailures.push(new FST_HUB_BROKER_UNAVAILABLE('away'))
  t.match(await ask(cluster, one), { partial: true, nodes: [{ nodeId: one.hub.nodeId }], total: { nodeId: 'total' } })
})

t.test('a node that was closed is none any more', async (t) => {
  const { cluster, nodes: [one, two] } = await start(t, 2)
  await two.hub.stop()
  t.match(await ask(cluster, one), { partial: false, nodes: [{ nodeId: one.hub.nodeId }] })
})

t.test('figures of another version count where they are, and nothing else is lost', async (t) => {
  const { cluster, nodes: [one] } = await start(t, 1)
  cluster.mesh.attach('other', {
    onNodeMessage: (from, { head: { id } }) => {
      cluster.mesh.deliver('other', from, { head: { kind: 'answer', id, result: { nodeId: 'other', connections: 5, messages: { sent: 2, novel: 3 }, extra: { deep: 1 }, refused: JSON.parse('{"__proto__":1}') } as unknown as HubStats }, payload: null })
    }
  })
  const { total, partial } = await ask(cluster, one)
  t.equal(partial, false)
  t.match(total, { connections: 5, users: 0, messages: { sent: 2, received: 0, novel: 3 }, extra: { deep: 1 } })
  t.same(Object.getPrototypeOf(total.refused), Object.prototype)
})

t.test('wrong options are refused', async (t) => {
  const { nodes: [{ hub }] } = await start(t, 1)
  for (const options of [{}, null, 7, { cluster: false }, { cluster: 'yes' }, ...[0, -1, 1.5, '1', null, Infinity, 2 ** 31].map((timeout) => ({ cluster: true, timeout }))]) {
    await t.rejects(hub.stats(options as { cluster: true }), { code: 'FST_HUB_INVALID_ARGUMENT' }, JSON.stringify(options))
  }
})

t.test('others may live, too: partial', async (t) => {
  const { cluster, nodes: [one, two] } = await start(t, 2)
  cluster.isCertain = false
  const { partial, nodes } = await ask(cluster, one)
  t.same([partial, nodes.map(({ nodeId }) => nodeId)], [true, [one, two].map(({ hub }) => hub.nodeId)])
})
