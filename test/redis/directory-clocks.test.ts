import { createHash } from 'node:crypto'
import t from 'tap'
import { systemClock } from '../../lib/core/clock.js'
import { Keys } from '../../lib/redis/keys.js'
import type { Hub } from '../../lib/index.js'
import { connect } from '../../lib/testing/index.js'
import { DirectoryNode } from '../helpers/directory-node.js'
import { redisApps } from '../helpers/redis-apps.js'
import { ownPrefix, RedisServer, redisUrl } from '../helpers/redis-server.js'
import { TcpProxy } from '../helpers/tcp-proxy.js'
import { until } from '../helpers/until.js'

const SECOND_MS = 1_000
const HOUR_MS = 3_600_000

/** What scripts of this partition take for the time is ahead by so much: each master of a Redis Cluster has a clock of its own. */
function setClock (node: DirectoryNode, keys: Keys, partition: number, aheadMs: number): void {
  const run = node.link.run.bind(node.link)
  node.link.run = async (script, [key = '', ...more], args) => {
    if (!key.startsWith(`${keys.prefix}:{${partition}}:`)) return await run(script, [key, ...more], args)
    const source = script.source.replace('time[1] *', `(time[1] + ${aheadMs / SECOND_MS}) *`)
    return await run({ source, sha: createHash('sha1').update(source).digest('hex') }, [key, ...more], args)
  }
}

for (const aheadMs of [HOUR_MS, -HOUR_MS, 2 * SECOND_MS]) {
  t.test(`masters of a Redis Cluster whose clocks are ${aheadMs} ms apart: of logins at once, and after each other, the last one of each user stays`, async (t) => {
    const url = await redisUrl(t)
    const keys = new Keys(ownPrefix(), 2, true)
    const users = Array.from({ length: 40 }, (_, i) => `user ${i}`)
    const nodes = [await DirectoryNode.start(t, url, keys, {}, systemClock), await DirectoryNode.start(t, url, keys, {}, systemClock)]
    for (const node of nodes) setClock(node, keys, 1, aheadMs)
    for (let round = 0; round < 3; round++) {
      for (const node of nodes) {
        const cameAt = systemClock.monotonic()
        await until(() => systemClock.monotonic() > cameAt + 100, 'no doubt about who came later')
        const entries = users.map((user) => node.entry(user))
        t.strictSame((await Promise.allSettled(entries.map(async (entry) => await node.directory.claim(entry, 'user')))).filter(({ status }) => status === 'rejected'), [])
        for (const { id, user } of entries) t.same(await node.ids(user as string), [id])
      }
    }
  })
}

t.test('a clock of Redis that is set refuses nobody who came later: the node that does not know yet is told', async (t) => {
  const url = await redisUrl(t)
  const keys = new Keys(ownPrefix(), 1, false)
  const nodes = [await DirectoryNode.start(t, url, keys, {}, systemClock), await DirectoryNode.start(t, url, keys, {}, systemClock)] as const
  for (const [i, node] of nodes.entries()) await node.directory.claim(node.entry(`user ${i}`), 'user')
  for (const node of nodes) setClock(node, keys, 0, 2 * SECOND_MS)
  // By its answer to this the first node knows.
  await nodes[0].directory.claim(nodes[0].entry('bob'), 'user')
  const earlier = nodes[0].entry('ann')
  await nodes[0].directory.claim(earlier, 'user')
  t.same((await nodes[1].directory.claim(nodes[1].entry('ann'), 'user')).removed.map(({ id }) => id), [earlier.id])
})

t.test('nodes on a clock that a test moves: real time that passes meanwhile refuses nobody', async (t) => {
  const url = await redisUrl(t)
  const keys = new Keys(ownPrefix(), 1, false)
  const nodes = [await DirectoryNode.start(t, url, keys), await DirectoryNode.start(t, url, keys)] as const
  for (const [i, node] of nodes.entries()) await node.directory.claim(node.entry(`user ${i}`), 'user')
  const since = systemClock.monotonic()
  await until(() => systemClock.monotonic() > since + 200, 'real time to pass')
  await nodes[0].directory.claim(nodes[0].entry('bob'), 'user')
  const earlier = nodes[0].entry('ann')
  await nodes[0].directory.claim(earlier, 'user')
  t.same((await nodes[1].directory.claim(nodes[1].entry('ann'), 'user')).removed.map(({ id }) => id), [earlier.id])
})

t.test('the first login of a node knows when it came, too: late, it takes nobody\'s place who came after it', async (t) => {
  const server = await RedisServer.start(t)
  const proxy = await TcpProxy.start(t, () => server.port)
  const { hubs } = await redisApps(t, 2, (node) => ({ url: node === 0 ? `redis://127.0.0.1:${proxy.port}` : server.url }), { sessions: 'single-per-user' })
  const [held, other] = hubs as [Hub, Hub]
  proxy.hold('up')
  const connecting = connect(held, { user: 'ann' })
  const cameAt = systemClock.monotonic()
  await until(() => systemClock.monotonic() > cameAt + 200, 'no doubt about who came later')
  const ann = await connect(other, { user: 'ann' })
  await until(() => other.size === 1, 'the later one')
  proxy.release('up')
  const earlier = await connecting
  await until(() => earlier.ended !== null, 'one to be ended')
  t.match(earlier.ended, { code: 4502 })
  t.equal(ann.ended, null)
})

t.test('where Redis has lost the later login, the late claim of an earlier one counts', async (t) => {
  const server = await RedisServer.start(t)
  const keys = new Keys(ownPrefix(), 1, false)
  const proxy = await TcpProxy.start(t, () => server.port)
  const held = await DirectoryNode.start(t, `redis://127.0.0.1:${proxy.port}`, keys, {}, systemClock)
  const others = await TcpProxy.start(t, () => server.port)
  const other = await DirectoryNode.start(t, `redis://127.0.0.1:${others.port}`, keys, { interval: 400 }, systemClock)
  const aside = await DirectoryNode.start(t, server.url, keys)
  for (const node of [held, other]) await node.directory.claim(node.entry('bob'), 'user')
  proxy.hold('up')
  const earlier = held.entry('ann')
  const claim = held.directory.claim(earlier, 'user')
  const cameAt = systemClock.monotonic()
  await until(() => systemClock.monotonic() > cameAt + 200, 'no doubt about who came later')
  const later = other.entry('ann')
  await other.directory.claim(later, 'user')
  // Its node would enter it again.
  others.hold('up')
  await aside.link.call('FLUSHALL')
  proxy.release('up')
  t.same((await claim).removed, [])
  others.release('up')
  await until(() => other.removed.includes(later.id), 'the node to find out')
  t.same(await other.ids('ann'), [earlier.id])
})
