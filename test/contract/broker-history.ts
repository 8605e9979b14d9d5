import type { Test } from 'tap'
import { InboundMessage } from '../../lib/core/message.js'
import type { HistoryPolicy, Publication } from '../../lib/core/ports.js'
import { JsonText } from '../../lib/protocol/json-text.js'
import { encodeFrame, payloadOf } from '../../lib/protocol/frame.js'
import { publishNumbers } from '../helpers/publishing.js'
import { brokerNodes, type BrokerFactory, type Node } from './broker-world.js'
import { HOSTILE_NAMES } from './names.js'

const log = (size: number, ttl = 0): HistoryPolicy => ({ size, ttl, mode: 'log' })
const cache = (ttl = 0): HistoryPolicy => ({ size: 100, ttl, mode: 'cache' })

/** What an encoded message says, whatever its form in process. */
const bodies = (publications: readonly Publication[]): string[] => publications.map(({ payload }) => payloadOf(encodeFrame(payload)).payload.toString())
const offsets = (publications: readonly Publication[]): number[] => publications.map(({ offset }) => offset)

/** What every Broker must keep of a room's publications. */
export function brokerHistoryContract (t: Test, factory: BrokerFactory): void {
  const one = async (t: Test, rooms: Record<string, HistoryPolicy>): Promise<Node & { advance: (ms: number) => Promise<void> }> => {
    const { nodes: [node], advance } = await brokerNodes(t, factory, 1, rooms)
    return { ...node as Node, advance }
  }

  t.test('who knows a position gets all publications behind it, in order', async (t) => {
    const { broker } = await one(t, { room: log(10) })
    const start = await broker.subscribe('room')
    const head = await publishNumbers(broker, 'room', 1, 5)
    for (let missed = 0; missed <= 5; missed++) {
      const { position, publications, recovered } = await broker.history('room', { epoch: start.epoch, offset: 5 - missed }, 0)
      t.equal(recovered, true)
      t.same(position, head)
      t.same(bodies(publications), ['1', '2', '3', '4', '5'].slice(5 - missed))
      t.same(offsets(publications), [1, 2, 3, 4, 5].slice(5 - missed))
    }
    t.same(bodies((await broker.history('room', undefined, 0)).publications), ['1', '2', '3', '4', '5'], 'all of them without a position')
  })

  t.test('never a part: another epoch, a position from the future, or one from before what is kept', async (t) => {
    const { broker } = await one(t, { room: log(3) })
    const { epoch } = await publishNumbers(broker, 'room', 1, 5)
    const lost = { position: { epoch, offset: 5 }, publications: [], recovered: false }
    t.same(await broker.history('room', { epoch: 'another', offset: 4 }, 0), lost)
    t.same(await broker.history('room', { epoch: 'another', offset: 5 }, 0), lost)
    t.same(await broker.history('room', { epoch, offset: 6 }, 0), lost)
    t.same(await broker.history('room', { epoch, offset: 1 }, 0), lost)
    t.same(await broker.history('room', { epoch, offset: 0 }, 0), lost)
    const { publications, recovered } = await broker.history('room', { epoch, offset: 2 }, 0)
    t.same([bodies(publications), recovered], [['3', '4', '5'], true], 'the oldest that is kept is the next one')
  })

  t.test('as many are kept as the policy says', async (t) => {
    const { broker } = await one(t, { one: log(1), three: log(3) })
    for (let i = 1; i <= 10; i++) {
      for (const [room, size] of [['one', 1], ['three', 3]] as const) {
        await publishNumbers(broker, room, i, i)
        const { publications, recovered } = await broker.history(room, undefined, 0)
        t.equal(recovered, true)
        t.same(offsets(publications), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].slice(Math.max(0, i - size), i))
      }
    }
  })

  t.test('a limit takes the oldest; the rest follows from there', async (t) => {
    const { broker } = await one(t, { room: log(10) })
    const head = await publishNumbers(broker, 'room', 1, 7)
    const seen: string[] = []
    let since = { epoch: head.epoch, offset: 0 }
    for (let rounds = 0; rounds < 3; rounds++) {
      const { position, publications, recovered } = await broker.history('room', since, 3)
      t.same([position, recovered], [head, true])
      seen.push(...bodies(publications))
      since = { epoch: head.epoch, offset: publications.at(-1)?.offset ?? NaN }
    }
    t.same(seen, ['1', '2', '3', '4', '5', '6', '7'])
    t.same(since, head)
    t.same(offsets((await broker.history('room', undefined, 2)).publications), [1, 2])
    t.same(offsets((await broker.history('room', { epoch: head.epoch, offset: 5 }, 100)).publications), [6, 7])
  })

  t.test('each is kept for the time that the policy says', async (t) => {
    const { broker, advance } = await one(t, { room: log(10, 2_000), cached: cache(2_000), lasting: log(10) })
    const rooms = ['room', 'cached', 'lasting']
    for (const room of rooms) await publishNumbers(broker, room, 1, 1)
    await advance(1_100)
    for (const room of rooms) await publishNumbers(broker, room, 2, 2)
    t.same(offsets((await broker.history('room', undefined, 0)).publications), [1, 2])
    await advance(1_100)
    t.same(offsets((await broker.history('room', undefined, 0)).publications), [2], 'the first is too old')
    t.same(offsets((await broker.history('cached', undefined, 0)).publications), [2])
    await advance(1_100)
    t.same((await broker.history('room', undefined, 0)).publications, [])
    t.same((await broker.history('cached', undefined, 0)).publications, [])
    t.same(offsets((await broker.history('lasting', undefined, 0)).publications), [1, 2], '0 is no limit')
  })

  t.test('the position outlives what was kept: a quiet room recovers', async (t) => {
    const { broker, advance } = await one(t, { room: log(10, 500), cached: cache(500) })
    for (const room of ['room', 'cached']) {
      const head = await publishNumbers(broker, room, 1, 2)
      await advance(1_000)
      t.same(await broker.history(room, head, 0), { position: head, publications: [], recovered: true }, 'nothing was missed')
      t.same(await broker.history(room, { epoch: head.epoch, offset: 1 }, 0), { position: head, publications: [], recovered: false }, 'what was missed has gone')
      t.same(await broker.history(room, undefined, 0), { position: head, publications: [], recovered: true })
      t.same(await broker.subscribe(room), head)
      t.same(await publishNumbers(broker, room, 3, 3), { epoch: head.epoch, offset: 3 }, 'and it goes on')
      t.same(bodies((await broker.history(room, head, 0)).publications), ['3'])
    }
  })

  t.test('a cache has the latest only, and that is enough', async (t) => {
    const { broker } = await one(t, { room: cache() })
    const start = await broker.subscribe('room')
    t.same(await broker.history('room', start, 0), { position: start, publications: [], recovered: true })
    const head = await publishNumbers(broker, 'room', 1, 5)
    for (const offset of [0, 3, 4]) {
      const { position, publications, recovered } = await broker.history('room', { epoch: start.epoch, offset }, 0)
      t.same([position, bodies(publications), offsets(publications), recovered], [head, ['5'], [5], true])
    }
    t.same(bodies((await broker.history('room', undefined, 0)).publications), ['5'])
    t.same(await broker.history('room', head, 0), { position: head, publications: [], recovered: true })
    const lost = { position: head, publications: [], recovered: false }
    t.same(await broker.history('room', { epoch: head.epoch, offset: 6 }, 0), lost, 'from the future')
    t.same(await broker.history('room', { epoch: 'another', offset: 4 }, 0), lost, 'another epoch')
  })

  t.test('an ephemeral publication is never kept', async (t) => {
    const { broker } = await one(t, { room: log(10), cached: cache() })
    for (const room of ['room', 'cached']) {
      const head = await publishNumbers(broker, room, 1, 1)
      await broker.publish(room, 'typing', { ephemeral: true })
      const { position, publications } = await broker.history(room, undefined, 0)
      t.same([position, bodies(publications)], [head, ['1']])
    }
  })

  t.test('text, JSON, bytes and messages of a peer are kept as what they are', async (t) => {
    const { broker } = await one(t, { room: log(10) })
    await broker.publish('room', 'text ü 😀', {})
    await broker.publish('room', new JsonText('{"a":1}'), {})
    await broker.publish('room', new Uint8Array([0, 128, 255]), {})
    await broker.publish('room', new InboundMessage(Buffer.from('\ufeffforwarded ü'), false), {})
    await broker.publish('room', new InboundMessage(Buffer.from([255, 0]), true), {})
    await broker.publish('room', '', {})
    await broker.publish('room', new Uint8Array(0), {})
    const [text, json, bytes, forwardedText, forwardedBytes, nothing, noBytes] = (await broker.history('room', undefined, 0)).publications.map(({ payload }) => payload)
    t.equal(text, 'text ü 😀')
    t.ok(json instanceof JsonText && json.text === '{"a":1}', 'JSON is told from text')
    t.ok(bytes instanceof Uint8Array && Buffer.compare(bytes, Buffer.from([0, 128, 255])) === 0)
    t.equal(forwardedText, '\ufeffforwarded ü')
    t.ok(forwardedBytes instanceof Uint8Array && Buffer.compare(forwardedBytes, Buffer.from([255, 0])) === 0)
    t.equal(nothing, '')
    t.ok(noBytes instanceof Uint8Array && noBytes.length === 0)
  })

  t.test('what the caller does with its bytes later does not change what is kept', async (t) => {
    const { broker } = await one(t, { room: log(10) })
    const bytes = Buffer.from('bytes')
    const seen = new InboundMessage(Buffer.from('seen'), false)
    const unseen = new InboundMessage(Buffer.from('unseen'), true)
    seen.bytes.fill('s')
    const calls = [bytes, seen, unseen].map(async (payload) => await broker.publish('room', payload, {}))
    for (const own of [bytes, seen.bytes, unseen.bytes]) own.fill('!')
    await Promise.all(calls)
    t.same(bodies((await broker.history('room', undefined, 0)).publications), ['bytes', 'ssss', 'unseen'])
  })

  t.test('options are kept with the publication', async (t) => {
    const { broker } = await one(t, { room: log(10) })
    await broker.publish('room', 'x', { except: new Set(['one', 'two']), overflow: 'disconnect' })
    const [publication] = (await broker.history('room', undefined, 0)).publications
    t.same([...publication?.options.except ?? []].sort(), ['one', 'two'])
    t.equal(publication?.options.overflow, 'disconnect')
  })

  t.test('an answer does not change, and changing it changes nothing', async (t) => {
    const { broker } = await one(t, { room: log(2) })
    const head = await publishNumbers(broker, 'room', 1, 2)
    const before = await broker.history('room', undefined, 0)
    const changed = await broker.history('room', undefined, 0)
    changed.position.offset = 99;
    (changed.publications as Publication[]).length = 0
    await publishNumbers(broker, 'room', 3, 4)
    t.same([before.position, bodies(before.publications)], [head, ['1', '2']])
    const { position, publications } = await broker.history('room', undefined, 0)
    t.same([position, bodies(publications)], [{ epoch: head.epoch, offset: 4 }, ['3', '4']])
  })

  t.test('all nodes have one history, whether they listen or not, and it holds what each listener heard', async (t) => {
    const [a, b, c] = (await brokerNodes(t, factory, 3, { room: log(100) })).nodes as [Node, Node, Node]
    const start = await a.broker.subscribe('room')
    await Promise.all(Array.from({ length: 100 }, async (_, i) => await (i % 2 === 0 ? a : b).broker.publish('room', `${i}`, {})))
    await a.listener.atLeast(100)
    const histories = await Promise.all([a, b, c].map(async ({ broker }) => await broker.history('room', start, 0)))
    for (const { position, publications, recovered } of histories) {
      t.same([position.offset, recovered], [100, true])
      t.same(bodies(publications), a.listener.texts('room'))
    }
  })

  t.test('what has reached a listener is in the history already', async (t) => {
    const { broker, listener } = await one(t, { room: log(10) })
    const start = await broker.subscribe('room')
    const asked: Array<Promise<number[]>> = []
    listener.then = () => { asked.push(broker.history('room', start, 0).then(({ publications }) => offsets(publications))) }
    await publishNumbers(broker, 'room', 1, 3)
    await listener.atLeast(3)
    for (const [i, found] of (await Promise.all(asked)).entries()) t.ok(found.includes(i + 1), `publication ${i + 1}`)
  })

  t.test('FAULTS 69: names that look alike have histories of their own', async (t) => {
    const { broker } = await one(t, Object.fromEntries(HOSTILE_NAMES.map((name) => [name, log(10)])))
    for (const name of HOSTILE_NAMES) await broker.publish(name, `for ${name}`, {})
    for (const name of HOSTILE_NAMES) t.same(bodies((await broker.history(name, undefined, 0)).publications), [`for ${name}`])
  })
}
