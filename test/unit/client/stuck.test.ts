import t from 'tap'
import { settled } from '../../helpers/until.js'
import { ClientRig } from '../../helpers/client-rig.js'

/** Users left reconnecting-websocket over states that it never left. Each of these has an end. */

t.test('a url that is never answered: the try ends at its deadline, and the next one asks again', async (t) => {
  let asked = 0
  const rig = new ClientRig({ url: () => { asked++; return asked === 1 ? new Promise(() => {}) : 'ws://hub' } })
  rig.client.open()
  await rig.time.advance(9_999)
  t.equal(rig.path, 'connecting')
  await rig.time.advance(1)
  t.match(rig.client.state, { is: 'waiting', code: 1006, reason: 'no connection within 10000 ms', tries: 1 })
  await rig.connect()
  t.equal(asked, 2)
  t.equal(rig.path, 'connecting waiting connecting recovering open')
})

t.test('a url that is answered after the deadline is not used', async (t) => {
  const answers: Array<(url: string) => void> = []
  const rig = new ClientRig({ url: () => new Promise((resolve) => { answers.push(resolve) }) })
  rig.client.open()
  await rig.time.advance(10_000)
  await rig.time.next()
  answers[0]?.('ws://late')
  await settled()
  t.equal(rig.sockets.length, 0)
  answers[1]?.('ws://now')
  await settled()
  t.strictSame(rig.sockets.map(({ url }) => url), ['ws://now'])
})

t.test('a url or a token that is refused, whatever with, and also after its time', async (t) => {
  let fail: () => unknown = () => { throw new Error('401') }
  const rig = new ClientRig({ token: async () => fail() as string, url: ({ token }) => `ws://hub?${token}` })
  rig.client.open()
  await settled()
  t.match(rig.client.state, { is: 'waiting', reason: 'no url: 401' })
  // eslint-disable-next-line prefer-promise-reject-errors
  fail = () => Promise.reject()
  await rig.time.next()
  t.match(rig.client.state, { is: 'waiting', reason: 'no url: undefined' })
  fail = () => Promise.reject(Object.create(null))
  await rig.time.next()
  t.match(rig.client.state, { is: 'waiting', reason: 'no url: no message' })
  let late: (error: Error) => void = () => {}
  fail = () => new Promise((_resolve, reject) => { late = reject })
  await rig.time.next()
  await rig.time.advance(10_000)
  const before = rig.states.length
  late(new Error('too late'))
  await settled()
  t.equal(rig.states.length, before)
  fail = () => 'secret'
  await rig.connect()
  t.equal(rig.socket.url, 'ws://hub?secret')
})

t.test('a constructor that throws', async (t) => {
  const rig = new ClientRig()
  rig.broken.isConstructor = true
  rig.client.open()
  await settled()
  t.match(rig.client.state, { is: 'waiting', code: 1006, reason: 'no socket: The URL is invalid' })
  rig.broken.isConstructor = false
  await rig.connect()
  t.equal(rig.client.state.is, 'open')
})

t.test('a socket that never opens, and one that opens without a hello', async (t) => {
  const rig = new ClientRig()
  rig.client.open()
  await rig.time.advance(10_000)
  t.equal(rig.client.state.is, 'waiting')
  t.equal(rig.socket.closedWith, 4000, 'and is closed')
  await rig.time.next()
  rig.socket.accept()
  await rig.time.advance(10_000)
  t.match(rig.client.state, { is: 'waiting', tries: 2 })
})

t.test('a server that speaks something else', async (t) => {
  const rig = new ClientRig()
  rig.client.open()
  await settled()
  rig.socket.accept('')
  t.match(rig.client.state, { is: 'waiting', reason: 'the server does not speak hub.v1.json' })
  t.strictSame(rig.socket.sent(), [])
})

t.test('an error without a close event', async (t) => {
  const rig = new ClientRig()
  await rig.connect()
  rig.socket.fail()
  rig.socket.fail()
  t.equal(rig.client.state.is, 'open', 'the close event is waited for')
  await rig.time.advance(1_000)
  t.match(rig.client.state, { is: 'waiting', code: 1006, reason: 'error of the socket' })
})

t.test('the close event after an error has the code', async (t) => {
  const rig = new ClientRig()
  await rig.connect()
  rig.socket.fail()
  rig.socket.end(1009, 'too big')
  t.match(rig.client.state, { is: 'closed', code: 1009, reason: 'too big' })
  t.equal(rig.socket.closedWith, undefined, 'what has ended is not closed')
  await rig.time.advance(60_000)
  t.equal(rig.client.state.is, 'closed')
})

t.test('a socket that is closing for ever: whoever sends finds out', async (t) => {
  const rig = new ClientRig()
  const socket = await rig.connect()
  socket.readyState = 2
  const published = rig.client.room('a').publish(1)
  await rig.time.advance(1_000)
  t.match(rig.client.state, { is: 'waiting', reason: 'no close event' })
  await rig.connect()
  t.equal(rig.socket.sent('publish').length, 1, 'and what was sent goes again')
  rig.socket.receive({ op: 'reply', id: rig.socket.sent('publish')[0]?.id, data: { epoch: 'e', offset: 1 } })
  t.strictSame(await published, { epoch: 'e', offset: 1 })
})

t.test('a socket that throws from send and close', async (t) => {
  const rig = new ClientRig()
  const socket = await rig.connect()
  socket.isBroken = true
  const emitted = rig.client.emit('say', 1)
  await rig.time.advance(29_999)
  await t.rejects(Promise.all([emitted, rig.time.advance(1)]), { code: 'timeout' })
  await rig.time.advance(60_000)
  t.not(rig.client.state.is, 'open', 'and is found silent')
  await rig.connect()
  t.equal(rig.client.state.is, 'open')
})

t.test('a dead network: the close event that comes minutes later is not heard', async (t) => {
  const rig = new ClientRig()
  const old = await rig.connect()
  await rig.time.advance(40_000)
  t.match(rig.client.state, { is: 'waiting', code: 1006, reason: 'silent server' })
  await rig.connect()
  const before = rig.states.length
  old.end(4501, 'late')
  old.receive({ op: 'direct', data: 'late' })
  old.fail()
  t.equal(rig.states.length, before)
})

t.test('recovery that stands still', async (t) => {
  const rig = new ClientRig()
  await rig.connect()
  await rig.join('a', { epoch: 'e', offset: 1 })
  rig.socket.end()
  while (rig.client.state.is === 'waiting') await rig.time.next()
  await rig.accept({ heartbeat: { interval: 0, timeout: 0 } })
  await rig.time.advance(29_999)
  t.equal(rig.client.state.is, 'recovering')
  rig.socket.receive({ op: 'joined', room: 'a', epoch: 'e', offset: 1, head: 3, recovered: true })
  await rig.time.advance(29_999)
  t.equal(rig.client.state.is, 'recovering', 'it went on')
  await rig.time.advance(1)
  t.match(rig.client.state, { is: 'waiting', reason: 'recovery stands still' })
})

t.test('close() in each phase is the end, and open() begins anew', async (t) => {
  const phases: Record<string, (rig: ClientRig) => Promise<unknown>> = {
    url: async () => {},
    socket: async () => { await settled() },
    hello: async (rig) => { await settled(); rig.socket.accept() },
    recovering: async (rig) => { await rig.accept() },
    open: async (rig) => { await rig.connect() },
    waiting: async (rig) => { await settled(); rig.socket.end() }
  }
  for (const [phase, reach] of Object.entries(phases)) {
    const rig = new ClientRig()
    rig.client.open()
    await reach(rig)
    rig.client.close()
    t.match(rig.client.state, { is: 'closed', code: 1000 }, phase)
    rig.client.close()
    t.equal(rig.states.filter(({ is }) => is === 'closed').length, 1, `${phase}: once`)
    const sockets = rig.sockets.length
    t.equal(rig.time.timers, 0, `${phase}: no timer is left`)
    await rig.time.advance(600_000)
    t.equal(rig.sockets.length, sockets, `${phase}: no try follows`)
    await rig.connect()
    t.equal(rig.client.state.is, 'open', `${phase}: it opens again`)
  }
})

t.test('open and close in quick turns leave one socket', async (t) => {
  const rig = new ClientRig()
  for (let i = 0; i < 5; i++) {
    rig.client.open()
    rig.client.open()
    rig.client.close()
  }
  rig.client.open()
  rig.client.open()
  await settled()
  t.equal(rig.sockets.length, 1)
  await rig.accept()
  await rig.resumed()
  t.equal(rig.client.state.is, 'open')
})

t.test('reconnect: opens, waits no longer, lets a try go on, and replaces a connection', async (t) => {
  const rig = new ClientRig()
  rig.client.reconnect()
  t.equal(rig.client.state.is, 'connecting')
  rig.client.reconnect()
  await settled()
  t.equal(rig.sockets.length, 1)
  rig.socket.end()
  rig.client.reconnect()
  t.equal(rig.client.state.is, 'connecting')
  await rig.accept()
  await rig.resumed()
  for (let i = 0; i < 10; i++) rig.client.reconnect()
  await settled()
  t.equal(rig.sockets.length, 3)
  t.equal(rig.sockets[1]?.closedWith, 4000)
})

t.test('a listener of the state may close, open and reconnect', async (t) => {
  const rig = new ClientRig()
  let turns = 0
  rig.client.on('state', ({ is }) => {
    if (is === 'waiting') rig.client.reconnect()
    if (is === 'open' && turns++ === 0) rig.client.close()
    if (is === 'closed') rig.client.open()
  })
  rig.client.open()
  await settled()
  rig.socket.end()
  await rig.accept()
  await rig.resumed()
  await rig.accept()
  await rig.resumed()
  t.equal(rig.client.state.is, 'open')
  t.equal(rig.sockets.length, 3)
})
