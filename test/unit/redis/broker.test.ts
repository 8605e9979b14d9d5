import t, { type Test } from 'tap'
import { EVERYONE } from '../../../lib/core/ports.js'
import { FST_HUB_BROKER_UNAVAILABLE } from '../../../lib/errors.js'
import type { Bus } from '../../../lib/redis/bus.js'
import { RedisBroker } from '../../../lib/redis/broker.js'
import { Keys } from '../../../lib/redis/keys.js'
import type { LinkListener, RedisLink, Reply } from '../../../lib/redis/link.js'
import { encodeBatch, encodeRecord } from '../../../lib/redis/publication-codec.js'
import type { Script } from '../../../lib/redis/script.js'
import { TestClock } from '../../../lib/testing/test-clock.js'
import { FakeListener } from '../../helpers/fake-listener.js'
import { gc } from '../../helpers/gc.js'
import { settled } from '../../helpers/until.js'

const NOTHING = { sent: 0, queued: 0, dropped: 0, rejected: 0 }

/** A Redis with one room, in which other nodes have published before this one heard of it. */
class FakeLink {
  readonly #clock: TestClock
  isReady = true
  readonly why = new Error('it has gone')
  /** The place that the next publication gets. */
  next = 1
  /** Where the room stands: number of the bus; epoch, offset, up to where the known epoch is of it, and behind where it began. */
  standing = ['0', 'a', '0', '0', '0']
  /** Thrown by each script, although Redis is there. */
  error: Error | null = null
  runs = 0
  /** Of the latest script. */
  args: ReadonlyArray<string | number | Buffer> = []
  /** What an answer waits for. */
  until: Promise<void> = Promise.resolve()
  readonly #listeners: LinkListener[] = []

  constructor (clock: TestClock) { this.#clock = clock }

  get now (): number { return this.#clock.monotonic() }

  listen (listener: LinkListener): void { this.#listeners.push(listener) }

  /** It is there again. */
  ready (): void { for (const listener of this.#listeners) listener.onReady() }

  async insist<T> (step: () => Promise<T>): Promise<T> { return await step() }

  async run (script: Script, _keys: readonly string[], args: ReadonlyArray<string | number | Buffer>): Promise<Reply> {
    if (!this.isReady) throw this.why
    this.runs++
    this.args = args
    if (this.error !== null) throw this.error
    if (script.source.includes('Publishes a batch')) {
      const place = `a ${this.next++}`
      await this.until
      return Buffer.from(place)
    }
    if (script.source.includes('Where rooms stand')) {
      await this.until
      return this.standing.map((text) => Buffer.from(text))
    }
    throw new Error('the log cannot be asked')
  }
}

/** A broker on a bus of which the test tells it. @param hold what becomes of reading a partition @param progress how far that is */
function rig (clock: TestClock, link: FakeLink, hold = async (): Promise<void> => {}, progress = { sequence: 0, readAt: -Infinity }): { broker: RedisBroker, listener: FakeListener, errors: unknown[] } {
  const bus = { listen: () => {}, hold, release: () => {}, progress: () => progress }
  const listener = new FakeListener()
  const errors: unknown[] = []
  const broker = new RedisBroker({
    link: link as unknown as RedisLink, bus: bus as unknown as Bus, keys: new Keys('hub', 1, false), nodeId: 'node', clock, policyOf: () => ({ size: 0, ttl: 0, mode: 'log' }), timeout: 1_000, busLength: 100, onError: (error) => { errors.push(error) }
  }, listener)
  return { broker, listener, errors }
}

/** A node in a room, whose next publication has the second place there: the first is of another node, and has not come. */
async function secondInRoom (t: Test): Promise<{ clock: TestClock, link: FakeLink, broker: RedisBroker, listener: FakeListener }> {
  const clock = new TestClock()
  const link = new FakeLink(clock)
  const { broker, listener } = rig(clock, link)
  t.teardown(async () => { await broker.close() })
  await broker.subscribe('room')
  link.next = 2
  return { clock, link, broker, listener }
}

/** What an entry of the bus has behind its kind: one publication. @param position where it stands; '' when it has no place */
const entry = (room: string, position: string, text: string): Buffer[] => [Buffer.from('o'), Buffer.from(position), Buffer.from('b'), encodeBatch([{ room, records: [encodeRecord(text, { ephemeral: position === '' })] }]).bytes]

t.test('a publication whose turn does not come is answered in time, and goes to the members here when it does', async (t) => {
  const { clock, link, broker, listener } = await secondInRoom(t)
  const publication = broker.publish('room', 'behind', {})
  await clock.advance(100)
  link.isReady = false
  await clock.advance(800)
  t.same(listener.heard, [])
  await clock.advance(200)
  t.same(await publication, { epoch: 'a', offset: 2, ...NOTHING })
  // What comes before it has not been lost: it has been late.
  broker.onEntry(0, 'other', entry('room', 'a 1', 'before'))
  t.same(listener.texts('room'), ['before', 'behind'])
})

t.test('who publishes as soon as a publication has settled comes behind those that have waited for it', async (t) => {
  for (const isBack of [false, true]) {
    const { clock, link, broker, listener } = await secondInRoom(t)
    const first = broker.publish('room', 'first', {})
    await clock.advance(100)
    link.isReady = false
    const waiting = ['second', 'third'].map(async (text) => await broker.publish('room', text, {}))
    const last = first.then(async () => await broker.publish('room', 'last', {}))
    link.isReady = isBack
    // Three in one batch.
    link.next = 5
    broker.onEntry(0, 'other', entry('room', 'a 1', 'before'))
    await clock.advance(100)
    await Promise.all([...waiting, last])
    t.same(listener.texts('room'), ['before', 'first', 'second', 'third', 'last'], isBack ? 'Redis is back' : 'Redis is away')
    await broker.close()
  }
})

t.test('what the bus had before the position was asked for is no news, though it comes after the answer, and of whatever epoch', async (t) => {
  const clock = new TestClock()
  const link = new FakeLink(clock)
  link.standing = ['7', 'b', '0', '-1', '0']
  let answer = (): void => {}
  link.until = new Promise((resolve) => { answer = resolve })
  const { broker, listener } = rig(clock, link)
  t.teardown(async () => { await broker.close() })
  const subscribed = broker.subscribe('room')
  await clock.settle()
  broker.onEntry(0, 'other', entry('room', 'a 9', 'of before'))
  broker.onEntry(0, 'other', entry('room', 'b 1', 'the first'))
  answer()
  t.same(await subscribed, { epoch: 'b', offset: 0 })
  broker.onEntry(0, 'other', entry('room', 'c 1', 'of a server that was another'))
  link.standing = ['9', 'b', '2', '2', '0']
  broker.onEntry(0, 'other', entry('room', 'b 2', 'the second'))
  await clock.settle()
  t.same(listener.texts('room'), ['the first', 'the second'])
  t.same([listener.gaps, listener.epochs], [[], []])
})

t.test('another epoch that goes on is told before its first publication, and what Redis could not say at once it is asked again', async (t) => {
  const { clock, link, broker, listener } = await secondInRoom(t)
  link.error = new FST_HUB_BROKER_UNAVAILABLE('CLUSTERDOWN')
  listener.then = () => { t.same(listener.epochs, [{ room: 'room', epoch: 'b' }]) }
  broker.onEntry(0, 'other', entry('room', 'b 1', 'the first'))
  await clock.advance(500)
  t.same(listener.heard, [])
  link.error = null
  link.standing = ['9', 'b', '1', '0', '0']
  await clock.advance(1_000)
  t.same(listener.texts('room'), ['the first'])
  t.same(listener.gaps, [])
})

t.test('without a log: what waits for the word about another epoch is not given up, though the bus has been read as far as that', async (t) => {
  const clock = new TestClock()
  const link = new FakeLink(clock)
  const progress = { sequence: 0, readAt: -Infinity }
  const { broker, listener } = rig(clock, link, undefined, progress)
  t.teardown(async () => { await broker.close() })
  await broker.subscribe('room')
  link.next = 2
  link.standing = ['9', 'b', '3', '2', '0']
  const publication = broker.publish('room', 'second', {})
  await clock.advance(400)
  let answer = (): void => {}
  link.until = new Promise((resolve) => { answer = resolve })
  broker.onEntry(0, 'other', entry('room', 'a 1', 'first'))
  broker.onEntry(0, 'other', entry('room', 'b 3', 'third'))
  progress.sequence = 9
  await clock.advance(300)
  t.match(await publication, { epoch: 'a', offset: 2 })
  t.same(listener.texts('room'), ['first', 'second'])
  answer()
  await clock.advance(300)
  t.same(listener.texts('room'), ['first', 'second', 'third'])
  t.same([listener.gaps, listener.epochs], [[], [{ room: 'room', epoch: 'b' }]])
})

t.test('where Redis says that the room stands in the epoch that has begun, it is told that when it has lost it', async (t) => {
  const clock = new TestClock()
  const link = new FakeLink(clock)
  const { broker } = rig(clock, link)
  t.teardown(async () => { await broker.close() })
  await broker.subscribe('room')
  // It has publications that are still to come by the bus.
  link.standing = ['9', 'b', '5', '0', '0']
  broker.onEntry(0, 'other', entry('room', 'b 1', 'the first'))
  await clock.settle()
  link.standing = ['9', 'b', '5', '5', '0']
  link.ready()
  await clock.settle()
  t.same(link.args.slice(1, 3), ['b', 5])
})

t.test('who leaves a room while it is not known what another epoch is says what was heard of that', async (t) => {
  const clock = new TestClock()
  const link = new FakeLink(clock)
  const { broker } = rig(clock, link)
  t.teardown(async () => { await broker.close() })
  await broker.subscribe('room')
  link.error = new FST_HUB_BROKER_UNAVAILABLE('CLUSTERDOWN')
  broker.onEntry(0, 'other', entry('room', 'b 1', 'the first'))
  await clock.settle()
  await broker.unsubscribe('room')
  link.error = null
  link.ready()
  await clock.settle()
  t.same(link.args.slice(1, 3), ['b', 1])
})

t.test('who leaves a room says what was heard of it, also when the answer to an earlier publication comes behind that', async (t) => {
  const clock = new TestClock()
  const link = new FakeLink(clock)
  const { broker } = rig(clock, link)
  t.teardown(async () => { await broker.close() })
  await broker.subscribe('room')
  let answer = (): void => {}
  link.until = new Promise((resolve) => { answer = resolve })
  const publication = broker.publish('room', 'own', {})
  await clock.settle()
  broker.onEntry(0, 'node', entry('room', 'a 1', 'own'))
  broker.onEntry(0, 'other', entry('room', 'a 2', 'the next'))
  await broker.unsubscribe('room')
  answer()
  t.match(await publication, { epoch: 'a', offset: 1 })
  link.ready()
  await clock.settle()
  t.same(link.args.slice(1, 3), ['a', 2])
})

t.test('who enters a room says what was published there meanwhile', async (t) => {
  const clock = new TestClock()
  const link = new FakeLink(clock)
  let hold = (): void => {}
  const held = new Promise<void>((resolve) => { hold = resolve })
  const { broker } = rig(clock, link, async () => await held)
  t.teardown(async () => { await broker.close() })
  const subscribed = broker.subscribe('room')
  const publication = broker.publish('room', 'own', {})
  await clock.settle()
  // Redis loses it, and is asked where the room stands.
  hold()
  await subscribed
  t.same(link.args.slice(1, 3), ['a', 1])
  t.match(await publication, { epoch: 'a', offset: 1 })
})

t.test('broadcasts that could not be heard at first are heard when Redis does not refuse it any more', async (t) => {
  const clock = new TestClock()
  let isRefused = true
  let holds = 0
  const { broker, listener } = rig(clock, new FakeLink(clock), async () => {
    if (isRefused) throw new Error('OOM')
    holds++
  })
  t.teardown(async () => { await broker.close() })
  await broker.subscribe(EVERYONE)
  await clock.advance(5_000)
  isRefused = false
  t.equal(holds, 0)
  await clock.advance(10_000)
  t.equal(holds, 1, 'once')
  broker.onEntry(0, 'other', entry(EVERYONE, '', 'all'))
  t.same(listener.texts(EVERYONE), ['all'])
})

t.test('what fails in the fan-out on this node is reported, and neither publications nor other rooms wait for it', async (t) => {
  const clock = new TestClock()
  const link = new FakeLink(clock)
  const { broker, listener, errors } = rig(clock, link)
  t.teardown(async () => { await broker.close() })
  await broker.subscribe('room')
  await broker.subscribe('other')
  listener.then = ({ payload }) => { if (payload === 'bad') throw new Error('of a member') }
  const bad = broker.publish('room', 'bad', {})
  await clock.advance(1_200)
  t.match(await bad, { epoch: 'a', offset: 1, ...NOTHING })
  t.match(errors, [{ message: 'of a member' }])
  t.match(await Promise.all([broker.publish('room', 'good', {}), clock.advance(0)]), [{ offset: 2 }])

  // Redis is back, and both rooms have lost something.
  link.standing = ['9', 'b', '0', '-1', '0', 'b', '0', '-1', '0']
  const told: string[] = []
  listener.onGap = (room) => {
    told.push(room)
    if (room === 'room') throw new Error('of a gap')
  }
  link.ready()
  await clock.settle()
  t.same(told, ['room', 'other'])
  t.match(errors, [{ message: 'of a member' }, { message: 'of a gap' }])
})

t.test('what Redis could not answer, although it is there, is compared again, and not over and over', async (t) => {
  const clock = new TestClock()
  const link = new FakeLink(clock)
  const { broker, listener, errors } = rig(clock, link)
  t.teardown(async () => { await broker.close() })
  await broker.subscribe('room')
  // Another master takes over.
  link.standing = ['9', 'b', '0', '-1', '0']
  link.error = new FST_HUB_BROKER_UNAVAILABLE('READONLY')
  const before = link.runs
  broker.onLost(0)
  await clock.advance(3_500)
  t.equal(link.runs - before, 4, 'once a second')
  t.same([listener.gaps, errors], [[], []])
  link.error = null
  await clock.advance(1_000)
  t.match(listener.gaps, [{ room: 'room', to: { epoch: 'b', offset: 0 } }])
  const done = link.runs
  await clock.advance(400)
  t.equal(link.runs, done)
})

t.test('of a room that could not be compared, Redis is told when it can answer, however late', async (t) => {
  const clock = new TestClock()
  const link = new FakeLink(clock)
  const { broker } = rig(clock, link)
  t.teardown(async () => { await broker.close() })
  const published = broker.publish('room', 'without members', {})
  await clock.advance(100)
  t.match(await published, { epoch: 'a', offset: 1 })
  link.error = new FST_HUB_BROKER_UNAVAILABLE('CLUSTERDOWN')
  link.ready()
  await clock.advance(30_000)
  link.error = null
  await clock.advance(1_000)
  t.same(link.args.slice(1, 3), ['a', 1])
})

t.test('what is wrong with the publications of one room keeps none from the others of its entry', async (t) => {
  const clock = new TestClock()
  const { broker, listener } = rig(clock, new FakeLink(clock))
  t.teardown(async () => { await broker.close() })
  for (const room of ['one', 'two', 'three']) await broker.subscribe(room)
  // Of a version of later, perhaps.
  const unknown = Buffer.from([0, 99])
  const rest = [Buffer.from('o'), Buffer.from('a 1 a 1 a 1'), Buffer.from('b'), encodeBatch([
    { room: 'one', records: [unknown] },
    { room: 'two', records: [encodeRecord('hello', {})] },
    { room: 'three', records: [encodeRecord('bad', {})] }
  ]).bytes]
  listener.then = ({ payload }) => { if (payload === 'bad') throw new Error('of a member') }
  t.throws(() => { broker.onEntry(0, 'other', rest) }, { message: /unknown kind 99/ })
  t.same(listener.texts('two'), ['hello'])
  t.same(listener.texts('three'), ['bad'])
})

t.test('of an ephemeral publication that waits for Redis, only its record is kept: what was passed in may be part of much more', async (t) => {
  const link = new FakeLink(new TestClock())
  link.run = async () => await new Promise<Reply>(() => {})
  const { broker } = rig(new TestClock(), link)
  t.teardown(async () => { await broker.close() })
  const publish = async (): Promise<WeakRef<ArrayBufferLike>> => {
    const bytes = new Uint8Array(100_000)
    await broker.publish('room', bytes.subarray(0, 10), { ephemeral: true })
    return new WeakRef(bytes.buffer)
  }
  const ref = await publish()
  await settled()
  gc()
  t.equal(ref.deref(), undefined)
})

t.test('more than a node may send at all is refused at once, also where nobody waits for Redis: it would come to the members of this node alone', async (t) => {
  const clock = new TestClock()
  const { broker, listener } = rig(clock, new FakeLink(clock))
  t.teardown(async () => { await broker.close() })
  for (const room of ['room', EVERYONE]) await broker.subscribe(room)
  const [most, more] = [33_554_430, 33_554_431].map((length) => new Uint8Array(length)) as [Uint8Array, Uint8Array]
  const refused = { code: 'FST_HUB_BROKER_UNAVAILABLE', message: /33554433 bytes, and 33554432 may wait for it/ }
  for (const [room, options] of [['room', {}], ['room', { ephemeral: true }], [EVERYONE, { ephemeral: true }]] as const) {
    await t.rejects(broker.publish(room, more, options), refused)
    t.same(listener.heard, [])
  }
  for (const ephemeral of [false, true]) {
    const publication = broker.publish('room', most, { ephemeral })
    await clock.advance(100)
    await publication
  }
  t.equal(listener.heard.length, 2)
})
