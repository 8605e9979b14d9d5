import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { Hub } from '../../lib/index.js'
import { connect } from '../../lib/testing/index.js'
import { redisApps } from '../helpers/redis-apps.js'
import { askRedis, connectionsOfHubs, untilRedis } from '../helpers/redis-asked.js'
import { neighbour, publishMeanwhile, twoNodes } from '../helpers/redis-cluster-nodes.js'
import { clusterClient, moveSlot, ownerOf, startCluster } from '../helpers/redis-cluster.js'
import type { RedisServer } from '../helpers/redis-server.js'
import { range } from '../helpers/redis-world.js'
import { until } from '../helpers/until.js'

/** Milliseconds: longer than ioredis tries on when it is told TRYAGAIN. */
const LONG_MS = 2_500

t.test('a Redis Cluster of three', async (t) => {
  const servers = await startCluster(t, 3)

  t.test('a node has one connection for each partition that it reads, and one to each master', async (t) => {
    const [{ node, broker }] = await twoNodes(t, servers)
    for (const i of range(1, 200)) await broker.subscribe(`room ${i}`)
    t.equal(node.reader.size, 16)
    const names = await connectionsOfHubs(servers)
    t.equal(names.filter((name) => name === 'fastify-hub-reader').length, 16)
    t.ok(names.length <= 16 + 2 * 3, `${names.length} of two nodes, one of which reads`)
  })

  t.test('apps on it are nodes of one hub, and leave nothing behind', async (t) => {
    const { apps, hubs } = await redisApps(t, 2, { client: clusterClient(t, servers) })
    const [one, two] = hubs as [Hub, Hub]
    const [ann, bob] = [await connect(one, { user: 'ann', kernel: Infinity }), await connect(two, { user: 'bob', kernel: Infinity })]
    const rooms = range(1, 30).map((i) => `room ${i}`)
    for (const room of rooms) for (const { connection } of [ann, bob]) await connection.join(room)
    await Promise.all(rooms.map(async (room) => await one.room(room).publish(room)))
    await two.broadcast('to all')
    for (const peer of [ann, bob]) await until(() => peer.messages.length === rooms.length + 1, 'one of each room, and the broadcast')
    t.same(ann.messages.map((message) => message.text()).sort(), [...rooms, 'to all'].sort())
    t.match(await one.user('bob').send('hello'), { delivered: 1, nodes: [two.nodeId] })
    t.match(await one.user('nobody').send('hello', { offline: { ttl: 60_000 } }), { delivered: 0, stored: true })
    t.same((await two.room('room 7').presence()).map(({ user, connections }) => `${user} ${connections}`).sort(), ['ann 1', 'bob 1'])
    t.match(await two.stats({ cluster: true }), { partial: false, total: { connections: 2 } })
    t.equal(await two.user('ann').kick(), 1)
    t.match(await ann.closed, { code: 4501 })
    for (const app of apps) await app.close()
    for (const server of servers) await untilRedis(server, ['CLIENT', 'LIST'], /^(?![^]*name=fastify-hub)/)
  })

  t.test('a slot moves to another master while it is in use', async (t) => {
    const nodes = await twoNodes(t, servers)
    const [a, b] = nodes
    const bus = a.node.keys.bus(a.node.keys.busOf('room'))
    const rooms = ['room', neighbour(a, 'no history'), neighbour(a, 'another')]
    const { owner, slot } = await ownerOf(servers, bus)
    const target = servers.find((server) => server !== owner) as RedisServer
    await publishMeanwhile(t, nodes, rooms, async () => {
      const late: Array<Promise<unknown>> = []
      await moveSlot(servers, slot, owner, target, async () => {
        // Half of the keys are here, and half there: what needs several of them is told TRYAGAIN.
        late.push(...rooms.map(async (room) => await a.broker.history(room, undefined, 0)), b.broker.subscribe(neighbour(a, 'new')))
        await sleep(LONG_MS)
      })
      await Promise.all(late)
      const errors = (await Promise.all(servers.map(async (server) => await askRedis(server, 'INFO', 'errorstats')))).join()
      for (const word of ['TRYAGAIN', 'ASK', 'MOVED']) t.match(errors, `errorstat_${word}:`)
    })
    t.equal((await ownerOf(servers, bus)).owner, target)
  })
})
