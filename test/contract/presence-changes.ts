import type { Test } from 'tap'
import { until } from '../helpers/until.js'
import { HOSTILE_NAMES } from './names.js'
import { INTERVAL, presenceNodes, type PresenceFactory, type PresenceNode, type PresenceNodes } from './presence-world.js'

interface World extends PresenceNodes {
  /** Waits until a node has heard all this of a room, in whatever order. */
  readonly hears: (node: PresenceNode, room: string, ...story: string[]) => Promise<void>
}

/** What every Presence must tell of changes, and what it must do with states. */
export function presenceChangesContract (t: Test, factory: PresenceFactory): void {
  const setup = async (t: Test): Promise<World> => {
    const world = await presenceNodes(t, factory)
    const hears: World['hears'] = async ({ listener }, room, ...story) => {
      await world.advance(INTERVAL)
      const heard = (): string[] => listener.story(room).sort()
      await until(() => heard().length >= story.length, () => `${story.join()}; got ${heard().join()}`)
      t.same(heard(), story.sort())
      listener.heard.length = 0
    }
    return { ...world, hears }
  }

  t.test('who watches is told who comes and who goes, on all nodes', async (t) => {
    const { one, other, hears } = await setup(t)
    await one.presence.enter('room', 'before', '0')
    await one.presence.watch('room')
    await other.presence.watch('room')
    await one.presence.enter('room', 'ann', '1')
    await other.presence.enter('room', 'bob', '2')
    for (const node of [one, other]) await hears(node, 'room', '+ann', '+bob')
    await other.presence.leave('room', 'bob', '2')
    await one.presence.leave('room', 'before', '0')
    for (const node of [one, other]) await hears(node, 'room', '-before', '-bob')
  })

  t.test('a user is told of once, however many connections it has', async (t) => {
    const { one, other, hears } = await setup(t)
    await one.presence.watch('room')
    await one.presence.enter('room', 'ann', '1')
    await hears(one, 'room', '+ann')
    await other.presence.enter('room', 'ann', '2')
    await one.presence.leave('room', 'ann', '1')
    await one.presence.enter('room', 'bob', '3')
    await hears(one, 'room', '+bob')
    await other.presence.leave('room', 'ann', '2')
    await hears(one, 'room', '-ann')
  })

  t.test('changes of one interval come together, and only what is left of them', async (t) => {
    const { one, other, hears } = await setup(t)
    await one.presence.enter('room', 'stays', '0')
    await one.presence.watch('room')
    await Promise.all([
      ...Array.from({ length: 50 }, async (_, i) => { await one.presence.enter('room', `user ${i}`, `${i}`) }),
      one.presence.enter('room', 'passes', 'p'),
      one.presence.leave('room', 'passes', 'p'),
      one.presence.leave('room', 'stays', '0'),
      one.presence.enter('room', 'stays', '0'),
      one.presence.setState('room', 'stays', 'typing', 60_000),
      one.presence.setState('room', 'stays', 'typing', 0)
    ])
    await other.presence.leave('room', 'nobody', 'n')
    await hears(one, 'room', ...Array.from({ length: 50 }, (_, i) => `+user ${i}`))
  })

  t.test('no diff is empty', async (t) => {
    const { one, advance, hears } = await setup(t)
    const sizes: number[] = []
    one.listener.then = (_room, { joined, left, states }) => { sizes.push(joined.length + left.length + states.length) }
    await one.presence.watch('room')
    await Promise.all([one.presence.enter('room', 'passes', 'p'), one.presence.leave('room', 'passes', 'p')])
    await advance(3 * INTERVAL)
    await one.presence.enter('room', 'ann', '1')
    await hears(one, 'room', '+ann')
    t.same(sizes, [1])
  })

  t.test('only rooms that are watched are told of, and no longer than they are', async (t) => {
    const { one, other, hears } = await setup(t)
    for (let i = 0; i < 2; i++) await one.presence.watch('room')
    await other.presence.watch('room')
    await one.presence.enter('another', 'ann', '1')
    await one.presence.enter('room', 'ann', '1')
    for (const node of [one, other]) await hears(node, 'room', '+ann')
    await one.presence.enter('room', 'bob', '2')
    for (let i = 0; i < 2; i++) await one.presence.unwatch('room')
    await one.presence.unwatch('never watched')
    one.listener.heard.length = 0
    await one.presence.enter('room', 'carl', '3')
    await hears(other, 'room', '+bob', '+carl')
    t.same(one.listener.heard, [], 'what was pending is not told either')
    await one.presence.watch('room')
    await one.presence.leave('room', 'carl', '3')
    await hears(one, 'room', '-carl')
  })

  t.test('a state is told when it begins and when it is ended', async (t) => {
    const { one, other, hears } = await setup(t)
    for (const { presence } of [one, other]) await presence.watch('room')
    await one.presence.enter('room', 'ann', '1')
    await other.presence.setState('room', 'ann', 'typing', 60_000)
    for (const node of [one, other]) await hears(node, 'room', '+ann', 'ann:typing on')
    for (const { presence } of [one, other]) t.same(await presence.states('room'), [{ user: 'ann', key: 'typing' }])
    await one.presence.setState('room', 'ann', 'typing', 60_000)
    await one.presence.setState('room', 'ann', 'drawing', 60_000)
    for (const node of [one, other]) await hears(node, 'room', 'ann:drawing on')
    await one.presence.setState('room', 'ann', 'typing', 0)
    await one.presence.setState('room', 'ann', 'unheard of', 0)
    for (const node of [one, other]) await hears(node, 'room', 'ann:typing off')
    t.same(await other.presence.states('room'), [{ user: 'ann', key: 'drawing' }])
  })

  t.test('a state that nobody sets again ends after its time', async (t) => {
    const { one, advance, hears } = await setup(t)
    await one.presence.watch('room')
    await one.presence.enter('room', 'ann', '1')
    await one.presence.setState('room', 'ann', 'typing', 60_000)
    await hears(one, 'room', '+ann', 'ann:typing on')
    await one.presence.setState('room', 'ann', 'typing', 1_500)
    await advance(1_000)
    t.equal((await one.presence.states('room')).length, 1)
    await one.presence.setState('room', 'ann', 'typing', 1_500)
    await advance(1_000)
    t.equal((await one.presence.states('room')).length, 1, 'it was set again')
    await advance(1_000)
    t.same(await one.presence.states('room'), [])
    await hears(one, 'room', 'ann:typing off')
  })

  t.test('states end with the last connection of their user', async (t) => {
    const { one, other, hears } = await setup(t)
    await one.presence.watch('room')
    await one.presence.enter('room', 'ann', '1')
    await other.presence.enter('room', 'ann', '2')
    await one.presence.setState('room', 'ann', 'typing', 60_000)
    await hears(one, 'room', '+ann', 'ann:typing on')
    await one.presence.leave('room', 'ann', '1')
    t.equal((await one.presence.states('room')).length, 1)
    await other.presence.leave('room', 'ann', '2')
    t.same(await one.presence.states('room'), [])
    await hears(one, 'room', '-ann', 'ann:typing off')
    await one.presence.enter('room', 'ann', '1')
    t.same(await one.presence.states('room'), [], 'it does not come back with the user')
  })

  t.test('who is not in the room has no state in it', async (t) => {
    const { one, other } = await setup(t)
    await one.presence.setState('nowhere', 'ann', 'typing', 60_000)
    await one.presence.enter('room', 'bob', '1')
    await other.presence.setState('room', 'ann', 'typing', 60_000)
    await other.presence.setState('room', 'ann', 'typing', 0)
    await one.presence.enter('room', 'ann', '2')
    t.same(await one.presence.states('nowhere'), [])
    t.same(await one.presence.states('room'), [])
  })

  t.test('who asks between two diffs, and applies the later ones, is right in the end', async (t) => {
    const { one, other, advance, hears } = await setup(t)
    await one.presence.watch('room')
    await one.presence.enter('room', 'ann', '1')
    await one.presence.setState('room', 'ann', 'typing', 60_000)
    await hears(one, 'room', '+ann', 'ann:typing on')
    const users = new Set<string>()
    const states = new Set<string>()
    await other.presence.leave('room', 'ann', '1')
    await other.presence.enter('room', 'bob', '2')
    for (const { user } of await one.presence.list('room')) users.add(user)
    for (const { user, key } of await one.presence.states('room')) states.add(`${user}:${key}`)
    one.listener.then = (_room, diff) => {
      for (const user of diff.joined) users.add(user)
      for (const user of diff.left) users.delete(user)
      for (const { user, key, active } of diff.states) states[active ? 'add' : 'delete'](`${user}:${key}`)
    }
    await other.presence.enter('room', 'ann', '1')
    await other.presence.setState('room', 'ann', 'typing', 60_000)
    await other.presence.leave('room', 'bob', '2')
    await advance(INTERVAL)
    const got = (): string => JSON.stringify([[...users], [...states]])
    await until(() => got() === '[["ann"],["ann:typing"]]', () => `ann, who is typing; got ${got()}`)
  })

  t.test('FAULTS 69: names that look alike have states of their own', async (t) => {
    const { one } = await setup(t)
    for (const name of HOSTILE_NAMES) {
      await one.presence.enter('room', name, name)
      for (const key of HOSTILE_NAMES) await one.presence.setState('room', name, key, 60_000)
    }
    const pairs = async (): Promise<Set<string>> => new Set((await one.presence.states('room')).map(({ user, key }) => JSON.stringify([user, key])))
    t.equal((await pairs()).size, HOSTILE_NAMES.length ** 2)
    for (const name of HOSTILE_NAMES) await one.presence.setState('room', name, 'a', 0)
    const left = await pairs()
    t.equal(left.size, HOSTILE_NAMES.length * (HOSTILE_NAMES.length - 1))
    for (const name of HOSTILE_NAMES) t.notOk(left.has(JSON.stringify([name, 'a'])))
  })

  t.test('after close nothing is heard', async (t) => {
    const { one, other, hears } = await setup(t)
    for (const { presence } of [one, other]) await presence.watch('room')
    await other.presence.enter('room', 'ann', '1')
    await one.presence.close()
    one.listener.heard.length = 0
    await other.presence.enter('room', 'bob', '2')
    await hears(other, 'room', '+ann', '+bob')
    t.same(one.listener.heard, [])
  })
}
