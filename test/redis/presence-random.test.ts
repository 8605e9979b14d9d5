import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { PresenceView } from '../helpers/presence-view.js'
import { presenceCluster, untilCounts, type PresenceNode } from '../helpers/redis-presence.js'
import { freePort, RedisServer } from '../helpers/redis-server.js'
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

interface Faults {
  /** Whether the networks of the nodes are cut now and then. */
  readonly isCut?: boolean
  /** Whether Redis forgets everything in the middle. */
  readonly isLost?: boolean
  /** Whether nodes die and others take their place, and some are away for longer than a node that is not heard of lives. */
  readonly isDying?: boolean
}

function randomly (name: string, { isCut = false, isLost = false, isDying = false }: Faults): void {
  t.test(name, async (t) => {
    const seed = Number(process.env['PRESENCE_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
    t.comment(`PRESENCE_SEED=${seed}`)
    const steps = fc.sample(step, { seed, numRuns: STEPS })
    const server = await RedisServer.start(t)
    const refusing = await freePort()
    const start = presenceCluster(t, { url: server.url, ...isDying ? { renewal: 200, ttl: 600 } : { renewal: 1_500, ttl: 60_000 } })
    const isAway = [false, false, false]
    const proxies = await Promise.all(isAway.map(async (_, n) => await TcpProxy.start(t, () => isAway[n] === true ? refusing : server.port)))
    const nodes: PresenceNode[] = []
    const asks = await start()
    /** By node and room, as those who asked there see it. */
    const views = proxies.map(() => new Map(ROOMS.map((room): [string, PresenceView[]] => [room, []])))
    const inside = new Map<string, boolean>()
    const calls: Array<Promise<unknown>> = []
    const watch = async ({ presence }: PresenceNode, room: string): Promise<void> => {
      while (!await presence.watch(room).then(() => true, () => false)) await sleep(20)
    }
    const begin = async (n: number): Promise<void> => {
      const node = nodes[n] = await start({ url: `redis://127.0.0.1:${proxies[n]?.port}` })
      node.listener.then = (room, diff) => { for (const view of views[n]?.get(room) ?? []) view.apply(diff) }
      for (const room of ROOMS) await watch(node, room)
    }
    const die = async (n: number): Promise<void> => {
      const { listener, vanish } = nodes[n] as PresenceNode
      listener.then = null
      await vanish()
      for (const room of ROOMS) views[n]?.set(room, [])
      for (const key of inside.keys()) if ((JSON.parse(key) as unknown[])[2] === n) inside.delete(key)
      await begin(n)
    }
    for (const n of isAway.keys()) await begin(n)
    for (const [i, { node: n, room, user, what }] of steps.entries()) {
      const node = nodes[n] as PresenceNode
      const { presence } = node
      if (what.do === 'wait') {
        await sleep(what.ms)
      } else if (what.do === 'again') {
        if (isAway[n] === true) continue
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
      if (isDying && i % 80 === 20) {
        isAway[n] = true
        proxies[n]?.cut()
      }
      if (isDying && i % 80 === 70) {
        isAway.fill(false)
        await die(n)
        await sleep(300)
      }
    }
    isAway.fill(false)
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

t.jobs = 4
randomly('whatever nodes do, whoever asked and applied the diffs sees the rooms as they are', {})
randomly('also when their networks are cut', { isCut: true })
randomly('also when Redis forgets everything', { isCut: true, isLost: true })
randomly('also when nodes die, or are away for longer than their time', { isDying: true })
