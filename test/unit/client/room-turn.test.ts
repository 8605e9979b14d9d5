import t from 'tap'
import { cut, inRoom, joined, message } from '../../helpers/client-room.js'

/* The log of a room goes on in another epoch: the server says so with a `joined` that nobody has asked for. */

const turned = (offset: number, more: object = {}): object => joined(offset, { epoch: 'f', recovered: true, ...more })

t.test('it is no news: only the position is of that epoch', async (t) => {
  const { rig, room, heard } = await inRoom()
  rig.socket.receive(message(6))
  rig.socket.receive(turned(6))
  t.strictSame(room.position, { epoch: 'f', offset: 6 })
  rig.socket.receive(message(7))
  t.strictSame(heard, [['message', 6, 6], ['message', 7, 7]])
  t.strictSame([room.position, room.joined, rig.client.state.is], [{ epoch: 'f', offset: 7 }, true, 'open'])
  await cut(rig)
  t.match(rig.socket.sent('resume')[0]?.rooms, { a: { epoch: 'f', offset: 7 } })
})

t.test('on a node that has heard less, what came already is not told again', async (t) => {
  const { rig, room, heard } = await inRoom()
  rig.socket.receive(turned(3))
  for (const offset of [4, 5, 6]) rig.socket.receive(message(offset))
  t.strictSame([heard, room.position], [[['message', 6, 6]], { epoch: 'f', offset: 6 }])
})

t.test('while it is behind, it still is', async (t) => {
  const { rig, room, heard } = await inRoom()
  await cut(rig)
  rig.socket.receive(joined(5, { head: 8, recovered: true }))
  await rig.resumed()
  heard.length = 0
  rig.socket.receive(message(6))
  rig.socket.receive(turned(6, { head: 8 }))
  t.equal(rig.client.state.is, 'recovering')
  for (const offset of [7, 8]) rig.socket.receive(message(offset))
  t.equal(rig.client.state.is, 'open')
  t.strictSame(heard.map(([name, data]) => name === 'message' ? data : name), [6, 7, 8])
  t.strictSame(room.position, { epoch: 'f', offset: 8 })
})

t.test('who watches the room is not asked to do so again', async (t) => {
  const { rig, room } = await inRoom()
  const list = room.presence({ watch: true })
  rig.socket.receive({ op: 'reply', id: rig.socket.sent('presence')[0]?.id, data: { users: [], states: [] } })
  await list
  rig.socket.receive(turned(5))
  t.equal(rig.socket.sent('presence').length, 1)
})

t.test('while a join from a position is under way, its answer is what counts', async (t) => {
  const { rig, room, heard } = await inRoom()
  const position = room.join({ since: { epoch: 'e', offset: 2 } })
  rig.socket.receive(turned(5))
  rig.socket.receive(message(6))
  t.strictSame([heard, room.position], [[], { epoch: 'e', offset: 2 }])
  rig.socket.receive(joined(2, { epoch: 'f', head: 6, recovered: true, id: rig.socket.sent('join').at(-1)?.id }))
  for (const offset of [3, 4, 5, 6]) rig.socket.receive(message(offset))
  t.strictSame(await position, { epoch: 'f', offset: 2 })
  t.strictSame(heard.map(([name, data]) => name === 'message' ? data : name), ['joined', 3, 4, 5, 6])
})

t.test('while the positions of a late resume are to be read, the answer to those is what counts', async (t) => {
  const { rig, room, heard } = await inRoom()
  await cut(rig)
  rig.socket.receive(joined(8))
  rig.socket.receive(turned(8))
  rig.socket.receive(message(9))
  t.equal(room.joined, false)
  rig.socket.receive(joined(5, { epoch: 'f', head: 9, recovered: true }))
  await rig.resumed()
  for (let offset = 6; offset <= 10; offset++) rig.socket.receive(message(offset))
  t.strictSame(heard.map(([name, data]) => name === 'message' ? data : name), ['joined', 6, 7, 8, 9, 10])
  t.strictSame(room.position, { epoch: 'f', offset: 10 })
})

t.test('while the room is left, it changes nothing', async (t) => {
  const { rig, room, heard } = await inRoom()
  const left = room.leave()
  rig.socket.receive(turned(5))
  rig.socket.receive({ op: 'left', room: 'a', id: rig.socket.sent('leave')[0]?.id })
  await left
  t.strictSame([heard, room.position, room.joined], [[], null, false])
})

t.test('who is not where it says has missed something, and is told', async (t) => {
  const { rig, room, heard } = await inRoom()
  rig.socket.receive(turned(7))
  t.strictSame(heard, [
    ['joined', { position: { epoch: 'f', offset: 7 }, recovered: true }],
    ['gap', { since: { epoch: 'e', offset: 5 }, position: { epoch: 'f', offset: 7 } }]
  ])
  t.strictSame(room.position, { epoch: 'f', offset: 7 })
})
