import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { pack } from '../../lib/redis/presence-codec.js'
import { counts, hears, presenceCluster, untilCounts } from '../helpers/redis-presence.js'
import { freePort, RedisServer } from '../helpers/redis-server.js'
import { TcpProxy } from '../helpers/tcp-proxy.js'
import { until } from '../helpers/until.js'

/** A Redis, and nodes of one cluster on it, that the test ends. */
async function setup (t: Test): Promise<{ server: RedisServer, start: ReturnType<typeof presenceCluster> }> {
  const server = await RedisServer.start(t)
  return { server, start: presenceCluster(t, { url: server.url }) }
}

/** What became of it: the code of its error, or null. */
async function outcome (call: Promise<unknown>): Promise<string | null> {
  return await call.then(() => null, ({ code }: { code: string }) => code)
}

const UNAVAILABLE = 'FST_HUB_BROKER_UNAVAILABLE'

t.jobs = 3

t.test('Redis comes back empty: all enter again, who left is gone, and nobody is told of what did not happen', async (t) => {
  const { server, start } = await setup(t)
  const refusing = await freePort()
  let { port } = server
  const proxy = await TcpProxy.start(t, () => port)
  // Longer than anybody takes to be back.
  const times = { renewal: 8_000, ttl: 24_000 }
  const [one, other, asks] = [await start({ ...times, url: `redis://127.0.0.1:${proxy.port}` }), await start(times), await start(times)]
  for (const { presence } of [one, other]) await presence.watch('room')
  for (const user of ['ann', 'bob', 'fay']) await one.presence.enter('room', user, `${user} 1`)
  for (const user of ['bob', 'carl']) await other.presence.enter('room', user, `${user} 2`)
  await one.presence.setState('room', 'ann', 'typing', 600_000)
  for (const node of [one, other]) {
    await hears(node, '+ann', '+bob', '+carl', '+fay', 'ann:typing on')
    node.listener.heard.length = 0
  }
  await server.stop('SIGKILL')
  await until(() => !one.link.isReady && !other.link.isReady, 'the end of Redis')
  t.equal(await outcome(one.presence.leave('room', 'ann', 'ann 1')), UNAVAILABLE)
  t.equal(await outcome(one.presence.enter('room', 'dan', 'dan 1')), UNAVAILABLE)
  t.equal(await outcome(one.presence.enter('room', 'eve', 'eve 1')), UNAVAILABLE)
  t.equal(await outcome(one.presence.leave('room', 'eve', 'eve 1')), UNAVAILABLE)
  t.same(await Promise.all([one.presence.list('room'), one.presence.states('room'), one.presence.setState('room', 'bob', 'typing', 1_000), one.presence.watch('another')].map(outcome)), Array(4).fill(UNAVAILABLE))
  port = refusing
  await server.start()
  // The others are back first, and Redis has nothing of this one.
  await untilCounts(asks, 'room', 'bob 1,carl 1')
  await sleep(300)
  port = server.port
  await untilCounts(asks, 'room', 'bob 2,carl 1,dan 1,fay 1')
  for (const node of [one, other]) {
    await hears(node, '-ann', '+dan', 'ann:typing off')
    node.listener.heard.length = 0
  }
  await other.presence.leave('room', 'carl', 'carl 2')
  await one.presence.setState('room', 'bob', 'typing', 600_000)
  for (const node of [one, other]) await hears(node, '-carl', 'bob:typing on')
  await one.presence.watch('another')
  await other.presence.enter('another', 'ann', '1')
  await until(() => one.listener.story('another').join() === '+ann', 'a room that is watched since')
})

t.test('a link is cut for a while: both sides are right in the end', async (t) => {
  const { server, start } = await setup(t)
  const refusing = await freePort()
  let { port } = server
  const proxy = await TcpProxy.start(t, () => port)
  const [cut, other] = [await start({ url: `redis://127.0.0.1:${proxy.port}` }), await start()]
  for (const { presence } of [cut, other]) await presence.watch('room')
  for (const user of ['ann', 'bob']) await cut.presence.enter('room', user, `${user} 1`)
  for (const user of ['bob', 'carl']) await other.presence.enter('room', user, `${user} 2`)
  for (const node of [cut, other]) {
    await hears(node, '+ann', '+bob', '+carl')
    node.listener.heard.length = 0
  }
  port = refusing
  proxy.cut()
  await until(() => !cut.link.isReady, 'the cut')
  t.equal(await outcome(cut.presence.leave('room', 'ann', 'ann 1')), UNAVAILABLE)
  t.equal(await outcome(cut.presence.enter('room', 'dan', 'dan 1')), UNAVAILABLE)
  t.equal(await outcome(cut.presence.leave('room', 'bob', 'bob 1')), UNAVAILABLE)
  t.equal(await outcome(cut.presence.enter('room', 'bob', 'bob 1')), UNAVAILABLE)
  await other.presence.leave('room', 'carl', 'carl 2')
  await other.presence.enter('room', 'eve', 'eve 2')
  t.equal(await counts(other, 'room'), 'ann 1,bob 2,eve 1', 'nothing has reached Redis')
  await hears(other, '-carl', '+eve')
  port = server.port
  for (const node of [cut, other]) await hears(node, '-ann', '+dan', '-carl', '+eve')
  t.equal(await counts(cut, 'room'), 'bob 2,dan 1,eve 1')
  // What was told late is not remembered any longer.
  await cut.presence.leave('room', 'dan', 'dan 1')
  await cut.presence.leave('room', 'bob', 'bob 1')
  t.equal(await counts(other, 'room'), 'bob 1,eve 1')
})

t.test('a node comes back after its time: also who watches since then is told, and nobody is told otherwise', async (t) => {
  const { server, start } = await setup(t)
  const refusing = await freePort()
  let { port } = server
  const proxy = await TcpProxy.start(t, () => port)
  const times = { renewal: 500, ttl: 1_500 }
  const cut = await start({ ...times, url: `redis://127.0.0.1:${proxy.port}` })
  await cut.presence.enter('room', 'ann', '1')
  port = refusing
  proxy.cut()
  const since = await start(times)
  await untilCounts(since, 'room', '')
  // Before it may take anybody for dead.
  await since.presence.watch('room')
  port = server.port
  await untilCounts(since, 'room', 'ann 1')
  await cut.presence.enter('room', 'bob', '2')
  await until(() => since.listener.story('room').includes('+bob'), 'what comes after')
  await sleep(2 * times.renewal)
  t.equal(await counts(since, 'room'), 'ann 1,bob 1')
  t.same(since.listener.story('room').filter((line) => line.startsWith('-')), [])
  t.ok(since.listener.story('room').includes('+ann'))
})

t.test('somebody has emptied Redis: all enter again, without a word of it', async (t) => {
  const { start } = await setup(t)
  // Nobody is entered again by itself meanwhile.
  const times = { renewal: 3_000, ttl: 9_000 }
  // Whoever watches and asks meanwhile is told of what was not there then.
  const [one, other, asks] = [await start(times), await start(times), await start(times)]
  await other.presence.watch('watched')
  for (const room of ['room', 'watched']) {
    await one.presence.enter(room, 'ann', '1')
    await other.presence.enter(room, 'bob', '2')
  }
  await other.link.call('FLUSHALL')
  for (const room of ['room', 'watched']) await untilCounts(asks, room, 'ann 1,bob 1')
  await one.presence.enter('watched', 'carl', '3')
  await until(() => other.listener.story('watched').includes('+carl'), 'what comes after')
  t.same(other.listener.story('watched').sort(), ['+ann', '+bob', '+carl'])
})

t.test('Redis comes back behind: who left in what it has lost is there for no longer than a dead node', async (t) => {
  const { server, start } = await setup(t)
  const proxy = await TcpProxy.start(t, () => server.port)
  const times = { renewal: 500, ttl: 1_500 }
  const [one, other] = [await start({ ...times, url: `redis://127.0.0.1:${proxy.port}` }), await start(times)]
  await other.presence.watch('room')
  await one.presence.enter('room', 'ann', '1')
  await one.presence.enter('room', 'bob', '2')
  const { link, keys } = other
  const pair = pack('ann', '1')
  const score = await link.call('ZSCORE', keys.presence('room'), pair) as Buffer
  await one.presence.leave('room', 'ann', '1')
  await link.call('ZADD', keys.presence('room'), score, pair)
  await link.call('ZADD', keys.presenceIndex('room'), 0, `c${pair}`)
  t.equal(await counts(other, 'room'), 'ann 1,bob 1')
  proxy.cut()
  await untilCounts(other, 'room', 'bob 1')
  await until(() => other.listener.story('room').at(-1) === '-ann', 'the end of who had left')
  t.equal(await counts(one, 'room'), 'bob 1')
})

t.test('Redis is not there: who enters meanwhile is there when it is', async (t) => {
  const { server, start } = await setup(t)
  const node = await start()
  await server.stop()
  await until(() => !node.link.isReady, 'the end of Redis')
  t.equal(await outcome(node.presence.enter('room', 'ann', '1')), UNAVAILABLE)
  t.equal(await outcome(node.presence.enter('room', 'bob', '2')), UNAVAILABLE)
  t.equal(await outcome(node.presence.leave('room', 'bob', '2')), UNAVAILABLE)
  t.equal(await outcome(node.presence.watch('room')), UNAVAILABLE)
  await server.start()
  await untilCounts(node, 'room', 'ann 1')
  await node.presence.watch('room')
  await node.presence.leave('room', 'ann', '1')
  await hears(node, '-ann')
})

t.test('FAULTS 64: Redis answers nothing for longer than a call waits: what was asked meanwhile holds in the end', async (t) => {
  const { server, start } = await setup(t)
  const node = await start({ timeout: 1_000, renewal: 600, ttl: 60_000 })
  await node.presence.watch('room')
  await node.presence.enter('room', 'ann', '1')
  await node.presence.enter('room', 'bob', '2')
  await hears(node, '+ann', '+bob')
  server.signal('SIGSTOP')
  t.teardown(() => { server.signal('SIGCONT') })
  t.same(await Promise.all([
    outcome(node.presence.leave('room', 'ann', '1')), outcome(node.presence.enter('room', 'carl', '3')), outcome(node.presence.list('room')),
    outcome(node.presence.leave('room', 'bob', '2')), outcome(node.presence.enter('room', 'bob', '2')), outcome(node.presence.watch('another'))
  ]), Array(6).fill(UNAVAILABLE))
  server.signal('SIGCONT')
  await hears(node, '+ann', '+bob', '-ann', '+carl')
  t.equal(await counts(node, 'room'), 'bob 1,carl 1')
})

t.test('FAULTS 64: Redis stands still until everybody has expired: the first that asks does not take the others for dead', async (t) => {
  const { server, start } = await setup(t)
  const proxy = await TcpProxy.start(t, () => server.port)
  const times = { timeout: 1_000, renewal: 1_500, ttl: 4_500 }
  const [one, other] = [await start(times), await start({ ...times, url: `redis://127.0.0.1:${proxy.port}` })]
  for (const { presence } of [one, other]) await presence.watch('room')
  await one.presence.enter('room', 'ann', '1')
  await other.presence.enter('room', 'bob', '2')
  await other.presence.setState('room', 'bob', 'typing', 600_000)
  for (const node of [one, other]) await hears(node, '+ann', '+bob', 'bob:typing on')
  // Both know the dead from the living by now.
  await sleep(2 * times.renewal)
  proxy.hold('up')
  server.signal('SIGSTOP')
  t.teardown(() => { server.signal('SIGCONT') })
  await sleep(times.ttl + 500)
  server.signal('SIGCONT')
  await untilCounts(one, 'room', 'ann 1')
  await one.presence.enter('room', 'carl', '3')
  await sleep(300)
  proxy.release('up')
  await untilCounts(one, 'room', 'ann 1,bob 1,carl 1')
  await until(() => other.listener.story('room').includes('+carl'), 'what comes after')
  await sleep(times.renewal)
  for (const { listener } of [one, other]) t.same(listener.story('room').filter((line) => /^-|off$/.test(line)), [])
  t.same(await one.presence.states('room'), [{ user: 'bob', key: 'typing' }])
  await one.vanish()
  await until(() => ['-ann', '-carl'].every((line) => other.listener.story('room').includes(line)), 'the end of a node that is dead')
})

t.test('it closes while Redis does not answer, or has gone', async (t) => {
  const { server, start } = await setup(t)
  const [one, other] = [await start({ timeout: 1_000 }), await start({ timeout: 1_000 })]
  for (const { presence } of [one, other]) {
    await presence.watch('room')
    await presence.enter('room', 'ann', '1')
  }
  server.signal('SIGSTOP')
  await one.presence.close()
  await one.presence.close()
  server.signal('SIGCONT')
  await server.stop()
  await until(() => !other.link.isReady, 'the end of Redis')
  await other.presence.close()
  t.equal(await outcome(other.presence.enter('room', 'bob', '2')), UNAVAILABLE)
})

t.test('FAULTS 55: Redis has no memory for more: who could not enter does when it has', async (t) => {
  const { start } = await setup(t)
  const node = await start({ renewal: 600, ttl: 60_000 })
  await node.presence.enter('room', 'ann', '1')
  await node.presence.enter('room', 'bob', '2')
  await node.link.call('CONFIG', 'SET', 'maxmemory', '1')
  t.equal(await outcome(node.presence.enter('room', 'carl', '3')), UNAVAILABLE)
  t.equal(await outcome(node.presence.leave('room', 'ann', '1')), null, 'that needs none')
  await node.link.call('CONFIG', 'SET', 'maxmemory', '0')
  await untilCounts(node, 'room', 'bob 1,carl 1')
})
