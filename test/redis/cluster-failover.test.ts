import t from 'tap'
import { Keys } from '../../lib/redis/keys.js'
import { askRedis, untilRedis, untilReplicated } from '../helpers/redis-asked.js'
import { neighbour, publishMeanwhile, twoNodes } from '../helpers/redis-cluster-nodes.js'
import { addReplica, ownerOf, startCluster } from '../helpers/redis-cluster.js'
import type { RedisServer } from '../helpers/redis-server.js'
import { publishNumbers } from '../helpers/publishing.js'
import { range } from '../helpers/redis-world.js'
import { until } from '../helpers/until.js'

t.test('FAULTS 54: a Redis Cluster whose masters fail', async (t) => {
  const args = ['--cluster-node-timeout', '2000']
  const servers = await startCluster(t, 3, args)
  const keys = new Keys('any', 16, true)
  const { owner } = await ownerOf(servers, keys.bus(keys.busOf('room')))
  const replica = await addReplica(t, servers, owner, args)
  /** Of the masters of the partition, the one that is it, and the other. */
  let [master, other] = [owner, replica]
  const tookOver = async (): Promise<void> => {
    await untilRedis(other, ['ROLE'], /^master/)
    const [before] = [master]
    master = other
    other = before
  }

  t.test('a replica takes over from its master, which lives', async (t) => {
    const nodes = await twoNodes(t, servers)
    await publishMeanwhile(t, nodes, ['room', neighbour(nodes[0], 'no history')], async () => {
      await askRedis(other, 'CLUSTER', 'FAILOVER')
      await tookOver()
    })
  })

  t.test('the master is killed, and its replica takes over: what was acknowledged is there once', async (t) => {
    const nodes = await twoNodes(t, servers)
    const [a, b] = nodes
    for (const { broker } of nodes) await broker.subscribe('room')
    await publishNumbers(a.broker, 'room', 1, 20)
    await untilReplicated(master, other)
    await master.stop('SIGKILL')
    const waiting = range(21, 40).map(async (i) => (await (i % 2 === 0 ? a : b).broker.publish('room', `${i}`, {})).offset)
    const joining = b.broker.subscribe(neighbour(b, 'new'))
    await tookOver()
    t.same((await Promise.all(waiting)).sort((x = 0, y = 0) => x - y), range(21, 40))
    t.equal((await joining).offset, 0)
    for (const { listener, offsets } of nodes) {
      await listener.atLeast(40)
      t.same(offsets('room'), range(1, 40))
      t.same(listener.gaps, [])
    }
    t.same(a.listener.texts('room'), b.listener.texts('room'))
    await other.start()
    await untilRedis(other, ['INFO', 'replication'], /role:slave[^]*master_link_status:up/)
  })

  t.test('a new master lacks the latest: another epoch and a gap, in rooms where nothing happens as well', async (t) => {
    const nodes = await twoNodes(t, servers)
    const [a, b] = nodes
    // So many that it is not for the audit to find what is lost.
    for (const { broker } of nodes) await Promise.all([...range(1, 300).map((i) => `crowd ${i}`), 'room'].map(async (room) => await broker.subscribe(room)))
    await publishNumbers(a.broker, 'room', 1, 10)
    await untilReplicated(master, other)
    other.signal('SIGSTOP')
    await askRedis(master, 'CLIENT', 'KILL', 'TYPE', 'replica')
    const lost = await publishNumbers(a.broker, 'room', 11, 15)
    for (const { listener } of nodes) await listener.atLeast(15)
    await master.stop('SIGKILL')
    other.signal('SIGCONT')
    await tookOver()
    for (const { listener } of nodes) await until(() => listener.gaps.length > 0, 'a gap')
    for (const { listener } of nodes) t.match(listener.gaps, [{ room: 'room', from: lost }])
    t.equal((await b.broker.history('room', lost, 0)).recovered, false)
    t.same(await publishNumbers(b.broker, 'room', 16, 18), { epoch: a.listener.gaps[0]?.to.epoch, offset: 13 })
    for (const { listener, offsets } of nodes) {
      await listener.atLeast(18)
      t.same(offsets('room'), [...range(1, 15), ...range(11, 13)])
      t.equal(listener.gaps.length, 1)
    }
  })

  t.test('a master without a replica is killed, and comes back without its data', async (t) => {
    await other.start()
    const nodes = await twoNodes(t, servers)
    const [a, b] = nodes
    const single = servers.find((server) => server !== owner) as RedisServer
    const own: string[] = []
    for (const i of range(1, 30)) if ((await ownerOf([...servers, replica], keys.bus(keys.busOf(`room ${i}`)))).owner === single) own.push(`room ${i}`)
    const [room = ''] = own
    for (const { broker } of nodes) for (const name of ['room', room]) await broker.subscribe(name)
    const lost = await publishNumbers(a.broker, room, 1, 5)
    await publishNumbers(a.broker, 'room', 1, 5)
    for (const { listener } of nodes) await listener.atLeast(10)
    await single.stop('SIGKILL')
    const waiting = [a.broker.publish(room, '6', {}), b.broker.publish('room', '6', {})]
    await untilRedis(master, ['CLUSTER', 'INFO'], /cluster_state:fail/)
    await single.start()
    await Promise.all(waiting)
    for (const { listener, offsets } of nodes) {
      await until(() => listener.texts(room).at(-1) === '6' && listener.texts('room').at(-1) === '6', 'both')
      t.same([offsets(room), offsets('room')], [[1, 2, 3, 4, 5, 1], range(1, 6)])
      t.match(listener.gaps, [{ room, from: lost }])
      t.equal(listener.gaps.length, 1)
    }
  })
})
