import t from 'tap'
import { EVERYONE } from '../../../../lib/core/ports.js'
import { MemoryBus } from '../../../../lib/memory/broker.js'
import { MemoryPresenceStore } from '../../../../lib/memory/presence.js'
import { Link, MAX_WAITING } from '../../../../lib/testing/cluster/link.js'
import { LinkedBroker } from '../../../../lib/testing/cluster/linked-broker.js'
import { LinkedPresence } from '../../../../lib/testing/cluster/linked-presence.js'
import { LinkedOfflineStore, SharedOfflineStore } from '../../../../lib/testing/cluster/linked-offline-store.js'
import { TestClock } from '../../../../lib/testing/test-clock.js'
import { FakeListener } from '../../../helpers/fake-listener.js'
import { FakePresenceListener } from '../../../helpers/fake-presence-listener.js'

const AWAY = { code: 'FST_HUB_BROKER_UNAVAILABLE' }
const LOCAL = { sent: 1, queued: 0, dropped: 0, rejected: 0 }
const NOBODY = { sent: 0, queued: 0, dropped: 0, rejected: 0 }

interface Node { link: Link, listener: FakeListener, broker: LinkedBroker }

/** Two nodes that are subscribed to a room with history. */
async function brokers (): Promise<{ clock: TestClock, one: Node, other: Node }> {
  const clock = new TestClock()
  const bus = new MemoryBus(clock, () => ({ size: 100, ttl: 0, mode: 'log' }))
  const node = async (): Promise<Node> => {
    const link = new Link(clock, () => {})
    const listener = new FakeListener()
    listener.answer = LOCAL
    const broker = new LinkedBroker(link, bus, listener)
    await broker.subscribe('room')
    await broker.subscribe(EVERYONE)
    return { link, listener, broker }
  }
  return { clock, one: await node(), other: await node() }
}

t.test('broker: an own publication comes at once, but not before those of others that are on their way', async (t) => {
  const { clock, one, other } = await brokers()
  const first = other.broker.publish('room', 'first', {})
  t.same(other.listener.texts('room'), ['first'])
  t.match(await first, { offset: 1, ...LOCAL })
  let second: unknown
  one.broker.publish('room', 'second', {}).then((result) => { second = result }).catch(t.threw)
  t.match(await one.broker.publish('another room', 'x', {}), NOBODY)
  t.same([one.listener.texts('room'), second], [[], undefined])
  await clock.settle()
  t.same([one.listener.texts('room'), other.listener.texts('room')], [['first', 'second'], ['first', 'second']])
  t.match(second, { offset: 2, ...LOCAL })
  t.same([one, other].flatMap(({ listener: { gaps } }) => gaps), [])
})

t.test('broker: a position is that of what the node has heard', async (t) => {
  const { clock, one, other } = await brokers()
  await other.broker.publish('room', 'x', {})
  t.equal((await one.broker.subscribe('room')).offset, 0, 'it is on its way')
  await clock.settle()
  t.equal((await one.broker.subscribe('room')).offset, 1)
  await other.broker.publish('room', 'y', {})
  await one.broker.unsubscribe('room')
  t.equal((await one.broker.subscribe('room')).offset, 2)
  await clock.settle()
  t.same(one.listener.texts('room'), ['x'], 'what was on its way belonged to the subscription before')
})

t.test('broker: cut', async (t) => {
  const { clock, one, other } = await brokers()
  one.link.cut()
  for (const call of [one.broker.publish('room', 'x', {}), one.broker.subscribe('new'), one.broker.history('room', undefined, 0)]) await t.rejects(call as Promise<unknown>, AWAY)
  t.equal((await one.broker.subscribe('room')).offset, 0, 'it is in already')
  t.same(await one.broker.publish('room', 'mine', { ephemeral: true }), LOCAL)
  t.same(await one.broker.publish('new', 'mine', { ephemeral: true }), NOBODY)
  t.same(await one.broker.publish(EVERYONE, 'all of mine', { ephemeral: true }), LOCAL)
  for (const text of ['1', '2']) await other.broker.publish('room', text, {})
  await other.broker.publish('room', 'e', { ephemeral: true })
  await clock.settle()
  t.same([one.listener.texts('room'), other.listener.texts('room')], [['mine'], ['1', '2', 'e']])
  one.link.heal()
  await clock.settle()
  t.same(one.listener.texts('room'), ['mine', '1', '2', 'e'])
  t.match(await one.broker.publish('room', '3', {}), { offset: 3 })
})

t.test('broker: a publication whose turn has not come when its node is cut', async (t) => {
  const { clock, one, other } = await brokers()
  await other.broker.publish('room', '1', {})
  const published = one.broker.publish('room', '2', {})
  one.link.cut()
  t.match(await published, { offset: 2, ...NOBODY }, 'it is published, and comes here when it can')
  one.link.heal()
  await clock.settle()
  t.same(one.listener.texts('room'), ['1', '2'])
})

t.test('broker: doubled', async (t) => {
  const { clock, one, other } = await brokers()
  one.link.double(true)
  for (const ephemeral of [false, true, false]) await other.broker.publish('room', String(ephemeral), { ephemeral })
  await clock.settle()
  t.same(one.listener.texts('room'), ['false', 'true', 'false'])
  t.same(one.listener.gaps, [])
})

t.test('broker: bytes may be changed before they come', async (t) => {
  const { clock, one, other } = await brokers()
  const bytes = Buffer.from('before')
  await other.broker.publish('room', bytes, { ephemeral: true })
  bytes.fill('x')
  await clock.settle()
  t.same(one.listener.texts('room').map(String), ['before'])
})

t.test('broker: more than can wait: a gap is told', async (t) => {
  const { clock, one, other } = await brokers()
  const { epoch } = await one.broker.subscribe('room')
  one.link.cut()
  for (let i = 0; i < MAX_WAITING + 3; i++) await other.broker.publish('room', String(i), {})
  one.link.heal()
  await clock.settle()
  t.same(one.listener.gaps, [{ room: 'room', from: { epoch, offset: 0 }, to: { epoch, offset: 3 } }])
  t.same([one.listener.of('room')[0]?.offset, one.listener.of('room').length], [4, MAX_WAITING])
})

t.test('presence: cut and doubled', async (t) => {
  const clock = new TestClock()
  const store = new MemoryPresenceStore(clock, 1_000)
  const node = (): { link: Link, listener: FakePresenceListener, presence: LinkedPresence } => {
    const link = new Link(clock, () => {})
    const listener = new FakePresenceListener()
    return { link, listener, presence: new LinkedPresence(link, store, listener) }
  }
  const [one, other] = [node(), node()]
  const joined = ({ listener }: typeof one): unknown => listener.heard.map(({ diff }) => diff.joined)
  await one.presence.watch('room')
  one.link.double(true)
  await other.presence.enter('room', 'ann', '1')
  await clock.advance(1_000)
  t.same(joined(one), [['ann']], 'once')
  one.link.cut()
  await other.presence.enter('room', 'bob', '2')
  await clock.advance(1_000)
  t.same(joined(one), [['ann']])
  const { presence } = one
  for (const call of [presence.list('room'), presence.states('room'), presence.setState('room', 'ann', 'k', 1), presence.watch('other'), presence.enter('room', 'cid', '3'), presence.leave('room', 'ann', '1')]) await t.rejects(call as Promise<unknown>, AWAY)
  t.same((await other.presence.list('room')).map(({ user }) => user), ['ann', 'bob'])
  one.link.heal()
  t.same((await other.presence.list('room')).map(({ user }) => user), ['bob', 'cid'], 'who has come and gone')
  await clock.advance(1_000)
  t.same(joined(one), [['ann'], ['bob'], ['cid']])
  one.link.cut()
  await other.presence.enter('room', 'dan', '4')
  await clock.advance(1_000)
  await one.presence.unwatch('room')
  one.link.heal()
  await clock.advance(1_000)
  t.equal(one.listener.heard.length, 3, 'nothing of a room that is not watched any more')
  for (const { presence } of [one, other]) await presence.close()
  t.equal(clock.timers, 0)
})

t.test('offline store: one node is told what is dropped: that which is calling', async (t) => {
  const clock = new TestClock()
  const shared = new SharedOfflineStore(clock, 1)
  const dropped: string[] = []
  const node = (name: string): { link: Link, store: LinkedOfflineStore } => {
    const link = new Link(clock, () => {})
    return { link, store: new LinkedOfflineStore(link, shared, { onDropped: (reason, count) => { dropped.push(`${name} ${reason} ${count}`) } }) }
  }
  const [one, other] = [node('one'), node('other')]
  await other.store.put('ann', '1', 0)
  await other.store.put('ann', '2', 0)
  await one.store.put('ann', '3', 1_000)
  await clock.advance(120_000)
  t.same(dropped, ['other evicted 1', 'one evicted 1', 'one expired 1'])
  await one.store.close()
  await other.store.put('ann', '4', 1_000)
  await clock.advance(120_000)
  t.equal(dropped.at(-1), 'other expired 1')
  other.link.cut()
  for (const call of [other.store.put('ann', 'x', 0), other.store.list('ann', undefined, 1), other.store.acknowledge('ann', ['x'])]) await t.rejects(call as Promise<unknown>, AWAY)
  t.equal(clock.timers, 0)
})
