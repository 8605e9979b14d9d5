import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import fastifyHub, { type Hub, type HubOptions } from '../../lib/index.js'
import { connect, TestClock, TestCluster, type TestPeer } from '../../lib/testing/index.js'
import { captureLogs } from '../helpers/app.js'
import { V1Peer } from '../helpers/v1-peer.js'

const AWAY = { code: 'FST_HUB_BROKER_UNAVAILABLE' }

interface World { clock: TestClock, cluster: TestCluster, hubs: [Hub, Hub, Hub], apps: FastifyInstance[], errors: unknown[] }

/** Three whole apps as nodes of one cluster, on the time of the test. */
async function start (t: Test, options: HubOptions = {}): Promise<World> {
  const clock = new TestClock()
  const cluster = new TestCluster({ clock })
  const apps: FastifyInstance[] = []
  const errors: unknown[] = []
  const { lines: logs, options: logger } = captureLogs()
  for (let i = 0; i < 3; i++) {
    const app = Fastify({ logger })
    await app.register(fastifyHub, { cluster, subprotocols: ['hub.v1.json'], history: { size: 100 }, ...options })
    app.hub.on('error', (error) => { errors.push(error) })
    await app.ready()
    apps.push(app)
  }
  t.teardown(async () => {
    for (const app of apps) {
      const closed = app.close()
      await clock.advance(20_000)
      await closed
    }
    const failures = logs.filter(({ level }) => level >= 50)
    if (clock.timers > 0 || failures.length > 0) throw new Error(`left: ${clock.timers} timers, ${JSON.stringify(failures)}`)
  })
  return { clock, cluster, hubs: apps.map(({ hub }) => hub) as World['hubs'], apps, errors }
}

const texts = (...peers: TestPeer[]): string[][] => peers.map(({ messages }) => messages.map((message) => message.text()))

async function joined (hub: Hub, room: string, user: string): Promise<TestPeer> {
  const peer = await connect(hub, { user, kernel: Infinity })
  await peer.connection.join(room)
  return peer
}

t.test('rooms: what is published on one node reaches the members of all, in one order', async (t) => {
  const { clock, hubs: [one, two, three], errors } = await start(t)
  const peers = [await joined(one, 'lobby', 'ann'), await joined(two, 'lobby', 'bob'), await joined(two, 'lobby', 'cid')] as const
  const elsewhere = await joined(three, 'attic', 'dan')
  t.match(await one.room('lobby').publish('1', { except: peers[1].connection }), { offset: 1, sent: 1 })
  for (let i = 2; i < 10; i++) await Promise.all([one, two, three].map(async (hub) => await hub.room('lobby').publish(`${i}`)))
  await one.room('lobby').publish('soon gone', { ephemeral: true })
  await clock.settle()
  const [ann, bob, cid] = texts(...peers)
  t.equal(ann?.length, 26)
  t.same(ann, cid)
  t.same(bob, ann?.slice(1))
  t.same(texts(elsewhere), [[]])
  await three.broadcast('all')
  await clock.settle()
  t.same(texts(...peers, elsewhere).map((list) => list.at(-1)), ['all', 'all', 'all', 'all'])
  t.same((await three.room('lobby').presence()).map(({ user }) => user), ['ann', 'bob', 'cid'])
  const { publications, position } = await three.room('lobby').history()
  t.equal(publications.length, position.offset)
  t.same(errors, [])
})

t.test('users: send, online and kick reach the connections of all nodes', async (t) => {
  const { clock, hubs: [one, two, three] } = await start(t)
  const peers = [await connect(one, { user: 'ann' }), await connect(two, { user: 'ann' }), await connect(two, { user: 'bob' })] as const
  const [sent] = await Promise.all([three.user('ann').send({ hello: 'ann' }), clock.settle()])
  t.same(sent, { delivered: 2, nodes: [one.nodeId, two.nodeId], stored: false })
  t.same(texts(...peers), [['{"hello":"ann"}'], ['{"hello":"ann"}'], []])
  t.same([await three.user('ann').online(), await three.user('nobody').online()], [true, false])
  const [kicked] = await Promise.all([three.user('ann').kick('out'), clock.settle()])
  t.equal(kicked, 2)
  t.same(peers.map(({ ended }) => ended), [{ code: 4501, reason: 'out' }, { code: 4501, reason: 'out' }, null])
  t.equal(await three.user('ann').online(), false)
})

t.test('one login per user, over nodes', async (t) => {
  const { clock, hubs: [one, two] } = await start(t, { sessions: 'single-per-user' })
  const older = await connect(one, { user: 'ann' })
  const newer = await connect(two, { user: 'ann' })
  await clock.settle()
  t.same([older.ended?.code, newer.ended], [4502, null])
  t.same([one.size, two.size], [0, 1])
})

t.test('messages for users who are away are given by whichever node they come to', async (t) => {
  const { clock, hubs: [one, two, three] } = await start(t, { offline: { maxMessages: 2 } })
  for (const text of ['1', '2', '3']) t.match(await one.user('ann').send(text, { offline: {} }), { delivered: 0, stored: true })
  t.equal(one.stats().offline.evicted, 1)
  const peer = await V1Peer.connect(two, clock, { user: 'ann' })
  t.same(peer.of('direct').map(({ data }) => data), ['2', '3'])
  const [sent] = await Promise.all([three.user('ann').send('4', { offline: {} }), clock.settle()])
  t.same(sent, { delivered: 1, nodes: [two.nodeId], stored: true })
  t.equal(peer.of('direct').at(-1)?.data, '4')
  await connect(three, { user: 'raw' })
  await t.rejects(one.user('raw').send('x', { offline: {} }), { code: 'FST_HUB_OFFLINE_UNAVAILABLE' })
})

t.test('a survey: all nodes, and without one that is cut', async (t) => {
  const { clock, cluster, hubs: [one, two, three] } = await start(t)
  for (const hub of [one, two, two, three]) await connect(hub, { user: 'ann' })
  const [whole] = await Promise.all([one.stats({ cluster: true }), clock.settle()])
  t.match(whole, { partial: false, total: { nodeId: 'total', connections: 4, admitted: 4 } })
  t.same(whole.nodes.map(({ nodeId, connections }) => [nodeId, connections]), [[one.nodeId, 1], [two.nodeId, 2], [three.nodeId, 1]])
  cluster.cut(two)
  const [part] = await Promise.all([one.stats({ cluster: true, timeout: 500 }), clock.advance(600)])
  t.match(part, { partial: true, total: { connections: 2 } })
  const [alone] = await Promise.all([two.stats({ cluster: true }), clock.settle()])
  t.match(alone, { partial: true, nodes: [{ nodeId: two.nodeId }], total: { connections: 2 } })
  cluster.heal(two)
  const [again] = await Promise.all([two.stats({ cluster: true }), clock.settle()])
  t.match(again, { partial: false, total: { connections: 4 } })
})

t.test('FAULTS 57: a node that is cut serves its own, and catches up without a gap', async (t) => {
  const { clock, cluster, hubs: [one, two], errors } = await start(t)
  const peers = [await V1Peer.connect(one, clock, { user: 'ann' }), await V1Peer.connect(two, clock, { user: 'bob' })] as const
  for (const { peer } of peers) await peer.connection.join('lobby')
  await one.room('lobby').publish(1)
  cluster.cut(two)
  for (const data of [2, 3]) await one.room('lobby').publish(data)
  await one.broadcast('for all')
  const raw = peers[1].peer.connection
  const [room, ann] = [two.room('lobby'), two.user('ann')]
  const calls = { publish: room.publish(9), join: raw.join('attic'), history: room.history(), presence: room.presence(), send: ann.send('x'), offline: ann.send('x', { offline: {} }), kick: ann.kick(), online: ann.online() }
  for (const [name, call] of Object.entries(calls)) await t.rejects(call as Promise<unknown>, AWAY, name)
  t.equal((await raw.join('lobby')).offset, 0, 'it is in already, and the first publication was on its way')
  t.match(await two.room('lobby').publish('here', { ephemeral: true }), { sent: 1 })
  t.match(await two.broadcast('all here'), { sent: 1 })
  t.same(await two.user('bob').send('direct'), { delivered: 1, nodes: [two.nodeId], stored: false, partial: true })
  await clock.settle()
  const shown = ({ told }: V1Peer): unknown[] => told.flatMap((message) => message.op === 'message' || message.op === 'direct' ? [message.data] : message.op === 'gap' ? ['gap'] : [])
  t.same(shown(peers[1]), ['here', 'all here', 'direct'])
  cluster.heal(two)
  await clock.settle()
  t.same(shown(peers[1]), ['here', 'all here', 'direct', 1, 2, 3, 'for all'])
  t.same(shown(peers[0]), [1, 2, 3, 'for all'])
  await two.room('lobby').publish(4)
  await clock.settle()
  for (const peer of peers) t.same(peer.log('lobby').filter((data) => typeof data === 'number'), [1, 2, 3, 4])
  t.same(errors, [])
})

t.test('a client that comes to another node goes on where it was', async (t) => {
  const { clock, cluster, hubs: [one, two] } = await start(t, { authorize: { join: () => true } })
  const first = await V1Peer.connect(one, clock, { user: 'ann' })
  await first.ask({ op: 'join', room: 'lobby' })
  await two.room('lobby').publish(1)
  await clock.settle()
  cluster.cut(one)
  for (const data of [2, 3]) await two.room('lobby').publish(data)
  await clock.settle()
  t.same(first.log('lobby'), [1])
  const { epoch } = first.of('joined')[0] as { epoch: string }
  first.peer.reset()
  const second = await V1Peer.connect(two, clock, { user: 'ann', resume: { rooms: { lobby: { epoch, offset: 1 } } } })
  t.match(second.of('joined'), [{ room: 'lobby', recovered: true }])
  t.same(second.log('lobby'), [2, 3])
})

t.test('whoever ends, or is kicked or replaced, while its node is cut', async (t) => {
  const { clock, cluster, hubs: [one, two], errors } = await start(t, { sessions: 'single-per-user' })
  const [ann, bob, gone] = [await joined(one, 'lobby', 'ann'), await connect(one, { user: 'bob' }), await joined(one, 'lobby', 'gone')]
  cluster.cut(one)
  gone.reset()
  await clock.settle()
  t.same(errors, [], 'presence and directory are told later')
  t.equal(await two.user('gone').online(), true)
  const [count] = await Promise.all([two.user('bob').kick(), clock.advance(2_100)])
  t.equal(count, 0, 'nobody has confirmed it')
  const [newer] = await Promise.all([connect(two, { user: 'ann' }), clock.advance(2_100)])
  t.same([ann.ended, bob.ended, newer.ended], [null, null, null])
  const refused = await connect(one, { user: 'dan' })
  t.equal((await refused.closed).code, 1013, 'nobody can say whether it may stay')
  cluster.heal(one)
  await clock.settle()
  t.same([ann.ended?.code, bob.ended?.code, newer.ended], [4502, 4501, null])
  t.equal(await two.user('gone').online(), false)
  t.same(await two.room('lobby').presence(), [])
})

t.test('delayed: what comes from others is late, in the time of the clock', async (t) => {
  const { clock, cluster, hubs: [one, two] } = await start(t)
  const peers = [await joined(one, 'lobby', 'ann'), await joined(two, 'lobby', 'bob')] as const
  cluster.delay(two, 300)
  await one.room('lobby').publish('1')
  await clock.advance(299)
  t.same(texts(...peers), [['1'], []])
  let published: unknown
  two.room('lobby').publish('2').then((result) => { published = result }).catch(t.threw)
  await clock.settle()
  t.same([texts(...peers), published], [[['1', '2'], []], undefined], 'its own does not overtake')
  await clock.advance(1)
  t.same(texts(...peers), [['1', '2'], ['1', '2']])
  t.match(published, { offset: 2, sent: 1 })
  const [sent] = await Promise.all([one.user('bob').send('x'), clock.advance(400)])
  t.match(sent, { delivered: 1 })
  cluster.delay(two, 0)
  await one.room('lobby').publish('3')
  await clock.settle()
  t.same(texts(peers[1]), [['1', '2', 'x', '3']])
})

t.test('FAULTS 58: doubled: nobody notices', async (t) => {
  const { clock, cluster, hubs: [one, two] } = await start(t)
  const peer = await joined(two, 'lobby', 'bob')
  const watching = await V1Peer.connect(two, clock, { user: 'cid' })
  await watching.peer.connection.join('lobby')
  await watching.ask({ op: 'presence', room: 'lobby', watch: true })
  for (const hub of [one, two]) cluster.double(hub)
  await one.room('lobby').publish('kept')
  await one.room('lobby').publish('ephemeral', { ephemeral: true })
  await one.broadcast('all')
  const [sent] = await Promise.all([one.user('bob').send('direct'), clock.settle()])
  t.equal(sent.delivered, 1)
  const dan = await joined(one, 'lobby', 'dan')
  await clock.advance(2_000)
  t.equal(watching.of('presence').filter(({ joined = [] }) => joined.includes('dan')).length, 1)
  const [stats] = await Promise.all([one.stats({ cluster: true }), clock.settle()])
  t.equal(stats.nodes.length, 3)
  const [kicked] = await Promise.all([one.user('bob').kick(), clock.settle()])
  t.equal(kicked, 1)
  t.same(texts(peer), [['kept', 'ephemeral', 'all', 'direct']])
  cluster.double(two, false)
  t.equal(dan.ended, null)
})

t.test('a node that is closed takes what it held with it, also when it is cut; the others go on', async (t) => {
  const { clock, cluster, hubs: [one, two, three], apps, errors } = await start(t)
  const peers = [await joined(one, 'lobby', 'ann'), await joined(two, 'lobby', 'bob'), await joined(three, 'lobby', 'cid')] as const
  cluster.cut(two)
  for (const app of apps.slice(0, 2)) {
    const closed = app.close()
    await clock.advance(20_000)
    await closed
  }
  t.same(peers.map(({ ended }) => ended?.code), [1012, 1012, undefined])
  t.same(await three.room('lobby').presence(), [{ user: 'cid', connections: 1 }])
  t.same([await three.user('ann').online(), await three.user('bob').online()], [false, false])
  t.match(await three.stats({ cluster: true }), { partial: false, nodes: [{ nodeId: three.nodeId }] })
  t.match(await three.room('lobby').publish('x'), { sent: 1 })
  for (const hub of [one, two]) t.throws(() => { cluster.cut(hub) }, { code: 'FST_HUB_INVALID_ARGUMENT' })
  errors.length = 0
})

t.test('hubs of other terms, and of no cluster, are refused', async (t) => {
  const { cluster, hubs: [one] } = await start(t)
  for (const options of [{ history: { size: 99 } }, { history: { size: 100, rooms: { a: { size: 1 } } } }, { presence: { interval: 500 } }, { offline: { maxMessages: 1 } }]) {
    const app = Fastify()
    await t.rejects(async () => { await app.register(fastifyHub, { cluster, history: { size: 100 }, ...options }) }, { code: 'FST_HUB_INVALID_OPTIONS', message: /cluster/ })
  }
  const app = Fastify()
  await app.register(fastifyHub)
  t.teardown(async () => { await app.close() })
  for (const hub of [app.hub, null, {}, 'one'] as Hub[]) {
    for (const call of [() => { cluster.cut(hub) }, () => { cluster.heal(hub) }, () => { cluster.delay(hub, 1) }, () => { cluster.double(hub) }]) t.throws(call, { code: 'FST_HUB_INVALID_ARGUMENT', message: /^hub: / })
  }
  for (const ms of [-1, 0.5, '1', NaN]) t.throws(() => { cluster.delay(one, ms as number) }, { code: 'FST_HUB_INVALID_ARGUMENT', message: /^ms: / })
})

t.test('an app by itself is a cluster of one', async (t) => {
  const app = Fastify()
  await app.register(fastifyHub)
  t.teardown(async () => { await app.close() })
  await app.ready()
  await connect(app.hub, { user: 'ann' })
  const { nodeId } = app.hub
  t.match(await app.hub.stats({ cluster: true }), { partial: false, nodes: [{ nodeId, connections: 1 }], total: { connections: 1 } })
  t.same(await app.hub.user('ann').send('x'), { delivered: 1, nodes: [nodeId], stored: false })
})

t.test('when all nodes have been closed, it begins anew, and may have other terms', async (t) => {
  const cluster = new TestCluster()
  for (const size of [10, 20]) {
    const apps = [Fastify(), Fastify()] as const
    for (const app of apps) {
      await app.register(fastifyHub, { cluster, history: { size } })
      await app.ready()
    }
    const [{ hub: one }, { hub: two }] = apps
    t.equal((await one.room('lobby').history()).publications.length, 0)
    const peer = await connect(one, { user: 'ann' })
    t.match(await two.user('ann').send('in the time of the machine'), { delivered: 1 })
    await two.room('lobby').publish('kept')
    await peer.next()
    for (const app of apps) await app.close()
  }
})
