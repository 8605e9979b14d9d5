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
  t.ok(transport.writes.length - before <= 6)
})

t.test('more than twice what the queue may hold ends the connection as a slow reader', async (t) => {
  const fake = await startHub({ queue: { maxBytes: 1_000 } })
  const { connection, transport } = await fake.connect()
  transport.block()
  for (let i = 0; i < 19; i++) connection.control(frame('x'.repeat(100)))
  t.equal(connection.state, 'open')
  for (let i = 0; i < 2; i++) connection.control(frame('x'.repeat(100)))
  await fake.turn()
  t.equal(fake.hub.size, 0)
  connection.control(frame('too late'))
  const unbounded = await startHub({ queue: { maxBytes: 0 } })
  const peer = await unbounded.connect()
  peer.transport.block()
  for (let i = 0; i < 1_000; i++) peer.connection.control(frame('x'.repeat(100)))
  t.equal(peer.connection.state, 'open')
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
