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

t.test('the first resume has no rooms: what the server takes is not known', async (t) => {
  const rig = new ClientRig()
  rig.client.open()
  for (let i = 0; i < 100; i++) outcome(rig.client.room(`room-${i}`).join({ since: { epoch: 'e', offset: 1 } }))
  await settled()
  rig.socket.accept()
  t.strictSame(rig.socket.sent(), [{ op: 'resume', rooms: {}, id: rig.socket.sent()[0]?.id }])
  rig.socket.receive({ ...HELLO, limits: { ...HELLO.limits, maxMessageBytes: 1_024 } })
  t.match(rig.socket.sent('join')[0], { room: 'room-0', since: { epoch: 'e', offset: 1 } })
  t.equal(rig.socket.sent('join').length, 100)
})

t.test('a resume is never larger than the server takes, and hardly smaller than need be', async (t) => {
  for (const [name, maxMessageBytes] of [['document:', 16_384], ['€', 4_096], ['"\\', 4_096], ['x', 100]] as const) {
    const rig = new ClientRig()
    await rig.connect({ limits: { ...HELLO.limits, maxMessageBytes }, session: 's'.repeat(maxMessageBytes / 4) })
    for (let i = 0; i < 300; i++) await rig.join(`${name}${i}`, { epoch: 'cf3bcfb8-4b14-4b9a-9a3f-0f6c3f0f6c3f', offset: i })
    rig.socket.end()
    while (rig.client.state.is === 'waiting') await rig.time.next()
    await settled()
    rig.socket.accept()
    const bytes = Buffer.byteLength(String(rig.socket.raw[0]))
    t.ok(bytes <= maxMessageBytes, `${bytes} of ${maxMessageBytes}`)
    if (maxMessageBytes > 1_000) t.ok(bytes > maxMessageBytes * 0.85, `${bytes} of ${maxMessageBytes}`)
  }
})

t.test('a position that the application names does not spoil the resume of the others', async (t) => {
  const rig = new ClientRig()
  await rig.connect()
  await rig.join('good', { epoch: 'e', offset: 1 })
  rig.socket.end()
  const bad = outcome(rig.client.room('bad').join({ since: { epoch: '', offset: 0 } }))
  while (rig.client.state.is === 'waiting') await rig.time.next()
  await rig.accept()
  t.strictSame(rig.socket.sent('resume')[0]?.rooms, { good: { epoch: 'e', offset: 1 } })
  rig.socket.receive({ op: 'error', code: 'invalid_message', message: 'no', id: rig.socket.sent('join')[0]?.id })
  t.strictSame(await bad, { code: 'invalid_message' })
})

t.test('recovery has its time from hello on', async (t) => {
  const rig = new ClientRig({ connectTimeout: 60_000 })
  rig.client.open()
  await settled()
  rig.socket.accept()
  await rig.time.advance(40_000)
  rig.socket.receive({ ...HELLO, heartbeat: { interval: 0, timeout: 0 } })
  await rig.time.advance(29_999)
  t.equal(rig.client.state.is, 'recovering')
  await rig.time.advance(1)
  t.match(rig.client.state, { is: 'waiting', reason: 'recovery stands still' })
})

t.test('a token that was asked for on one connection is not sent on the next', async (t) => {
  const answers: Array<(token: string) => void> = []
  let asked = 0
  const rig = new ClientRig({ token: () => ++asked === 2 ? new Promise((resolve) => { answers.push(resolve) }) : `t${asked}`, url: ({ token }) => `ws://hub?${token}` })
  await rig.connect({ expiresAt: rig.time.now() + 20_000 })
  await rig.time.advance(16_000)
  t.equal(answers.length, 1)
  rig.client.reconnect()
  await rig.connect()
  t.equal(rig.socket.url, 'ws://hub?t3')
  answers[0]?.('t2')
  await settled()
  t.strictSame([rig.socket.sent('refresh'), rig.errors], [[], []])
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
