import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { PresenceView } from '../helpers/presence-view.js'
import { presenceCluster, untilCounts, type PresenceNode } from '../helpers/redis-presence.js'
import { RedisServer } from '../helpers/redis-server.js'
import { TcpProxy } from '../helpers/tcp-proxy.js'
import { until } from '../helpers/until.js'

const ROOMS = ['room', 'another']
const STEPS = 250

const room = fc.constantFrom(...ROOMS)
const user = fc.constantFrom('ann', 'bob', 'carl', 'dan')
const step = fc.record({
  node: fc.constantFrom(0, 1, 2),
  room,
  user,
  what: fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constantFrom('enter' as const, 'leave' as const), id: fc.constantFrom('1', '2') }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('state' as const), key: fc.constantFrom('typing', 'drawing'), ttl: fc.constantFrom(0, 150, 600_000) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('ask' as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('again' as const) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(0, 1, 20, 70) }) }
  )
})

/** @param isCut whether the networks of the nodes are cut now and then @param isLost whether Redis forgets everything in the middle */
function randomly (name: string, { isCut, isLost }: { isCut: boolean, isLost: boolean }): void {
  t.test(name, async (t) => {
    const seed = Number(process.env['PRESENCE_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
    t.comment(`PRESENCE_SEED=${seed}`)
    const steps = fc.sample(step, { seed, numRuns: STEPS })
    const server = await RedisServer.start(t)
    const start = presenceCluster(t, { url: server.url, renewal: 1_500, ttl: 60_000 })
    const proxies = await Promise.all([0, 1, 2].map(async () => await TcpProxy.start(t, () => server.port)))
    const nodes = await Promise.all(proxies.map(async ({ port }) => await start({ url: `redis://127.0.0.1:${port}` })))
    const asks = await start()
    /** By node and room, as those who asked there see it. */
    const views = nodes.map(() => new Map(ROOMS.map((room): [string, PresenceView[]] => [room, []])))
    const inside = new Map<string, boolean>()
    const calls: Array<Promise<unknown>> = []
    const watch = async ({ presence }: PresenceNode, room: string): Promise<void> => {
      while (!await presence.watch(room).then(() => true, () => false)) await sleep(20)
    }
    for (const [i, node] of nodes.entries()) {
      node.listener.then = (room, diff) => { for (const view of views[i]?.get(room) ?? []) view.apply(diff) }
      for (const room of ROOMS) await watch(node, room)
    }
    for (const [i, { node: n, room, user, what }] of steps.entries()) {
      const node = nodes[n] as PresenceNode
      const { presence } = node
      if (what.do === 'wait') {
        await sleep(what.ms)
      } else if (what.do === 'again') {
        await presence.unwatch(room)
        views[n]?.set(room, [])
        await watch(node, room)
      } else if (what.do === 'ask') {
        const own = views[n]?.get(room)
        calls.push(PresenceView.of(presence, room).then((view) => own?.push(view)))
      } else if (what.do === 'state') {
        calls.push(presence.setState(room, user, what.key, what.ttl))
      } else {
        inside.set(JSON.stringify([room, user, n, what.id]), what.do === 'enter')
        calls.push(presence[what.do](room, user, `${n} ${what.id}`))
      }
      calls.at(-1)?.catch(() => { /* Its network is cut. */ })
      if (isCut && i % 60 === 30) proxies[n]?.cut()
      if (isLost && i === STEPS / 2) await asks.link.call('FLUSHALL')
    }
    await Promise.allSettled(calls)
    for (const room of ROOMS) {
      const expected = new Map<string, number>()
      for (const [key, isInside] of inside) {
        const [where, user] = JSON.parse(key) as [string, string]
        if (where === room && isInside) expected.set(user, (expected.get(user) ?? 0) + 1)
      }
      await untilCounts(asks, room, [...expected].map(([user, connections]) => `${user} ${connections}`).sort().join())
      // The short states end meanwhile.
      await sleep(200)
      const { text } = await PresenceView.of(asks.presence, room)
      for (const [i, of] of views.entries()) {
        for (const view of of.get(room) ?? []) await until(() => view.text === text, () => `${text} in ${room}; who asked node ${i} sees ${view.text}`)
      }
      t.same([...expected.keys()].sort().join(), text.split('|')[0])
    }
  })
}

t.jobs = 3
randomly('whatever nodes do, whoever asked and applied the diffs sees the rooms as they are', { isCut: false, isLost: false })
randomly('also when their networks are cut', { isCut: true, isLost: false })
randomly('also when Redis forgets everything', { isCut: true, isLost: true })
