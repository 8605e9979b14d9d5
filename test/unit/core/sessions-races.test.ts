import fc from 'fast-check'
import t from 'tap'
import type { Connection, DisconnectInfo } from '../../../lib/core/types.js'
import { FST_HUB_BROKER_UNAVAILABLE } from '../../../lib/errors.js'
import { startHub, type FakePeer } from '../../helpers/fake-hub.js'
import { SlowDirectory, type DirectoryCall } from '../../helpers/slow-directory.js'
import { settled } from '../../helpers/until.js'

const USERS = ['ann', 'bob'] as const
const DEVICES = ['web', 'phone', undefined] as const

interface Login extends FakePeer { user: string, device: string | undefined, claim: DirectoryCall, began: boolean }
interface Kick { user: string, reason: string, call: DirectoryCall, count: number | 'rejected' | null }

const op = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('login' as const), user: fc.constantFrom(...USERS), device: fc.constantFrom(...DEVICES) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('kickUser' as const), user: fc.constantFrom(...USERS) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('reset' as const, 'kick' as const, 'close' as const), which: fc.nat(30) }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('take' as const), which: fc.nat(30) }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('answer' as const), which: fc.nat(30) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('lose' as const), which: fc.nat(30) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('turn' as const) }) }
)

for (const sessions of ['many', 'single-per-user', 'single-per-device'] as const) {
  for (const lossy of [false, 'that loses answers', 'that is away at times'] as const) {
    t.test(`FAULTS 66, 67: '${sessions}' over random interleavings with a slow directory ${lossy || ''}`, async () => {
      const failure = (): Error => lossy === 'that is away at times' ? new FST_HUB_BROKER_UNAVAILABLE('it has gone') : new Error('the directory did not answer')
      const isFailure = (error: Error): boolean => error instanceof FST_HUB_BROKER_UNAVAILABLE || error.message === 'the directory did not answer'
      const sameScope = (a: Login, b: Login): boolean => sessions !== 'many' && a.user === b.user && (sessions === 'single-per-user' || a.device === b.device)
      await fc.assert(fc.asyncProperty(fc.array(op, { maxLength: 60, size: 'max' }), fc.boolean(), async (ops, atOnce) => {
        const logins: Login[] = []
        const kicks: Kick[] = []
        /** In the order in which the directory took them. */
        const taken: DirectoryCall[] = []
        const lost = new Set<DirectoryCall>()
        const ends = new Map<Connection, DisconnectInfo[]>()
        const directory = new SlowDirectory()
        const check = (truth: boolean, what: string): void => { if (!truth) throw new Error(what) }
        const present = (login: Login): boolean => login.began && login.connection.live
        const oneEach = (): void => {
          const here = logins.filter(present)
          for (const a of here) for (const b of here) check(a === b || !sameScope(a, b), 'two at once')
        }
        const fake = await startHub({
          directory,
          sessions,
          onConnect: (connection) => {
            const login = logins.find((one) => one.connection === connection) as Login
            check(!login.began, 'began twice')
            login.began = true
            // The older ones were told before.
            oneEach()
          },
          onDisconnect: (connection, info) => { ends.set(connection, [...ends.get(connection) ?? [], info]) }
        })
        const rejected: unknown[] = []
        fake.hub.on('error', (error) => { if (!isFailure(error)) rejected.push(error) })
        const take = (call: DirectoryCall): void => {
          if (!call.taken) taken.push(call)
          call.take()
        }
        const answer = (call: DirectoryCall): void => {
          take(call)
          call.answer()
        }
        const pick = <T>(list: T[], which: number): T | undefined => list[which % list.length]
        let number = 0
        for (const step of ops) {
          if (step.kind === 'login') {
            const peer = fake.accept({ user: step.user, device: step.device })
            logins.push({ ...peer, user: step.user, device: step.device, claim: directory.calls.at(-1) as DirectoryCall, began: false })
          } else if (step.kind === 'kickUser') {
            const reason = `kick ${++number}`
            const unanswered = (): Login[] => logins.filter((login) => login.user === step.user && lost.has(login.claim) && present(login))
            const before = [...logins]
            const result = fake.hub.user(step.user).kick(reason)
            const kick: Kick = { user: step.user, reason, call: directory.calls.at(-1) as DirectoryCall, count: null }
            kicks.push(kick)
            result.then((count) => {
              kick.count = count
              // Those whose own answer is overtaken by that of the kick end later, and are not counted.
              const ended = logins.filter(({ transport: { closed } }) => closed?.reason === reason).length
              check(atOnce ? count <= ended : count === ended, `the kick said ${count}, and ended ${ended}`)
              check(!unanswered().some((login) => before.includes(login)), 'was there before the kick, unanswered, and still is')
            }).catch((error: Error) => {
              kick.count = 'rejected'
              if (!isFailure(error)) rejected.push(error)
            })
          } else if (step.kind === 'turn') {
            fake.clock.turn()
          } else if (step.kind === 'take' || step.kind === 'answer' || step.kind === 'lose') {
            const call = pick(directory.open(), step.which)
            if (call === undefined) continue
            if (step.kind === 'take') take(call)
            else if (step.kind === 'answer') answer(call)
            else if (lossy !== false) {
              lost.add(call)
              call.lose(failure())
            }
          } else {
            const login = pick(logins, step.which)
            if (login === undefined) continue
            if (step.kind === 'reset') login.transport.reset()
            else if (step.kind === 'close') login.connection.close(1000)
            else if (login.connection.registered) login.connection.kick('one').catch(() => {})
          }
          await settled()
          oneEach()
        }
        while (directory.open().length > 0 || logins.some(({ transport }) => transport.closed !== null && !transport.ended)) {
          // In one turn, or in one each.
          for (const call of directory.open()) {
            answer(call)
            if (!atOnce) await settled()
          }
          await fake.turn()
        }
        oneEach()
        const at = (call: DirectoryCall): number => taken.indexOf(call)
        // A directory that was away is asked again, and tells of the kicks behind what it had not answered.
        for (const { user, claim, connection } of logins.filter((login) => lossy === 'that is away at times' && lost.has(login.claim) && present(login))) {
          const isKicked = claim.taken && kicks.some((kick) => kick.user === user && at(claim) < at(kick.call))
          if (isKicked) fake.directoryListener.onRemoved([connection.id], 'kick')
        }
        await settled()

        for (const login of logins) {
          const { connection, transport: { closed }, began } = login
          const told = ends.get(connection) ?? []
          check(told.length === (began && connection.state === 'closed' ? 1 : 0), `${told.length} onDisconnect`)
          // One without an answer has no place in the order: any kick ends it.
          if (closed?.code === 4501 && closed.reason !== 'one' && !lost.has(login.claim)) {
            const kick = kicks.find(({ reason }) => reason === closed.reason) as Kick
            check(kick.user === login.user && at(login.claim) < at(kick.call), 'kicked, and was later than the kick')
          }
          // By one that has left before its claim was answered: it may come back.
          const isByLeft = closed?.code === 1013 && lossy !== 'that is away at times'
          if (closed?.code === 4502 || isByLeft) {
            check(logins.some((newer) => newer !== login && sameScope(login, newer) && at(newer.claim) > at(login.claim)), 'replaced by nobody who is newer')
          }
          for (const kick of kicks) {
            const reached = kick.user === login.user && at(login.claim) !== -1 && at(login.claim) < at(kick.call) && kick.count !== 'rejected'
            if (reached) check(!connection.live, 'was there before the kick, and still is')
          }
          // Nothing has ended it but what should: a login that nothing came after is still there.
          const reasons = [1000, 1013, 4501, 4502, ...lossy === 'that is away at times' ? [] : [1011]]
          check(connection.live || closed === null || reasons.includes(closed.code), `closed with ${closed?.code}`)
        }
        if (lossy === false) {
          for (const user of USERS) {
            const known = (await directory.inner.user(user)).map(({ id }) => id).sort()
            const here = logins.filter((login) => login.user === user && present(login)).map(({ connection }) => connection.id).sort()
            check(JSON.stringify(known) === JSON.stringify(here), 'the directory knows exactly those that are here')
          }
        }
        check(fake.hub.sessions.entering.size === 0, 'somebody is still entering')
        check(fake.hub.admission.held === logins.filter(({ connection }) => connection.state !== 'closed').length, 'slots')
        check(rejected.length === 0, String(rejected[0]))
      }), { numRuns: 150 })
    })
  }
}
