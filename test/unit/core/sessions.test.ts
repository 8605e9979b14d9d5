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

/** Two logins of one user, whose claims the directory has taken in this order, and answered neither. */
async function twoAtOnce (): Promise<World & { a: FakePeer, b: FakePeer }> {
  const world = await slowHub({ sessions: 'single-per-user' })
  const [a, b] = ['a', 'b'].map((name) => world.fake.accept({ user: 'ann', data: { name } as object })) as [FakePeer, FakePeer]
  for (const call of world.directory.calls) call.take()
  return { ...world, a, b }
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
  const { fake, directory, events, a, b } = await twoAtOnce()
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
  const { fake, directory, events, a, b } = await twoAtOnce()
  directory.calls[1]?.answer()
  await settled()
  t.same(codes(a, b), [4502, undefined], 'closed although its own claim has no answer yet')
  t.same(events, [], 'those that it had replaced may not have ended yet')
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
  await directory.inner.remove(login.connection)
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

t.test('a login whose socket ends while its claim is taken ends the older one all the same, which may come back: it may be the same client', async (t) => {
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
  t.same(codes(a), [1013])
  t.same(events, ['connect a', 'disconnect a 1013'])
  t.same(await directory.inner.user('ann'), [])
})
