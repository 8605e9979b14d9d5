import type { Test } from 'tap'
import type { InboxListener, Inboxes, NodeMessage } from '../../lib/core/ports.js'
import type { NodeMessageHead } from '../../lib/core/cluster/messages.js'
import { InboundMessage } from '../../lib/core/message.js'
import type { Payload } from '../../lib/protocol/frame.js'
import { JsonText } from '../../lib/protocol/json-text.js'
import { until } from '../helpers/until.js'
import { HOSTILE_NAMES } from './names.js'

/** Nodes that can tell each other something. Each test gets its own. */
export interface InboxesWorld {
  node (listener: InboxListener): InboxNode | Promise<InboxNode>
  /** Called after the test has closed its inboxes. */
  close (): void | Promise<void>
}

export interface InboxNode { readonly id: string, readonly inboxes: Inboxes }

interface Heard { readonly from: string, readonly head: NodeMessageHead, readonly payload: NodeMessage['payload'] }

/** A node of a test, and what it has been told. */
export interface TestNode extends InboxNode { readonly heard: Heard[] }

/** A question that is told from others by its number. */
export const numbered = (id: number, payload: Payload | null = null): NodeMessage => ({ head: { kind: 'question', id, request: { op: 'fetch', user: 'ann' } }, payload })

const ids = ({ heard }: TestNode): number[] => heard.map(({ head }) => head.id)

/** Nodes for one test, which closes them. */
export async function inboxNodes (t: Test, factory: () => InboxesWorld | Promise<InboxesWorld>, count: number): Promise<TestNode[]> {
  const world = await factory()
  const nodes: TestNode[] = []
  t.teardown(async () => {
    for (const { inboxes } of nodes) await inboxes.close()
    await world.close()
  })
  for (let i = 0; i < count; i++) {
    const heard: Heard[] = []
    nodes.push({ heard, ...await world.node({ onNodeMessage: (from, { head, payload }) => { heard.push({ from, head, payload }) } }) })
  }
  return nodes
}

/** What all Inboxes must do. */
export function inboxesContract (t: Test, factory: () => InboxesWorld | Promise<InboxesWorld>): void {
  const start = async (t: Test, count: number): Promise<[TestNode, TestNode, TestNode]> => await inboxNodes(t, factory, count) as [TestNode, TestNode, TestNode]

  t.test('a message reaches the node that it is for, in a turn of its own, and no other', async (t) => {
    const [a, b, c] = await start(t, 3)
    const sent = a.inboxes.send(b.id, numbered(1, 'hello'))
    t.same(b.heard, [])
    t.equal(await sent, true)
    await until(() => b.heard.length > 0, 'the message')
    t.same(b.heard, [{ from: a.id, ...numbered(1, 'hello') }])
    // Behind which anything else would have come.
    await b.inboxes.send(c.id, numbered(2))
    await b.inboxes.send(a.id, numbered(3))
    await until(() => a.heard.length > 0 && c.heard.length > 0, 'the others')
    t.same([a, b, c].map(ids), [[3], [1], [2]])
  })

  t.test('heads of all kinds arrive as they were sent', async (t) => {
    const [a, b] = await start(t, 2)
    const heads: NodeMessageHead[] = [
      ...HOSTILE_NAMES.map((user, i): NodeMessageHead => ({ kind: 'question', id: i, request: { op: 'send', user, key: user, overflow: 'reject-new' } })),
      { kind: 'question', id: 1_000, request: { op: 'end', user: 'ann', fence: Number.MAX_SAFE_INTEGER, ids: ['x', 'y'], code: 4501, reason: 'über\n"', device: null } },
      { kind: 'question', id: 1_001, request: { op: 'stats' } },
      { kind: 'question', id: 1_003, request: { op: 'there', id: 'x' } },
      { kind: 'answer', id: 1_004, result: false },
      { kind: 'answer', id: 1_002, result: 7 }
    ]
    for (const head of heads) a.inboxes.send(b.id, { head, payload: null }).catch(t.threw)
    await until(() => b.heard.length === heads.length, () => `${heads.length} messages, got ${b.heard.length}`)
    t.same(b.heard.map(({ head }) => head), heads)
    t.ok(b.heard.every(({ payload }) => payload === null))
  })

  t.test('payloads of all kinds arrive as they were sent', async (t) => {
    const [a, b] = await start(t, 2)
    const bytes = Buffer.from([0, 1, 2, 255])
    const sent: Payload[] = ['text', '', 'über 😀', new JsonText('{"a":[1,null]}'), bytes, new Uint8Array(0), new Uint8Array([7]), 'x'.repeat(1024 * 1024), new InboundMessage(Buffer.from('of a peer'), false), new InboundMessage(Buffer.from([9, 8]), true)]
    for (const [i, payload] of sent.entries()) a.inboxes.send(b.id, numbered(i, payload)).catch(t.threw)
    await until(() => b.heard.length === sent.length, () => `${sent.length} messages, got ${b.heard.length}`)
    const shown = b.heard.map(({ payload }) => payload instanceof JsonText ? { json: payload.text } : payload instanceof Uint8Array ? { bytes: [...payload] } : payload)
    t.same(shown, ['text', '', 'über 😀', { json: '{"a":[1,null]}' }, { bytes: [0, 1, 2, 255] }, { bytes: [] }, { bytes: [7] }, 'x'.repeat(1024 * 1024), 'of a peer', { bytes: [9, 8] }])
  })

  t.test('bytes may be changed when send has returned', async (t) => {
    const [a, b] = await start(t, 2)
    const bytes = Buffer.from('before')
    const message = new InboundMessage(Buffer.from('before'), false)
    const sent = [a.inboxes.send(b.id, numbered(1, bytes)), a.inboxes.send(b.id, numbered(2, message))]
    bytes.fill('x')
    message.bytes.fill('x')
    await Promise.all(sent)
    await until(() => b.heard.length === 2, 'both')
    t.same(b.heard.map(({ payload }) => String(payload as Payload)), ['before', 'before'])
  })

  t.test('of one sender in the order of its calls, awaited or not', async (t) => {
    const [a, b, c] = await start(t, 3)
    const COUNT = 300
    for (let i = 0; i < COUNT; i++) {
      const sent = [a.inboxes.send(c.id, numbered(i)), b.inboxes.send(c.id, numbered(i))]
      if (i % 50 === 0) await Promise.all(sent)
    }
    await until(() => c.heard.length >= 2 * COUNT, () => `${2 * COUNT} messages, got ${c.heard.length}`)
    for (const { id } of [a, b]) t.same(c.heard.filter(({ from }) => from === id).map(({ head }) => head.id), Array.from({ length: COUNT }, (_, i) => i))
    t.equal(c.heard.length, 2 * COUNT)
  })

  t.test('a listener may send', async (t) => {
    const world = await factory()
    const heard: string[] = []
    const nodes: InboxNode[] = []
    t.teardown(async () => {
      for (const { inboxes } of nodes) await inboxes.close()
      await world.close()
    })
    const echo = await world.node({
      onNodeMessage: (from, { head }) => { if (head.kind === 'question') echo.inboxes.send(from, { head: { kind: 'answer', id: head.id, result: 1 }, payload: null }).catch(t.threw) }
    })
    const asking = await world.node({ onNodeMessage: (from, { head }) => { heard.push(`${head.kind} ${head.id} ${from === echo.id}`) } })
    nodes.push(echo, asking)
    await asking.inboxes.send(echo.id, numbered(5))
    await until(() => heard.length > 0, 'the answer')
    t.same(heard, ['answer 5 true'])
  })

  t.test('the nodes are those that live, the one that asks included', async (t) => {
    const [a, b, c] = await start(t, 3)
    for (const { inboxes } of [a, b, c]) t.same(await living(inboxes), [a.id, b.id, c.id].sort())
    await c.inboxes.close()
    t.same(await living(a.inboxes), [a.id, b.id].sort())
  })

  t.test('whoever has ended, or never was, has no inbox', async (t) => {
    const [a, b] = await start(t, 2)
    t.equal(await a.inboxes.send('nobody', numbered(1)), false)
    t.equal(await a.inboxes.send(b.id, numbered(2)), true)
    await until(() => b.heard.length === 1, 'the message')
    await b.inboxes.close()
    t.equal(await a.inboxes.send(b.id, numbered(3)), false)
    t.same(ids(b), [2])
  })

  t.test('nothing comes after close, also what was there before', async (t) => {
    const [a, b, c] = await start(t, 3)
    const sent = a.inboxes.send(b.id, numbered(1))
    const closed = b.inboxes.close()
    await sent
    await closed
    const { length } = b.heard
    await a.inboxes.send(c.id, numbered(2))
    await until(() => c.heard.length === 1, 'a later message')
    t.equal(b.heard.length, length)
    await b.inboxes.close()
  })
}

/** Of all for certain: nothing has happened to them. */
async function living (inboxes: Inboxes): Promise<string[]> {
  const { ids, complete } = await inboxes.nodes()
  if (!complete) throw new Error('there may be others')
  return [...ids].sort()
}
