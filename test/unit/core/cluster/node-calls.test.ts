import t, { type Test } from 'tap'
import type { NodeMessageHead, NodeRequest } from '../../../../lib/core/cluster/messages.js'
import { ANSWER_MS, NodeCalls, type Answerer } from '../../../../lib/core/cluster/node-calls.js'
import type { InboxListener, NodeMessage } from '../../../../lib/core/ports.js'
import { TimingWheel } from '../../../../lib/core/timing-wheel.js'
import { MemoryInboxes, MemoryMesh } from '../../../../lib/memory/inboxes.js'
import { TestClock } from '../../../../lib/testing/test-clock.js'

const FETCH: NodeRequest & { op: 'fetch' } = { op: 'fetch', user: 'ann' }

class World {
  readonly clock = new TestClock()
  readonly mesh = new MemoryMesh(this.clock)
  readonly wheel = new TimingWheel(this.clock, (error) => { this.reports.push(error) })
  readonly reports: unknown[] = []

  constructor (t: Test) {
    this.wheel.start()
    t.teardown(() => { this.wheel.stop() })
  }

  node (nodeId: string, answerer: Answerer = () => 0): NodeCalls {
    return new NodeCalls({ nodeId, wheel: this.wheel, report: (error) => { this.reports.push(error) } }, (id, listener) => new MemoryInboxes(this.mesh, id, listener), answerer)
  }

  /** A node that the test plays. */
  bare (nodeId: string, onNodeMessage: InboxListener['onNodeMessage'] = () => {}): { inboxes: MemoryInboxes, heard: NodeMessageHead[], send: (head: unknown, to?: string) => Promise<boolean> } {
    const heard: NodeMessageHead[] = []
    const inboxes: MemoryInboxes = new MemoryInboxes(this.mesh, nodeId, {
      onNodeMessage: (from, message) => {
        heard.push(message.head)
        onNodeMessage(from, message)
      }
    })
    return { inboxes, heard, send: async (head, to = 'me') => await inboxes.send(to, { head, payload: null } as NodeMessage) }
  }
}

t.test('each node is asked once, and its answer told', async (t) => {
  const world = new World(t)
  const me = world.node('me')
  const asked: unknown[] = []
  for (const [i, name] of ['a', 'b', 'c'].entries()) {
    world.node(name, (request, payload) => {
      asked.push([name, request, payload])
      return i
    })
  }
  t.same((await me.others()).ids.slice().sort(), ['a', 'b', 'c'])
  const outcome = me.ask(['a', 'c'], FETCH, 'payload', ANSWER_MS)
  await world.clock.settle()
  const { answers, complete } = await outcome
  t.same([...answers], [['a', 0], ['c', 2]])
  t.equal(complete, true)
  t.same(asked, [['a', FETCH, 'payload'], ['c', FETCH, 'payload']])
  t.equal(world.wheel.size, 0, 'no deadline is left')
})

t.test('nobody to be asked: an answer at once', async (t) => {
  const world = new World(t)
  t.same(await world.node('me').ask([], FETCH, null, ANSWER_MS), { answers: new Map(), complete: true })
})

t.test('who does not answer in time is not waited for', async (t) => {
  const world = new World(t)
  const me = world.node('me')
  world.node('quick', () => 7)
  const slow = world.bare('slow')
  let outcome: unknown
  me.ask(['quick', 'slow'], FETCH, null, 300).then((result) => { outcome = result }).catch(t.threw)
  await world.clock.advance(290)
  t.equal(outcome, undefined)
  await world.clock.advance(110)
  t.same(outcome, { answers: new Map([['quick', 7]]), complete: false })
  const [{ id }] = slow.heard as [NodeMessageHead]
  await slow.send({ kind: 'answer', id, result: 1 })
  await world.clock.settle()
  t.same(outcome, { answers: new Map([['quick', 7]]), complete: false }, 'too late')
})

t.test('who has no inbox, and who can not be told, is not waited for', async (t) => {
  const world = new World(t)
  const me = world.node('me')
  t.same(await me.ask(['gone'], FETCH, null, ANSWER_MS), { answers: new Map(), complete: false })
  world.node('there', () => 3)
  world.mesh.detach('me')
  t.same(await me.ask(['there'], FETCH, null, ANSWER_MS), { answers: new Map(), complete: false })
  t.equal(world.wheel.size, 0)
})

t.test('only an answer of those that were asked counts, and only one that says what was asked for', async (t) => {
  const world = new World(t)
  const me = world.node('me')
  const results: unknown[] = []
  const ask = (request: NodeRequest): void => {
    me.ask(['a', 'b'], request, null, 1_000).then(({ answers, complete }) => { results.push([...answers], complete) }).catch(t.threw)
  }
  const [a, b, stranger] = [world.bare('a'), world.bare('b'), world.bare('stranger')]
  ask(FETCH)
  await world.clock.settle()
  const [{ id }] = a.heard as [NodeMessageHead]
  await stranger.send({ kind: 'answer', id, result: 100 })
  await a.send({ kind: 'answer', id, result: 1 })
  await a.send({ kind: 'answer', id, result: 2 })
  await b.send({ kind: 'answer', id: id + 1, result: 3 })
  await b.send({ kind: 'answer', id, result: 'many' })
  await world.clock.settle()
  t.same(results, [[['a', 1]], false])
  results.length = 0
  ask({ op: 'stats' })
  await world.clock.settle()
  const next = a.heard.at(-1)?.id
  await a.send({ kind: 'answer', id: next, result: null })
  await b.send({ kind: 'answer', id: next, result: { nodeId: 'b', connections: 1 } })
  await world.clock.settle()
  t.same(results, [[['b', { nodeId: 'b', connections: 1 }]], false])
})

t.test('a question that comes twice is answered once; numbers of other senders are their own', async (t) => {
  const world = new World(t)
  let asked = 0
  world.node('me', () => ++asked)
  const [a, b] = [world.bare('a'), world.bare('b')]
  const question = { kind: 'question', id: 1, request: FETCH }
  for (const sender of [a, a, b, a]) await sender.send(question)
  await world.clock.settle()
  t.equal(asked, 2)
  t.same([a.heard, b.heard], [[{ kind: 'answer', id: 1, result: 1 }], [{ kind: 'answer', id: 1, result: 2 }]])
})

t.test('what a node does not know, it does not answer; a failure is reported', async (t) => {
  const world = new World(t)
  const failure = new Error('broken')
  world.node('me', ({ op }) => {
    if (op === 'fetch') throw failure
    return null
  })
  const a = world.bare('a')
  await a.send({ kind: 'question', id: 1, request: { op: 'of a later version' } })
  await a.send({ kind: 'question', id: 2, request: FETCH })
  await a.send({ kind: 'of a later version', id: 3 })
  await world.clock.settle()
  t.same(a.heard, [])
  t.same(world.reports, [failure])
})

t.test('an answer that can not be sent is no failure here', async (t) => {
  const world = new World(t)
  world.node('me', () => {
    world.mesh.detach('me')
    return 1
  })
  const a = world.bare('a')
  await a.send({ kind: 'question', id: 1, request: FETCH })
  await world.clock.settle()
  t.same([a.heard, world.reports], [[], []])
})

t.test('close: what is under way has its answers so far, and nothing is asked or answered any more', async (t) => {
  const world = new World(t)
  let asked = 0
  const me = world.node('me', () => ++asked)
  world.node('quick', () => 7)
  const silent = world.bare('silent')
  const outcome = me.ask(['quick', 'silent'], FETCH, null, ANSWER_MS)
  await world.clock.settle()
  await me.close()
  t.same(await outcome, { answers: new Map([['quick', 7]]), complete: false })
  t.equal(await silent.send({ kind: 'question', id: 1, request: FETCH }), false)
  t.same(await me.ask(['quick'], FETCH, null, ANSWER_MS), { answers: new Map(), complete: false })
  await t.rejects(me.others(), { code: 'FST_HUB_BROKER_UNAVAILABLE' })
  t.equal(asked, 0)
  t.equal(world.wheel.size, 0)
})

t.test('a hub that does not run asks nobody: no deadline would pass', async (t) => {
  const world = new World(t)
  world.wheel.stop()
  const other = world.bare('other')
  t.same(await world.node('me').ask(['other'], FETCH, null, ANSWER_MS), { answers: new Map(), complete: false })
  await world.clock.settle()
  t.same(other.heard, [])
})
