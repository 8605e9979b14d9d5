import t from 'tap'
import { PresenceRooms } from '../../../lib/core/presence-rooms.js'
import { TestClock } from '../../../lib/testing/test-clock.js'
import { FakePresenceListener } from '../../helpers/fake-presence-listener.js'

function setup (): { clock: TestClock, rooms: PresenceRooms, listener: FakePresenceListener } {
  const clock = new TestClock()
  const listener = new FakePresenceListener()
  const rooms = new PresenceRooms(clock, 100)
  for (const name of ['one', 'other']) {
    rooms.begin(name, (room) => {
      room.watch(listener)
      room.enter('ann', '1')
    })
  }
  return { clock, rooms, listener }
}

t.test('a room that is forgotten tells nothing any more', (t) => {
  const { clock, rooms, listener } = setup()
  rooms.forget('one')
  rooms.forget('never there')
  rooms.change('one', () => { t.fail('it is not there') })
  clock.advanceSync(100)
  t.same([listener.story('one'), listener.story('other'), rooms.rooms, clock.timers], [[], ['+ann'], 1, 0])
  t.end()
})

t.test('so do all, and no timer is left', (t) => {
  const { clock, rooms, listener } = setup()
  t.equal(clock.timers, 1)
  rooms.clear()
  t.same([rooms.rooms, clock.timers, listener.heard.length], [0, 0, 0])
  t.end()
})

t.test('all can be changed', (t) => {
  const { clock, rooms, listener } = setup()
  rooms.changeAll((room) => { room.leave('ann', '1') })
  clock.advanceSync(100)
  t.same(listener.heard, [])
  rooms.changeAll((room) => { room.unwatch(listener) })
  t.equal(rooms.rooms, 0)
  t.end()
})
