import t from 'tap'
import { FST_HUB_BROKER_UNAVAILABLE } from '../../../lib/errors.js'
import { startHub, type FakeHub, type FakeHubOptions, type FakePeer } from '../../helpers/fake-hub.js'
import { SlowDirectory } from '../../helpers/slow-directory.js'
import { settled } from '../../helpers/until.js'

const away = (): Error => new FST_HUB_BROKER_UNAVAILABLE('it has gone')

interface World { fake: FakeHub, directory: SlowDirectory, events: string[] }

async function slowHub (options: FakeHubOptions = {}): Promise<World> {
  const directory = new SlowDirectory()
  const events: string[] = []
  const fake = await startHub({
    directory,
    onConnect: ({ user }) => { events.push(`connect ${user}`) },
    onDisconnect: ({ user }, { code }) => { events.push(`disconnect ${user} ${code}`) },
    ...options
  })
  return { fake, directory, events }
}

/** A connection that is in the hub. */
async function login ({ fake, directory }: World, user?: string): Promise<FakePeer> {
  const peer = fake.accept(user === undefined ? {} : { user })
  directory.open('claim')[0]?.answer()
  await settled()
  return peer
}

/** A connection whose claim the directory can not be asked about. */
async function unanswered ({ fake, directory }: World, user?: string, isTaken = false): Promise<FakePeer> {
  const peer = fake.accept(user === undefined ? {} : { user })
  if (isTaken) directory.open('claim')[0]?.take()
  directory.open('claim')[0]?.lose(away())
  await settled()
  return peer
}

const code = ({ transport }: FakePeer): number | undefined => transport.closed?.code

for (const sessions of ['single-per-user', 'single-per-device'] as const) {
  t.test(`'${sessions}': a login that the directory can not be asked about is told to come back; an anonymous one is let in`, async (t) => {
    const world = await slowHub({ sessions })
    const { fake, directory, events } = world
    const ann = await unanswered(world, 'ann', true)
    t.equal(code(ann), 1013)
    t.equal(directory.open('remove')[0]?.of, ann.connection.id, 'the directory may have taken the claim all the same')
    directory.open('remove')[0]?.lose(away())
    await fake.turn()
    const anonymous = await unanswered(world)
    t.equal(code(anonymous), undefined)
    t.same(events, ['connect null'])
    t.same(fake.log, [], 'health tells that Redis is away, not a line for each connection')
    t.equal(fake.hub.admission.held, 1)
    t.equal(fake.hub.sessions.entering.size, 0)
  })
}

t.test("'many': a login that the directory can not be asked about is let in, and a later kick of this node ends it", async (t) => {
  const world = await slowHub()
  const { fake, directory, events } = world
  const ann = await unanswered(world, 'ann')
  t.equal(code(ann), undefined)
  t.equal(fake.hub.get(ann.connection.id), ann.connection)
  t.same(events, ['connect ann'])
  t.same(fake.log, [])
  const kick = fake.hub.user('ann').kick()
  directory.open('removeUser')[0]?.answer()
  t.equal(await kick, 1, 'the first step that the directory knows of')
  t.equal(code(ann), 4501)
})

t.test('a kick ends a login that was there before it, though only meanwhile the directory could not be asked about that', async (t) => {
  const { fake, directory } = await slowHub()
  const ann = fake.accept({ user: 'ann' })
  directory.open('claim')[0]?.take()
  // The first one has removed it, and nobody hears of that.
  const [lost, kick] = [fake.hub.user('ann').kick(), fake.hub.user('ann').kick()]
  directory.open('removeUser')[0]?.take()
  directory.open('removeUser')[0]?.lose(away())
  await t.rejects(lost, FST_HUB_BROKER_UNAVAILABLE)
  directory.open('claim')[0]?.lose(away())
  await settled()
  directory.open('removeUser')[0]?.answer()
  t.equal(await kick, 1)
  t.equal(code(ann), 4501)
})

t.test('a login that the directory can not be asked about, and a kick that was answered in between: the directory knows which came first', async (t) => {
  const { fake, directory, events } = await slowHub()
  const ann = fake.accept({ user: 'ann' })
  const kick = fake.hub.user('ann').kick()
  directory.open('removeUser')[0]?.answer()
  t.equal(await kick, 0)
  directory.open('claim')[0]?.lose(away())
  await settled()
  t.equal(code(ann), undefined)
  fake.directoryListener.onRemoved([ann.connection.id], 'kick')
  t.equal(code(ann), 4501)
  t.same(events, ['connect ann'])
})

t.test('FAULTS 66: word of a kick that comes late ends nobody who came later, though the directory could not be asked about him', async (t) => {
  const world = await slowHub()
  const { fake: { hub } } = world
  const [known, taken, later] = [await login(world, 'ann'), await unanswered(world, 'ann', true), await unanswered(world, 'ann')]
  const ids = [known, taken].map(({ connection }) => connection.id)
  t.equal(hub.sessions.endFor({ op: 'end', user: 'ann', fence: 1_000, ids, code: 4501, reason: 'kicked' }), 2)
  t.same([known, taken, later].map(code), [4501, 4501, undefined])
})

t.test('FAULTS 67: what a newer login has removed is closed with 4502', async (t) => {
  const world = await slowHub({ sessions: 'single-per-user' })
  const ann = await login(world, 'ann')
  world.fake.directoryListener.onRemoved([ann.connection.id], 'login')
  t.equal(code(ann), 4502)
})

t.test('what else a directory fails with is a failure: 1011', async (t) => {
  for (const sessions of ['many', 'single-per-user'] as const) {
    const { fake, directory } = await slowHub({ sessions })
    const ann = fake.accept({ user: 'ann' })
    directory.open('claim')[0]?.lose(new Error('broken'))
    await settled()
    t.equal(code(ann), 1011)
    t.match(fake.errors, [{ message: 'broken' }])
  }
})

t.test('FAULTS 66: what somebody has removed is closed with 4501, once, whether its onConnect has begun or not', async (t) => {
  const world = await slowHub()
  const { fake, directory, events } = world
  const [ann, bob] = [await login(world, 'ann'), await login(world, 'bob')]
  const entering = fake.accept({ user: 'eve' })
  fake.directoryListener.onRemoved([ann.connection.id, 'unknown', entering.connection.id], 'kick')
  t.same([ann, bob, entering].map(code), [4501, undefined, 4501])
  fake.directoryListener.onRemoved([ann.connection.id], 'kick')
  await fake.turn()
  directory.open('claim')[0]?.answer()
  await fake.turn()
  t.same(events, ['connect ann', 'connect bob', 'disconnect ann 4501'])
  fake.directoryListener.onRemoved([ann.connection.id], 'kick')
  t.equal(code(bob), undefined)
})

t.test('what ends already is not ended for another reason, and what its peer sent is handled all the same', async (t) => {
  const handled: string[] = []
  let go: () => void = () => {}
  const world = await slowHub({
    onMessage: (_connection, message) => {
      handled.push(message.text())
      return new Promise<void>((resolve) => { go = resolve })
    }
  })
  const ann = await login(world, 'ann')
  for (const text of ['first', 'second']) ann.transport.message(text)
  ann.connection.close(1000)
  world.fake.directoryListener.onRemoved([ann.connection.id], 'kick')
  go()
  await settled()
  t.same(handled, ['first', 'second'])
  t.equal(code(ann), 1000)
})

t.test('the lease of logins is lost: they are told to come back, and no others', async (t) => {
  const world = await slowHub({ sessions: 'single-per-user' })
  const { fake } = world
  const [ann, bob, leaving] = [await login(world, 'ann'), await login(world, 'bob'), await login(world, 'eve')]
  leaving.connection.close(1001)
  const entering = fake.accept({ user: 'joe' })
  fake.directoryListener.onLeaseLost([ann, leaving, entering].map(({ connection }) => connection.id))
  t.same([ann, bob, leaving, entering].map(code), [1013, undefined, 1001, 1013])
})

t.test('of a connection that has ended the directory is told; that it is away is no news, what else it says is', async (t) => {
  const world = await slowHub()
  const { fake, directory } = world
  for (const [error, count] of [[away(), 0], [new Error('broken'), 1]] as const) {
    const ann = await login(world, 'ann')
    ann.transport.reset()
    t.equal(directory.open('remove')[0]?.of, ann.connection.id)
    directory.open('remove')[0]?.lose(error)
    await settled()
    t.equal(fake.errors.length, count)
  }
})

t.test('a kick while the directory is away rejects, and the connection stays', async (t) => {
  const world = await slowHub()
  const ann = await login(world, 'ann')
  const kick = ann.connection.kick()
  world.directory.open('remove')[0]?.lose(away())
  await t.rejects(kick, { code: 'FST_HUB_BROKER_UNAVAILABLE' })
  t.equal(code(ann), undefined)
  world.fake.directoryListener.onRemoved([ann.connection.id], 'kick')
  t.equal(code(ann), 4501, 'until the directory could do it')
})
