import type { Test } from 'tap'
import type { Presence } from '../../lib/core/ports.js'
import { HOSTILE_NAMES } from './names.js'
import { presenceNodes, type PresenceFactory } from './presence-world.js'

/** Who every Presence must say is in a room. Of changes, see presence-changes.ts. */
export function presenceContract (t: Test, factory: PresenceFactory): void {
  const nodes = async (t: Test): Promise<[Presence, Presence]> => {
    const { one, other } = await presenceNodes(t, factory)
    return [one.presence, other.presence]
  }
  const counts = async (presence: Presence, room: string): Promise<Record<string, number>> => {
    const listed = await presence.list(room)
    const users = new Set(listed.map(({ user }) => user))
    if (users.size < listed.length) throw new Error('a user is listed twice')
    return Object.fromEntries(listed.map(({ user, connections }) => [user, connections]))
  }

  t.test('a user is one member, however many connections it has', async (t) => {
    const [presence] = await nodes(t)
    t.same(await presence.list('room'), [])
    await presence.enter('room', 'ann', 'a1')
    await presence.enter('room', 'ann', 'a2')
    await presence.enter('room', 'bob', 'b1')
    await presence.enter('other', 'ann', 'a1')
    t.same(await counts(presence, 'room'), { ann: 2, bob: 1 })
    await presence.leave('room', 'ann', 'a1')
    t.same(await counts(presence, 'room'), { ann: 1, bob: 1 })
    await presence.leave('room', 'ann', 'a2')
    t.same(await counts(presence, 'room'), { bob: 1 })
    t.same(await counts(presence, 'other'), { ann: 1 })
    await presence.leave('room', 'bob', 'b1')
    t.same(await presence.list('room'), [])
  })

  t.test('entering and leaving twice is harmless', async (t) => {
    const [presence] = await nodes(t)
    for (let i = 0; i < 2; i++) await presence.enter('room', 'ann', 'a1')
    t.same(await counts(presence, 'room'), { ann: 1 })
    await presence.enter('room', 'ann', 'a2')
    for (let i = 0; i < 2; i++) await presence.leave('room', 'ann', 'a1')
    t.same(await counts(presence, 'room'), { ann: 1 })
    await presence.leave('room', 'bob', 'b1')
    await presence.leave('nowhere', 'ann', 'a2')
    await presence.leave('room', 'ann', 'unknown')
    t.same(await counts(presence, 'room'), { ann: 1 })
  })

  t.test('calls for one connection take effect in the order in which they are made', async (t) => {
    const [presence] = await nodes(t)
    await Promise.all([presence.enter('room', 'ann', 'a1'), presence.leave('room', 'ann', 'a1'), presence.enter('room', 'ann', 'a1')])
    t.same(await counts(presence, 'room'), { ann: 1 })
    await Promise.all([presence.leave('room', 'ann', 'a1'), presence.enter('room', 'ann', 'a1'), presence.leave('room', 'ann', 'a1')])
    t.same(await counts(presence, 'room'), {})
  })

  t.test('it spans nodes', async (t) => {
    const [one, other] = await nodes(t)
    await one.enter('room', 'ann', 'a1')
    await other.enter('room', 'ann', 'a2')
    for (const presence of [one, other]) t.same(await counts(presence, 'room'), { ann: 2 })
    await other.leave('room', 'ann', 'a2')
    for (const presence of [one, other]) t.same(await counts(presence, 'room'), { ann: 1 })
  })

  t.test('what was answered does not change', async (t) => {
    const [presence] = await nodes(t)
    await presence.enter('room', 'ann', 'a1')
    const before = await presence.list('room')
    await presence.enter('room', 'ann', 'a2')
    t.same(before, [{ user: 'ann', connections: 1 }])
  })

  t.test('FAULTS 69: names that look alike are different rooms and different users', async (t) => {
    const [presence] = await nodes(t)
    for (const name of HOSTILE_NAMES) {
      await presence.enter(name, name, name)
      await presence.enter('all', name, name)
    }
    for (const name of HOSTILE_NAMES) t.same(await presence.list(name), [{ user: name, connections: 1 }])
    t.same((await presence.list('all')).map(({ user }) => user).sort(), [...HOSTILE_NAMES].sort())
    for (const name of HOSTILE_NAMES) await presence.leave('all', name, name)
    t.same(await presence.list('all'), [])
  })
}
