import t from 'tap'
import { clusterClient, startCluster } from '../helpers/redis-cluster.js'
import { hears, presenceCluster } from '../helpers/redis-presence.js'

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
