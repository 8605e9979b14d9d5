import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { systemClock } from '../../lib/core/clock.js'
import type { Clock } from '../../lib/core/ports.js'
import { PresenceView } from '../helpers/presence-view.js'
import { counts, hears, presenceCluster, untilCounts, type PresenceNode } from '../helpers/redis-presence.js'
import { redisUrl } from '../helpers/redis-server.js'
import { until } from '../helpers/until.js'

/** Milliseconds: long enough that a machine under load renews in time. */
const TTL = 3_600
const RENEWAL = 600

t.test('presence on Redis', async (t) => {
  // They mostly wait.
  t.jobs = 4
  const url = await redisUrl(t)

  const cluster = (t: Test): ReturnType<typeof presenceCluster> => presenceCluster(t, { url, ttl: TTL, renewal: RENEWAL })
  const keys = async ({ link, keys: { prefix } }: PresenceNode): Promise<string[]> => {
    const found = (await link.call('KEYS', `${prefix}:*`) as Buffer[]).map(String)
    // What is everybody's.
    return found.filter((key) => !/:(bus|batches|lives)$/.test(key)).map((key) => key.slice(prefix.length)).sort()
  }

  t.test('FAULTS 61: the users of a node that vanished leave when their time is over, and who watches is told', async (t) => {
    const start = cluster(t)
    const [gone, stays] = [await start(), await start()]
    await stays.presence.watch('room')
    await gone.presence.enter('room', 'ann', '1')
    await gone.presence.enter('room', 'ann', '2')
    await gone.presence.enter('room', 'bob', '3')
    await stays.presence.enter('room', 'bob', '4')
    await gone.presence.setState('room', 'ann', 'typing', 600_000)
    await stays.presence.setState('room', 'bob', 'typing', 600_000)
    await hears(stays, '+ann', '+bob', 'ann:typing on', 'bob:typing on')
    stays.listener.heard.length = 0
    await gone.vanish()
    await hears(stays, '-ann', 'ann:typing off')
    t.equal(await counts(stays, 'room'), 'bob 1')
    t.same(await stays.presence.states('room'), [{ user: 'bob', key: 'typing' }])
  })

  t.test('FAULTS 61: also in a room in which nobody else is, and of more than are removed at once', async (t) => {
    const start = cluster(t)
    const [gone, stays] = [await start(), await start()]
    await stays.presence.watch('room')
    const users = Array.from({ length: 1_200 }, (_, i) => `user ${i}`)
    const view = new PresenceView([], [])
    stays.listener.then = (_room, diff) => { view.apply(diff) }
    await Promise.all(users.map(async (user, i) => { await gone.presence.enter('room', user, `${i}`) }))
    await until(() => view.text === `${[...users].sort().join()}|`, 'all to enter')
    await gone.vanish()
    await until(() => view.text === '|', 'all to leave')
    t.equal(await counts(stays, 'room'), '')
  })

  t.test('FAULTS 61: they have left for who asks, before anybody removes them', async (t) => {
    const start = cluster(t)
    const [gone, asks] = [await start({ ttl: 3_000, renewal: 500 }), await start()]
    await gone.presence.enter('room', 'ann', '1')
    await gone.presence.setState('room', 'ann', 'typing', 600_000)
    t.equal(await counts(asks, 'room'), 'ann 1')
    await gone.vanish()
    await untilCounts(asks, 'room', '')
    t.same(await asks.presence.states('room'), [])
    t.same((await keys(asks)).map((key) => key.replace(/^.*?}/, '')), [':presence-index:room', ':presence:room', ':states:room'])
    await asks.presence.enter('room', 'ann', '2')
    t.same(await asks.presence.states('room'), [], 'a state does not come back with the user')
  })

  t.test('FAULTS 61: nothing is left when all nodes have vanished', async (t) => {
    const start = cluster(t)
    const [one, other, asks] = [await start({ renewal: 200 }), await start({ renewal: 200 }), await start()]
    for (const { presence } of [one, other]) await presence.watch('room')
    await one.presence.enter('room', 'ann', '1')
    await other.presence.enter('another', 'bob', '2')
    await one.presence.setState('room', 'ann', 'typing', 600_000)
    t.ok((await keys(asks)).length > 5)
    await one.vanish()
    await other.vanish()
    let left: string[] = ['']
    for (let tries = 0; left.length > 0 && tries < 600; tries++) {
      left = await keys(asks)
      await sleep(50)
    }
    t.same(left, [])
  })

  t.test('who lives stays, however long; and a node that closes takes its users along', async (t) => {
    const start = cluster(t)
    const [one, other] = [await start(), await start()]
    await other.presence.watch('room')
    await one.presence.enter('room', 'ann', '1')
    await other.presence.enter('room', 'bob', '2')
    await hears(other, '+ann', '+bob')
    for (let i = 0; i < 6; i++) {
      await sleep(TTL / 3)
      t.equal(await counts(other, 'room'), 'ann 1,bob 1')
    }
    await hears(other, '+ann', '+bob')
    await one.presence.enter('room', 'ann', '3')
    await hears(other, '+ann', '+bob')
    await one.close()
    await hears(other, '+ann', '+bob', '-ann')
    t.equal(await counts(other, 'room'), 'bob 1')
    await other.close()
    t.same(await keys(await start()), [])
  })

  t.test('a node that has closed has no timer left', async (t) => {
    const timers = new Set<object>()
    const every: Clock['every'] = (ms, fn) => {
      const timer = systemClock.every(ms, fn)
      const own = {
        cancel: () => {
          timers.delete(own)
          timer.cancel()
        }
      }
      timers.add(own)
      return own
    }
    const node = await cluster(t)({ clock: { ...systemClock, every } })
    await node.presence.watch('room')
    await node.presence.enter('room', 'ann', '1')
    await node.presence.setState('room', 'ann', 'typing', 600_000)
    await hears(node, '+ann', 'ann:typing on')
    t.ok(timers.size > 0)
    await node.close()
    t.equal(timers.size, 0)
  })

  t.test('FAULTS 63: nodes whose clocks are hours apart see the same', async (t) => {
    const hours = (n: number): Clock => ({ ...systemClock, now: () => Date.now() + n * 3_600_000, monotonic: () => systemClock.monotonic() + (n + 2) * 3_600_000 })
    const start = cluster(t)
    const [early, late] = [await start({ clock: hours(-1) }), await start({ clock: hours(1) })]
    const [fromEarly, fromLate] = ['+ann', '+bob'].map((user) => [user, `${user.slice(1)}:typing on`])
    for (const { presence } of [early, late]) await presence.watch('room')
    await early.presence.enter('room', 'ann', '1')
    await late.presence.enter('room', 'bob', '2')
    await early.presence.setState('room', 'ann', 'typing', 3_000)
    await late.presence.setState('room', 'bob', 'typing', 600_000)
    for (const node of [early, late]) await hears(node, ...fromEarly as string[], ...fromLate as string[])
    for (const node of [early, late]) {
      await hears(node, ...fromEarly as string[], ...fromLate as string[], 'ann:typing off')
      t.equal(await counts(node, 'room'), 'ann 1,bob 1')
      t.same(await node.presence.states('room'), [{ user: 'bob', key: 'typing' }])
    }
    await early.vanish()
    await hears(late, ...fromEarly as string[], ...fromLate as string[], 'ann:typing off', '-ann')
  })

  t.test('the bus is told only of rooms that somebody watches, who is still there', async (t) => {
    const start = cluster(t)
    const [one, watcher] = [await start(), await start()]
    const bus = one.keys.bus(one.keys.busOf('room'))
    const told = async (step: () => Promise<void>): Promise<number> => {
      const before = Number(await one.link.call('XLEN', bus))
      await step()
      return Number(await one.link.call('XLEN', bus)) - before
    }
    t.equal(await told(async () => { await one.presence.enter('room', 'ann', '1') }), 0)
    await watcher.presence.watch('room')
    t.equal(await told(async () => { await one.presence.enter('room', 'bob', '2') }), 1)
    t.equal(await told(async () => { await one.presence.enter('room', 'bob', '2') }), 0, 'nothing has changed')
    const many = async (): Promise<void> => { await Promise.all(Array.from({ length: 100 }, async (_, i) => { await one.presence.enter('room', 'bob', `b${i}`) })) }
    t.equal(await told(many), 1, 'one entry for all of a turn')
    await watcher.presence.unwatch('room')
    t.equal(await told(async () => { await one.presence.leave('room', 'bob', '2') }), 0)
    await watcher.presence.watch('room')
    await watcher.vanish()
    await sleep(TTL)
    t.equal(await told(async () => { await one.presence.leave('room', 'ann', '1') }), 0)
  })

  t.test('what the bus has lost, or nobody can read, is asked for', async (t) => {
    const start = presenceCluster(t, { url })
    const [one, watcher] = [await start(), await start()]
    const partition = one.keys.busOf('room')
    await watcher.presence.watch('room')
    await one.presence.enter('room', 'ann', '1')
    await hears(watcher, '+ann')
    // The watcher is not told of what happens now.
    const expiry = await one.link.call('ZSCORE', one.keys.watchers('room'), watcher.nodeId)
    await one.link.call('ZREM', one.keys.watchers('room'), watcher.nodeId)
    await one.presence.enter('room', 'bob', '2')
    await one.link.call('ZADD', one.keys.watchers('room'), String(expiry), watcher.nodeId)
    await one.link.call('XADD', one.keys.bus(partition), '*', 's', 2, 'n', 'x', 'k', 'p', '#', 'nonsense')
    await hears(watcher, '+ann', '+bob')
    t.match(watcher.failures, [{ message: 'the number of an entry was expected' }])
    await one.link.call('DEL', one.keys.bus(partition))
    await one.presence.leave('room', 'ann', '1')
    await hears(watcher, '+ann', '+bob', '-ann')
    await one.presence.enter('room', 'carl', '3')
    await hears(watcher, '+ann', '+bob', '-ann', '+carl')
  })

  t.test('one of its keys is lost: it is whole after a round', async (t) => {
    const start = cluster(t)
    const [one, other] = [await start({ renewal: 100 }), await start({ renewal: 100 })]
    await one.presence.enter('room', 'ann', '1')
    await other.presence.enter('room', 'ann', '2')
    for (const key of [one.keys.presence('room'), one.keys.presenceIndex('room')]) {
      await one.link.call('DEL', key)
      await sleep(3_000)
      await untilCounts(one, 'room', 'ann 2')
      await one.presence.setState('room', 'ann', 'typing', 600_000)
      t.same(await one.presence.states('room'), [{ user: 'ann', key: 'typing' }])
    }
    await one.presence.leave('room', 'ann', '1')
    t.equal((await one.presence.states('room')).length, 1)
    await other.presence.leave('room', 'ann', '2')
    t.same(await one.presence.states('room'), [])
  })

  t.test('FAULTS 56: a script that Redis has forgotten overtakes nothing', async (t) => {
    const start = cluster(t)
    const [one, other] = [await start(), await start()]
    for (let i = 0; i < 20; i++) {
      await one.link.call('SCRIPT', 'FLUSH')
      const calls = [one.presence.enter('room', 'ann', '1'), other.presence.enter('room', 'bob', '2')]
      await null
      calls.push(one.presence.leave('room', 'ann', '1'), other.presence.leave('room', 'bob', '2'))
      await new Promise<void>((resolve) => { setImmediate(resolve) })
      calls.push(one.presence.enter('room', 'ann', '1'), one.presence.leave('room', 'ann', '1'), other.presence.enter('room', 'bob', '2'))
      await Promise.all(calls)
      t.equal(await counts(one, 'room'), 'bob 1')
    }
  })
})
