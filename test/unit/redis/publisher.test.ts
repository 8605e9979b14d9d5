import t from 'tap'
import { noFanOut } from '../../../lib/core/fan-out.js'
import type { PublishResult } from '../../../lib/core/types.js'
import { Keys } from '../../../lib/redis/keys.js'
import type { LinkListener, RedisLink, Reply } from '../../../lib/redis/link.js'
import { Outgoing } from '../../../lib/redis/outgoing.js'
import { placesOf, sectionsOf } from '../../../lib/redis/publication-codec.js'
import { Publisher, type RoomTerms } from '../../../lib/redis/publisher.js'
import { TestClock } from '../../../lib/testing/test-clock.js'
import { settled } from '../../helpers/until.js'

const TERMS: RoomTerms = { known: null, policy: { size: 0, ttl: 0, mode: 'log' }, lasting: 1_000 }

interface Asked { readonly keys: readonly string[], readonly args: ReadonlyArray<string | number | Buffer>, readonly answer: (reply: Reply) => void, readonly fail: (error: Error) => void }

/** A link whose answers the test gives. */
class FakeLink {
  readonly #clock: TestClock
  isReady = true
  readonly why = new Error('it has gone')
  readonly asked: Asked[] = []
  /** Answers at once, where it is not null. */
  error: Error | null = null
  listener: LinkListener | null = null

  constructor (clock: TestClock) { this.#clock = clock }

  get now (): number { return this.#clock.monotonic() }

  listen (listener: LinkListener): void { this.listener = listener }

  async run (_script: unknown, keys: Asked['keys'], args: Asked['args']): Promise<Reply> {
    return await new Promise<Reply>((resolve, reject) => {
      this.asked.push({ keys, args, answer: resolve, fail: reject })
      if (this.error !== null) reject(this.error)
    })
  }
}

function rig (isCluster = false): { keys: Keys, clock: TestClock, link: FakeLink, publisher: Publisher, confirmed: string[], publish: (room: string, text: string) => Promise<string> } {
  const clock = new TestClock()
  const link = new FakeLink(clock)
  const keys = new Keys('hub', 4, isCluster)
  const confirmed: string[] = []
  const publisher = new Publisher(link as unknown as RedisLink, {
    keys,
    nodeId: 'node',
    clock,
    timeout: 1_000,
    busLength: 100,
    termsOf: () => TERMS,
    onConfirmed: (room, { epoch, offset }, outgoing) => {
      confirmed.push(`${room}: ${epoch} ${offset}`)
      for (const each of outgoing) each.done(noFanOut())
    }
  })
  return {
    keys,
    clock,
    link,
    publisher,
    confirmed,
    publish: async (room, text) => {
      try {
        const { epoch = '', offset = 0 } = await new Promise<PublishResult>((resolve, reject) => { publisher.publish(new Outgoing(room, text, {}, resolve, reject)) })
        return `${epoch} ${offset}`
      } catch (error) {
        return (error as Error).message
      }
    }
  }
}

const lost = (): Error => Object.assign(new Error('Redis is not available'), { cause: new Error('the stream is not writable') })
const refused = (word: string): Error => Object.assign(new Error(`Redis is not available: ${word}`), { cause: Object.assign(new Error(`${word} it says`), { name: 'ReplyError' }) })

t.test('what one turn publishes leaves as one batch per partition, and what comes meanwhile as the next one', async (t) => {
  const { link, publish } = rig()
  const first = [publish('room', '1'), publish('room', '2')]
  await settled()
  t.equal(link.asked.length, 1)
  const later = [publish('room', '3'), publish('room', '4')]
  await settled()
  t.equal(link.asked.length, 1, 'one at a time')
  link.asked[0]?.answer(Buffer.from('a 2'))
  t.same(await Promise.all(first), ['a 1', 'a 2'])
  t.equal(link.asked.length, 2)
  link.asked[1]?.answer(Buffer.from('a 4'))
  t.same(await Promise.all(later), ['a 3', 'a 4'])
  t.same(link.asked.map(({ args }) => args[1]), [1, 2], 'numbered')
})

t.test('on one server all rooms are on one bus; on a Redis Cluster, where no script can span slots, each partition has its own', async (t) => {
  // Of different partitions.
  const rooms = ['room 1', 'room 2'] as const
  const [one, other] = rooms
  const single = rig()
  const both = [single.publish(one, '1'), single.publish(other, '2')]
  await settled()
  t.equal(single.link.asked.length, 1)
  const { keys } = single
  t.same(single.link.asked[0]?.keys, [keys.bus(0), keys.batches(0), ...rooms.flatMap((room) => [keys.meta(room), keys.log(room)])])
  single.link.asked[0]?.answer(Buffer.from('a 1 b 1'))
  t.same(await Promise.all(both), ['a 1', 'b 1'])

  const cluster = rig(true)
  const [first, second] = [cluster.publish(one, '1'), cluster.publish(other, '2')]
  await settled()
  t.same(cluster.link.asked.map(({ keys: [bus] }) => bus), rooms.map((room) => keys.bus(keys.partitionOf(room))))
  t.not(keys.partitionOf(one), keys.partitionOf(other))
  const next = cluster.publish(one, '3')
  await settled()
  t.equal(cluster.link.asked.length, 2, 'one at a time on each bus')
  cluster.link.asked[1]?.answer(Buffer.from('b 1'))
  t.equal(await second, 'b 1')
  cluster.link.asked[0]?.answer(Buffer.from('a 1'))
  t.equal(await first, 'a 1')
  cluster.link.asked[2]?.answer(Buffer.from('a 2'))
  t.equal(await next, 'a 2')
})

t.test('a batch is within bounds', async (t) => {
  const { link, publish } = rig()
  const big = 'x'.repeat(200 * 1024)
  const results = [publish('room', big), publish('room', big), ...Array.from({ length: 600 }, async () => await publish('room', 'small'))]
  for (const [i, last] of [1, 514, 602].entries()) {
    await settled()
    link.asked[i]?.answer(Buffer.from(`batch${i} ${last}`))
  }
  t.same((await Promise.all(results)).map((result) => result.split(' ')[0]), [0, ...new Array<number>(512).fill(1), ...new Array<number>(89).fill(2)].map((i) => `batch${i}`))
})

t.test('a batch whose answer is lost is sent again under its number, when Redis is there', async (t) => {
  const { link, publish } = rig()
  const result = publish('room', '1')
  await settled()
  link.isReady = false
  link.asked[0]?.fail(lost())
  await settled()
  t.equal(link.asked.length, 1)
  link.isReady = true
  link.listener?.onReady()
  await settled()
  t.equal(link.asked.length, 2)
  t.same(link.asked[1]?.args, link.asked[0]?.args)
  link.asked[1]?.answer(Buffer.from('a 1'))
  t.equal(await result, 'a 1')
})

t.test('a connection that has gone, but has not told, is not asked over and over within a turn', async (t) => {
  const { clock, link, publish } = rig()
  await settled()
  link.error = lost()
  const result = publish('room', '1')
  await settled()
  t.equal(link.asked.length, 1)
  await clock.advance(1_000)
  t.ok(link.asked.length <= 11, `${link.asked.length} times in a second`)
  t.match(await result, /not confirmed within 1000 ms/)
  t.equal(clock.timers, 0)
})

t.test('what Redis can not do now is tried again; what it will not do is not', async (t) => {
  const { clock, link, publish } = rig()
  const later = publish('room', '1')
  await settled()
  link.asked[0]?.fail(refused('LOADING'))
  await clock.advance(100)
  link.asked[1]?.answer(Buffer.from('a 1'))
  t.equal(await later, 'a 1')
  const never = [publish('room', '2'), publish('room', '3')]
  await settled()
  const next = publish('room', '4')
  await settled()
  link.asked[2]?.fail(refused('OOM'))
  t.same(await Promise.all(never), ['Redis is not available: OOM', 'Redis is not available: OOM'])
  await settled()
  link.asked[3]?.answer(Buffer.from('a 2'))
  t.equal(await next, 'a 2')
})

t.test('who waited in vain is told what Redis has said', async (t) => {
  const { clock, link, publish } = rig()
  link.error = refused('TRYAGAIN')
  const result = publish('room', '1')
  await clock.advance(1_200)
  t.match(await result, /not confirmed within 1000 ms: TRYAGAIN it says/)
})

t.test('each waits no longer than it may, be it with Redis or before it', async (t) => {
  const { clock, link, publisher, publish } = rig()
  const asked = publish('room', '1')
  await settled()
  await clock.advance(500)
  const waiting = publish('room', '2')
  await clock.advance(600)
  t.match(await asked, /Redis did not answer/)
  t.equal(publisher.waiting, 1)
  // It comes all the same, and is nobody's any more.
  link.asked[0]?.answer(Buffer.from('a 1'))
  await settled()
  t.equal(link.asked.length, 2)
  link.asked[1]?.answer(Buffer.from('a 2'))
  t.equal(await waiting, 'a 2')
  t.equal(publisher.waiting, 0)
})

t.test('who has waited before for a batch to leave waits no longer for that', async (t) => {
  const { clock, link, publisher, confirmed, publish } = rig()
  const first = publish('room', '1')
  await settled()
  const early = publish('room', '2')
  await clock.advance(900)
  const late = publish('room', '3')
  link.asked[0]?.answer(Buffer.from('a 1'))
  t.equal(await first, 'a 1')
  t.equal(link.asked.length, 2, 'both are in one batch')
  await clock.advance(100)
  t.match(await early, /not confirmed within 1000 ms/)
  t.equal(publisher.waiting, 1)
  link.asked[1]?.fail(refused('LOADING'))
  await clock.advance(100)
  t.same(link.asked[2]?.args, link.asked[1]?.args, 'the same batch once more, for the other one')
  link.asked[2]?.answer(Buffer.from('a 3'))
  t.equal(await late, 'a 3')
  t.same(confirmed, ['room: a 1', 'room: a 3'])
  t.equal(publisher.waiting, 0)
})

t.test('of what is lost when it can not wait, no more waits than of the rest, and none of that is kept out', async (t) => {
  const { clock, link, publisher, publish } = rig()
  const send = (count: number, bytes: number): void => {
    for (let i = 0; i < count; i++) {
      const outgoing = new Outgoing('room', 'x'.repeat(bytes), { ephemeral: true }, () => {}, t.threw)
      outgoing.done(noFanOut())
      publisher.send(outgoing)
    }
  }
  /** Answers all batches. @returns how many came */
  const come = async (): Promise<number> => {
    let count = 0
    await settled()
    for (let asked = link.asked.shift(); asked !== undefined; asked = link.asked.shift()) {
      const batch = asked.args[4] as Buffer
      for (const section of sectionsOf(batch)) count += placesOf(batch, section).length / 2
      asked.answer(Buffer.from('a 1'))
      await settled()
    }
    return count
  }
  send(20_100, 1)
  const kept = publish('room', '1')
  t.equal(publisher.waiting, 1)
  t.equal(await come(), 20_001)
  t.equal(await kept, 'a 1')
  send(40, 1_000_000)
  t.equal(await come(), 33, '32 MiB')
  send(20_000, 1)
  await settled()
  await clock.advance(1_100)
  send(20_000, 1)
  t.equal(await come(), 512 + 20_000, 'what was given up makes room')
  send(20_000, 1)
  await settled()
  link.listener?.onAway(lost())
  send(20_000, 1)
  t.equal(await come(), 20_000, 'and what was lost')
})

t.test('all that are late at once are told by one error: its trace is most of what each would cost', async (t) => {
  const { clock, link, publisher } = rig()
  const errors: unknown[] = []
  for (let i = 0; i < 600; i++) publisher.publish(new Outgoing('room', 'x', {}, () => {}, (error) => { errors.push(error) }))
  await settled()
  t.equal(link.asked.length, 1)
  await clock.advance(1_100)
  t.same([errors.length, new Set(errors).size], [600, 1])
})

t.test('closing rejects what waits', async (t) => {
  const { clock, publisher, publish } = rig()
  const results = [publish('room', '1'), publish('other', '2')]
  await settled()
  publisher.close()
  for (const result of await Promise.all(results)) t.match(result, /closed/)
  t.match(await publish('room', '3'), /closed/)
  t.equal(clock.timers, 0)
})
