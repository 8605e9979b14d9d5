import fc from 'fast-check'
import t from 'tap'
import type { Connection, DisconnectInfo } from '../../../lib/core/types.js'
import { settled } from '../../helpers/until.js'
import { startHub, type FakeHub, type FakeHubOptions, type FakePeer } from '../../helpers/fake-hub.js'
import { SlowDirectory, type DirectoryCall } from '../../helpers/slow-directory.js'

interface World { fake: FakeHub, directory: SlowDirectory, events: string[] }

/** A hub with a directory that waits for the test, and what the application sees of its connections, by the name in `data`. */
async function slowHub (options: FakeHubOptions = {}): Promise<World> {
  const directory = new SlowDirectory()
  const events: string[] = []
  const name = ({ data }: Connection): string => (data as { name?: string }).name ?? ''
  const fake = await startHub({
    directory,
    onConnect: (connection) => { events.push(`connect ${name(connection)}`) },
    onDisconnect: (connection, info: DisconnectInfo) => { events.push(`disconnect ${name(connection)} ${info.code}`) },
    ...options
  })
  return { fake, directory, events }
}

const codes = (...peers: FakePeer[]): unknown[] => peers.map(({ transport }) => transport.closed?.code)

t.test("'many': nobody replaces anybody", async (t) => {
  const fake = await startHub()
  const peers = [await fake.connect({ user: 'ann' }), await fake.connect({ user: 'ann' })]
  t.same(codes(...peers), [undefined, undefined])
})

t.test("'single-per-user': the newest login wins, on whatever device; 4502 for the older", async (t) => {
  const order: string[] = []
  const fake = await startHub({
    sessions: 'single-per-user',
    onConnect: ({ device }) => {
      order.push(`connect ${device}; closed: ${codes(web).join()}`)
    },
    onDisconnect: ({ device }, { code, reason, initiator }) => { order.push(`disconnect ${device} ${code} ${reason} ${initiator}`) }
  })
  const web: FakePeer = fake.accept({ user: 'ann', device: 'web' })
  await settled()
  const bob = await fake.connect({ user: 'bob', device: 'web' })
  const anonymous = [await fake.connect(), await fake.connect()]
  const phone = await fake.connect({ user: 'ann', device: 'phone' })
  await fake.turn()
  t.same(codes(web, phone, bob, ...anonymous), [4502, undefined, undefined, undefined, undefined])
  t.same(order, [
    'connect web; closed: ', 'connect web; closed: ', 'connect null; closed: ', 'connect null; closed: ',
    'connect phone; closed: 4502', 'disconnect web 4502 replaced server'
  ], 'the old one is told to close before the new one begins')
  t.same([...fake.hub.user('ann').connections()], [phone.connection])
})

t.test("'single-per-device': each device by itself; those without one are one device", async (t) => {
  const fake = await startHub({ sessions: 'single-per-device' })
  const [web, phone, none] = [await fake.connect({ user: 'ann', device: 'web' }), await fake.connect({ user: 'ann', device: 'phone' }), await fake.connect({ user: 'ann' })]
  const bob = await fake.connect({ user: 'bob', device: 'web' })
  const anonymous = [await fake.connect({ device: 'web' }), await fake.connect({ device: 'web' })]
  t.same(codes(web, phone, none, bob, ...anonymous), [undefined, undefined, undefined, undefined, undefined, undefined])
  const [web2, none2] = [await fake.connect({ user: 'ann', device: 'web' }), await fake.connect({ user: 'ann' })]
  t.same(codes(web, phone, none, bob, ...anonymous, web2, none2), [4502, undefined, 4502, undefined, undefined, undefined, undefined, undefined])
})

t.test('what a replaced connection had sent and was not handled yet is dropped; what was sent to it goes out', async (t) => {
  const handled: string[] = []
  const never = new Promise<void>(() => {})
  const fake = await startHub({
    sessions: 'single-per-user',
    onMessage: (_connection, message) => {
      handled.push(message.text())
      return never
    }
  })
  const old = await fake.connect({ user: 'ann' })
  for (const text of ['handled', 'waits']) old.transport.message(text)
  old.connection.send('last words')
  await fake.connect({ user: 'ann' })
  old.transport.message('late')
  t.same(handled, ['handled'])
  t.same(old.transport.messages, ['last words'])
  t.equal(old.connection.send('x'), 'closed')
})

t.test('FAULTS 67: two logins at once, answers in order: the older is replaced when the newer is told', async (t) => {
  const { fake, directory, events } = await slowHub({ sessions: 'single-per-user' })
  const [a, b] = [fake.accept({ user: 'ann', data: { name: 'a' } as object }), fake.accept({ user: 'ann', data: { name: 'b' } as object })]
  for (const call of directory.calls) call.take()
  directory.calls[0]?.answer()
  await settled()
  t.same(codes(a, b), [undefined, undefined])
  directory.calls[1]?.answer()
  await settled()
  t.same(codes(a, b), [4502, undefined])
  await fake.turn()
  t.same(events, ['connect a', 'connect b', 'disconnect a 4502'])
})

t.test('FAULTS 67: two logins at once, answers in reverse: the older never begins', async (t) => {
  const { fake, directory, events } = await slowHub({ sessions: 'single-per-user' })
  const [a, b] = [fake.accept({ user: 'ann', data: { name: 'a' } as object }), fake.accept({ user: 'ann', data: { name: 'b' } as object })]
  for (const call of directory.calls) call.take()
  directory.calls[1]?.answer()
  await settled()
  t.same(codes(a, b), [4502, undefined], 'closed although its own claim has no answer yet')
  t.same(events, ['connect b'])
  directory.calls[0]?.answer()
  await fake.turn()
  for (const call of directory.open()) call.answer()
  await fake.turn()
  t.same(events, ['connect b'], 'neither onConnect nor onDisconnect for the other')
  t.equal(fake.hub.admission.held, 1)
  t.equal(fake.hub.sessions.entering.size, 0)
})

t.test('FAULTS 67: the order is that in which the directory takes the claims, not that of the sockets', async (t) => {
  const { fake, directory } = await slowHub({ sessions: 'single-per-user' })
  const [a, b] = [fake.accept({ user: 'ann' }), fake.accept({ user: 'ann' })]
  directory.calls[1]?.answer()
  directory.calls[0]?.answer()
  await settled()
  t.same(codes(a, b), [undefined, 4502])
})

t.test('a claim that was taken and whose answer is lost: the next login ends what it had replaced', async (t) => {
  const { fake, directory, events } = await slowHub({ sessions: 'single-per-user' })
  const login = (name: string): FakePeer => fake.accept({ user: 'ann', data: { name } as object })
  const answerAll = async (): Promise<void> => {
    for (const call of directory.open()) call.answer()
    await fake.turn()
  }
  const a = login('a')
  await answerAll()
  const b = login('b')
  directory.open('claim')[0]?.take()
  directory.open('claim')[0]?.lose()
  await settled()
  t.same(codes(a, b), [undefined, 1011], 'nobody here knows that a has lost its place')
  await answerAll()
  const c = login('c')
  await answerAll()
  t.same(codes(a, c), [4502, undefined], 'it is not in the answer, but has the lower fence')
  await answerAll()
  t.same(events, ['connect a', 'connect c', 'disconnect a 4502'])
  t.same((await directory.inner.user('ann')).map(({ id }) => id), [c.connection.id])
})

t.test('the same, while the oldest is still entering: it loses when its own answer comes', async (t) => {
  const { fake, directory, events } = await slowHub({ sessions: 'single-per-user' })
  const [a, b, c] = ['a', 'b', 'c'].map((name) => fake.accept({ user: 'ann', data: { name } as object })) as [FakePeer, FakePeer, FakePeer]
  const [claimA, claimB, claimC] = directory.calls as [DirectoryCall, DirectoryCall, DirectoryCall]
  for (const call of [claimA, claimB, claimC]) call.take()
  claimB.lose()
  claimC.answer()
  await settled()
  t.same(codes(a, b, c), [undefined, 1011, undefined])
  claimA.answer()
  await settled()
  t.same(codes(a, b, c), [4502, 1011, undefined])
  t.same(events, ['connect c'])
})

t.test('a claim that was lost before the directory took it replaces nobody', async (t) => {
  const { fake, directory } = await slowHub({ sessions: 'single-per-user' })
  const a = fake.accept({ user: 'ann' })
  directory.open()[0]?.answer()
  await settled()
  const b = fake.accept({ user: 'ann' })
  directory.open()[0]?.lose()
  await settled()
  t.same(codes(a, b), [undefined, 1011])
})

t.test('FAULTS 66: a kick reaches a login that is entering, and never a later one', async (t) => {
  const { fake, directory, events } = await slowHub()
  const before = fake.accept({ user: 'ann', data: { name: 'before' } as object })
  directory.open()[0]?.take()
  const kick = fake.hub.user('ann').kick('out')
  directory.open('removeUser')[0]?.take()
  const after = fake.accept({ user: 'ann', data: { name: 'after' } as object })
  directory.open('claim')[1]?.answer()
  await settled()
  t.same(codes(before, after), [undefined, undefined])
  directory.open('removeUser')[0]?.answer()
  t.equal(await kick, 1)
  t.same(codes(before, after), [4501, undefined], 'after the kick in the directory, before its answer here')
  directory.open('claim')[0]?.answer()
  await fake.turn()
  t.same(events, ['connect after'])
})

t.test('FAULTS 66: a login whose claim is on its way while the user is kicked stays', async (t) => {
  const { fake, directory, events } = await slowHub()
  const login = fake.accept({ user: 'ann', data: { name: 'login' } as object })
  const kick = fake.hub.user('ann').kick()
  directory.open('removeUser')[0]?.answer()
  t.equal(await kick, 0)
  directory.open('claim')[0]?.answer()
  await settled()
  t.same(codes(login), [undefined])
  t.same(events, ['connect login'])
})

t.test('a kick whose answer was lost: it rejects, and the next one ends what the first one removed', async (t) => {
  const { fake, directory } = await slowHub()
  const [here, entering] = [fake.accept({ user: 'ann' }), fake.accept({ user: 'ann' })]
  const [first, second] = directory.open('claim') as [DirectoryCall, DirectoryCall]
  first.answer()
  second.take()
  await settled()
  const lost = fake.hub.user('ann').kick()
  directory.open('removeUser')[0]?.take()
  directory.open('removeUser')[0]?.lose(new Error('away'))
  await t.rejects(lost, { message: 'away' })
  t.same(codes(here, entering), [undefined, undefined])
  const again = fake.hub.user('ann').kick('out', { code: 1001 })
  directory.open('removeUser')[0]?.answer()
  t.equal(await again, 1)
  t.same(codes(here, entering), [1001, undefined])
  second.answer()
  await settled()
  t.same(codes(here, entering), [1001, 1001], 'when its own answer shows that it was before the kick')
})

t.test('a claim and a later kick that are answered in one turn: no gap between its answer and its entry', async (t) => {
  const { fake, directory, events } = await slowHub()
  const login = fake.accept({ user: 'ann', data: { name: 'login' } as object })
  const lost = fake.hub.user('ann').kick()
  const kick = fake.hub.user('ann').kick('out')
  const [claim, first, second] = directory.calls as [DirectoryCall, DirectoryCall, DirectoryCall]
  for (const call of [claim, first, second]) call.take()
  first.lose()
  await t.rejects(lost)
  claim.answer()
  second.answer()
  t.equal(await kick, 1)
  t.equal(login.transport.closed?.reason, 'out')
  await fake.turn()
  t.same(events, [])
})

t.test('of two kicks that are answered in reverse a login takes the later one to heart', async (t) => {
  const { fake, directory } = await slowHub()
  const login = fake.accept({ user: 'ann' })
  const kicks = [fake.hub.user('ann').kick('first'), fake.hub.user('ann').kick('second')]
  const [claim, first, second] = directory.calls as [DirectoryCall, DirectoryCall, DirectoryCall]
  first.take()
  claim.take()
  await directory.inner.remove(login.connection.id)
  second.take()
  second.answer()
  first.answer()
  t.same(await Promise.all(kicks), [0, 0])
  claim.answer()
  await settled()
  t.same(login.transport.closed, { code: 4501, reason: 'second' })
})

t.test('connection.kick: the directory forgets it first; a lost answer can be made good', async (t) => {
  const { fake, directory } = await slowHub()
  const { connection, transport } = fake.accept({ user: 'ann' })
  directory.open()[0]?.answer()
  await settled()
  const lost = connection.kick()
  directory.open('remove')[0]?.take()
  t.equal(transport.closed, null)
  directory.open('remove')[0]?.lose(new Error('away'))
  await t.rejects(lost, { message: 'away' })
  const again = connection.kick()
  directory.open('remove')[0]?.answer()
  t.equal(await again, true, 'the entry had gone, the connection had not')
  t.equal(transport.closed?.code, 4501)
})

t.test('a login whose socket ends while its claim is taken has replaced the older one all the same', async (t) => {
  const { fake, directory, events } = await slowHub({ sessions: 'single-per-user' })
  const a = fake.accept({ user: 'ann', data: { name: 'a' } as object })
  directory.open()[0]?.answer()
  await settled()
  const b = fake.accept({ user: 'ann', data: { name: 'b' } as object })
  b.transport.reset()
  directory.open('claim')[0]?.answer()
  await fake.turn()
  for (const call of directory.open()) call.answer()
  await fake.turn()
  t.same(codes(a), [4502])
  t.same(events, ['connect a', 'disconnect a 4502'])
  t.same(await directory.inner.user('ann'), [])
})

/* ---- random interleavings ---- */

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
  for (const lossy of [false, true]) {
    t.test(`FAULTS 66, 67: '${sessions}' over random interleavings with a slow directory${lossy ? ' that loses answers' : ''}`, async () => {
      const sameScope = (a: Login, b: Login): boolean => sessions !== 'many' && a.user === b.user && (sessions === 'single-per-user' || a.device === b.device)
      await fc.assert(fc.asyncProperty(fc.array(op, { maxLength: 60, size: 'max' }), fc.boolean(), async (ops, atOnce) => {
        const logins: Login[] = []
        const kicks: Kick[] = []
        /** In the order in which the directory took them. */
        const taken: DirectoryCall[] = []
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
        fake.hub.on('error', (error) => { if (error.message !== 'the directory did not answer') rejected.push(error) })
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
            const result = fake.hub.user(step.user).kick(reason)
            const kick: Kick = { user: step.user, reason, call: directory.calls.at(-1) as DirectoryCall, count: null }
            kicks.push(kick)
            result.then((count) => {
              kick.count = count
              // Those whose own answer is overtaken by that of the kick end later, and are not counted.
              const ended = logins.filter(({ transport: { closed } }) => closed?.reason === reason).length
              check(atOnce ? count <= ended : count === ended, `the kick said ${count}, and ended ${ended}`)
            }).catch((error: Error) => {
              kick.count = 'rejected'
              if (error.message !== 'the directory did not answer') rejected.push(error)
            })
          } else if (step.kind === 'turn') {
            fake.clock.turn()
          } else if (step.kind === 'take' || step.kind === 'answer' || step.kind === 'lose') {
            const call = pick(directory.open(), step.which)
            if (call === undefined) continue
            if (step.kind === 'take') take(call)
            else if (step.kind === 'answer') answer(call)
            else if (lossy) call.lose()
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
        for (const login of logins) {
          const { connection, transport: { closed }, began } = login
          const told = ends.get(connection) ?? []
          check(told.length === (began && connection.state === 'closed' ? 1 : 0), `${told.length} onDisconnect`)
          if (closed?.code === 4501 && closed.reason !== 'one') {
            const kick = kicks.find(({ reason }) => reason === closed.reason) as Kick
            check(kick.user === login.user && at(login.claim) < at(kick.call), 'kicked, and was later than the kick')
          }
          if (closed?.code === 4502) {
            check(logins.some((newer) => newer !== login && sameScope(login, newer) && at(newer.claim) > at(login.claim)), 'replaced by nobody who is newer')
          }
          for (const kick of kicks) {
            const reached = kick.user === login.user && at(login.claim) !== -1 && at(login.claim) < at(kick.call) && kick.count !== 'rejected'
            if (reached) check(!connection.live, 'was there before the kick, and still is')
          }
          // Nothing has ended it but what should: a login that nothing came after is still there.
          const reasons = [1000, 4501, 4502, 1011]
          check(connection.live || closed === null || reasons.includes(closed.code), `closed with ${closed?.code}`)
        }
        if (!lossy) {
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
