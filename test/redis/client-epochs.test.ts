import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { createClient, type ClientRoom, type HubClient, type StreamPosition } from '../../lib/client/index.js'
import type { Hub } from '../../lib/index.js'
import { redisApps } from '../helpers/redis-apps.js'
import { RedisServer } from '../helpers/redis-server.js'
import { range } from '../helpers/redis-world.js'
import { until } from '../helpers/until.js'

/* Clients over restarts of a Redis that keeps all: in each of its runs rooms have an epoch of their own. */

interface Follower {
  readonly client: HubClient
  readonly room: ClientRoom
  /** Numbers that it was sent, in order. */
  readonly heard: number[]
  /** What else the room told: `true`, `false` or `undefined` for a `joined`, and 'gap'. */
  readonly told: Array<boolean | 'gap' | undefined>
}

interface World {
  readonly hubs: readonly [Hub, Hub]
  /** Of each node. */
  readonly urls: readonly [string, string]
  restart: () => Promise<void>
  /** The next number, by a node. */
  publish: (room: string, node?: 0 | 1) => Promise<StreamPosition>
  /** A client in the room. */
  follow: (room: string, url: () => string) => Promise<Follower>
}

async function world (t: Test): Promise<World> {
  const server = await RedisServer.start(t, { durable: true })
  const { apps, hubs } = await redisApps(t, 2, { url: server.url, timeout: 9_000 }, {
    history: { size: 100, rooms: { cache: { size: 1, mode: 'cache' }, none: { size: 0 } } },
    authorize: { join: () => true }
  })
  const urls: string[] = []
  for (const app of apps) {
    await app.listen({ host: '127.0.0.1', port: 0 })
    urls.push(`ws://127.0.0.1:${(app.server.address() as AddressInfo).port}/ws`)
  }
  const numbers = new Map<string, number>()
  return {
    hubs: hubs as [Hub, Hub],
    urls: urls as [string, string],
    restart: async () => {
      await server.stop('SIGKILL')
      await server.start()
      // It waits for Redis. What is published in a room without history has no place before that.
      for (const hub of hubs) await hub.room('probe').history()
    },
    publish: async (room, node = 0) => {
      const number = (numbers.get(room) ?? 0) + 1
      numbers.set(room, number)
      const { epoch = '', offset } = await (hubs[node] as Hub).room(room).publish(number)
      t.equal(offset, number)
      return { epoch, offset: number }
    },
    follow: async (name, url) => {
      const client = createClient({ WebSocket, page: null, backoff: { min: 50, max: 100 }, url })
      t.teardown(() => { client.close() })
      client.open()
      const room = client.room(name)
      const heard: number[] = []
      const told: Follower['told'] = []
      room.on('message', (data) => { heard.push(data as number) })
      room.on('joined', ({ recovered }) => { told.push(recovered) })
      room.on('gap', () => { told.push('gap') })
      await room.join()
      return { client, room, heard, told }
    }
  }
}

t.test('FAULTS 51: who is there over two restarts of Redis is told nothing; who is away meanwhile, and comes back on another node, has all of it once', async (t) => {
  const { urls, restart, publish, follow } = await world(t)
  let at: 0 | 1 = 0
  const here = await follow('a', () => urls[0])
  const away = await follow('a', () => urls[at])
  await publish('a')
  await until(() => [here, away].every(({ heard }) => heard.length === 1), 'the first')
  away.client.close()
  const places: StreamPosition[] = []
  for (const node of [0, 1] as const) {
    await restart()
    await publish('a', node)
    places.push(await publish('a', node))
  }
  await restart()
  at = 1
  away.client.open()
  await until(() => [here, away].every(({ heard }) => heard.length === 5), 'the others')
  places.push(await publish('a', 1))
  await until(() => [here, away].every(({ heard }) => heard.length === 6), 'the last')
  t.equal(new Set(places.map(({ epoch }) => epoch)).size, 3)
  for (const { heard, room } of [here, away]) {
    t.same(heard, range(1, 6))
    await until(() => room.position?.epoch === places[2]?.epoch, 'the epoch')
    t.same(room.position, places[2])
  }
  t.same([here.told, away.told], [[undefined], [undefined, true]])
})

t.test('FAULTS 51: who is away for 17 runs in which something was published has not all of it, and is told; who is away for 16 has', async (t) => {
  const { urls, restart, publish, follow } = await world(t)
  const longer = await follow('a', () => urls[0])
  await publish('a')
  await until(() => longer.heard.length === 1, 'the first')
  longer.client.close()
  await restart()
  const shorter = await follow('a', () => urls[0])
  await publish('a')
  await until(() => shorter.heard.length === 1, 'the second')
  shorter.client.close()
  for (let run = 3; run <= 18; run++) {
    await restart()
    await publish('a')
  }
  for (const { client } of [longer, shorter]) client.open()
  await until(() => [longer, shorter].every(({ told }) => told.length > 1), 'both')
  await publish('a')
  await until(() => [longer, shorter].every(({ heard }) => heard.at(-1) === 19), 'the last')
  t.same([longer.heard, longer.told], [[1, 19], [undefined, false, 'gap']])
  t.same([shorter.heard, shorter.told], [range(2, 19), [undefined, true]])
})

t.test('FAULTS 51: in cache mode who was away over restarts has the latest; without history who has missed nothing is told so, and who has is told that', async (t) => {
  const { urls, restart, publish, follow } = await world(t)
  const [cached, same, missing] = [await follow('cache', () => urls[1]), await follow('none', () => urls[1]), await follow('none', () => urls[1])]
  const here = await follow('none', () => urls[0])
  for (const room of ['cache', 'none', 'none']) await publish(room)
  await until(() => cached.heard.length === 1 && same.heard.length === 2 && missing.heard.length === 2, 'the first')
  for (const { client } of [cached, missing]) client.close()
  await restart()
  for (const room of ['cache', 'cache', 'none']) await publish(room)
  await until(() => same.heard.length === 3, 'the third')
  same.client.close()
  // Of the next run nothing is known to who was away.
  await restart()
  await publish('cache')
  for (const { client } of [cached, same, missing]) client.open()
  await until(() => [cached, same, missing].every(({ told }) => told.length > 1), 'all')
  const last = await publish('none')
  await until(() => [same, missing, here].every(({ heard }) => heard.at(-1) === 4) && cached.heard.at(-1) === 4, 'the last')
  t.same([cached.heard, cached.told], [[1, 4], [undefined, true]])
  t.same([same.heard, same.told], [[1, 2, 3, 4], [undefined, true]])
  t.same([missing.heard, missing.told], [[1, 2, 4], [undefined, false, 'gap']])
  t.same([here.heard, here.told], [[1, 2, 3, 4], [undefined]])
  for (const { room } of [same, missing, here]) t.same(room.position, last)
})
