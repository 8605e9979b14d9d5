import t from 'tap'
import { ClientRig, outcome } from '../../helpers/client-rig.js'
import { cut, inRoom, joined, message, record } from '../../helpers/client-room.js'
import { settled } from '../../helpers/until.js'

t.test('join: at once, or as soon as there is a connection; the same room each time', async (t) => {
  const rig = new ClientRig()
  const room = rig.client.room('a')
  t.equal(rig.client.room('a'), room)
  t.strictSame([room.name, room.position, room.joined], ['a', null, false])
  t.strictSame(await outcome(room.join()), { code: 'closed' })
  rig.client.open()
  const first = room.join()
  const second = room.join()
  await rig.accept()
  t.strictSame(rig.socket.sent().map(({ op }) => op), ['resume', 'join'], 'resume first, then what has no position')
  t.strictSame(rig.socket.sent('resume')[0]?.rooms, {})
  await rig.resumed()
  t.equal(rig.client.state.is, 'recovering', 'the join is waited for')
  rig.socket.receive(joined(5, { id: rig.socket.sent('join')[0]?.id }))
  t.equal(rig.client.state.is, 'open')
  t.strictSame(await Promise.all([first, second, room.join()]), Array(3).fill({ epoch: 'e', offset: 5 }))
  t.strictSame([room.position, room.joined], [{ epoch: 'e', offset: 5 }, true])
  t.equal(rig.socket.sent('join').length, 1)
})

t.test('join with since: what was published after it follows', async (t) => {
  const rig = new ClientRig()
  await rig.connect()
  const room = rig.client.room('a')
  const heard = record(room)
  const position = room.join({ since: { epoch: 'e', offset: 3 } })
  t.match(rig.socket.sent('join'), [{ room: 'a', since: { epoch: 'e', offset: 3 } }])
  rig.socket.receive(joined(3, { head: 5, recovered: true, id: rig.socket.sent('join')[0]?.id }))
  rig.socket.receive(message(4))
  rig.socket.receive(message(5))
  t.strictSame(await position, { epoch: 'e', offset: 3 })
  t.strictSame(heard, [['joined', { position: { epoch: 'e', offset: 3 }, recovered: true }], ['message', 4, 4], ['message', 5, 5]])
})

t.test('messages, skipped ones, ephemeral ones, doubles, and those of rooms that nobody knows', async (t) => {
  const { rig, room, heard } = await inRoom()
  rig.socket.receive(message(6))
  rig.socket.receive(message(6))
  rig.socket.receive({ op: 'skip', room: 'a', offset: 7 })
  rig.socket.receive({ op: 'message', room: 'a', data: 'ephemeral' })
  rig.socket.receive(message(7))
  rig.socket.receive(message(8))
  for (const op of ['message', 'skip', 'gap', 'presence', 'left']) rig.socket.receive({ op, room: 'b', offset: 1 })
  t.strictSame(heard, [['message', 6, 6], ['message', 'ephemeral', undefined], ['message', 8, 8]])
  t.strictSame(room.position, { epoch: 'e', offset: 8 })
  t.strictSame(rig.errors, [])
})

t.test('the position that the room gives is a copy', async (t) => {
  const { room } = await inRoom()
  const { position } = room
  if (position !== null) position.offset = 99
  t.strictSame(room.position, { epoch: 'e', offset: 5 })
})

t.test('a hole that nobody announced is told, with what is missing; then it goes on', async (t) => {
  const { rig, heard } = await inRoom()
  rig.socket.receive(message(8))
  t.strictSame(heard, [['gap', { since: { epoch: 'e', offset: 5 }, position: { epoch: 'e', offset: 7 } }], ['message', 8, 8]])
  heard.length = 0
  rig.socket.receive(message(10))
  t.strictSame(heard, [['gap', { since: { epoch: 'e', offset: 8 }, position: { epoch: 'e', offset: 9 } }], ['message', 10, 10]], 'one is a hole, too')
})

t.test('a gap that the server tells', async (t) => {
  const { rig, room, heard } = await inRoom()
  rig.socket.receive({ op: 'gap', room: 'a', since: { epoch: 'e', offset: 5 }, epoch: 'f', offset: 2 })
  rig.socket.receive(message(3))
  t.strictSame(heard, [['gap', { since: { epoch: 'e', offset: 5 }, position: { epoch: 'f', offset: 2 } }], ['message', 3, 3]])
  t.strictSame(room.position, { epoch: 'f', offset: 3 })
})

t.test('a gap that the server tells of what has come already, as another node has had more, is none; of what is behind that, it is', async (t) => {
  const { rig, room, heard } = await inRoom()
  rig.socket.receive({ op: 'gap', room: 'a', since: { epoch: 'e', offset: 2 }, epoch: 'e', offset: 5 })
  t.strictSame([heard, room.position], [[], { epoch: 'e', offset: 5 }])
  rig.socket.receive({ op: 'gap', room: 'a', since: { epoch: 'e', offset: 2 }, epoch: 'e', offset: 8 })
  rig.socket.receive(message(9))
  t.strictSame(heard, [['gap', { since: { epoch: 'e', offset: 5 }, position: { epoch: 'e', offset: 8 } }], ['message', 9, 9]])
})

t.test('in cache mode offsets jump, which is no hole', async (t) => {
  const { rig, heard } = await inRoom()
  rig.socket.receive(joined(5, { cache: true }))
  rig.socket.receive(message(9))
  rig.socket.receive(joined(20, { cache: true }))
  t.strictSame(heard.filter(([name]) => name === 'gap'), [])
  rig.socket.receive(joined(30, { cache: true, recovered: false }))
  t.equal(heard.at(-1)?.[0], 'gap', 'unless the server says that it is one')
})

t.test('after a cut: resume has the position, what was missed follows, doubles are dropped, and only then it is open', async (t) => {
  const { rig, room, heard } = await inRoom()
  rig.socket.receive(message(6))
  await cut(rig)
  t.equal(room.joined, false)
  t.strictSame(rig.socket.sent('resume'), [{ op: 'resume', rooms: { a: { epoch: 'e', offset: 6 } }, id: rig.socket.sent('resume')[0]?.id, session: 's1' }])
  heard.length = 0
  rig.socket.receive(joined(6, { head: 8, recovered: true }))
  await rig.resumed()
  t.equal(rig.client.state.is, 'recovering')
  rig.socket.receive(message(6))
  rig.socket.receive(message(7))
  t.equal(rig.client.state.is, 'recovering')
  rig.socket.receive({ op: 'skip', room: 'a', offset: 8 })
  t.equal(rig.client.state.is, 'open')
  rig.socket.receive(message(9))
  t.strictSame(heard, [['joined', { position: { epoch: 'e', offset: 6 }, recovered: true }], ['message', 7, 7], ['message', 9, 9]])
})

t.test('recovered: false is a gap, and live messages go on', async (t) => {
  const { rig, heard } = await inRoom()
  await cut(rig)
  heard.length = 0
  rig.socket.receive({ ...joined(2, { recovered: false }), epoch: 'new' })
  await rig.resumed()
  t.equal(rig.client.state.is, 'open')
  rig.socket.receive(message(3))
  t.strictSame(heard, [
    ['joined', { position: { epoch: 'new', offset: 2 }, recovered: false }],
    ['gap', { since: { epoch: 'e', offset: 5 }, position: { epoch: 'new', offset: 2 } }],
    ['message', 3, 3]
  ])
})

t.test('joined without recovered, where the room has gone on or is another one: nobody sends what lies between', async (t) => {
  for (const [joinedAt, isGap] of [[joined(5), false], [joined(4), false], [joined(6), true], [{ ...joined(5), epoch: 'f' }, true]] as const) {
    const { rig, heard } = await inRoom()
    rig.socket.receive(joinedAt)
    t.equal(heard.some(([name]) => name === 'gap'), isGap, JSON.stringify(joinedAt))
  }
})

t.test('a room that the server joins by itself is told, and resumed like the others', async (t) => {
  const rig = new ClientRig()
  const heard: unknown[] = []
  rig.client.on('joined', (room) => { room.on('message', (data) => { heard.push(data) }) })
  rig.client.open()
  await rig.accept()
  rig.socket.receive(joined(1, { head: 2 }))
  await rig.resumed()
  t.equal(rig.client.state.is, 'recovering', 'it is not where the room is')
  rig.socket.receive(message(2))
  t.equal(rig.client.state.is, 'open')
  t.strictSame(heard, [2])
  await cut(rig)
  t.match(rig.socket.sent('resume'), [{ rooms: { a: { epoch: 'e', offset: 2 } } }])
  rig.socket.receive(joined(2, { recovered: true }))
  rig.socket.receive(message(3))
  t.strictSame(heard, [2, 3], 'it is told of once')
})

t.test('join is refused: the promise says so, and the room is not asked for again', async (t) => {
  for (const code of ['not_allowed', 'unavailable']) {
    const rig = new ClientRig()
    await rig.connect()
    const heard = record(rig.client.room('a'))
    const refused = outcome(rig.client.room('a').join())
    rig.socket.receive({ op: 'error', code, message: 'no', room: 'a', id: rig.socket.sent('join')[0]?.id })
    t.strictSame(await refused, { code })
    await rig.time.advance(20_000)
    t.equal(rig.socket.sent('join').length, 1)
    await cut(rig)
    t.strictSame(rig.socket.sent('resume')[0]?.rooms, {})
    t.equal(rig.socket.sent('join').length, 0)
    t.strictSame(heard, [], 'told once')
  }
})

t.test('a join that is refused ends the recovery', async (t) => {
  const rig = new ClientRig()
  rig.client.open()
  const refused = outcome(rig.client.room('a').join())
  await rig.accept()
  await rig.resumed()
  rig.socket.receive({ op: 'error', code: 'not_allowed', message: 'no', room: 'a', id: rig.socket.sent('join')[0]?.id })
  t.strictSame(await refused, { code: 'not_allowed' })
  t.equal(rig.client.state.is, 'open')
})

t.test('a room that may not be resumed any more', async (t) => {
  for (const withId of [false, true]) {
    const { rig, heard } = await inRoom()
    await cut(rig)
    heard.length = 0
    rig.socket.receive({ op: 'error', code: 'not_allowed', message: 'no', room: 'a', ...withId ? { id: rig.socket.sent('resume')[0]?.id } : {} })
    await rig.resumed()
    t.equal(rig.client.state.is, 'open')
    t.match(heard, [['error', { code: 'not_allowed', room: 'a' }]])
    await cut(rig)
    t.strictSame(rig.socket.sent('resume')[0]?.rooms, {})
  }
})

t.test('a room that can not be joined again is told by the client where the room has no listener', async (t) => {
  for (const code of ['not_allowed', 'unavailable']) {
    const rig = new ClientRig()
    await rig.connect()
    await rig.join('a', { epoch: 'e', offset: 5 })
    await cut(rig)
    rig.socket.receive({ op: 'error', code, message: 'no', room: 'a' })
    await rig.resumed()
    t.equal(rig.client.state.is, 'open')
    t.match(rig.errors, [{ code, room: 'a' }])
  }
})

t.test('a room that can not be resumed at the moment is asked for again, later and later', async (t) => {
  const { rig, room, heard } = await inRoom()
  await cut(rig)
  heard.length = 0
  rig.chance = 1
  rig.socket.receive({ op: 'error', code: 'unavailable', message: 'no', room: 'a' })
  await rig.resumed()
  t.match(heard, [['error', { code: 'unavailable' }]])
  await rig.time.advance(1_000)
  t.match(rig.socket.sent('join'), [{ room: 'a', since: { epoch: 'e', offset: 5 } }])
  rig.socket.receive({ op: 'error', code: 'unavailable', message: 'no', room: 'a', id: rig.socket.sent('join')[0]?.id })
  await rig.time.advance(1_999)
  t.equal(rig.socket.sent('join').length, 1)
  await rig.time.advance(1)
  rig.socket.receive(joined(5, { recovered: true, id: rig.socket.sent('join')[1]?.id }))
  t.equal(room.joined, true)
  await settled()
  t.equal(heard.length, 3)
})

t.test('a room that waits to be asked for is asked for by the next resume, and not at all after leave', async (t) => {
  for (const leave of [false, true]) {
    const { rig, room } = await inRoom()
    await cut(rig)
    rig.socket.receive({ op: 'error', code: 'unavailable', message: 'no', room: 'a' })
    await rig.resumed()
    if (leave) await room.leave()
    else await cut(rig)
    t.strictSame(rig.socket.sent('resume')[0]?.rooms, { a: { epoch: 'e', offset: 5 } })
    await rig.time.advance(20_000)
    t.equal(rig.socket.sent('join').length, 0)
  }
})

t.test('publish: the answer is the position; nothing is sent as nothing', async (t) => {
  const { rig, room } = await inRoom()
  const published = room.publish({ text: 'hi' })
  const nothing = outcome(room.publish(undefined))
  const [one, two] = rig.socket.sent('publish')
  t.strictSame(one, { op: 'publish', room: 'a', data: { text: 'hi' }, id: one?.id })
  t.strictSame(two, { op: 'publish', room: 'a', id: two?.id })
  rig.socket.receive({ op: 'reply', id: one?.id, data: { epoch: 'e', offset: 6 } })
  rig.socket.receive({ op: 'error', id: two?.id, code: 'not_allowed', message: 'no', room: 'a' })
  t.strictSame(await published, { epoch: 'e', offset: 6 })
  t.strictSame(await nothing, { code: 'not_allowed' })
})

t.test('presence: the list, changes, and the list again after a reconnect', async (t) => {
  const { rig, room, heard } = await inRoom()
  const list = { users: [{ user: 'ada', connections: 1 }], states: [{ user: 'ada', key: 'typing' }] }
  const once = room.presence()
  const watched = room.presence({ watch: true })
  const [one, two] = rig.socket.sent('presence')
  t.strictSame([one, two], [{ op: 'presence', room: 'a', id: one?.id }, { op: 'presence', room: 'a', watch: true, id: two?.id }])
  rig.socket.receive({ op: 'reply', id: one?.id, data: list })
  rig.socket.receive({ op: 'reply', id: two?.id, data: list })
  t.strictSame(await Promise.all([once, watched]), [list, list])
  rig.socket.receive({ op: 'presence', room: 'a', joined: ['bob'], left: ['eve'] })
  await cut(rig)
  rig.socket.receive(joined(5, { recovered: true }))
  const [again] = rig.socket.sent('presence')
  t.match(again, { room: 'a', watch: true })
  rig.socket.receive({ op: 'reply', id: again?.id, data: list })
  await settled()
  t.strictSame(heard.filter(([name]) => name === 'presence'), [
    ['presence', { joined: ['bob'], left: ['eve'] }],
    ['presence', { users: list.users, states: [{ user: 'ada', key: 'typing', active: true }] }]
  ])
})

t.test('presence that is not watched any more, or not allowed any more', async (t) => {
  const { rig, room } = await inRoom()
  const watch = async (on: boolean): Promise<void> => {
    const answer = room.presence({ watch: on })
    rig.socket.receive({ op: 'reply', id: rig.socket.sent('presence').at(-1)?.id, data: { users: [], states: [] } })
    await answer
  }
  await watch(true)
  await cut(rig)
  rig.socket.receive(joined(5, { recovered: true }))
  rig.socket.receive({ op: 'error', id: rig.socket.sent('presence')[0]?.id, code: 'not_allowed', message: 'no', room: 'a' })
  await rig.resumed()
  t.match(rig.errors, [{ code: 'not_allowed', room: 'a' }])
  await cut(rig)
  rig.socket.receive(joined(5, { recovered: true }))
  await cut(rig)
  t.equal(rig.errors.length, 1, 'the end of the connection is no error')
  rig.socket.receive(joined(5, { recovered: true }))
  await rig.resumed()
  await watch(false)
  await cut(rig)
  rig.socket.receive(joined(5, { recovered: true }))
  t.equal(rig.socket.sent('presence').length, 0)
})

t.test('close keeps the place in the room; a join that waits fails', async (t) => {
  const { rig, room } = await inRoom()
  const waits = outcome(rig.client.room('b').join())
  rig.client.close()
  t.strictSame(await waits, { code: 'closed' })
  rig.client.open()
  await rig.accept()
  t.strictSame(rig.socket.sent('resume')[0]?.rooms, { a: { epoch: 'e', offset: 5 } })
  t.equal(rig.socket.sent('join').length, 0)
  const again = room.join()
  rig.socket.receive(joined(5, { recovered: true }))
  t.strictSame(await again, { epoch: 'e', offset: 5 })
  rig.client.reconnect()
  const closed = outcome(room.join())
  rig.client.close()
  t.strictSame(await closed, { code: 'closed' })
  rig.client.open()
  await rig.accept()
  t.strictSame(rig.socket.sent('resume')[0]?.rooms, { a: { epoch: 'e', offset: 5 } }, 'also while it is joined again')
})
