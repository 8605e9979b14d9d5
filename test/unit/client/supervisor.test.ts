import t from 'tap'
import type { PageLike } from '../../../lib/client/index.js'
import { ClientRig } from '../../helpers/client-rig.js'
import { settled } from '../../helpers/until.js'

/** A window whose network the test switches. */
class Page implements PageLike {
  readonly navigator = { onLine: true }
  readonly document = { visibilityState: 'visible' }
  readonly listeners = new Map<string, Set<() => void>>()
  addEventListener (type: string, listener: () => void): void { this.listeners.set(type, (this.listeners.get(type) ?? new Set()).add(listener)) }
  removeEventListener (type: string, listener: () => void): void { this.listeners.get(type)?.delete(listener) }
  get count (): number { return [...this.listeners.values()].reduce((sum, { size }) => sum + size, 0) }

  tell (type: 'online' | 'offline' | 'visibilitychange'): void {
    if (type !== 'visibilitychange') this.navigator.onLine = type === 'online'
    for (const listener of this.listeners.get(type) ?? []) listener()
  }
}

/** Milliseconds until the next try. */
function delayOf ({ client: { state }, time }: ClientRig): number {
  return state.is === 'waiting' ? state.retryAt - time.now() : NaN
}

/** A try that fails. */
async function failTry (rig: ClientRig, code = 1006): Promise<void> {
  while (rig.client.state.is === 'waiting') await rig.time.next()
  await settled()
  rig.socket.end(code)
}

t.test('from closed to open, and what the states tell', async (t) => {
  const rig = new ClientRig()
  t.strictSame(rig.client.state, { is: 'closed', code: 1000, reason: 'not opened' })
  await rig.connect()
  t.strictSame(rig.states, [
    { is: 'connecting', tries: 0 },
    { is: 'recovering', connection: 'c1', user: 'ada' },
    { is: 'open', connection: 'c1', user: 'ada' }
  ])
  t.equal(rig.socket.offered, 'hub.v1.json')
  t.equal(rig.socket.binaryType, 'arraybuffer')
})

t.test('delays double up to the cap, and begin anew after a connection that was open for 10 s', async (t) => {
  const rig = new ClientRig({ backoff: { min: 1_000, max: 5_000 } })
  rig.chance = 1
  rig.client.open()
  const delays: number[] = []
  for (let i = 0; i < 5; i++) {
    await failTry(rig)
    delays.push(delayOf(rig))
  }
  t.strictSame(delays, [1_000, 2_000, 4_000, 5_000, 5_000])
  await rig.connect()
  await rig.time.advance(9_999)
  rig.socket.end()
  t.equal(delayOf(rig), 5_000, 'too short to be a good one')
  t.match(rig.client.state, { tries: 6 })
  await rig.connect()
  await rig.time.advance(10_000)
  rig.socket.end()
  t.equal(delayOf(rig), 1_000)
  t.match(rig.client.state, { tries: 0 })
})

t.test('the shortest delay is 100 ms', async (t) => {
  const rig = new ClientRig()
  rig.chance = 0
  rig.client.open()
  await failTry(rig)
  t.equal(delayOf(rig), 100)
})

t.test('maxTries: so many in a row, and the end of a good connection is none of them', async (t) => {
  const rig = new ClientRig({ maxTries: 2 })
  await rig.connect()
  await rig.time.advance(10_000)
  await failTry(rig)
  await failTry(rig)
  t.equal(rig.client.state.is, 'waiting')
  await failTry(rig, 1011)
  t.strictSame(rig.client.state, { is: 'closed', code: 1011, reason: '' })
  rig.client.open()
  await failTry(rig)
  t.equal(rig.client.state.is, 'waiting', 'and open() counts from the start')
})

t.test('maxTime: of trying and waiting, without what the machine slept through', async (t) => {
  const rig = new ClientRig({ maxTime: 20_000, connectTimeout: 5_000, backoff: { min: 2_000, factor: 1 } })
  rig.chance = 1
  rig.client.open()
  for (let i = 0; i < 2; i++) {
    await settled()
    await rig.time.advance(5_000)
    t.equal(rig.client.state.is, 'waiting')
    await rig.time.sleep(3_600_000)
    t.equal(rig.client.state.is, 'connecting', 'an hour later it goes on')
  }
  await settled()
  await rig.time.sleep(3_600_000)
  t.match(rig.client.state, { is: 'closed', code: 1006 })
})

t.test('maxTime: the life of a connection is no time of trying', async (t) => {
  const rig = new ClientRig({ maxTime: 8_000 })
  await rig.connect({ heartbeat: { interval: 0, timeout: 0 } })
  await rig.time.advance(3_600_000)
  rig.socket.end()
  t.equal(rig.client.state.is, 'waiting')
  t.equal(await rig.connect(), rig.sockets[1])
  await rig.time.advance(9_000)
  rig.socket.end()
  t.equal(rig.client.state.is, 'waiting', 'nor that of a short one')
})

t.test('maxTime: a wait counts as long as it was, and not where the server has asked for it', async (t) => {
  const rig = new ClientRig({ maxTime: 60_000, backoff: { min: 25_000, factor: 1 } })
  rig.chance = 1
  rig.client.open()
  for (let i = 0; i < 50; i++) {
    await failTry(rig)
    t.equal(rig.client.state.is, 'waiting')
    await rig.time.advance(500)
    rig.client.reconnect()
  }
  await rig.connect()
  rig.socket.receive({ op: 'goodbye', reconnectIn: 90_000 })
  rig.socket.end(1012)
  t.match(rig.client.state, { is: 'waiting', code: 1012 })
})

t.test('listeners of the state are told in order, whatever one of them does', async (t) => {
  const rig = new ClientRig()
  rig.client.on('state', ({ is }) => {
    if (is === 'waiting') rig.client.close()
    else if (is === 'closed' && rig.sockets.length < 2) rig.client.open()
  })
  const told = rig.listen('state')
  await rig.connect()
  rig.socket.end()
  await settled()
  t.strictSame(told.map(([{ is }]) => is), ['connecting', 'recovering', 'open', 'waiting', 'closed', 'connecting'])
  t.equal(rig.path, told.map(([{ is }]) => is).join(' '))
})

t.test('codes that are final, and codes that are not', async (t) => {
  for (const code of [1000, 1002, 1003, 1007, 1008, 1009, 1010, 4500, 4501, 4502, 4999]) {
    const rig = new ClientRig()
    await rig.connect()
    rig.socket.end(code, 'why')
    t.strictSame(rig.client.state, { is: 'closed', code, reason: 'why' })
    t.equal(rig.time.timers, 0)
  }
  for (const code of [1001, 1005, 1006, 1011, 1012, 1013, 1014, 1015, 3000, 4000, 4408, 4429, 4499]) {
    const rig = new ClientRig()
    await rig.connect()
    rig.socket.end(code, 'why')
    t.match(rig.client.state, { is: 'waiting', code, reason: 'why' })
  }
})

t.test('4401: new credentials are asked for, then it comes back', async (t) => {
  let asked = 0
  const rig = new ClientRig({ token: () => `token${++asked}`, url: ({ token, tries }) => `ws://hub?${token}&${tries}` })
  await rig.connect()
  rig.socket.end(4401, 'credentials expired')
  await rig.connect()
  t.strictSame(rig.sockets.map(({ url }) => url), ['ws://hub?token1&0', 'ws://hub?token2&1'])
})

t.test('goodbye has the delay of the next try, of that one only', async (t) => {
  const rig = new ClientRig({ page: new Page(), maxTries: 1 })
  const heard = rig.listen('goodbye')
  await rig.connect()
  rig.socket.receive({ op: 'goodbye', reconnectIn: 3_210 })
  t.strictSame(heard, [[{ reconnectIn: 3_210 }]])
  rig.socket.end(1012, 'service restart')
  t.equal(delayOf(rig), 3_210)
  await rig.time.advance(3_209)
  t.equal(rig.sockets.length, 1)
  await rig.time.advance(1)
  t.equal(rig.sockets.length, 2)
  rig.socket.end()
  t.equal(rig.client.state.is, 'closed')
})

t.test('goodbye before a final code changes nothing', async (t) => {
  const rig = new ClientRig()
  await rig.connect()
  rig.socket.receive({ op: 'goodbye', reconnectIn: 3_210 })
  rig.socket.end(4501, 'kicked')
  t.equal(rig.client.state.is, 'closed')
})

t.test('online: tries soon, at once only where no try was just made', async (t) => {
  const page = new Page()
  const rig = new ClientRig({ page })
  rig.chance = 1
  rig.client.open()
  for (let i = 0; i < 5; i++) await failTry(rig)
  t.equal(delayOf(rig), 16_000)
  rig.chance = 0.5
  page.tell('online')
  t.equal(delayOf(rig), 1_500, 'a second after the last try, and spread over another')
  for (let i = 0; i < 100; i++) page.tell('online')
  rig.chance = 1
  page.tell('online')
  t.equal(delayOf(rig), 1_500, 'a storm does not put it off')
  await rig.time.advance(1_500)
  t.equal(rig.sockets.length, 6)
  page.tell('online')
  t.equal(rig.client.state.is, 'connecting', 'a try goes on')
  rig.socket.end()
  await rig.time.advance(20_000)
  rig.chance = 0
  page.tell('visibilitychange')
  t.equal(delayOf(rig), 0)
})

t.test('a storm of online events makes no storm of tries', async (t) => {
  const page = new Page()
  const rig = new ClientRig({ page })
  rig.chance = 0.5
  rig.client.open()
  for (let ms = 0; ms < 10_000; ms += 10) {
    await rig.time.advance(10)
    if (rig.client.state.is === 'connecting') rig.socket.end()
    page.tell(ms % 20 === 0 ? 'offline' : 'online')
  }
  t.ok(rig.sockets.length <= 11, `${rig.sockets.length} in 10 s`)
  t.ok(rig.sockets.length >= 4, `${rig.sockets.length} in 10 s`)
})

t.test('goodbye is not hurried', async (t) => {
  const page = new Page()
  const rig = new ClientRig({ page })
  await rig.connect()
  rig.socket.receive({ op: 'goodbye', reconnectIn: 5_000 })
  rig.socket.end(1012)
  page.tell('online')
  t.equal(delayOf(rig), 5_000)
})

t.test('offline: tries are rare and do not count, but are made: the platform may be wrong', async (t) => {
  const page = new Page()
  const rig = new ClientRig({ page, maxTries: 3, maxTime: 10_000 })
  rig.client.open()
  await settled()
  page.tell('offline')
  for (let i = 0; i < 10; i++) {
    await failTry(rig)
    t.equal(delayOf(rig), 30_000)
  }
  t.match(rig.client.state, { is: 'waiting', tries: 0 })
})

t.test('offline, online and a page that is seen again put an open connection to the test', async (t) => {
  for (const event of ['offline', 'online', 'visibilitychange'] as const) {
    const page = new Page()
    const rig = new ClientRig({ page })
    await rig.connect()
    page.tell(event)
    t.strictSame(rig.socket.sent('ping'), [{ op: 'ping' }], event)
    await rig.time.advance(4_999)
    t.equal(rig.client.state.is, 'open')
    await rig.time.advance(1)
    t.match(rig.client.state, { is: 'waiting', reason: 'silent server' })
  }
})

t.test('a page that is hidden is nothing to ask about', async (t) => {
  const page = new Page()
  const rig = new ClientRig({ page })
  await rig.connect()
  page.document.visibilityState = 'hidden'
  page.tell('visibilitychange')
  t.strictSame(rig.socket.sent('ping'), [])
})

t.test('the listeners at the page come with open() and go with close()', async (t) => {
  const page = new Page()
  const rig = new ClientRig({ page })
  t.equal(page.count, 0)
  await rig.connect()
  t.equal(page.count, 3)
  rig.client.open()
  t.equal(page.count, 3)
  rig.client.close()
  t.equal(page.count, 0)
})

t.test('hello in the middle of a connection, and an end of recovery without one, change nothing', async (t) => {
  const rig = new ClientRig()
  await rig.connect()
  rig.socket.receive({ op: 'hello', version: 1, connection: 'c2', user: null, session: 's2', heartbeat: { interval: 1, timeout: 1 }, limits: { maxMessageBytes: 0, messagesPerSecond: 0, burst: 1 } })
  t.match(rig.client.state, { is: 'open', connection: 'c1' })
  rig.client.reconnect()
  await settled()
  rig.socket.accept()
  await rig.resumed()
  t.equal(rig.client.state.is, 'connecting', 'there was no hello')
})
