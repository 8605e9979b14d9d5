import t, { type Test } from 'tap'
import type { Connection } from '../../../../lib/core/types.js'
import { MemoryDirectory } from '../../../../lib/memory/directory.js'
import { startCluster, type FakeCluster, type Passing } from '../../../helpers/fake-cluster.js'
import type { FakeHub, FakeHubOptions, FakePeer } from '../../../helpers/fake-hub.js'
import { PromisedDirectory } from '../../../helpers/promised-directory.js'

interface World { cluster: FakeCluster, nodes: [FakeHub, FakeHub, FakeHub], ids: [string, string, string], events: string[] }

async function start (t: Test, options: FakeHubOptions = {}): Promise<World> {
  const events: string[] = []
  const name = ({ device }: Connection): string => device ?? ''
  const { cluster, nodes } = await startCluster(3, {
    onConnect: (connection) => { events.push(`connect ${name(connection)}`) },
    onDisconnect: (connection, { code }) => { events.push(`disconnect ${name(connection)} ${code}`) },
    ...options
  })
  t.teardown(async () => {
    for (const { hub } of nodes) {
      for (const connection of hub.connections()) connection.terminate()
      await cluster.settle()
      await hub.stop()
    }
    await cluster.settle()
    if (cluster.clock.timers > 0) throw new Error('timers are left')
  })
  return { cluster, nodes: nodes as World['nodes'], ids: nodes.map(({ hub }) => hub.nodeId) as World['ids'], events }
}

const codes = (...peers: FakePeer[]): unknown[] => peers.map(({ transport }) => transport.closed?.code)

/** From now on nothing comes to this node by itself. @returns what is for it */
function hold (cluster: FakeCluster, nodeId: string | undefined): Passing[] {
  const held: Passing[] = []
  cluster.copies = (passing) => {
    if (passing.to !== nodeId) return 1
    held.push(passing)
    return 0
  }
  return held
}

t.test('kick ends the logins of all nodes, with its code and reason, and counts them', async (t) => {
  const { cluster, nodes: [one, two, three], ids } = await start(t)
  const peers = [await one.connect({ user: 'ann' }), await two.connect({ user: 'ann' }), await two.connect({ user: 'ann' })]
  const [closing, bob] = [await two.connect({ user: 'ann' }), await three.connect({ user: 'bob' })]
  closing.connection.close(1000)
  const [count] = await Promise.all([one.hub.user('ann').kick('out', { code: 1001 }), cluster.settle()])
  t.equal(count, 3)
  t.same(peers.map(({ transport }) => transport.closed), Array(3).fill({ code: 1001, reason: 'out' }))
  t.same(codes(closing, bob), [1000, undefined])
  t.equal(cluster.passed.filter(({ to }) => to === ids[2]).length, 0, 'nobody else is asked')
  t.equal(await one.hub.user('ann').kick(), 0, 'nothing is left to be asked for')
  t.equal(await one.hub.user('ann').online(), false)
})

t.test('kick counts what was confirmed; a node that is cut off ends its logins later', async (t) => {
  const { cluster, nodes: [one, two, three], ids } = await start(t)
  const peers = [await one.connect({ user: 'ann' }), await two.connect({ user: 'ann' }), await three.connect({ user: 'ann' })] as const
  const held = hold(cluster, ids[1])
  let count: number | undefined
  one.hub.user('ann').kick().then((value) => { count = value }).catch(t.threw)
  await cluster.clock.advance(1_900)
  t.equal(count, undefined)
  await cluster.clock.advance(250)
  t.equal(count, 2)
  t.same(codes(...peers), [4501, undefined, 4501])
  // FAULTS 66: a login that came after the kick.
  const later = await two.connect({ user: 'ann' })
  for (const passing of held) cluster.deliver(passing)
  t.same(codes(...peers, later), [4501, 4501, 4501, undefined])
  await cluster.settle()
  t.equal(count, 2)
})

t.test('a kick of a login whose claim has been taken and not answered: it never begins', async (t) => {
  const directory = new PromisedDirectory()
  const { cluster, nodes: [one, two], events } = await start(t, { directory })
  const claim = directory.claim.bind(directory)
  let answer: () => void = () => {}
  directory.claim = async (...args) => {
    const removal = await claim(...args)
    await new Promise<void>((resolve) => { answer = resolve })
    return removal
  }
  const peer = two.accept({ user: 'ann', device: 'a' })
  await cluster.settle()
  const [count] = await Promise.all([one.hub.user('ann').kick(), cluster.settle()])
  t.equal(count, 1)
  t.same(codes(peer), [4501])
  answer()
  await cluster.settle()
  t.same(events, [])
})

t.test('kick ends logins, too, that wait for a sign of their client, on every node; they do not take a place behind it', async (t) => {
  const { cluster, nodes: [one, two], events } = await start(t, { sessions: 'single-per-user', directory: new MemoryDirectory() })
  const a = await one.connect({ user: 'ann', device: 'a' })
  const [b, c] = [one.accept({ user: 'ann', device: 'b' }), two.accept({ user: 'ann', device: 'c' })]
  await cluster.settle()
  t.same(events, ['connect a'])
  const [count] = await Promise.all([one.hub.user('ann').kick('out'), cluster.settle()])
  for (const { transport } of [b, c]) transport.peerPong()
  await cluster.settle()
  t.same([a, b, c].map(({ transport }) => transport.closed), Array(3).fill({ code: 4501, reason: 'out' }))
  t.equal(count, 3)
  t.same(events, ['connect a', 'disconnect a 4501'])
  t.equal(await one.hub.user('ann').online(), false)
})

t.test('a login that waits for a sign of its client, and is heard of before the word of a kick comes: it was kicked all the same', async (t) => {
  const { cluster, nodes: [one, two], ids, events } = await start(t, { sessions: 'single-per-user', directory: new MemoryDirectory() })
  await one.connect({ user: 'ann', device: 'a' })
  const waiting = two.accept({ user: 'ann', device: 'b' })
  await cluster.settle()
  hold(cluster, ids[1])
  const kicked = one.hub.user('ann').kick()
  await cluster.settle()
  waiting.transport.peerPong()
  await cluster.settle()
  t.same(codes(waiting), [4501])
  await cluster.clock.advance(2_100)
  t.equal(await kicked, 1, 'its node has not said so')
  t.same(events, ['connect a', 'disconnect a 4501'])
})

for (const where of ['on its own node', 'on another node'] as const) {
  for (const isThere of [true, false]) {
    t.test(`FAULTS 67: a login waits for its client, and finds one ${where} that came later and was not asked: ${isThere ? '4502' : '1013, as that may be an earlier try of the same client'}`, async (t) => {
      const { cluster, nodes: [one, two], events } = await start(t, { sessions: 'single-per-user', directory: new MemoryDirectory() })
      const first = await one.connect({ user: 'ann', device: 'first' })
      const waiting = one.accept({ user: 'ann', device: 'waiting' })
      await cluster.settle()
      first.transport.reset()
      await cluster.settle()
      const later = (where === 'on its own node' ? one : two).accept({ user: 'ann', device: 'later' })
      await cluster.settle()
      t.equal(events.at(-1), 'connect later')
      t.equal(later.transport.pings, 0)
      waiting.transport.peerPong()
      await cluster.settle()
      t.equal(later.transport.pings, 1)
      t.same(codes(waiting), [undefined])
      if (isThere) later.transport.peerPong()
      else await cluster.clock.advance(5_100)
      await cluster.settle()
      t.same(codes(waiting, later), [isThere ? 4502 : 1013, undefined])
      t.equal(events.at(-1), 'connect later')
      if (isThere) return
      // It comes back.
      await one.connect({ user: 'ann', device: 'again' })
      await cluster.settle()
      t.same(codes(later), [4502])
      t.ok(events.includes('connect again'))
    })
  }
}

for (const [name, directory] of [['an answer at once', () => new MemoryDirectory()], ['an answer later', () => new PromisedDirectory()]] as const) {
  t.test(`'single-per-user' over nodes, with ${name}: the older is told to close before the newer begins`, async (t) => {
    const { cluster, nodes: [one, two, three], events } = await start(t, { sessions: 'single-per-user', directory: directory() })
    const [a, bob] = [await one.connect({ user: 'ann', device: 'a' }), await one.connect({ user: 'bob', device: 'bob' })]
    const b = two.accept({ user: 'ann', device: 'b' })
    b.transport.peerPong()
    await cluster.settle()
    t.same(codes(a, bob, b), [4502, undefined, undefined])
    const c = three.accept({ user: 'ann', device: 'c' })
    c.transport.peerPong()
    await cluster.settle()
    t.same(codes(b, c), [4502, undefined])
    t.same(a.transport.closed, { code: 4502, reason: 'replaced' })
    const order = events.filter((event) => !event.includes('bob'))
    t.same(order, ['connect a', 'disconnect a 4502', 'connect b', 'disconnect b 4502', 'connect c'])
  })
}

t.test("'single-per-device' over nodes: only of the same device, and those without one are one", async (t) => {
  const { cluster, nodes: [one, two] } = await start(t, { sessions: 'single-per-device' })
  const [web, phone, none] = [await one.connect({ user: 'ann', device: 'web' }), await one.connect({ user: 'ann', device: 'phone' }), await one.connect({ user: 'ann' })]
  const web2 = await two.connect({ user: 'ann', device: 'web' })
  await cluster.settle()
  t.same(codes(web, phone, none, web2), [4502, undefined, undefined, undefined])
  const none2 = await two.connect({ user: 'ann' })
  await cluster.settle()
  t.same(codes(phone, none, web2, none2), [undefined, 4502, undefined, undefined])
})

t.test('the node of the older login does not answer: the newer begins 2 s later, and the older ends when it is told', async (t) => {
  const { cluster, nodes: [one, two], ids, events } = await start(t, { sessions: 'single-per-user' })
  const a = await one.connect({ user: 'ann', device: 'a' })
  const held = hold(cluster, ids[0])
  const b = await two.connect({ user: 'ann', device: 'b' })
  await cluster.clock.advance(1_900)
  t.same(events, ['connect a'])
  t.equal(two.hub.get(b.connection.id), undefined)
  await cluster.clock.advance(250)
  t.same(events, ['connect a', 'connect b'])
  for (const passing of held) cluster.deliver(passing)
  t.same(codes(a, b), [4502, undefined])
})

t.test('the node of the older login is gone: the newer begins at once', async (t) => {
  const directory = new PromisedDirectory()
  const { cluster, nodes: [, two], events } = await start(t, { sessions: 'single-per-user', directory })
  await directory.claim({ id: 'lost', nodeId: 'dead', user: 'ann', device: null, subprotocol: null, ip: null, connectedAt: 0, lastSeen: 0 }, 'user')
  await two.connect({ user: 'ann', device: 'b' })
  await cluster.settle()
  t.same(events, ['connect b'])
})

t.test('what ends a newer login while it waits for the node of the older one', async (t) => {
  const { cluster, nodes: [one, two, three], ids, events } = await start(t, { sessions: 'single-per-user' })
  for (const ending of ['a login of the same node', 'a login of another node', 'a kick', 'its peer'] as const) {
    const [older] = [await one.connect({ user: 'ann', device: 'older' })]
    hold(cluster, ids[0])
    events.length = 0
    const waiting = await two.connect({ user: 'ann', device: 'waiting' })
    await cluster.settle()
    if (ending === 'a login of the same node') await two.connect({ user: 'ann', device: 'newest' })
    else if (ending === 'a login of another node') await three.connect({ user: 'ann', device: 'newest' })
    else if (ending === 'a kick') t.equal((await Promise.all([three.hub.user('ann').kick(), cluster.settle()]))[0], 1)
    else waiting.transport.reset()
    await cluster.settle()
    t.same(codes(waiting), [ending === 'its peer' ? undefined : ending === 'a kick' ? 4501 : 4502], ending)
    t.equal(waiting.connection.state, 'closed', ending)
    await cluster.clock.advance(2_200)
    t.same(events, ending.startsWith('a login') ? ['connect newest'] : [], 'it has not been there when its turn came')
    t.equal(two.hub.sessions.entering.size + three.hub.sessions.entering.size, 0)
    older.connection.terminate()
    cluster.copies = () => 1
    await Promise.all([one.hub.user('ann').kick(), cluster.settle()])
  }
})

for (const where of ['on its own node', 'on another node'] as const) {
  t.test(`a login ends before its own word has reached the older one: the newest, ${where}, waits for that word`, async (t) => {
    const { cluster, nodes: [one, two, three], ids, events } = await start(t, { sessions: 'single-per-user' })
    await one.connect({ user: 'ann', device: 'a' })
    const held = hold(cluster, ids[0])
    const between = two.accept({ user: 'ann', device: 'b' })
    await cluster.settle()
    between.transport.peerPong()
    await cluster.settle()
    t.equal(held.length, 1)
    between.transport.reset()
    await cluster.settle()
    const newest = (where === 'on its own node' ? two : three).accept({ user: 'ann', device: 'c' })
    await cluster.settle()
    newest.transport.peerPong()
    await cluster.settle()
    t.same(events, ['connect a'])
    for (const passing of held) cluster.deliver(passing)
    await cluster.settle()
    t.same(events, ['connect a', 'disconnect a 4502', 'connect c'])
  })
}

t.test('FAULTS 67: logins at once on several nodes: exactly one stays', async (t) => {
  const { cluster, nodes } = await start(t, { sessions: 'single-per-user' })
  const peers = nodes.flatMap((node) => [node.accept({ user: 'ann' }), node.accept({ user: 'ann' })])
  await cluster.settle()
  for (const { transport } of peers) transport.peerPong()
  await cluster.settle()
  t.same(codes(...peers).filter((code) => code === undefined).length, 1)
  t.same(codes(...peers).filter((code) => code === 4502).length, 5)
  t.equal(nodes.reduce((sum, { hub }) => sum + hub.size, 0), 1)
})
