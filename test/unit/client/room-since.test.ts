import t from 'tap'
import { ClientRig, outcome } from '../../helpers/client-rig.js'
import { cut, inRoom, joined, message, record } from '../../helpers/client-room.js'
import { settled } from '../../helpers/until.js'

const since = { epoch: 'e', offset: 5 }

t.test('join with since, in a room that the server has joined', async (t) => {
  const rig = new ClientRig()
  await rig.connect()
  const room = rig.client.room('a')
  rig.socket.receive(joined(9))
  const heard = record(room)
  const position = room.join({ since })
  const [join] = rig.socket.sent('join')
  t.match(join, { room: 'a', since })
  rig.socket.receive(message(10))
  rig.socket.receive(joined(5, { head: 10, recovered: true, id: join?.id }))
  for (let offset = 6; offset <= 10; offset++) rig.socket.receive(message(offset))
  t.strictSame(await position, since)
  t.strictSame(heard.map(([name, data]) => name === 'message' ? data : name), ['joined', 6, 7, 8, 9, 10])
})

t.test('join with since, while a plain join is pending: both have the answer to the second', async (t) => {
  const rig = new ClientRig()
  await rig.connect()
  const room = rig.client.room('a')
  const heard = record(room)
  const both = Promise.all([room.join(), room.join({ since })])
  const [plain, second] = rig.socket.sent('join')
  t.strictSame([plain?.since, second?.since], [undefined, since])
  rig.socket.receive(joined(9, { id: plain?.id }))
  t.equal(room.joined, false)
  rig.socket.receive(joined(5, { head: 6, recovered: true, id: second?.id }))
  rig.socket.receive(message(6))
  t.strictSame(await both, [since, since])
  t.strictSame(heard.map(([name]) => name), ['joined', 'message'])
})

t.test('a join with since that fails leaves no position', async (t) => {
  const rig = new ClientRig()
  await rig.connect()
  const room = rig.client.room('a')
  const refused = outcome(room.join({ since }))
  rig.socket.receive({ op: 'error', code: 'not_allowed', message: 'no', room: 'a', id: rig.socket.sent('join')[0]?.id })
  t.strictSame(await refused, { code: 'not_allowed' })
  t.equal(room.position, null)
  const closed = outcome(room.join({ since }))
  rig.client.close()
  t.strictSame(await closed, { code: 'closed' })
  await rig.connect()
  t.strictSame(rig.socket.sent('resume')[0]?.rooms, {})
})

t.test('a join by hand takes the place of the retry', async (t) => {
  const { rig, room } = await inRoom()
  await cut(rig)
  rig.socket.receive({ op: 'error', code: 'unavailable', message: 'no', room: 'a' })
  await rig.resumed()
  const again = outcome(room.join())
  rig.socket.receive(joined(5, { recovered: true, id: rig.socket.sent('join')[0]?.id }))
  await again
  await rig.time.advance(5_000)
  t.equal(rig.socket.sent('join').length, 1)
  t.equal(room.joined, true)
})

t.test('so does a room that the server joins meanwhile', async (t) => {
  const { rig, room } = await inRoom()
  await cut(rig)
  rig.socket.receive({ op: 'error', code: 'unavailable', message: 'no', room: 'a' })
  await rig.resumed()
  rig.socket.receive(joined(5))
  await rig.time.advance(5_000)
  t.equal(rig.socket.sent('join').length, 0)
  t.equal(room.joined, true)
})

t.test('after a listener has closed or left, nothing more is told', async (t) => {
  const rig = new ClientRig()
  await rig.connect()
  const unasked = record(rig.client.room('a'))
  rig.client.on('joined', () => { rig.client.close() })
  rig.socket.receive(joined(1))
  t.strictSame(unasked, [])
  t.equal(rig.client.room('a').joined, false)
  for (const end of ['close', 'leave']) {
    const { rig, room, heard } = await inRoom()
    room.on('gap', () => { if (end === 'close') rig.client.close(); else outcome(room.leave()) })
    rig.socket.receive(message(8))
    t.strictSame(heard.map(([name]) => name), ['gap'], end)
    const other = await inRoom()
    other.room.on('joined', () => { if (end === 'close') other.rig.client.close(); else outcome(other.room.leave()) })
    other.rig.socket.receive(joined(9, { recovered: false }))
    t.strictSame(other.heard.map(([name]) => name), ['joined'], end)
  }
})

t.test('a room that is left by a listener of joined of the client stays left', async (t) => {
  const rig = new ClientRig()
  await rig.connect()
  const room = rig.client.room('a')
  const heard = record(room)
  let position: unknown
  let left: Promise<unknown> = Promise.resolve()
  rig.client.on('joined', (room) => {
    position = [room.joined, room.position]
    left = outcome(room.leave())
  })
  rig.socket.receive(joined(1))
  t.strictSame(position, [true, { epoch: 'e', offset: 1 }])
  t.strictSame([room.joined, rig.socket.sent('leave').length], [false, 1])
  rig.socket.receive(message(2))
  rig.socket.receive({ op: 'left', room: 'a', id: rig.socket.sent('leave')[0]?.id })
  t.strictSame(await left, { value: undefined })
  t.strictSame(heard, [])
})

t.test('a late resume: what the server joins by itself before it reads the positions is not what counts', async (t) => {
  const { rig, room, heard } = await inRoom()
  await cut(rig)
  heard.length = 0
  rig.socket.receive(joined(8))
  rig.socket.receive(message(9))
  t.equal(room.joined, false)
  rig.socket.receive(joined(5, { head: 9, recovered: true }))
  await rig.resumed()
  for (let offset = 6; offset <= 10; offset++) rig.socket.receive(message(offset))
  t.strictSame(heard.map(([name, data]) => name === 'message' ? data : name), ['joined', 6, 7, 8, 9, 10])
  t.equal(rig.client.state.is, 'open')
})

t.test('the answer to a leave that timed out counts for nothing', async (t) => {
  const { rig, room } = await inRoom()
  const late = outcome(room.leave())
  const [leave] = rig.socket.sent('leave')
  for (let i = 0; i < 3; i++) {
    await rig.time.advance(10_000)
    rig.socket.receive({ op: 'pong' })
  }
  t.strictSame(await late, { code: 'timeout' })
  rig.socket.receive({ op: 'left', room: 'a', id: leave?.id })
  await rig.join('a', { epoch: 'e', offset: 1 })
  const left = outcome(room.leave())
  rig.socket.receive(joined(1))
  t.equal(room.joined, false)
  rig.client.close()
  await left
})

t.test('the list that is asked for after a reconnect is not told after leave', async (t) => {
  for (const answer of ['reply', 'error']) {
    const { rig, room, heard } = await inRoom()
    const watched = room.presence({ watch: true })
    rig.socket.receive({ op: 'reply', id: rig.socket.sent('presence')[0]?.id, data: { users: [], states: [] } })
    await watched
    await cut(rig)
    rig.socket.receive(joined(5, { recovered: true }))
    await rig.resumed()
    heard.length = 0
    const left = outcome(room.leave())
    rig.socket.receive({ op: answer, id: rig.socket.sent('presence')[0]?.id, data: { users: [{ user: 'ada', connections: 1 }], states: [] }, code: 'not_joined', message: 'no' })
    rig.socket.receive({ op: 'left', room: 'a', id: rig.socket.sent('leave')[0]?.id })
    await left
    await settled()
    t.strictSame([heard, rig.errors], [[], []], answer)
  }
})

t.test('a room that can not be watched again now is asked for later, as long as it is to be watched', async (t) => {
  const { rig, room, heard } = await inRoom()
  const list = { users: [{ user: 'ada', connections: 1 }], states: [] }
  const answer = (message: object): void => { rig.socket.receive({ id: rig.socket.sent('presence').at(-1)?.id, ...message }) }
  const watched = room.presence({ watch: true })
  answer({ op: 'reply', data: list })
  await watched
  await cut(rig)
  rig.socket.receive(joined(5, { recovered: true }))
  await rig.resumed()
  for (let tries = 1; tries <= 3; tries++) {
    t.equal(rig.socket.sent('presence').length, tries)
    answer({ op: 'error', code: 'unavailable', message: 'not now' })
    await settled()
    t.equal(rig.errors.length, tries)
    await rig.time.advance(10_000)
  }
  answer({ op: 'reply', data: list })
  await settled()
  t.strictSame(heard.at(-1), ['presence', list])
  await cut(rig)
  rig.socket.receive(joined(5, { recovered: true }))
  await rig.resumed()
  answer({ op: 'error', code: 'unavailable', message: 'not now' })
  await settled()
  const unwatched = room.presence({ watch: false })
  answer({ op: 'reply', data: list })
  await unwatched
  await rig.time.advance(10_000)
  t.equal(rig.socket.sent('presence').length, 2)
})

t.test('a presence that is answered after leave is not watched', async (t) => {
  const { rig, room } = await inRoom()
  const watched = outcome(room.presence({ watch: true }))
  const left = outcome(room.leave())
  rig.socket.receive({ op: 'reply', id: rig.socket.sent('presence')[0]?.id, data: { users: [], states: [] } })
  rig.socket.receive({ op: 'left', room: 'a', id: rig.socket.sent('leave')[0]?.id })
  await Promise.all([watched, left])
  await rig.join('a', { epoch: 'e', offset: 1 })
  await settled()
  t.equal(rig.socket.sent('presence').length, 1)
})
