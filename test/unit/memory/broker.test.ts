import t from 'tap'
import { InboundMessage } from '../../../lib/core/message.js'
import { EVERYONE, type HistoryPolicy, type Publication } from '../../../lib/core/ports.js'
import { HISTORY_POSITION_TTL_MS, MemoryBroker, MemoryBus, POSITION_TTL_MS } from '../../../lib/memory/broker.js'
import { TestClock } from '../../../lib/testing/test-clock.js'
import { NO_HISTORY } from '../../helpers/fake-broker.js'
import { FakeListener } from '../../helpers/fake-listener.js'
import { positionOf } from '../../helpers/publishing.js'

const MINUTE = 60_000

interface World { clock: TestClock, bus: MemoryBus, listener: FakeListener, broker: MemoryBroker }

function setup (policy: HistoryPolicy = NO_HISTORY): World {
  const clock = new TestClock()
  const bus = new MemoryBus(clock, () => policy)
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
  const first = positionOf(await broker.publish('quiet', 'x', {}))
  t.equal(bus.rooms, 3)
  clock.advanceSync(POSITION_TTL_MS - 1)
  t.equal((await broker.history('quiet', undefined, 0)).position.epoch, first.epoch, 'being asked for counts as a use')
  clock.advanceSync(POSITION_TTL_MS - 1)
  t.equal(bus.rooms, 3)
  clock.advanceSync(POSITION_TTL_MS + 1)
  t.equal(bus.rooms, 2)
  const { position: again } = await broker.history('quiet', first, 0)
  t.not(again.epoch, first.epoch)
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

t.test('with history, a position is kept for a day after the last use', async (t) => {
  const { clock, bus, broker } = setup({ size: 10, ttl: MINUTE, mode: 'log' })
  const head = positionOf(await broker.publish('room', 'x', {}))
  clock.advanceSync(HISTORY_POSITION_TTL_MS - 1)
  t.equal(bus.publications, 0)
  t.equal((await broker.history('room', head, 0)).recovered, true, 'nothing was missed')
  clock.advanceSync(HISTORY_POSITION_TTL_MS + MINUTE)
  t.equal(bus.rooms, 0)
  t.equal((await broker.history('room', head, 0)).recovered, false)
})

t.test('a position is kept as long as a publication is', async (t) => {
  const day = 24 * 60 * MINUTE
  for (const ttl of [3 * day, 0]) {
    const { clock, bus, broker } = setup({ size: 10, ttl, mode: 'log' })
    await broker.publish('room', 'x', {})
    clock.advanceSync(3 * day - 1)
    t.same([bus.rooms, bus.publications], [1, 1])
    clock.advanceSync(MINUTE)
    t.same([bus.rooms, bus.publications], ttl === 0 ? [1, 1] : [0, 0])
  }
})

t.test('what is too old is freed in a room nobody uses, and is not answered before it is', async (t) => {
  const { clock, bus, broker } = setup({ size: 10, ttl: 100, mode: 'log' })
  await broker.subscribe('listened')
  for (const room of ['listened', 'asked', 'unused']) await broker.publish(room, 'x', {})
  clock.advanceSync(99)
  t.equal((await broker.history('asked', undefined, 0)).publications.length, 1)
  clock.advanceSync(1)
  t.equal(bus.publications, 3)
  t.equal((await broker.history('asked', undefined, 0)).publications.length, 0)
  t.equal(bus.publications, 2)
  clock.advanceSync(MINUTE)
  t.equal(bus.publications, 0)
})

t.test("the machine's clock being set ages nothing", async (t) => {
  const { clock, broker } = setup({ size: 10, ttl: 100, mode: 'log' })
  await broker.publish('room', 'x', {})
  clock.setWallClock(clock.now() + 10 * MINUTE)
  t.equal((await broker.history('room', undefined, 0)).publications.length, 1)
})

t.test('a publication is one object, live and in every answer, so that its encodings are made once', async (t) => {
  const { bus, broker } = setup({ size: 10, ttl: 0, mode: 'log' })
  const live: Publication[] = []
  const listener = { onPublications: (_room: string, publications: readonly Publication[]) => { live.push(...publications); return { sent: 0, queued: 0, dropped: 0, rejected: 0 } }, onGap: () => {}, onEpoch: () => {} }
  await new MemoryBroker(bus, listener).subscribe('room')
  const forwarded = new InboundMessage(Buffer.from('forwarded'), false)
  for (const payload of ['text', Buffer.from('bytes'), forwarded]) await broker.publish('room', payload, {})
  const [first, second] = [(await broker.history('room', undefined, 0)).publications, (await broker.history('room', undefined, 0)).publications]
  t.equal(first.length, 3)
  for (const [i, publication] of first.entries()) t.equal(publication, second[i])
  t.equal(live[0], first[0])
  t.equal(live[1], first[1])
  t.equal(live[2]?.payload, forwarded, 'a message of a peer goes on as it came: it is a frame already')
})

t.test('a room without history holds none', async (t) => {
  for (const mode of ['log', 'cache'] as const) {
    const { bus, broker } = setup({ size: 0, ttl: 0, mode })
    await broker.publish('room', 'x', {})
    t.equal(bus.publications, 0)
    t.same((await broker.history('room', undefined, 0)).publications, [])
  }
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
