import type { Test } from 'tap'
import { EVERYONE } from '../../lib/core/ports.js'
import { InboundMessage } from '../../lib/core/message.js'
import { encodeFrame, OPCODE_TEXT, payloadOf, type Payload } from '../../lib/protocol/frame.js'
import { positionOf } from '../helpers/publishing.js'
import { brokerNodes, type BrokerFactory, type Node } from './broker-world.js'
import { HOSTILE_NAMES } from './names.js'

/** What every Broker must do: the comment of the port, as tests. Of history, see broker-history.ts. */
export function brokerContract (t: Test, factory: BrokerFactory): void {
  const nodes = async (t: Test, count: number): Promise<Node[]> => (await brokerNodes(t, factory, count)).nodes
  const one = async (t: Test): Promise<Node> => (await nodes(t, 1))[0] as Node
  const two = async (t: Test): Promise<[Node, Node]> => await nodes(t, 2) as [Node, Node]

  t.test('subscribe resolves with a position, and every later publication comes with the next offset', async (t) => {
    const { broker, listener } = await one(t)
    const start = await broker.subscribe('room')
    t.type(start.epoch, 'string')
    t.ok(start.epoch.length > 0)
    t.equal(start.offset, 0)
    for (let i = 1; i <= 3; i++) {
      t.same(positionOf(await broker.publish('room', `message ${i}`, {})), { epoch: start.epoch, offset: i })
    }
    t.same(listener.heard.map(({ offset, payload }) => [offset, payload]), [[1, 'message 1'], [2, 'message 2'], [3, 'message 3']])
    t.same(listener.gaps, [])
  })

  t.test('publish resolves after the fan-out of its own node, and says what that did', async (t) => {
    const { broker, listener } = await one(t)
    await broker.subscribe('room')
    listener.answer = { sent: 3, queued: 2, dropped: 1, rejected: 4 }
    t.match(await broker.publish('room', 'x', {}), { offset: 1, ...listener.answer })
    t.equal(listener.heard.length, 1)
  })

  t.test('publishing where this node does not listen counts nothing, and takes an offset all the same', async (t) => {
    const { broker, listener } = await one(t)
    const nothing = { sent: 0, queued: 0, dropped: 0, rejected: 0 }
    const first = await broker.publish('room', 'x', {})
    t.same(first, { epoch: first.epoch, offset: 1, ...nothing })
    first.sent = 99
    t.match(await broker.publish('room', 'x', {}), nothing, 'a result is not shared')
    t.same(listener.heard, [])
    t.same(await broker.subscribe('room'), { epoch: first.epoch, offset: 2 }, 'who subscribes later starts behind it')
  })

  t.test('text, bytes and forwarded text arrive as they are', async (t) => {
    const { broker, listener } = await one(t)
    await broker.subscribe('room')
    const bytes = new Uint8Array([0, 1, 127, 128, 255])
    await broker.publish('room', 'text ü 😀', {})
    await broker.publish('room', bytes, {})
    await broker.publish('room', new InboundMessage(Buffer.from('forwarded ü'), false), {})
    await broker.publish('room', '', {})
    await listener.atLeast(4)
    const [text, binary, forwarded, empty] = listener.heard.map(({ payload }) => payload)
    t.equal(text, 'text ü 😀')
    t.ok(binary instanceof Uint8Array && Buffer.compare(binary, bytes) === 0)
    const { opcode, payload } = payloadOf(encodeFrame(forwarded as Payload))
    t.same([opcode, payload.toString()], [OPCODE_TEXT, 'forwarded ü'], 'text stays text')
    t.equal(empty, '')
  })

  t.test('options travel with the publication', async (t) => {
    const [a, b] = await two(t)
    await a.broker.subscribe('room')
    await b.broker.subscribe('room')
    await a.broker.publish('room', 'x', { except: new Set(['one', 'two']), overflow: 'disconnect' })
    await b.listener.atLeast(1)
    for (const { listener } of [a, b]) {
      t.same([...listener.heard[0]?.options.except ?? []].sort(), ['one', 'two'])
      t.equal(listener.heard[0]?.options.overflow, 'disconnect')
    }
  })

  t.test('an ephemeral publication takes no offset', async (t) => {
    const { broker, listener } = await one(t)
    await broker.subscribe('room')
    await broker.publish('room', 'a', {})
    t.notOk('offset' in await broker.publish('room', 'typing', { ephemeral: true }))
    t.same(await broker.publish('where nobody is', 'typing', { ephemeral: true }), { sent: 0, queued: 0, dropped: 0, rejected: 0 })
    t.equal((await broker.publish('room', 'b', { ephemeral: false })).offset, 2)
    await listener.atLeast(3)
    t.same(listener.heard.map(({ offset, payload }) => [offset, payload]), [[1, 'a'], [0, 'typing'], [2, 'b']])
  })

  t.test('every node that listens hears everything once, in order, and nobody else does', async (t) => {
    const [a, b, c] = await nodes(t, 3) as [Node, Node, Node]
    const start = await a.broker.subscribe('room')
    t.same(await b.broker.subscribe('room'), start, 'one room, one position')
    await c.broker.subscribe('other')
    const results = await Promise.all(Array.from({ length: 100 }, async (_, i) => await (i % 2 === 0 ? a : b).broker.publish('room', `${i}`, {})))
    await Promise.all([a, b].map(async ({ listener }) => { await listener.atLeast(100) }))
    t.same(results.map(({ offset }) => offset).sort((x = 0, y = 0) => x - y), Array.from({ length: 100 }, (_, i) => i + 1), 'each offset once')
    for (const { listener } of [a, b]) {
      t.same(listener.heard.map(({ offset }) => offset), Array.from({ length: 100 }, (_, i) => i + 1))
      for (const [i, published] of results.entries()) {
        if (listener.heard.find(({ offset }) => offset === published.offset)?.payload !== `${i}`) t.fail(`publication ${i} came with another offset`)
      }
    }
    t.same(listener(a).filter((text) => Number(text) % 2 === 0), Array.from({ length: 50 }, (_, i) => `${2 * i}`), "a node's own calls keep their order")
    t.same(c.listener.heard, [])

    function listener (node: Node): string[] { return node.listener.texts('room') as string[] }
  })

  t.test('subscribing twice is harmless', async (t) => {
    const { broker, listener } = await one(t)
    const [first, second] = await Promise.all([broker.subscribe('room'), broker.subscribe('room')])
    t.same(first, second)
    await broker.publish('room', 'x', {})
    t.same(await broker.subscribe('room'), { ...first, offset: 1 })
    await broker.publish('room', 'y', {})
    t.same(listener.texts('room'), ['x', 'y'])
  })

  t.test('after unsubscribe nothing is heard; other rooms and other nodes are not touched', async (t) => {
    const [a, b] = await two(t)
    for (const { broker } of [a, b]) {
      await broker.subscribe('room')
      await broker.subscribe('other')
    }
    await a.broker.unsubscribe('room')
    await a.broker.unsubscribe('room')
    await a.broker.unsubscribe('never heard of')
    await b.broker.publish('room', 'x', {})
    t.match(await a.broker.publish('room', 'y', {}), { sent: 0, queued: 0, dropped: 0, rejected: 0 })
    await b.broker.publish('other', 'z', {})
    await Promise.all([a.listener.atLeast(1), b.listener.atLeast(3)])
    t.same(a.listener.heard.map(({ payload }) => payload), ['z'])
    t.same(b.listener.texts('room'), ['x', 'y'])
  })

  t.test('subscribing again continues behind what was missed', async (t) => {
    const { broker, listener } = await one(t)
    const { epoch } = await broker.subscribe('room')
    await broker.publish('room', '1', {})
    await broker.unsubscribe('room')
    await broker.publish('room', '2', {})
    t.same(await broker.subscribe('room'), { epoch, offset: 2 })
    await broker.publish('room', '3', {})
    t.same(listener.heard.map(({ offset }) => offset), [1, 3])
  })

  t.test('calls for one room take effect in the order in which they are made', async (t) => {
    const { broker, listener } = await one(t)
    await Promise.all([broker.subscribe('room'), broker.unsubscribe('room'), broker.subscribe('room')])
    await broker.publish('room', 'x', {})
    t.same(listener.texts('room'), ['x'])
    await Promise.all([broker.unsubscribe('room'), broker.subscribe('room'), broker.unsubscribe('room')])
    await broker.publish('room', 'y', {})
    t.same(listener.texts('room'), ['x'])
  })

  t.test('a broadcast reaches every node that listens for it, and has no position', async (t) => {
    const [a, b] = await two(t)
    for (const { broker } of [a, b]) await broker.subscribe(EVERYONE)
    t.notOk('epoch' in await a.broker.publish(EVERYONE, 'all', { except: new Set(['me']), ephemeral: true }))
    await b.listener.atLeast(1)
    for (const { listener } of [a, b]) {
      t.same(listener.texts(EVERYONE), ['all'])
      t.same([...listener.heard[0]?.options.except ?? []], ['me'])
    }
  })

  t.test('without history, a position is answered all the same, and only who has missed nothing has recovered', async (t) => {
    const { broker } = await one(t)
    const { epoch } = await broker.subscribe('room')
    t.same(await broker.history('room', undefined, 10), { position: { epoch, offset: 0 }, publications: [], recovered: true })
    await broker.publish('room', 'x', {})
    const now = { epoch, offset: 1 }
    t.same(await broker.history('room', undefined, 0), { position: now, publications: [], recovered: true })
    t.same(await broker.history('room', now, 10), { position: now, publications: [], recovered: true }, 'nothing was missed')
    const missed = { position: now, publications: [], recovered: false }
    t.same(await broker.history('room', { epoch, offset: 0 }, 10), missed, 'one was missed')
    t.same(await broker.history('room', { epoch: 'another', offset: 1 }, 10), missed, 'another epoch')
    t.same(await broker.history('room', { epoch, offset: 2 }, 10), missed, 'a future position')
  })

  t.test('a position that was given out does not change', async (t) => {
    const { broker } = await one(t)
    const before = await broker.subscribe('room')
    const published = await broker.publish('room', 'x', {})
    await broker.publish('room', 'y', {})
    t.equal(before.offset, 0)
    t.equal(published.offset, 1)
  })

  t.test('FAULTS 69: names that look alike are different rooms', async (t) => {
    const { broker, listener } = await one(t)
    for (const name of HOSTILE_NAMES) t.equal((await broker.subscribe(name)).offset, 0)
    for (const name of HOSTILE_NAMES) t.equal((await broker.publish(name, `for ${name}`, {})).offset, 1)
    await listener.atLeast(HOSTILE_NAMES.length)
    for (const name of HOSTILE_NAMES) t.same(listener.texts(name), [`for ${name}`])
  })

  t.test('after close nothing is heard', async (t) => {
    const [a, b] = await two(t)
    for (const { broker } of [a, b]) await broker.subscribe('room')
    await a.broker.close()
    await b.broker.publish('room', 'x', {})
    await b.listener.atLeast(1)
    t.same(a.listener.heard, [])
    t.same(b.listener.texts('room'), ['x'])
  })
}
