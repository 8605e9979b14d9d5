import t from 'tap'
import { PeerRate } from '../../../lib/core/peer-rate.js'
import { ClientRig, HELLO, outcome } from '../../helpers/client-rig.js'

const LIMITS = { ...HELLO.limits, messagesPerSecond: 100, burst: 200 }

t.test('joins wait for the pace of the server, before and after a cut, and before what is kept', async (t) => {
  const rig = new ClientRig()
  rig.client.open()
  for (let i = 0; i < 260; i++) outcome(rig.client.room(`room-${i}`).join())
  outcome(rig.client.emit('later'))
  await rig.accept({ limits: LIMITS })
  t.equal(rig.socket.sent('join').length <= 100, true, 'half of the burst at once')
  t.equal(rig.socket.sent('join').length > 90, true)
  await rig.resumed()
  const answered = new Set<unknown>()
  const answer = (): void => {
    for (const { room, id } of rig.socket.sent('join')) {
      if (answered.has(id)) continue
      answered.add(id)
      rig.socket.receive({ op: 'joined', room, epoch: 'e', offset: 0, head: 0, id })
    }
  }
  for (let i = 0; i < 10; i++) {
    answer()
    await rig.time.advance(100)
  }
  const { length } = rig.socket.sent('join')
  t.equal(length > 170 && length < 185, true, `${length}`)
  t.equal(rig.socket.sent('event').length, 0)
  for (let i = 0; i < 15; i++) {
    answer()
    await rig.time.advance(100)
  }
  t.equal(rig.socket.sent('join').length, 260)
  t.equal(rig.socket.sent('event').length, 1)
  t.equal(rig.client.state.is, 'open')
})

t.test('joins that wait for the pace end with the connection, and go on the next one', async (t) => {
  const rig = new ClientRig()
  rig.client.open()
  for (let i = 0; i < 20; i++) outcome(rig.client.room(`room-${i}`).join())
  await rig.accept({ limits: { ...LIMITS, burst: 20 } })
  t.equal(rig.socket.sent('join').length, 10)
  rig.socket.end()
  while (rig.client.state.is === 'waiting') await rig.time.next()
  await rig.accept()
  t.equal(rig.socket.sent('join').length, 20)
})

t.test('a request that ends each connection has its time once', async (t) => {
  const rig = new ClientRig()
  await rig.connect()
  const poison = outcome(rig.client.emit('hang'))
  await rig.time.advance(20_000)
  rig.socket.end(1011)
  await rig.connect()
  t.equal(rig.socket.sent('event').length, 1)
  await rig.time.advance(9_999)
  let isDone = false
  const done = poison.then((value) => { isDone = true; return value })
  t.equal(isDone, false)
  await rig.time.advance(1)
  t.strictSame(await done, { code: 'timeout' })
  rig.socket.end()
  await rig.connect()
  t.equal(rig.socket.sent('event').length, 0)
})

t.test('a clock that is set forward takes half of what is left, each time: no more, and not nothing', async (t) => {
  const rig = new ClientRig()
  await rig.connect()
  let isDone = false
  const late = outcome(rig.client.emit('hang')).finally(() => { isDone = true })
  for (let i = 0; i < 4; i++) {
    rig.time.setClock(3_600_000)
    rig.socket.end()
    await rig.connect()
    t.strictSame([isDone, rig.socket.sent('event').length], [false, 1], 'it goes again')
  }
  await rig.time.advance(1_874)
  t.equal(isDone, false)
  await rig.time.advance(1)
  t.strictSame(await late, { code: 'timeout' })
})

t.test('no more than 100 requests are sent and unanswered; the rest waits in order', async (t) => {
  const rig = new ClientRig({ outbox: { maxMessages: 100 } })
  await rig.connect()
  const results = Array.from({ length: 201 }, (_, i) => outcome(rig.client.emit(`e${i}`)))
  const sent = (): unknown[] => rig.socket.sent('event').map(({ event }) => event)
  t.equal(sent().length, 100)
  t.strictSame(await results[200], { code: 'outbox_full' })
  const [first, second] = rig.socket.sent('event')
  rig.socket.receive({ op: 'reply', id: first?.id, data: 1 })
  rig.socket.receive({ op: 'error', id: second?.id, code: 'internal', message: 'no' })
  t.strictSame(sent().slice(100), ['e100', 'e101'])
  rig.socket.end()
  await rig.connect()
  t.strictSame(sent(), Array.from({ length: 100 }, (_, i) => `e${i + 2}`))
})

t.test('what timed out may still lie unread: it makes room when it is answered, and when the connection ends', async (t) => {
  const rig = new ClientRig()
  await rig.connect()
  const results = Array.from({ length: 101 }, (_, i) => outcome(rig.client.emit(`e${i}`)))
  // The server is there, and answers others.
  const alive = async (): Promise<void> => {
    for (let i = 0; i < 4; i++) {
      await rig.time.advance(10_000)
      rig.socket.receive({ op: 'pong' })
    }
  }
  await alive()
  t.strictSame(await Promise.all(results.slice(0, 100)), Array.from({ length: 100 }, () => ({ code: 'timeout' })))
  const sent = (): unknown[] => rig.socket.sent('event').map(({ event }) => event)
  t.equal(sent().length, 100)
  rig.socket.receive({ op: 'error', id: rig.socket.sent('event')[7]?.id, code: 'internal', message: 'no' })
  t.strictSame(sent().slice(100), ['e100'])
  outcome(rig.client.emit('e101'))
  await alive()
  t.equal(sent().length, 101)
  rig.socket.end()
  await rig.connect()
  t.strictSame(sent(), ['e101'])
})

t.test('a server that has not read for minutes finds no more than it takes at once, and closes nothing', async (t) => {
  for (const burst of [1, 2, 20, 200]) {
    const limits = { ...LIMITS, messagesPerSecond: Math.ceil(burst / 2), burst }
    const rig = new ClientRig()
    await rig.connect({ limits })
    for (let i = 0; i < 100; i++) outcome(rig.client.emit('state'))
    for (let i = 0; i < 30; i++) {
      await rig.time.advance(10_000)
      outcome(rig.client.emit('state'))
      rig.socket.receive({ op: 'pong' })
    }
    const { length } = rig.socket.sent('event')
    t.equal(length, Math.max(1, Math.min(burst / 2, 100)), `of a burst of ${burst}`)
    const rate = new PeerRate({ messagesPerSecond: limits.messagesPerSecond, burst, bytesPerSecond: 0, violations: 10 }, 0, 0)
    t.equal(rig.socket.sent('event').every(() => rate.take(300_000, 0)), true)
  }
})

t.test('a burst of a thousand waits to be sent, by default', async (t) => {
  const rig = new ClientRig()
  await rig.connect()
  const results = Array.from({ length: 1_101 }, async (_, i) => await rig.client.emit(`e${i}`).catch((error: unknown) => error))
  t.match(await results[1_100], { code: 'outbox_full', message: 'no more than 1000 messages may wait to be sent' })
  for (let i = 0; i < 1_100; i += 100) {
    for (const { id, event } of rig.socket.sent('event').slice(i)) rig.socket.receive({ op: 'reply', id, data: event })
  }
  t.strictSame(await Promise.all(results.slice(0, 1_100)), Array.from({ length: 1_100 }, (_, i) => `e${i}`))
})

t.test('a burst of 1 has been used up by resume', async (t) => {
  const rig = new ClientRig()
  rig.client.open()
  outcome(rig.client.room('a').join())
  await rig.accept({ limits: { ...LIMITS, messagesPerSecond: 1, burst: 1 } })
  t.strictSame(rig.socket.sent().map(({ op }) => op), ['resume'])
  await rig.time.advance(1_250)
  t.strictSame(rig.socket.sent().map(({ op }) => op), ['resume', 'join'])
})
