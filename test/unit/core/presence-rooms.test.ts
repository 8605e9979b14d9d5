import t from 'tap'
import type { Clock } from '../../../lib/core/ports.js'
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

t.test('of very many rooms the listeners are told in slices, once each, as the rooms are then', (t) => {
  let time = 0
  let tick: () => void = () => {}
  const deferred: Array<() => void> = []
  const every: Clock['every'] = (_ms, fn) => {
    tick = fn
    return { cancel: () => {} }
  }
  const clock: Clock = { now: () => time, monotonic: () => time, every, defer: (fn) => { deferred.push(fn) } }
  const rooms = new PresenceRooms(clock, 100)
  const listener = new FakePresenceListener()
  const names = Array.from({ length: 100 }, (_, i) => `room ${i}`)
  for (const name of names) {
    rooms.begin(name, (room) => {
      room.watch(listener)
      room.enter('ann', '1')
    })
  }
  // Each takes a millisecond.
  listener.then = () => { time++ }
  tick()
  const first = listener.heard.length
  t.ok(first > 0 && first < 50)
  tick()
  t.same([listener.heard.length, deferred.length], [first, 1], 'it is at it still')
  rooms.change('room 98', (room) => { room.leave('ann', '1') })
  rooms.forget('room 99')
  for (let fn = deferred.shift(); fn !== undefined; fn = deferred.shift()) fn()
  t.same(listener.heard.map(({ room }) => room), names.slice(0, 98))
  tick()
  t.equal(listener.heard.length, 98)
  t.end()
})
