import t from 'tap'
import { ClientRig, HELLO, outcome } from '../../helpers/client-rig.js'
import { cut } from '../../helpers/client-room.js'
import { settled } from '../../helpers/until.js'

t.test('a busy room does not keep the recovery of another one from ending', async (t) => {
  const rig = new ClientRig()
  await rig.connect()
  for (const name of ['a', 'b']) await rig.join(name, { epoch: 'e', offset: 1 })
  await cut(rig)
  rig.socket.receive({ op: 'joined', room: 'b', epoch: 'e', offset: 1, head: 1, recovered: true })
  await rig.resumed()
  const { length } = rig.sockets
  for (let i = 0; i < 3; i++) {
    await rig.time.advance(9_999)
    rig.socket.receive({ op: 'message', room: 'b', offset: 2 + i, data: 1 })
  }
  t.equal(rig.client.state.is, 'recovering')
  await rig.time.advance(3)
  t.match(rig.client.state, { is: 'waiting', reason: 'recovery stands still' })
  t.equal(rig.sockets.length, length)
})

t.test('a room that comes further is waited for', async (t) => {
  const rig = new ClientRig()
  await rig.connect()
  await rig.join('a', { epoch: 'e', offset: 1 })
  await cut(rig)
  rig.socket.receive({ op: 'joined', room: 'a', epoch: 'e', offset: 1, head: 9, recovered: true })
  await rig.resumed()
  for (let offset = 2; offset < 9; offset++) {
    await rig.time.advance(20_000)
    rig.socket.receive({ op: 'message', room: 'a', offset, data: 1 })
    t.equal(rig.client.state.is, 'recovering')
  }
})

t.test('a resume has 1,000 rooms at most', async (t) => {
  const rig = new ClientRig()
  const limits = { ...HELLO.limits, maxMessageBytes: 1_048_576 }
  await rig.connect({ limits })
  for (let i = 0; i < 1_001; i++) await rig.join(`room-${i}`, { epoch: 'e', offset: 1 })
  await cut(rig)
  t.equal(Object.keys(rig.socket.sent('resume')[0]?.rooms as object).length, 1_000)
  t.match(rig.socket.sent('join'), [{ room: 'room-1000' }])
})

t.test('refresh that is answered in the moment of close() schedules nothing', async (t) => {
  const rig = new ClientRig({ token: () => 't' })
  await rig.connect()
  const refreshed = outcome(rig.client.refresh('x'))
  rig.socket.receive({ op: 'reply', id: rig.socket.sent('refresh')[0]?.id, data: { expiresAt: rig.time.now() + 3_600_000 } })
  rig.client.close()
  await refreshed
  await settled()
  t.equal(rig.time.timers, 0)
})

t.test('a token that comes after close() is no error', async (t) => {
  let answer: (token: string) => void = () => {}
  let asked = 0
  const rig = new ClientRig({ token: () => asked++ === 0 ? 't' : new Promise((resolve) => { answer = resolve }), url: () => 'ws://hub' })
  await rig.connect({ expiresAt: 1_700_000_020_000 })
  await rig.time.advance(17_000)
  t.equal(asked, 2)
  rig.client.close()
  answer('t2')
  await settled()
  t.strictSame(rig.errors, [])
})
