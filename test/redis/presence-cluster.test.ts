import t from 'tap'
import { clusterClient, ownerOf, startCluster } from '../helpers/redis-cluster.js'
import { hears, presenceCluster, untilCounts } from '../helpers/redis-presence.js'
import { until } from '../helpers/until.js'

t.test('it runs on a Redis Cluster: no script goes beyond its slot', async (t) => {
  const client = clusterClient(t, await startCluster(t, 2))
  const start = presenceCluster(t, { client, ttl: 2_400, renewal: 400 })
  const [one, other] = [await start(), await start()]
  const rooms = Array.from({ length: 30 }, (_, i) => `room ${i}`)
  for (const room of ['room', ...rooms]) await other.presence.watch(room)
  await Promise.all(['room', ...rooms].map(async (room) => { await one.presence.enter(room, 'ann', '1') }))
  await one.presence.setState('room', 'ann', 'typing', 600_000)
  await other.presence.enter('room', 'bob', '2')
  await hears(other, '+ann', '+bob', 'ann:typing on')
  for (const room of rooms) t.same(await other.presence.list(room), [{ user: 'ann', connections: 1 }])
  t.same(await other.presence.states('room'), [{ user: 'ann', key: 'typing' }])
  await one.vanish()
  await hears(other, '+ann', '+bob', 'ann:typing on', '-ann', 'ann:typing off')
  t.same(await other.presence.list('room'), [{ user: 'bob', connections: 1 }])
})

t.test('one master of a Redis Cluster loses its data: who was there enters again, and nobody is told', async (t) => {
  const servers = await startCluster(t, 2, ['--cluster-require-full-coverage', 'no'])
  const start = presenceCluster(t, { client: clusterClient(t, servers), ttl: 24_000, renewal: 8_000, timeout: 1_000 })
  // Who asks is told of what an answer did not have.
  const [one, other, asks] = [await start(), await start(), await start()]
  const rooms = Array.from({ length: 30 }, (_, i) => `room ${i}`)
  for (const room of ['room', ...rooms]) await one.presence.enter(room, 'ann', '1')
  await other.presence.watch('room')
  await other.presence.enter('room', 'bob', '2')
  const { owner } = await ownerOf(servers, one.keys.presence('room'))
  await owner.stop('SIGKILL')
  await owner.start()
  await untilCounts(asks, 'room', 'ann 1,bob 1')
  for (const room of rooms) await untilCounts(asks, room, 'ann 1')
  await one.presence.enter('room', 'carl', '3')
  await until(() => other.listener.story('room').includes('+carl'), 'what comes after')
  t.same(other.listener.story('room').sort(), ['+bob', '+carl'])
})
