import t from 'tap'
import { ClientRig, outcome } from '../../helpers/client-rig.js'
import { cut, inRoom, joined, message, record } from '../../helpers/client-room.js'
import { settled } from '../../helpers/until.js'

t.test('leave: silent at once, done when the server knows', async (t) => {
  const { rig, room, heard } = await inRoom()
  let isDone = false
  const left = room.leave().then(() => { isDone = true })
  rig.socket.receive(message(6))
  rig.socket.receive({ op: 'presence', room: 'a', joined: ['bob'] })
  rig.socket.receive(joined(6))
  await settled()
  t.equal(isDone, false)
  rig.socket.receive({ op: 'left', room: 'a', id: rig.socket.sent('leave')[0]?.id })
  await left
  t.strictSame(heard, [])
  t.strictSame([room.joined, room.position], [false, null])
  await cut(rig)
  t.strictSame(rig.socket.sent('resume')[0]?.rooms, {})
})

t.test('leave without a connection, and one that the end of the connection answers', async (t) => {
  const { rig, room } = await inRoom()
  const left = room.leave()
  rig.socket.end()
  await left
  await room.leave()
  await rig.connect()
  t.strictSame(rig.socket.sent().map(({ op }) => op), ['resume'])
})

t.test('leave that the server refuses, or does not answer', async (t) => {
  const { rig, room } = await inRoom()
  const refused = outcome(room.leave())
  rig.socket.receive({ op: 'error', code: 'internal', message: 'no', room: 'a', id: rig.socket.sent('leave')[0]?.id })
  t.strictSame(await refused, { code: 'internal' })
  await rig.join('a')
  t.equal(room.joined, true)
})

t.test('leave before it was joined, and join again before it was left', async (t) => {
  const rig = new ClientRig()
  await rig.connect()
  const room = rig.client.room('a')
  const heard = record(room)
  const first = outcome(room.join())
  const left = room.leave()
  const second = room.join()
  const [one, two] = rig.socket.sent('join')
  t.strictSame(await first, { code: 'left' })
  rig.socket.receive(joined(1, { id: one?.id }))
  rig.socket.receive(message(2))
  rig.socket.receive({ op: 'left', room: 'a', id: rig.socket.sent('leave')[0]?.id })
  rig.socket.receive(joined(2, { id: two?.id }))
  rig.socket.receive(message(3))
  await left
  t.strictSame(await second, { epoch: 'e', offset: 2 })
  t.strictSame(heard, [['joined', { position: { epoch: 'e', offset: 2 }, recovered: undefined }], ['message', 3, 3]])
})

t.test('a join without an answer fails; one that comes later is undone', async (t) => {
  const rig = new ClientRig()
  await rig.connect({ heartbeat: { interval: 0, timeout: 0 } })
  const room = rig.client.room('a')
  const late = outcome(room.join())
  await rig.time.advance(30_000)
  t.strictSame(await late, { code: 'timeout' })
  rig.socket.receive(joined(1, { id: rig.socket.sent('join')[0]?.id }))
  t.equal(room.joined, false)
  t.match(rig.socket.sent('leave'), [{ room: 'a' }])
  rig.socket.receive({ op: 'error', code: 'internal', message: 'no', id: rig.socket.sent('leave')[0]?.id })
  await settled()
  t.match(rig.errors, [{ code: 'internal' }])
})

t.test('the server takes the connection out of a room', async (t) => {
  const { rig, room, heard } = await inRoom()
  rig.socket.receive({ op: 'left', room: 'a' })
  rig.socket.receive({ op: 'left', room: 'a' })
  t.strictSame(heard, [['left']])
  t.equal(room.joined, false)
  await cut(rig)
  t.strictSame(rig.socket.sent('resume')[0]?.rooms, {})
})

t.test('the server takes the connection out while a join is under way: the answer to the join counts', async (t) => {
  for (const isIn of [true, false]) {
    const { rig, room, heard } = await inRoom()
    const again = outcome(room.join({ since: { epoch: 'e', offset: 3 } }))
    rig.socket.receive({ op: 'left', room: 'a' })
    const { id } = rig.socket.sent('join')[1] ?? {}
    rig.socket.receive(isIn ? joined(3, { recovered: true, id }) : { op: 'error', code: 'not_joined', message: 'taken out', room: 'a', id })
    t.strictSame(await again, isIn ? { value: { epoch: 'e', offset: 3 } } : { code: 'not_joined' })
    t.equal(room.joined, isIn)
    t.strictSame(heard.map(([name]) => name), isIn ? ['joined'] : [])
    await rig.time.advance(20_000)
    t.equal(rig.socket.sent('join').length, 2, 'once')
    rig.socket.receive({ op: 'pong' })
    const more = outcome(room.join())
    if (!isIn) rig.socket.receive(joined(9, { id: rig.socket.sent('join')[2]?.id }))
    t.match(await more, { value: { epoch: 'e' } })
  }
})

t.test('the server takes the connection out, which leaves and joins', async (t) => {
  const { rig, room } = await inRoom()
  const left = outcome(room.leave())
  const again = outcome(room.join())
  rig.socket.receive({ op: 'left', room: 'a' })
  rig.socket.receive({ op: 'left', room: 'a', id: rig.socket.sent('leave')[0]?.id })
  rig.socket.receive(joined(7, { id: rig.socket.sent('join')[1]?.id }))
  t.strictSame(await Promise.all([left, again]), [{ value: undefined }, { value: { epoch: 'e', offset: 7 } }])
  t.equal(room.joined, true)
})

t.test('the server takes the connection out while the room is resumed: it is not asked for again', async (t) => {
  for (const asks of [false, true]) {
    const { rig, room, heard } = await inRoom()
    await cut(rig)
    heard.length = 0
    const again = asks ? outcome(room.join()) : null
    rig.socket.receive({ op: 'left', room: 'a' })
    rig.socket.receive({ op: 'error', code: 'not_joined', message: 'taken out', room: 'a' })
    await rig.resumed()
    if (asks) t.strictSame(await again, { code: 'not_joined' })
    else t.match(heard, [['error', { code: 'not_joined' }]])
    t.equal(rig.client.state.is, 'open')
    await rig.time.advance(20_000)
    t.equal(rig.socket.sent('join').length, 0)
  }
})

t.test('leave that ends the recovery: a listener of the state may join anew', async (t) => {
  const { rig, room } = await inRoom()
  await cut(rig)
  await rig.resumed()
  let again: Promise<unknown> = Promise.resolve()
  rig.client.on('state', ({ is }) => { if (is === 'open') again = outcome(room.join()) })
  const left = outcome(room.leave())
  t.strictSame(rig.socket.sent().map(({ op }) => op), ['resume', 'leave', 'join'])
  rig.socket.receive(joined(5, { recovered: true }))
  rig.socket.receive({ op: 'left', room: 'a', id: rig.socket.sent('leave')[0]?.id })
  rig.socket.receive(joined(9, { id: rig.socket.sent('join')[0]?.id }))
  t.strictSame(await Promise.all([left, again]), [{ value: undefined }, { value: { epoch: 'e', offset: 9 } }])
})
