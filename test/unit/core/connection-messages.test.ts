import t from 'tap'
import type { Connection, DisconnectInfo } from '../../../lib/core/types.js'
import { settled } from '../../helpers/until.js'
import { startHub, type FakeHub, type FakeHubOptions, type FakePeer } from '../../helpers/fake-hub.js'

interface World extends FakePeer { fake: FakeHub, log: string[], errors: unknown[] }

/** A hub that notes what its handlers are called with. */
async function connected (options: FakeHubOptions = {}): Promise<World> {
  const log: string[] = []
  const errors: unknown[] = []
  const { onConnect, onMessage, onDisconnect, ...rest } = options
  const fake = await startHub({
    onConnect: (connection) => {
      log.push('connect')
      return onConnect?.(connection)
    },
    onMessage: (connection, message) => {
      log.push(message.text())
      return onMessage?.(connection, message)
    },
    onDisconnect: (connection, info: DisconnectInfo) => {
      log.push(`disconnect ${info.code}`)
      return onDisconnect?.(connection, info)
    },
    ...rest
  })
  fake.hub.on('error', (error) => { errors.push(error) })
  return { fake, log, errors, ...await fake.connect() }
}

const rate = { messagesPerSecond: 10, burst: 2, bytesPerSecond: 0, violations: 3 }

t.test('without handlers nothing happens', async (t) => {
  const fake = await startHub()
  const { transport, connection } = await fake.connect()
  transport.message('x')
  t.equal(connection.state, 'open')
  transport.peerClose()
  await settled()
  t.equal(fake.hub.size, 0)
  t.equal(fake.hub.stats().messages.received, 1)
  t.same(fake.log, [])
})

t.test('FAULTS 43: messages wait for onConnect', async (t) => {
  let open = (): void => {}
  const wait = new Promise<void>((resolve) => { open = resolve })
  const { transport, connection, log } = await connected({ onConnect: () => wait })
  t.equal(connection.state, 'connecting')
  for (const text of ['1', '2', '3']) transport.message(text)
  t.equal(transport.paused, false)
  transport.message('4')
  t.equal(transport.paused, true, 'bounded')
  transport.message('5')
  t.equal(connection.send('welcome'), 'sent', 'sending is possible meanwhile')
  t.same(log, ['connect'])
  open()
  await settled()
  t.equal(connection.state, 'open')
  t.same(log, ['connect', '1', '2', '3', '4', '5'])
  t.equal(transport.paused, false)
})

t.test('what comes before it is in the hub is kept, too', async (t) => {
  const log: string[] = []
  const fake = await startHub({ onConnect: () => { log.push('connect') }, onMessage: (_connection, message) => { log.push(message.text()) } })
  const { transport, connection } = fake.accept()
  transport.message('early')
  t.equal(fake.hub.get(connection.id), undefined)
  await settled()
  t.same(log, ['connect', 'early'])
})

t.test('FAULTS 41: onMessage throws or rejects: 1011 for this connection, and nobody else', async (t) => {
  for (const onMessage of [() => { throw new Error('bad') }, async () => { throw new Error('bad') }]) {
    const { fake, transport, log, errors } = await connected({ onMessage })
    const other = await fake.connect()
    transport.message('a')
    transport.message('b')
    await settled()
    t.same(transport.closed, { code: 1011, reason: 'internal error' })
    t.match(errors, [{ message: 'bad' }])
    await fake.turn()
    t.same(log, ['connect', 'connect', 'a', 'disconnect 1011'], 'b is not handled any more')
    t.equal(other.connection.state, 'open')
  }
})

t.test('FAULTS 41: onConnect throws or rejects: 1011, and one onDisconnect', async (t) => {
  for (const onConnect of [() => { throw new Error('bad') }, async () => { throw new Error('bad') }, () => ({ then (_resolve: unknown, reject: (error: Error) => void) { reject(new Error('bad')) } })]) {
    const { fake, transport, connection, log, errors } = await connected({ onConnect })
    transport.message('never handled')
    await settled()
    t.equal(transport.closed?.code, 1011)
    t.match(errors, [{ message: 'bad' }])
    await fake.turn()
    t.same(log, ['connect', 'disconnect 1011'])
    t.equal(connection.state, 'closed')
  }
})

for (const [where, what, seen] of [
  ['onMessage', 'has not failed', ['connect', 'x', 'disconnect 1006']],
  ['onConnect', 'has not let it in: nothing that came is handled', ['connect', 'disconnect 1006']]
] as const) {
  t.test(`${where} that meets the end of its own connection ${what}`, async (t) => {
    let open = (): void => {}
    const wait = new Promise<void>((resolve) => { open = resolve })
    const { transport, log, errors } = await connected({
      [where]: async (connection: Connection) => {
        await wait
        await connection.join('too late')
      }
    })
    transport.message('x')
    transport.reset()
    open()
    await settled()
    t.same(errors, [])
    t.same(log, seen)
  })
}

t.test('a thenable of onConnect that returns nothing is waited for all the same', async (t) => {
  const { connection, transport, log } = await connected({ onConnect: () => ({ then (resolve: () => void) { setImmediate(resolve) } }) })
  transport.message('x')
  t.same(log, ['connect'])
  while (connection.state !== 'open') await settled()
  await settled()
  t.same(log, ['connect', 'x'])
})

t.test('whatever a handler throws, the process lives and it is told', async (t) => {
  for (const thrown of [undefined, null, 'text', 0, Symbol('s'), Object.create(null), { toString () { throw new Error('no') } }]) {
    const { transport, errors } = await connected({ onMessage: () => { throw thrown } })
    transport.message('x')
    t.equal(transport.closed?.code, 1011)
    t.ok(errors.length === 1 && errors[0] instanceof Error)
    t.equal((errors[0] as Error).cause, thrown)
  }
})

t.test('FAULTS 30: the wrong kind of message: 1003', async (t) => {
  for (const [messages, right, wrong] of [['text', 'text', Buffer.from('b')], ['binary', Buffer.from('b'), 'text']] as const) {
    const { transport, log, fake } = await connected({ settings: { messages } })
    transport.message(right)
    transport.message(wrong)
    transport.message(right)
    t.same(transport.closed, { code: 1003, reason: 'unsupported message type' })
    t.same(log, ['connect', right.toString()])
    t.equal(fake.hub.stats().messages.received, 1)
  }
})

t.test('over the rate: dropped and counted, and 1008 after so many in a row', async (t) => {
  const { fake, transport, log } = await connected({ settings: { rate } })
  for (let i = 0; i < 4; i++) transport.message(`a${i}`)
  t.same(log, ['connect', 'a0', 'a1'])
  t.equal(fake.hub.stats().messages.limited, 2)
  fake.clock.advanceSync(100)
  transport.message('b')
  t.equal(log.at(-1), 'b', 'within the rate again: the count starts anew')
  for (let i = 0; i < 3; i++) transport.message('c')
  t.same(transport.closed, { code: 1008, reason: 'rate limit exceeded' })
  t.match(fake.hub.stats().messages, { received: 3, limited: 5 })
  transport.message('after the end')
  t.equal(fake.hub.stats().messages.limited, 5)
})

t.test('FAULTS 25: pings count, and pongs that nobody asked for; beyond the rate a ping gets no answer', async (t) => {
  for (const kind of ['peerPing', 'peerPong'] as const) {
    const { fake, transport } = await connected({ settings: { rate } })
    for (const name of ['a', 'b', 'c', 'd']) transport[kind](name)
    t.equal(transport.closed, null)
    fake.clock.advanceSync(200)
    for (const name of ['e', 'f', 'g', 'h', 'i']) transport[kind](name)
    t.equal(transport.closed?.code, 1008)
    fake.clock.advanceSync(200)
    transport[kind]('j')
    t.same(transport.pongs, kind === 'peerPing' ? ['a', 'b', 'e', 'f'] : [])
    t.equal(fake.hub.stats().messages.limited, 5)
  }
})

t.test('FAULTS 25: the answer to a ping of ours costs nothing, once', async (t) => {
  const slow = { ...rate, messagesPerSecond: 0.000_001, burst: 1, violations: 1 }
  const { fake, transport } = await connected({ settings: { rate: slow, heartbeat: { interval: 1_000, timeout: 0 } } })
  transport.message('the burst')
  for (let i = 1; i <= 20; i++) {
    fake.clock.advanceSync(1_200)
    t.equal(transport.pings, i)
    transport.peerPong()
  }
  t.equal(transport.closed, null, 'a rate below that of the heartbeat ends no peer that answers it')
  transport.peerPong()
  t.equal(transport.closed?.code, 1008)
})

t.test('violations 0: dropped for ever, never closed', async (t) => {
  const { fake, transport, log } = await connected({ settings: { rate: { ...rate, violations: 0 } } })
  for (let i = 0; i < 100; i++) transport.message('12345')
  t.same(log, ['connect', '12345', '12345'])
  t.equal(fake.hub.stats().messages.limited, 98)
  t.equal(transport.closed, null)
})

t.test('ahead of the rate of bytes: not read until it is not, nothing dropped, and its silence is ours', async (t) => {
  const bytes = { messagesPerSecond: 0, burst: 1, bytesPerSecond: 1_000, violations: 1 }
  const { fake, transport, log } = await connected({ settings: { rate: bytes, heartbeat: { interval: 1_000, timeout: 2_000 } } })
  const large = 'x'.repeat(600)
  transport.message(large)
  t.equal(transport.paused, false)
  transport.message(large)
  t.equal(transport.paused, true)
  transport.message('a')
  t.same(log, ['connect', large, large, 'a'], 'what one read had brought in is handled')
  t.match(fake.hub.stats().messages, { received: 3, limited: 0, throttled: 1 }, 'one pause')
  fake.clock.advanceSync(100)
  t.equal(transport.paused, true)
  fake.clock.advanceSync(400)
  t.equal(transport.paused, false)
  transport.message('x'.repeat(6_000))
  t.equal(transport.paused, true)
  fake.clock.advanceSync(5_000)
  t.equal(transport.paused, true)
  t.equal(transport.closed, null, 'a paused peer is not silent')
  fake.clock.advanceSync(1_000)
  t.equal(transport.paused, false)
  fake.clock.advanceSync(2_500)
  t.ok(transport.closed, 'it is, once it is read again')
})

t.test('ahead of the rate of bytes, and behind with its handler: it is read when both are over', async (t) => {
  let open = (): void => {}
  const wait = new Promise<void>((resolve) => { open = resolve })
  const bytes = { messagesPerSecond: 0, burst: 1, bytesPerSecond: 1_000, violations: 1 }
  const { fake, transport } = await connected({ settings: { rate: bytes, maxPending: 1 }, onMessage: () => wait })
  transport.message('x'.repeat(1_500))
  transport.message('waits')
  fake.clock.advanceSync(2_000)
  t.equal(transport.paused, true, 'the handler')
  open()
  await settled()
  t.equal(transport.paused, false)
  transport.message('x'.repeat(1_500))
  await settled()
  t.equal(transport.paused, true, 'the rate')
  fake.clock.advanceSync(2_000)
  t.equal(transport.paused, false)
})

t.test('what came while it was not read is within the rate, if it was sent at the rate', async (t) => {
  let open = (): void => {}
  const wait = new Promise<void>((resolve) => { open = resolve })
  const { fake, transport, log } = await connected({
    settings: { rate: { ...rate, bytesPerSecond: 1_000 }, maxPending: 1, deadlines: { write: 0, handler: 0, close: 0 } },
    onMessage: (_connection, message) => message.text() === 'slow' ? wait : undefined
  })
  transport.message('slow')
  transport.message('waits')
  fake.clock.advanceSync(10_000)
  open()
  await settled()
  t.equal(transport.paused, false)
  for (let i = 0; i < 100; i++) transport.message('x')
  t.equal(fake.hub.stats().messages.limited, 0, 'behind with its handler for ten seconds')
  t.equal(log.length, 103)
  fake.clock.advanceSync(200)
  transport.message('y'.repeat(5_000))
  fake.clock.advanceSync(4_100)
  t.equal(transport.paused, false)
  const { length } = log
  while (fake.hub.stats().messages.limited === 0) transport.message('x')
  t.equal(log.length - length > 35, true, 'ahead of the rate of bytes for four seconds')
  for (let i = 0; i < 2; i++) transport.message('x')
  t.equal(transport.closed?.code, 1008, 'and no more than that')
})

t.test('a peer that is closed while it is ahead of its rate is read again for its Close, at its rate', async (t) => {
  const bytes = { messagesPerSecond: 0, burst: 1, bytesPerSecond: 1_000, violations: 1 }
  for (const end of ['close', 'disconnect'] as const) {
    const { fake, transport, connection, log } = await connected({ settings: { rate: bytes, deadlines: { write: 0, handler: 0, close: 10_000 } } })
    transport.answersClose = false
    transport.message('x'.repeat(3_000))
    t.equal(transport.paused, true)
    if (end === 'close') connection.close(4000)
    else connection.disconnect({ code: 4000, reason: '' })
    t.equal(transport.paused, true, 'being closed does not free it')
    fake.clock.advanceSync(2_100)
    t.equal(transport.paused, false)
    transport.message('x'.repeat(3_000))
    t.equal(transport.paused, true)
    t.equal(log.length, 2, 'it is not handled')
    fake.clock.advanceSync(3_000)
    t.equal(transport.paused, false)
    t.equal(fake.hub.stats().messages.throttled, 2)
    transport.peerClose(4000)
    fake.clock.advanceSync(100_000)
    t.equal(fake.hub.size, 0)
    t.equal(fake.hub.wheel.size, 0)
  }
})

t.test('a peer that is closed, ahead of its rate, and silent: the closing handshake has its own end', async (t) => {
  const bytes = { messagesPerSecond: 0, burst: 1, bytesPerSecond: 1, violations: 1 }
  const { fake, transport, connection } = await connected({ settings: { rate: bytes, deadlines: { write: 0, handler: 0, close: 5_000 } } })
  transport.answersClose = false
  transport.message('x'.repeat(3_000))
  connection.close(4000)
  fake.clock.advanceSync(5_200)
  t.equal(transport.terminated, true)
  t.equal(fake.hub.wheel.size, 0)
})

t.test('close in a handler: what had come before is still handled, what comes is not', async (t) => {
  let open = (): void => {}
  const wait = new Promise<void>((resolve) => { open = resolve })
  const { fake, transport, log } = await connected({
    onMessage: async (connection, message) => {
      if (message.text() !== 'close') return
      await wait
      connection.close(4000)
    }
  })
  transport.message('close')
  transport.message('waited')
  open()
  await settled()
  transport.message('too late')
  await fake.turn()
  t.same(log, ['connect', 'close', 'waited', 'disconnect 4000'])
})

t.test('close in onConnect: nothing that came is handled, also when the peer has closed first', async (t) => {
  for (const [who, code] of [['server', 4500], ['peer', 4001]] as const) {
    let open = (): void => {}
    const wait = new Promise<void>((resolve) => { open = resolve })
    const { fake, transport, log } = await connected({
      onConnect: async (connection) => {
        await wait
        connection.close(4500, 'not you')
      }
    })
    transport.message('early')
    if (who === 'peer') transport.peerClose(code)
    open()
    await settled()
    transport.message('late')
    await fake.turn()
    t.same(log, ['connect', `disconnect ${code}`], who)
  }
})

t.test('kick and terminate drop what waits', async (t) => {
  for (const [end, code] of [['kick', 4501], ['terminate', 1006]] as const) {
    let open = (): void => {}
    const wait = new Promise<void>((resolve) => { open = resolve })
    const { fake, transport, connection, log } = await connected({ onMessage: () => wait })
    transport.message('running')
    transport.message('waiting')
    await connection[end]()
    await fake.turn()
    t.same(log, ['connect', 'running'], 'onDisconnect waits for the handler that runs')
    open()
    await settled()
    t.same(log, ['connect', 'running', `disconnect ${code}`])
  }
})

t.test('a closing handshake is not held up by a paused socket', async (t) => {
  const { transport, connection } = await connected({ onMessage: () => new Promise(() => {}), settings: { maxPending: 1 } })
  transport.message('hangs')
  transport.message('waits')
  t.equal(transport.paused, true)
  connection.close()
  t.equal(transport.paused, false)
})

t.test('exactly one onDisconnect, after the last message, even if it fails', async (t) => {
  const { fake, transport, log, errors } = await connected({
    onMessage: async () => { await settled() },
    onDisconnect: async () => {
      await settled()
      throw new Error('farewell')
    }
  })
  const events: string[] = []
  fake.hub.on('disconnect', (_connection, info) => { events.push(`event ${info.code}`) })
  transport.message('1')
  transport.message('2')
  transport.peerClose(1001)
  transport.end(1000)
  for (let i = 0; i < 10; i++) await settled()
  t.same(log, ['connect', '1', '2', 'disconnect 1001'])
  t.same(events, ['event 1001'])
  t.match(errors, [{ message: 'farewell' }])
})
