import t from 'tap'
import { ClientRig, outcome } from '../../helpers/client-rig.js'
import { cut, inRoom, joined, message, record } from '../../helpers/client-room.js'

// Where the client and the server may disagree about who is in a room.

const error = (code: string, id?: unknown): object => ({ op: 'error', code, message: code, room: 'a', ...id === undefined ? {} : { id } })

t.test('a join from a position that is refused, in a room that is joined: it goes on from where it was', async (t) => {
  const { rig, room } = await inRoom()
  const heard = record(room)
  const { position } = room
  const refused = outcome(room.join({ since: { epoch: 'e', offset: -1 } }))
  rig.socket.receive(message((position?.offset ?? 0) + 1))
  rig.socket.receive(error('invalid_message', rig.socket.sent('join').at(-1)?.id))
  t.strictSame(await refused, { code: 'invalid_message' })
  const again = rig.socket.sent('join').at(-1)
  t.strictSame(again?.since, position)
  rig.socket.receive(joined(position?.offset ?? 0, { recovered: true, id: again?.id }))
  rig.socket.receive(message((position?.offset ?? 0) + 1))
  t.equal(room.joined, true)
  t.strictSame(heard.map(([name]) => name), ['joined', 'message'])

  // Should that be refused, too, the server is told that nobody is there.
  const worse = outcome(room.join({ since: { epoch: 'e', offset: -1 } }))
  rig.socket.receive(error('invalid_message', rig.socket.sent('join').at(-1)?.id))
  await worse
  rig.socket.receive(error('not_allowed', rig.socket.sent('join').at(-1)?.id))
  await rig.time.advance(1)
  t.equal(rig.socket.sent('leave').length, 1)
  t.equal(room.joined, false)
})

t.test('a leave that is refused, and the answer to the join behind it, in one turn', async (t) => {
  const { rig, room } = await inRoom()
  const left = outcome(room.leave())
  const again = outcome(room.join())
  rig.socket.receive(error('rate_limited', rig.socket.sent('leave')[0]?.id))
  rig.socket.receive(joined(7, { id: rig.socket.sent('join').at(-1)?.id }))
  t.strictSame(await Promise.all([left, again]), [{ code: 'rate_limited' }, { value: { epoch: 'e', offset: 7 } }])
  t.equal(room.joined, true)
})

t.test('a join by hand that is refused for a moment does not end the retry', async (t) => {
  const { rig, room } = await inRoom()
  await cut(rig)
  rig.socket.receive(error('unavailable'))
  await rig.resumed()
  const refused = outcome(room.join())
  rig.socket.receive(error('unavailable', rig.socket.sent('join').at(-1)?.id))
  t.strictSame(await refused, { code: 'unavailable' })
  await rig.time.advance(5_000)
  t.equal(rig.socket.sent('join').length, 2)
})

t.test('a room that the server has taken us out of is forgotten with the join that was closed', async (t) => {
  const { rig, room } = await inRoom()
  rig.socket.receive({ op: 'left', room: 'a' })
  const closed = outcome(room.join())
  rig.client.close()
  t.strictSame(await closed, { code: 'closed' })
  await rig.connect()
  t.strictSame(rig.socket.sent('join'), [])
  t.strictSame(rig.socket.sent('resume')[0]?.rooms, {})
})

t.test('a refusal of a room in `resume` that has been left since is no news', async (t) => {
  const { rig, room } = await inRoom()
  const errors = rig.listen('error')
  await cut(rig)
  const left = outcome(room.leave())
  rig.socket.receive(error('not_allowed'))
  rig.socket.receive({ op: 'left', room: 'a', id: rig.socket.sent('leave')[0]?.id })
  await left
  t.strictSame(errors, [])
})

t.test('a token that fails for a connection that has ended is no news', async (t) => {
  let fail: (error: Error) => void = () => {}
  let asked = 0
  const rig = new ClientRig({ url: () => 'ws://x', token: async () => asked++ === 1 ? await new Promise((_resolve, reject) => { fail = reject }) : 't' })
  const errors = rig.listen('error')
  await rig.connect({ expiresAt: rig.time.now() + 20_000 })
  await rig.time.advance(17_000)
  t.equal(asked, 2)
  rig.socket.end()
  await rig.connect()
  fail(new Error('late'))
  await rig.time.advance(1)
  t.strictSame(errors, [])
})
