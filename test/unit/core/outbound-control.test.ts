import t from 'tap'
import { startHub } from '../../helpers/fake-hub.js'
import { encodeFrame, MAX_FRAME_BYTES } from '../../../lib/protocol/frame.js'

const frame = (text: string): ReturnType<typeof encodeFrame> => encodeFrame(text)

t.test('a frame that no policy may drop goes behind what the socket has, and ahead of the queue', async (t) => {
  const fake = await startHub({ queue: { maxMessages: 2 } })
  const { connection, transport } = await fake.connect()
  connection.control(frame('open'))
  await fake.turn()
  t.same(transport.messages, ['open'], 'not blocked: in its turn')
  transport.block()
  for (const text of ['a', 'b', 'c']) connection.send(text)
  for (const text of ['1', '2', '3']) connection.control(frame(text))
  t.same(connection.queued.messages, 2)
  t.ok(connection.queued.bytes > 6)
  transport.drain()
  await fake.turn()
  t.same(transport.messages.slice(1), ['1', '2', '3', 'b', 'c'])
  t.same(connection.queued, { messages: 0, bytes: 0 })
})

t.test('as much as fits one write goes in one, a large one by itself', async (t) => {
  const fake = await startHub()
  const { connection, transport } = await fake.connect()
  transport.block()
  const large = 'x'.repeat(MAX_FRAME_BYTES)
  for (const text of ['1', '2', large, '3', 'y'.repeat(60_000), 'z'.repeat(60_000)]) connection.control(frame(text))
  const before = transport.writes.length
  transport.drain()
  await fake.turn()
  t.same(transport.messages.map(({ length }) => length), [1, 1, large.length, 1, 60_000, 60_000])
  t.same(transport.writes.slice(before).map(({ length }) => length), [6, MAX_FRAME_BYTES + 10, 3 + 60_004, 60_004], 'one of just 64 KiB is one frame, with its header on top')
})

t.test('those that stay behind what is queued stay in their order among themselves', async (t) => {
  const fake = await startHub()
  const { connection, transport } = await fake.connect()
  transport.block()
  connection.control(frame('joined'), true)
  connection.control(frame('reply'))
  connection.send('message')
  connection.control(frame('left'), true)
  connection.control(frame('pong'))
  transport.drain()
  await fake.turn()
  t.same(transport.messages, ['joined', 'reply', 'pong', 'message', 'left'])
})

t.test('twice the memory that the queue may have ends the connection as a slow reader, and never less than 1 MiB', async (t) => {
  for (const [maxBytes, most] of [[1024 * 1024, 2 * 1024 * 1024], [0, 2 * 1024 * 1024], [1_000, 1024 * 1024]] as const) {
    const fake = await startHub({ queue: { maxBytes } })
    const { connection, transport } = await fake.connect()
    transport.block()
    // Each takes 102 bytes on the wire, and 512 beside it.
    for (let i = 0; i < Math.floor(most / 614); i++) connection.control(frame('x'.repeat(100)))
    t.equal(connection.state, 'open')
    connection.control(frame('x'.repeat(100)))
    await fake.turn()
    t.equal(fake.hub.size, 0)
    connection.control(frame('too late'))
    const other = await fake.connect()
    other.transport.block()
    other.connection.control(frame('x'.repeat(2 * most)))
    t.equal(other.connection.state, 'open', 'one has room in any case')
    other.connection.terminate()
  }
})

t.test('it counts in the budget of the process: who lets it grow gives way, and nobody else', async (t) => {
  const fake = await startHub({ queue: { maxTotalBytes: 200_000 } })
  fake.hub.outbound.budget.join(fake.hub, 200_000)
  const neighbour = await fake.connect()
  const offender = await fake.connect()
  for (const { transport } of [neighbour, offender]) transport.block()
  for (let i = 0; i < 3; i++) neighbour.connection.send('x'.repeat(10_000))
  for (let i = 0; i < 1_000; i++) offender.connection.control(frame('refused'))
  await fake.turn()
  t.equal(fake.hub.size, 1)
  t.equal(neighbour.connection.queued.messages, 3)
  t.ok(fake.hub.outbound.budget.bytes < 40_000)
  // Three answers are less than sixty tiny messages, whatever takes more bytes on the wire.
  const small = await fake.connect()
  small.transport.block()
  for (let i = 0; i < 3; i++) small.connection.control(frame('answer'))
  const hogs = await Promise.all(Array.from({ length: 5 }, async () => await fake.connect()))
  for (const { connection, transport } of hogs) {
    transport.block()
    for (let i = 0; i < 60; i++) connection.send('m')
  }
  hogs[0]?.connection.send('x'.repeat(30_000))
  t.ok(hogs.some(({ connection }) => connection.queued.messages < 60))
  t.equal(small.connection.state, 'open')
  for (const { connection } of [small, ...hogs]) connection.terminate()
  neighbour.connection.control(frame('x'.repeat(300_000)))
  await fake.turn()
  t.equal(fake.hub.size, 0, 'what the budget never has room for ends its connection')
})

t.test('what an ending connection could not send is counted', async (t) => {
  const fake = await startHub()
  const { connection, transport } = await fake.connect()
  transport.block()
  for (const text of ['1', '2']) connection.control(frame(text))
  connection.terminate()
  await fake.turn()
  t.equal(fake.hub.stats().messages.dropped, 2)
})
