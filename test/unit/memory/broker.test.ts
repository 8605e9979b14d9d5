import t from 'tap'
import { EVERYONE } from '../../../lib/core/ports.js'
import { MemoryBroker, MemoryBus, POSITION_TTL_MS } from '../../../lib/memory/broker.js'
import { TestClock } from '../../../lib/testing/test-clock.js'
import { FakeListener } from '../../helpers/fake-listener.js'

function setup (): { clock: TestClock, bus: MemoryBus, listener: FakeListener, broker: MemoryBroker } {
  const clock = new TestClock()
  const bus = new MemoryBus(clock)
  const listener = new FakeListener()
  return { clock, bus, listener, broker: new MemoryBroker(bus, listener) }
}

t.test('the fan-out, to all nodes, happens within the call', async (t) => {
  const { bus, broker, listener } = setup()
  const other = new FakeListener()
  await new MemoryBroker(bus, other).subscribe('room')
  await broker.subscribe('room')
  const published = broker.publish('room', 'x', {})
  t.same([listener.texts('room'), other.texts('room')], [['x'], ['x']])
  await published
})

t.test('a room nobody listens to is forgotten a while after its last use, and comes back with a new epoch', async (t) => {
  const { clock, bus, broker } = setup()
  await broker.subscribe(EVERYONE)
  const kept = await broker.subscribe('kept')
  const { position: first } = await broker.publish('quiet', 'x', {})
  t.equal(bus.rooms, 3)
  clock.advanceSync(POSITION_TTL_MS - 1)
  t.equal((await broker.history('quiet', undefined)).position.epoch, first?.epoch, 'being asked for counts as a use')
  clock.advanceSync(POSITION_TTL_MS - 1)
  t.equal(bus.rooms, 3)
  clock.advanceSync(POSITION_TTL_MS + 1)
  t.equal(bus.rooms, 2)
  const { position: again } = await broker.history('quiet', first ?? undefined)
  t.not(again.epoch, first?.epoch)
  t.equal(again.offset, 0)
  t.same(await broker.subscribe('kept'), kept)
})

t.test('a room whose last subscriber left keeps its position for a while', async (t) => {
  const { clock, broker } = setup()
  const { epoch } = await broker.subscribe('room')
  clock.advanceSync(10 * POSITION_TTL_MS)
  await broker.unsubscribe('room')
  clock.advanceSync(POSITION_TTL_MS - 1)
  t.equal((await broker.subscribe('room')).epoch, epoch)
})

t.test('one timer, which ends with the last broker', async (t) => {
  const { clock, bus, broker } = setup()
  const other = new MemoryBroker(bus, new FakeListener())
  t.equal(clock.timers, 1)
  await broker.close()
  t.equal(clock.timers, 1)
  await other.close()
  await other.close()
  t.equal(clock.timers, 0)
})

t.test('this version keeps no publications: what was missed is not recovered', async (t) => {
  const { broker } = setup()
  const { epoch } = await broker.subscribe('room')
  await broker.publish('room', 'x', {})
  t.same(await broker.history('room', { epoch, offset: 0 }), { position: { epoch, offset: 1 }, publications: [], recovered: false })
})
