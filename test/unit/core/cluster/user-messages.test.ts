import t, { type Test } from 'tap'
import type { Directory } from '../../../../lib/core/ports.js'
import type { UserSendOptions, UserSendResult } from '../../../../lib/core/types.js'
import { FST_HUB_BROKER_UNAVAILABLE } from '../../../../lib/errors.js'
import { JsonText } from '../../../../lib/protocol/json-text.js'
import { startCluster, type FakeCluster } from '../../../helpers/fake-cluster.js'
import type { FakeHub, FakeHubOptions, FakePeer } from '../../../helpers/fake-hub.js'
import { PromisedDirectory } from '../../../helpers/promised-directory.js'
import { V1Peer } from '../../../helpers/v1-peer.js'

interface World { cluster: FakeCluster, directory: Directory, nodes: [FakeHub, FakeHub, FakeHub], ids: [string, string, string] }

async function start (t: Test, options: FakeHubOptions = {}): Promise<World> {
  const directory = new PromisedDirectory()
  const { cluster, nodes } = await startCluster(3, { directory, ...options })
  t.teardown(async () => {
    for (const { hub } of nodes) {
      for (const connection of hub.connections()) connection.terminate()
      await cluster.settle()
      await hub.stop()
    }
    await cluster.settle()
    if (cluster.clock.timers > 0) throw new Error('timers are left')
  })
  return { cluster, directory, nodes: nodes as World['nodes'], ids: nodes.map(({ hub }) => hub.nodeId) as World['ids'] }
}

/** The next calls of the directory fail. */
function fail (directory: Directory, times: number): void {
  const user = directory.user.bind(directory)
  directory.user = async (name) => {
    if (times-- > 0) throw new FST_HUB_BROKER_UNAVAILABLE('away')
    return await user(name)
  }
}

const messages = (...peers: FakePeer[]): unknown[] => peers.map(({ transport }) => transport.messages)

/** Sends to ann, and lets happen what needs no time. */
async function send ({ cluster, nodes: [one] }: World, data: unknown, options?: UserSendOptions): Promise<UserSendResult> {
  const [result] = await Promise.all([one.hub.user('ann').send(data, options), cluster.settle()])
  return result
}

t.test('every connection of the user gets it, on whatever node', async (t) => {
  const world = await start(t)
  const [one, two, three] = world.nodes
  const peers = [await one.connect({ user: 'ann' }), await two.connect({ user: 'ann' }), await two.connect({ user: 'ann' }), await three.connect({ user: 'bob' })]
  t.same(await send(world, 'hello'), { delivered: 3, nodes: world.ids.slice(0, 2), stored: false })
  t.same(messages(...peers), [['hello'], ['hello'], ['hello'], []])
  t.equal(world.cluster.passed.filter(({ to }) => to === world.ids[2]).length, 0, 'nobody else is asked')
})

t.test('those of this node get it within the call, and before what follows', async (t) => {
  const world = await start(t)
  const [one, two] = world.nodes
  const [here, there] = [await one.connect({ user: 'ann' }), await two.connect({ user: 'ann' })]
  const sent = one.hub.user('ann').send('first')
  here.connection.send('second')
  await world.cluster.settle()
  await sent
  t.same(messages(here, there), [['first', 'second'], ['first']])
})

t.test('data of each kind travels, and so do overflow and key', async (t) => {
  const world = await start(t, { queue: { maxMessages: 2, maxBytes: 0 } })
  const [, two] = world.nodes
  const peer = await two.connect({ user: 'ann' })
  const bytes = Buffer.from('bytes')
  const sent = world.nodes[0].hub.user('ann').send(bytes)
  bytes.fill('x')
  await world.cluster.settle()
  t.equal((await sent).delivered, 1)
  await send(world, { a: [1] })
  await send(world, 'text')
  t.same(messages(peer), [[Buffer.from('bytes'), '{"a":[1]}', 'text']])
  t.ok(world.cluster.passed.some(({ message: { payload } }) => payload instanceof JsonText))
  peer.transport.block()
  t.equal((await send(world, 'a', { key: 'k' })).delivered, 1)
  t.equal((await send(world, 'b', { key: 'k' })).delivered, 1)
  t.equal((await send(world, 'c')).delivered, 1)
  t.same(await send(world, 'd', { overflow: 'reject-new' }), { delivered: 0, nodes: [], stored: false })
  t.match(two.hub.stats().messages, { replaced: 1, rejected: 1, dropped: 0 })
  await send(world, 'e', { overflow: 'disconnect' })
  t.equal(peer.transport.terminated, true)
})

t.test('nobody anywhere, or nobody who takes it: zero, and complete', async (t) => {
  const world = await start(t)
  t.same(await send(world, 'x'), { delivered: 0, nodes: [], stored: false })
  const peer = await world.nodes[1].connect({ user: 'ann' })
  peer.connection.close()
  t.same(await send(world, 'x'), { delivered: 0, nodes: [], stored: false })
})

t.test('a node that does not answer within 2 s: partial, also when nobody else has it', async (t) => {
  const world = await start(t)
  const { cluster, nodes: [one, two, three], ids } = world
  await two.connect({ user: 'ann' })
  await three.connect({ user: 'ann' })
  cluster.copies = ({ to }) => to === ids[1] ? 0 : 1
  let result: UserSendResult | undefined
  one.hub.user('ann').send('x').then((value) => { result = value }).catch(t.threw)
  await cluster.clock.advance(1_900)
  t.equal(result, undefined)
  await cluster.clock.advance(250)
  t.same(result, { delivered: 1, nodes: [ids[2]], stored: false, partial: true })
  cluster.copies = () => 1
  cluster.sendFailures.push(new FST_HUB_BROKER_UNAVAILABLE('away'), new FST_HUB_BROKER_UNAVAILABLE('away'))
  t.same(await send(world, 'x'), { delivered: 0, nodes: [], stored: false, partial: true }, 'it can not be asked: nobody waits')
})

t.test('a doubled message is delivered once', async (t) => {
  const world = await start(t)
  const peer = await world.nodes[1].connect({ user: 'ann' })
  world.cluster.copies = () => 2
  t.equal((await send(world, 'once')).delivered, 1)
  t.same(messages(peer), [['once']])
})

t.test('the directory can not be asked: partial when somebody here has it, else it rejects', async (t) => {
  const world = await start(t)
  const [one, two] = world.nodes
  const peers = [await one.connect({ user: 'ann' }), await two.connect({ user: 'ann' })]
  fail(world.directory, 1)
  t.same(await send(world, 'x'), { delivered: 1, nodes: [world.ids[0]], stored: false, partial: true })
  peers[0]?.transport.reset()
  fail(world.directory, 1)
  await t.rejects(send(world, 'y'), { code: 'FST_HUB_BROKER_UNAVAILABLE' })
  t.same(messages(...peers), [['x'], []])
})

t.test('a node that drains answers for those that it has not closed yet, one that has been closed is not there', async (t) => {
  const world = await start(t)
  const { cluster, nodes: [one, two], ids } = world
  const peers: FakePeer[] = []
  for (let i = 0; i < 200; i++) peers.push(await two.connect({ user: 'ann' }))
  const drained = two.hub.drain()
  const open = peers.filter(({ connection }) => connection.state === 'open').length
  t.ok(open > 0 && open < 200)
  t.same(await send(world, 'x'), { delivered: open, nodes: [ids[1]], stored: false })
  await cluster.clock.advance(20_000)
  await drained
  t.equal(messages(...peers).filter((list) => (list as string[]).length === 1).length, open)
  await two.hub.stop()
  // What the directory would know of a node that was killed.
  const lost = world.directory.user.bind(world.directory)
  world.directory.user = async () => [{ id: '1', nodeId: ids[1], user: 'ann', device: null, subprotocol: null, ip: null, connectedAt: 0, lastSeen: 0 }]
  t.same(await send(world, 'x'), { delivered: 0, nodes: [], stored: false, partial: true })
  world.directory.user = lost
  t.equal(one.hub.size, 0)
})

t.test('offline: those who can acknowledge are told, on whatever node, after it was stored', async (t) => {
  const world = await start(t)
  const { cluster, nodes: [one, two, three], ids } = world
  const peers = [await V1Peer.connect(one.hub, cluster.clock, { user: 'ann' }), await V1Peer.connect(two.hub, cluster.clock, { user: 'ann' }), await V1Peer.connect(two.hub, cluster.clock, { user: 'ann' })]
  const raw = await three.connect({ user: 'ann' })
  t.same(await send(world, 'kept', { offline: {} }), { delivered: 3, nodes: ids.slice(0, 2), stored: true })
  await cluster.settle()
  for (const peer of peers) t.same(peer.of('direct').map(({ data }) => data), ['kept'])
  t.same(messages(raw), [[]])
  t.equal((await cluster.store.list('ann', undefined, 10)).length, 1, 'until it is acknowledged')
  t.equal(cluster.passed.filter(({ to }) => to === ids[2]).length, 0, 'those who can not acknowledge are not told')
  t.match(one.hub.stats().offline, { stored: 1 })
})

t.test('offline: acknowledged on another node', async (t) => {
  const world = await start(t)
  const { cluster, nodes: [, two, three] } = world
  t.same(await send(world, 'kept', { offline: {} }), { delivered: 0, nodes: [], stored: true })
  const peer = await V1Peer.connect(two.hub, cluster.clock, { user: 'ann' })
  await peer.ask({ op: 'ack', ids: peer.of('direct').flatMap(({ ack }) => ack ?? []) })
  t.same((await V1Peer.connect(three.hub, cluster.clock, { user: 'ann' })).of('direct'), [])
})

t.test('offline: refused when somebody is there, and nobody can acknowledge, on whatever node', async (t) => {
  const world = await start(t)
  const { cluster, nodes: [one, two] } = world
  await two.connect({ user: 'ann' })
  await t.rejects(send(world, 'x', { offline: {} }), { code: 'FST_HUB_OFFLINE_UNAVAILABLE' })
  const here = await one.connect({ user: 'ann' })
  await t.rejects(send(world, 'x', { offline: {} }), { code: 'FST_HUB_OFFLINE_UNAVAILABLE' })
  t.same(await cluster.store.list('ann', undefined, 10), [], 'nothing was stored')
  const able = await V1Peer.connect(two.hub, cluster.clock, { user: 'ann' })
  t.match(await send(world, 'x', { offline: {} }), { delivered: 1, stored: true }, 'one can')
  t.same(able.of('direct').map(({ data }) => data), ['x'])
  t.same(messages(here), [[]])
})

t.test('offline: bytes may be changed while the directory is asked', async (t) => {
  const world = await start(t)
  const bytes = Buffer.from('before')
  const sent = world.nodes[0].hub.user('ann').send(bytes, { offline: {} })
  bytes.fill('x')
  await sent
  t.equal(String((await world.cluster.store.list('ann', undefined, 1))[0]?.payload), 'before')
})

t.test('offline: the directory can not be asked', async (t) => {
  const world = await start(t)
  const { cluster, directory, nodes: [one, two] } = world
  fail(directory, 2)
  t.same(await send(world, '1', { offline: {} }), { delivered: 0, nodes: [], stored: true, partial: true }, 'nobody is known to be there')
  const raw = await one.connect({ user: 'ann' })
  fail(directory, 1)
  await t.rejects(send(world, '2', { offline: {} }), { code: 'FST_HUB_BROKER_UNAVAILABLE' }, 'whether anybody can acknowledge is not known')
  await V1Peer.connect(one.hub, cluster.clock, { user: 'ann' })
  fail(directory, 1)
  t.same(await send(world, '3', { offline: {} }), { delivered: 1, nodes: [one.hub.nodeId], stored: true, partial: true })
  t.equal((await cluster.store.list('ann', undefined, 10)).length, 2)
  t.same(messages(raw), [[]])
  t.equal(two.hub.size, 0)
})

t.test('offline: who enters between the question and the store finds it by itself', async (t) => {
  const world = await start(t)
  const { cluster, directory, nodes: [one, two] } = world
  const user = directory.user.bind(directory)
  let entering: Promise<V1Peer> | undefined
  directory.user = async (name) => {
    const answer = await user(name)
    entering ??= V1Peer.connect(two.hub, cluster.clock, { user: 'ann' })
    return answer
  }
  const sent = one.hub.user('ann').send('x', { offline: {} })
  await cluster.clock.advance(100)
  await sent
  t.same((await entering)?.of('direct').map(({ data }) => data), ['x'])
})
