import t, { type Test } from 'tap'
import type { NodeMessage } from '../../../lib/core/ports.js'
import { numbered } from '../../contract/inboxes.js'
import { RedisInboxWorld, type RedisInboxNode } from '../../helpers/redis-inboxes.js'
import { RedisServer } from '../../helpers/redis-server.js'
import { until } from '../../helpers/until.js'

interface Node extends RedisInboxNode { heard: number[], messages: NodeMessage[] }

async function start (t: Test, count: number): Promise<{ server: RedisServer, world: RedisInboxWorld, nodes: Node[] }> {
  const server = await RedisServer.start(t)
  const world = new RedisInboxWorld({ url: server.url })
  const nodes: Node[] = []
  t.teardown(async () => {
    for (const { inboxes } of nodes) await inboxes.close()
    await world.close()
  })
  for (let i = 0; i < count; i++) {
    const [heard, messages]: [number[], NodeMessage[]] = [[], []]
    nodes.push({
      heard,
      messages,
      ...await world.node({
        onNodeMessage: (_from, message) => {
          heard.push(message.head.id)
          messages.push(message)
        }
      })
    })
  }
  return { server, world, nodes }
}

const pair = (nodes: Node[]): [Node, Node] => nodes as [Node, Node]

t.test('what was read is removed, so that the inbox stays small', async (t) => {
  const { world, nodes } = await start(t, 2)
  const [a, b] = pair(nodes)
  for (let i = 0; i < 500; i++) a.inboxes.send(b.id, numbered(i)).catch(t.threw)
  await until(() => b.heard.length === 500, 'all')
  let length = -1
  while (length !== 0) length = Number(await a.link.call('XLEN', world.keys.inbox(b.id)))
  let pending: unknown = -1
  while (pending !== 0) [pending] = await a.link.call('XPENDING', world.keys.inbox(b.id), b.id) as unknown[]
  await a.inboxes.send(b.id, numbered(500))
  await until(() => b.heard.length === 501, 'what came after that')
  t.equal(world.trimmed, 0)
})

t.test('the inbox goes with its node', async (t) => {
  const { world, nodes } = await start(t, 2)
  const [a, b] = pair(nodes)
  const key = world.keys.inbox(b.id)
  await a.inboxes.send(b.id, numbered(1))
  await until(() => b.heard.length === 1, 'the message')
  t.equal(await a.link.call('EXISTS', key), 1)
  await b.inboxes.close()
  t.equal(await a.link.call('EXISTS', key), 0)
  t.equal(await a.inboxes.send(b.id, numbered(2)), false)
  t.equal(await a.link.call('EXISTS', key), 0, 'and does not come back')
})

t.test('what was read, removed and not acknowledged counts as read', async (t) => {
  const { world, nodes } = await start(t, 2)
  const [a, b] = pair(nodes)
  const key = world.keys.inbox(b.id)
  const call = b.link.call.bind(b.link)
  let isLost = false
  b.link.call = async (command, ...args) => {
    if (command !== 'XACK') return await call(command, ...args)
    isLost = true
    throw new Error('lost')
  }
  await a.inboxes.send(b.id, numbered(1))
  await until(() => b.heard.length === 1, 'the message')
  let length = -1
  while (length !== 0) length = Number(await a.link.call('XLEN', key))
  await until(() => isLost, 'it to be acknowledged')
  b.link.call = call
  await a.inboxes.send(b.id, numbered(2))
  await until(() => b.heard.length === 2, 'the next one')
  let pending: unknown = -1
  while (pending !== 0) [pending] = await a.link.call('XPENDING', key, b.id) as unknown[]
  t.same([b.heard, world.trimmed], [[1, 2], 0])
})

t.test('an entry that is none of ours is reported, and the others go on', async (t) => {
  const { world, nodes } = await start(t, 2)
  const [a, b] = pair(nodes)
  const key = world.keys.inbox(b.id)
  const broken = [['f', a.id, 'h', '{"kind":', 'p', ''], ['x', 'y'], ['f', a.id, 'h', '{}', 'p', '\x09unknown']]
  for (const fields of broken) await a.link.call('XADD', key, '*', ...fields)
  await a.inboxes.send(b.id, numbered(1))
  await until(() => b.heard.length === 1, 'the good one')
  t.same(world.failures, [key, key, key])
  let length = -1
  while (length !== 0) length = Number(await a.link.call('XLEN', key))
})

t.test('FAULTS 52: Redis has lost everything: messages come again', async (t) => {
  const { server, nodes } = await start(t, 2)
  const [a, b] = pair(nodes)
  await server.stop('SIGKILL')
  await until(() => !a.link.isReady, 'the loss of Redis')
  await t.rejects(a.inboxes.send(b.id, numbered(1)), { code: 'FST_HUB_BROKER_UNAVAILABLE' })
  await server.start()
  await until(() => a.link.isReady && b.link.isReady, 'Redis')
  let there = false
  while (!there) there = await a.inboxes.send(b.id, numbered(2)).catch(() => false)
  await until(() => b.heard.length > 0, 'a message')
  t.same([...new Set(b.heard)], [2])
})

t.test('FAULTS 58: what comes twice has one sender and one number', async (t) => {
  const { world, nodes } = await start(t, 2)
  const [a, b] = pair(nodes)
  const fields = ['f', a.id, 'h', JSON.stringify(numbered(7).head), 'p', '']
  for (let i = 0; i < 2; i++) await b.link.call('XADD', world.keys.inbox(b.id), '*', ...fields)
  await until(() => b.heard.length === 2, 'both')
  t.same(b.messages, [numbered(7), numbered(7)])
})

t.test('close ends also when Redis is away, and asks nobody afterwards', async (t) => {
  const { server, nodes } = await start(t, 2)
  const [a, b] = pair(nodes)
  await server.stop('SIGKILL')
  await until(() => !a.link.isReady, 'the loss of Redis')
  await a.inboxes.close()
  await t.rejects(a.inboxes.send(b.id, numbered(1)), { code: 'FST_HUB_BROKER_UNAVAILABLE' })
})
