import t from 'tap'
import type { Bus } from '../../../lib/redis/bus.js'
import { RedisBroker } from '../../../lib/redis/broker.js'
import { Keys } from '../../../lib/redis/keys.js'
import type { LinkListener, RedisLink, Reply } from '../../../lib/redis/link.js'
import { encodeBatch, encodeRecord } from '../../../lib/redis/publication-codec.js'
import type { Script } from '../../../lib/redis/script.js'
import { TestClock } from '../../../lib/testing/test-clock.js'
import { FakeListener } from '../../helpers/fake-listener.js'

const NOTHING = { sent: 0, queued: 0, dropped: 0, rejected: 0 }

/** A Redis with one room, in which other nodes have published before this one heard of it. */
class FakeLink {
  readonly #clock: TestClock
  isReady = true
  readonly why = new Error('it has gone')
  /** The place that the next publication gets. */
  next = 1
  readonly #listeners: LinkListener[] = []

  constructor (clock: TestClock) { this.#clock = clock }

  get now (): number { return this.#clock.monotonic() }

  listen (listener: LinkListener): void { this.#listeners.push(listener) }

  async insist<T> (step: () => Promise<T>): Promise<T> { return await step() }

  async run (script: Script): Promise<Reply> {
    if (!this.isReady) throw this.why
    if (script.source.includes('Publishes a batch')) return Buffer.from(`1 a ${this.next++}`)
    if (script.source.includes('Where rooms stand')) return [Buffer.from('0'), Buffer.from('a'), Buffer.from('0')]
    throw new Error('the log cannot be asked')
  }
}

t.test('a publication whose turn does not come is answered in time, and goes to the members here when it does', async (t) => {
  const clock = new TestClock()
  const link = new FakeLink(clock)
  const bus = { listen: () => {}, hold: async () => {}, release: () => {}, confirmed: () => {}, progress: () => ({ sequence: 0, readAt: -Infinity }) }
  const listener = new FakeListener()
  const broker = new RedisBroker({
    link: link as unknown as RedisLink, bus: bus as unknown as Bus, keys: new Keys('hub', 1), nodeId: 'node', clock, policyOf: () => ({ size: 0, ttl: 0, mode: 'log' }), timeout: 1_000, busLength: 100
  }, listener)
  t.teardown(async () => { await broker.close() })
  await broker.subscribe('room')
  link.next = 2
  const publication = broker.publish('room', 'behind', {})
  await clock.advance(100)
  link.isReady = false
  await clock.advance(800)
  t.same(listener.heard, [])
  await clock.advance(200)
  t.same(await publication, { position: { epoch: 'a', offset: 2 }, local: NOTHING })
  const { bytes } = encodeBatch([{ room: 'room', records: [encodeRecord('before', {})] }])
  // What comes before it has not been lost: it has been late.
  broker.onEntry(0, 'other', [Buffer.from('o'), Buffer.from('a 1'), Buffer.from('b'), bytes], 1)
  t.same(listener.texts('room'), ['before', 'behind'])
})
