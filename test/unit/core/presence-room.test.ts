import t from 'tap'
import { PresenceRoom } from '../../../lib/core/presence-room.js'
import { FakePresenceListener } from '../../helpers/fake-presence-listener.js'

const listener = new FakePresenceListener()

/** What it tells now. */
function take (room: PresenceRoom): string[] {
  const fake = new FakePresenceListener()
  for (const { diff } of room.take()) fake.onPresence('room', diff)
  return fake.story('room').sort()
}

/** A room with members such as `ann 1`, that is watched. */
function roomOf (...members: string[]): PresenceRoom {
  const room = new PresenceRoom()
  room.watch(listener)
  for (const { user, connectionId } of parse(members)) room.enter(user, connectionId)
  take(room)
  return room
}

function parse (members: string[]): Array<{ user: string, connectionId: string }> {
  return members.map((member) => {
    const [user = '', connectionId = ''] = member.split(' ')
    return { user, connectionId }
  })
}

t.test('it is made what it is elsewhere, and tells the difference', (t) => {
  const room = roomOf('ann 1', 'ann 2', 'bob 3', 'carl 4')
  room.setState('ann', 'typing', 100)
  room.setState('bob', 'typing', 100)
  take(room)
  const replace = (): void => { room.replace(parse(['ann 2', 'bob 5', 'dan 6']), [{ user: 'bob', key: 'typing', end: 300 }, { user: 'dan', key: 'drawing', end: 300 }, { user: 'nobody', key: 'x', end: 300 }], false) }
  replace()
  t.same(take(room), ['+dan', '-carl', 'ann:typing off', 'dan:drawing on'])
  replace()
  t.same(take(room), [])
  t.same(room.list(listener), [{ user: 'ann', connections: 1 }, { user: 'bob', connections: 1 }, { user: 'dan', connections: 1 }])
  room.expire(299)
  t.same(room.states(listener, 299), [{ user: 'bob', key: 'typing' }, { user: 'dan', key: 'drawing' }])
  room.replace([], [], false)
  t.same(take(room), ['-ann', '-bob', '-dan', 'bob:typing off', 'dan:drawing off'])
  t.end()
})

t.test('those that are not there may stay', (t) => {
  const room = roomOf('ann 1', 'bob 2')
  room.setState('ann', 'typing', 100)
  take(room)
  room.replace(parse(['bob 2', 'carl 3']), [{ user: 'carl', key: 'typing', end: 100 }], true)
  t.same(take(room), ['+carl', 'carl:typing on'])
  t.same(room.list(listener).map(({ user }) => user), ['ann', 'bob', 'carl'])
  t.equal(room.states(listener, 0).length, 2)
  t.end()
})

t.test('what somebody was told otherwise is told in any case', (t) => {
  const room = roomOf('ann 1', 'bob 2')
  const listed = (...users: string[]): void => { room.listed(listener, new Map(users.map((user) => [user, 1]))) }
  listed('bob', 'carl')
  t.same(take(room), ['+ann', '-carl'])
  t.same(take(room), [])
  listed('ann', 'bob')
  t.notOk(room.pending)
  room.leave('ann', '1')
  listed('bob')
  room.enter('ann', '1')
  t.same(take(room), ['+ann'], 'it changed back, but not for who asked in between')
  room.listed(new FakePresenceListener(), new Map())
  t.notOk(room.pending, 'not for who does not watch')
  t.end()
})

t.test('and so are states', (t) => {
  const room = roomOf('ann 1')
  room.setState('ann', 'typing', 100)
  room.setState('ann', 'drawing', 100)
  take(room)
  const listed = (...keys: string[]): void => { room.statesListed(listener, keys.map((key) => ({ user: 'ann', key }))) }
  listed('typing', 'thinking')
  t.same(take(room), ['ann:drawing on', 'ann:thinking off'])
  listed('typing', 'drawing')
  t.notOk(take(room).length)
  room.endState('ann', 'typing')
  listed('drawing')
  room.setState('ann', 'typing', 100)
  t.same(take(room), ['ann:typing on'])
  room.statesListed(new FakePresenceListener(), [])
  t.same(take(room), [])
  t.end()
})
