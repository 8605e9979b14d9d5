import fc from 'fast-check'
import t from 'tap'
import type { Connection } from '../../../../lib/core/types.js'
import { MemoryDirectory } from '../../../../lib/memory/directory.js'
import { FakeCluster, type Passing } from '../../../helpers/fake-cluster.js'
import type { FakePeer } from '../../../helpers/fake-hub.js'
import { PromisedDirectory } from '../../../helpers/promised-directory.js'

const USERS = ['ann', 'bob'] as const
const DEVICES = ['web', undefined] as const
const NODES = 3

interface Login extends FakePeer { readonly user: string, readonly device: string | undefined }
/** Of a user, with how many logins there were when it was made. */
interface Kick { readonly user: string, readonly before: number }

const node = fc.nat(NODES - 1)
/** With these each client answers, and each node in time. */
const orderly = [
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('login' as const), node, user: fc.constantFrom(...USERS), device: fc.constantFrom(...DEVICES) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('kick' as const), node, user: fc.constantFrom(...USERS) }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('pong' as const), which: fc.nat(30) }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constantFrom('message' as const, 'doubled' as const), which: fc.nat(8) }) }
] as const
const op = fc.oneof(
  ...orderly,
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reset' as const), which: fc.nat(30) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('time' as const) }) }
)
const list = { maxLength: 60, size: 'max' } as const

for (const sessions of ['single-per-user', 'single-per-device'] as const) {
  for (const [answers, directoryOf] of [['at once', () => new MemoryDirectory()], ['later', () => new PromisedDirectory()]] as const) {
    t.test(`FAULTS 66, 67: '${sessions}', a directory that answers ${answers}, clients that answer when they like, and slow messages`, async () => {
      const sameScope = (a: Login, b: Login): boolean => a.user === b.user && (sessions === 'single-per-user' || a.device === b.device)
      await fc.assert(fc.asyncProperty(fc.oneof(fc.array(op, list), fc.array(fc.oneof(...orderly), list)), async (ops) => {
        const logins: Login[] = []
        const kicks: Kick[] = []
        /** In the order of their onConnect. */
        const began: Connection[] = []
        const left: Connection[] = []
        const errors: unknown[] = []
        const check = (truth: boolean, what: string): void => { if (!truth) throw new Error(what) }
        const directory = directoryOf()
        const cluster = new FakeCluster({
          directory,
          sessions,
          onConnect: (connection) => { began.push(connection) },
          onDisconnect: (connection) => { left.push(connection) }
        })
        for (let i = 0; i < NODES; i++) (await cluster.add()).hub.on('error', (error) => { errors.push(error) })
        const ways = new Map<string, Passing[]>()
        cluster.copies = (passing) => {
          const way = `${passing.from} ${passing.to}`
          ways.set(way, [...ways.get(way) ?? [], passing])
          return 0
        }
        const arrive = (which: number, times: number): void => {
          const open = [...ways.values()].filter((way) => way.length > 0)
          const passing = open[which % Math.max(1, open.length)]?.shift()
          if (passing !== undefined) for (let i = 0; i < times; i++) cluster.deliver(passing)
        }
        const answered = new Set<Login>()
        const owing = (): Login[] => logins.filter((login) => login.transport.pings > 0 && login.connection.live && !answered.has(login))
        const pong = (which: number): void => {
          const open = owing()
          const login = open[which % Math.max(1, open.length)]
          if (login === undefined) return
          answered.add(login)
          login.transport.peerPong()
        }
        for (const step of ops) {
          const hub = cluster.hubs['node' in step ? step.node : 0] as typeof cluster.hubs[0]
          if (step.kind === 'login') {
            logins.push({ ...hub.accept({ user: step.user, device: step.device }), user: step.user, device: step.device })
          } else if (step.kind === 'kick') {
            kicks.push({ user: step.user, before: logins.length })
            hub.hub.user(step.user).kick().catch((error: unknown) => { errors.push(error) })
          } else if (step.kind === 'pong') {
            pong(step.which)
          } else if (step.kind === 'message' || step.kind === 'doubled') {
            arrive(step.which, step.kind === 'doubled' ? 2 : 1)
          } else if (step.kind === 'time') {
            await cluster.clock.advance(1_000)
          } else {
            logins[step.which % Math.max(1, logins.length)]?.transport.reset()
          }
          await cluster.settle()
        }
        const settle = async (): Promise<void> => {
          while (owing().length > 0 || [...ways.values()].some((way) => way.length > 0)) {
            arrive(0, 1)
            pong(0)
            await cluster.settle()
          }
        }
        await settle()
        await cluster.clock.advance(2_200)
        await settle()

        const order = (login: Login): number => logins.indexOf(login)
        const present = logins.filter(({ connection }) => began.includes(connection) && connection.live)
        for (const a of present) for (const b of present) check(a === b || !sameScope(a, b), 'two at once')
        for (const user of USERS) {
          const known = (await directory.user(user)).map(({ id }) => id).sort()
          const here = present.filter((login) => login.user === user).map(({ connection }) => connection.id).sort()
          check(JSON.stringify(known) === JSON.stringify(here), 'the directory knows exactly those that are here')
        }
        const codeOf = ({ transport }: Login): number | undefined => transport.closed?.code
        const isKicked = (login: Login): boolean => kicks.some(({ user, before }) => user === login.user && order(login) < before)
        const isOrderly = ops.every(({ kind }) => kind !== 'time' && kind !== 'reset')
        for (const login of logins) {
          const code = codeOf(login)
          const later = logins.filter((other) => order(other) > order(login) && sameScope(other, login))
          check(left.filter((connection) => connection === login.connection).length === (began.includes(login.connection) && login.connection.state === 'closed' ? 1 : 0), 'onDisconnect')
          check(code === undefined || [1013, 4501, 4502].includes(code), `closed with ${code}`)
          check(code !== 4502 || later.length > 0, 'replaced by nobody who came later')
          check(code !== 4501 || isKicked(login), 'kicked, and came later than the kick')
          check(!isKicked(login) || !login.connection.live, 'was there before the kick, and still is')
          if (!isOrderly) continue
          check(code !== 1013, 'each client is there, and each node: nothing is unknown')
          check(login.connection.live === (!isKicked(login) && later.length === 0), 'the one that came last stays, unless it was kicked')
        }
        // Else it may have found the place free, and one that was kicked began before its node was told.
        if (isOrderly && kicks.length === 0) {
          const inOrder = began.map((connection) => logins.find((login) => login.connection === connection) as Login)
          for (const [i, login] of inOrder.entries()) check(inOrder.slice(i + 1).every((next) => !sameScope(login, next) || order(next) > order(login)), 'one that came first began behind one that came later')
        }
        check(cluster.hubs.every(({ hub }) => hub.sessions.entering.size === 0), 'somebody is still entering')
        check(errors.length === 0, String(errors[0]))
      }), { numRuns: 150 })
    })
  }
}
