import fc from 'fast-check'
import t from 'tap'
import type { Connection, DisconnectInfo } from '../../../../lib/core/types.js'
import { FakeCluster, type Passing } from '../../../helpers/fake-cluster.js'
import type { FakePeer } from '../../../helpers/fake-hub.js'
import { SlowDirectory, type DirectoryCall } from '../../../helpers/slow-directory.js'

const USERS = ['ann', 'bob'] as const
const DEVICES = ['web', undefined] as const
const NODES = 3

interface Login extends FakePeer { user: string, device: string | undefined, claim: DirectoryCall, began: boolean }
interface Kick { user: string, reason: string, call: DirectoryCall, count: number | null }

const node = fc.nat(NODES - 1)
/** With these nobody finds a place free that another one has had, and each node answers in time. */
const orderly = [
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('login' as const), node, user: fc.constantFrom(...USERS), device: fc.constantFrom(...DEVICES) }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constantFrom('take' as const, 'answer' as const), which: fc.nat(30) }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constantFrom('message' as const, 'doubled' as const), which: fc.nat(8) }) }
] as const
const op = fc.oneof(
  ...orderly,
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('kick' as const), node, user: fc.constantFrom(...USERS) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reset' as const), which: fc.nat(30) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('time' as const) }) }
)
const list = { maxLength: 60, size: 'max' } as const

for (const sessions of ['many', 'single-per-user', 'single-per-device'] as const) {
  t.test(`FAULTS 66, 67: '${sessions}' over nodes, with random interleavings of a slow directory and slow messages`, async () => {
    const sameScope = (a: Login, b: Login): boolean => sessions !== 'many' && a.user === b.user && (sessions === 'single-per-user' || a.device === b.device)
    await fc.assert(fc.asyncProperty(fc.oneof(fc.array(op, list), fc.array(fc.oneof(...orderly), list)), async (ops) => {
      const logins: Login[] = []
      /** In the order of their onConnect. */
      const began: Login[] = []
      const kicks: Kick[] = []
      /** In the order in which the directory took them. */
      const taken: DirectoryCall[] = []
      const ends = new Map<Connection, DisconnectInfo[]>()
      const errors: unknown[] = []
      const check = (truth: boolean, what: string): void => { if (!truth) throw new Error(what) }
      const directory = new SlowDirectory()
      const cluster = new FakeCluster({
        directory,
        sessions,
        onConnect: (connection) => {
          const login = logins.find((login) => login.connection === connection) as Login
          login.began = true
          began.push(login)
        },
        onDisconnect: (connection, info) => { ends.set(connection, [...ends.get(connection) ?? [], info]) }
      })
      for (let i = 0; i < NODES; i++) (await cluster.add()).hub.on('error', (error) => { errors.push(error) })
      /** On the way between two nodes: in order. */
      const ways = new Map<string, Passing[]>()
      cluster.copies = (passing) => {
        const way = `${passing.from} ${passing.to}`
        ways.set(way, [...ways.get(way) ?? [], passing])
        return 0
      }
      const take = (call: DirectoryCall): void => {
        if (!call.taken) taken.push(call)
        call.take()
      }
      const answer = (call: DirectoryCall): void => {
        take(call)
        call.answer()
      }
      const arrive = (which: number, times: number): void => {
        const open = [...ways.values()].filter((way) => way.length > 0)
        const passing = open[which % Math.max(1, open.length)]?.shift()
        if (passing !== undefined) for (let i = 0; i < times; i++) cluster.deliver(passing)
      }
      for (const step of ops) {
        if (step.kind === 'login') {
          const peer = (cluster.hubs[step.node] as typeof cluster.hubs[0]).accept({ user: step.user, device: step.device })
          logins.push({ ...peer, user: step.user, device: step.device, claim: directory.calls.at(-1) as DirectoryCall, began: false })
        } else if (step.kind === 'kick') {
          const reason = `kick ${kicks.length}`
          const counted = (cluster.hubs[step.node] as typeof cluster.hubs[0]).hub.user(step.user).kick(reason)
          const kick: Kick = { user: step.user, reason, call: directory.calls.at(-1) as DirectoryCall, count: null }
          kicks.push(kick)
          counted.then((count) => { kick.count = count }, (error: unknown) => { errors.push(error) })
        } else if (step.kind === 'take' || step.kind === 'answer') {
          const open = directory.open()
          const call = open[step.which % Math.max(1, open.length)]
          if (call !== undefined) (step.kind === 'take' ? take : answer)(call)
        } else if (step.kind === 'message' || step.kind === 'doubled') {
          arrive(step.which, step.kind === 'doubled' ? 2 : 1)
        } else if (step.kind === 'time') {
          await cluster.clock.advance(1_000)
        } else {
          logins[step.which % Math.max(1, logins.length)]?.transport.reset()
        }
        await cluster.settle()
      }
      // Everything is answered, and everything arrives.
      const isUnderWay = (): boolean => directory.open().length > 0 || [...ways.values()].some((way) => way.length > 0)
      while (isUnderWay()) {
        for (const call of directory.open()) answer(call)
        arrive(0, 1)
        await cluster.settle()
      }
      await cluster.clock.advance(2_200)
      while (isUnderWay()) {
        for (const call of directory.open()) answer(call)
        arrive(0, 1)
        await cluster.settle()
      }

      const present = logins.filter((login) => login.began && login.connection.live)
      for (const a of present) for (const b of present) check(a === b || !sameScope(a, b), 'two at once')
      const at = (call: DirectoryCall): number => taken.indexOf(call)
      const isOrderly = ops.every(({ kind }) => !['time', 'kick', 'reset'].includes(kind))
      for (const [i, newer] of began.entries()) {
        for (const older of began.slice(i + 1)) check(!isOrderly || !sameScope(older, newer) || at(older.claim) > at(newer.claim), 'an older one began behind a newer one')
      }
      for (const login of logins) {
        const { connection, transport: { closed }, began } = login
        check((ends.get(connection) ?? []).length === (began && connection.state === 'closed' ? 1 : 0), 'onDisconnect')
        if (closed?.code === 4501) {
          const kick = kicks.find(({ reason }) => reason === closed.reason) as Kick
          check(kick.user === login.user && at(login.claim) < at(kick.call), 'kicked, and was later than the kick')
        }
        // 1013: the newer one has left by itself before its claim was answered.
        const hasLeft = (newer: Login): boolean => !newer.connection.live && newer.transport.closed === null
        if (closed?.code === 4502 || closed?.code === 1013) {
          check(logins.some((newer) => newer !== login && (closed.code === 4502 || hasLeft(newer)) && sameScope(login, newer) && at(newer.claim) > at(login.claim)), 'replaced by nobody who is newer')
        }
        for (const kick of kicks) {
          if (kick.user === login.user && at(login.claim) < at(kick.call)) check(!connection.live, 'was there before the kick, and still is')
        }
        check(connection.live || closed === null || [1013, 4501, 4502].includes(closed.code), `closed with ${closed?.code}`)
      }
      for (const { reason, count } of kicks) {
        const ended = logins.filter(({ transport: { closed } }) => closed?.reason === reason).length
        check(count !== null && count <= ended, `the kick said ${count}, and ended ${ended}`)
      }
      for (const user of USERS) {
        const known = (await directory.inner.user(user)).map(({ id }) => id).sort()
        const here = present.filter((login) => login.user === user).map(({ connection }) => connection.id).sort()
        check(JSON.stringify(known) === JSON.stringify(here), 'the directory knows exactly those that are here')
      }
      check(cluster.hubs.every(({ hub }) => hub.sessions.entering.size === 0), 'somebody is still entering')
      check(errors.length === 0, String(errors[0]))
    }), { numRuns: 150 })
  })
}
