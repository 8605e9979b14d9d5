import t from 'tap'
import type { ConnectionSettings } from '../../../lib/core/connection-host.js'
import type { DisconnectInfo } from '../../../lib/core/types.js'
import { settled } from '../../helpers/until.js'
import { startHub, type FakeHub, type FakeHubOptions, type FakePeer } from '../../helpers/fake-hub.js'

interface World extends FakePeer { fake: FakeHub, ends: DisconnectInfo[], errors: Error[] }

async function connected (settings: Partial<ConnectionSettings>, options: FakeHubOptions = {}): Promise<World> {
  const ends: DisconnectInfo[] = []
  const errors: Error[] = []
  const fake = await startHub({ onDisconnect: (_connection, info) => { ends.push(info) }, settings, ...options })
  fake.hub.on('error', (error) => { errors.push(error) })
  return { fake, ends, errors, ...await fake.connect() }
}

const never = new Promise<void>(() => {})
const heartbeat = { interval: 30_000, timeout: 60_000 }

t.test('a ping goes only to a peer that was silent for an interval', async (t) => {
  const { fake, transport } = await connected({ heartbeat: { interval: 30_000, timeout: 0 } })
  for (let i = 0; i < 10; i++) {
    fake.clock.advanceSync(20_000)
    transport.message('still here')
  }
  t.equal(transport.pings, 0)
  fake.clock.advanceSync(29_900)
  t.equal(transport.pings, 0)
  fake.clock.advanceSync(400)
  t.equal(transport.pings, 1)
  fake.clock.advanceSync(30_000)
  t.equal(transport.pings, 2, 'and again after another')
  t.equal(transport.ended, false, 'timeout 0 is off')
})

t.test('whatever it sends keeps it: messages, pings, pongs', async (t) => {
  const { fake, transport, ends } = await connected({ heartbeat })
  for (let i = 0; i < 30; i++) {
    fake.clock.advanceSync(55_000)
    if (i % 3 === 0) transport.message('x')
    else if (i % 3 === 1) transport.peerPing()
    else transport.peerPong()
  }
  await settled()
  t.same(ends, [])
  t.equal(transport.pings, 30)
})

t.test('4408 after the timeout: Close is sent, and the socket ends at once', async (t) => {
  const { fake, transport, ends } = await connected({ heartbeat })
  transport.answersClose = false
  await fake.advance(59_900)
  t.same(ends, [])
  await fake.advance(300)
  t.same(transport.calls.slice(-3), ['close 4408', 'terminate', 'end'])
  t.same(ends, [{ code: 4408, reason: 'heartbeat timeout', initiator: 'server' }])
  t.equal(fake.hub.wheel.size, 0)
})

t.test('the timeout alone, without pings', async (t) => {
  const { fake, transport, ends } = await connected({ heartbeat: { interval: 0, timeout: 10_000 } })
  fake.clock.advanceSync(9_000)
  transport.message('x')
  await fake.advance(9_900)
  t.same(ends, [])
  await fake.advance(300)
  t.equal(ends[0]?.code, 4408)
  t.equal(transport.pings, 0)
})

t.test('heartbeat off: no deadline in the wheel', async (t) => {
  const { fake } = await connected({ heartbeat: { interval: 0, timeout: 0 } })
  t.equal(fake.hub.wheel.size, 0)
})

t.test('a peer that has begun to close and never ends is not pinged, and is terminated at the timeout', async (t) => {
  const { fake, transport, ends } = await connected({ heartbeat })
  transport.writable = false
  await fake.advance(60_200)
  t.equal(transport.pings, 0)
  t.equal(transport.terminated, true)
  t.same(ends, [{ code: 1006, reason: '', initiator: 'network' }])
})

t.test('silence while we do not read is ours', async (t) => {
  let open = (): void => {}
  const wait = new Promise<void>((resolve) => { open = resolve })
  const { fake, transport, ends } = await connected({ heartbeat, maxPending: 1, deadlines: { write: 0, handler: 0, close: 5_000 } }, { onMessage: async () => { await wait } })
  transport.message('slow')
  transport.message('waits')
  t.equal(transport.paused, true)
  await fake.advance(300_000)
  t.same(ends, [])
  t.equal(transport.pings, 0)
  open()
  await settled()
  t.equal(transport.paused, false)
  await fake.advance(59_000)
  t.same(ends, [], 'the timeout starts anew')
  await fake.advance(2_000)
  t.equal(ends[0]?.code, 4408)
})

t.test('a busy handler does not hide a dead peer', async (t) => {
  const { fake, transport, ends } = await connected({ heartbeat: { interval: 1_000, timeout: 3_000 }, deadlines: { write: 0, handler: 0, close: 0 } }, { onMessage: () => never })
  transport.message('x')
  await fake.advance(3_200)
  t.ok(transport.pings > 0)
  t.same(transport.calls.slice(-3), ['close 4408', 'terminate', 'end'])
  t.same(ends, [], 'onDisconnect waits for the handler')
})

t.test('deadlines.close 0, behind a socket that stays blocked: the silence of the peer ends it', async (t) => {
  const { fake, connection, transport, ends } = await connected({ heartbeat: { interval: 1_000, timeout: 3_000 }, deadlines: { write: 0, handler: 0, close: 0 } })
  transport.block()
  connection.send('never read')
  connection.close(4000)
  fake.clock.advanceSync(2_000)
  t.equal(ends.length, 0)
  fake.clock.advanceSync(2_000)
  await settled()
  t.match(ends, [{ code: 4000, initiator: 'server' }])
})

t.test('deadlines.close 0: a peer that says something behind our Close, and is silent then, is not kept either', async (t) => {
  const closing = { heartbeat: { interval: 1_000, timeout: 3_000 }, deadlines: { write: 0, handler: 0, close: 0 } }
  const pong = await connected(closing)
  pong.transport.answersClose = false
  pong.connection.close(4000)
  await pong.fake.advance(500)
  pong.transport.peerPong()
  await pong.fake.advance(3_200)
  t.match(pong.ends, [{ code: 4000 }])

  const rate = { messagesPerSecond: 0, burst: 1, bytesPerSecond: 1_000, violations: 1 }
  const throttled = await connected({ ...closing, rate })
  throttled.transport.answersClose = false
  throttled.transport.message('x'.repeat(1_500))
  throttled.connection.close(4000)
  await throttled.fake.advance(600)
  t.same(throttled.ends, [], 'it is read again')
  await throttled.fake.advance(3_200)
  t.match(throttled.ends, [{ code: 4000 }])
})

t.test('deadlines.handler: 1011, an error, and what comes later is not handled', async (t) => {
  for (const silence of [{ interval: 0, timeout: 0 }, heartbeat]) {
    const handled: string[] = []
    const { fake, transport, ends, errors } = await connected({ heartbeat: silence, deadlines: { write: 0, handler: 10_000, close: 5_000 } }, {
      onMessage: (_connection, message) => {
        handled.push(message.text())
        return never
      }
    })
    transport.message('hangs')
    transport.message('waits')
    await fake.advance(9_800)
    t.same(errors, [])
    await fake.advance(400)
    t.match(errors, [{ code: 'FST_HUB_HANDLER_TIMEOUT', message: 'A handler did not finish within 10000 ms' }])
    t.same(ends, [{ code: 1011, reason: 'internal error', initiator: 'server' }])
    t.same(handled, ['hangs'])
    t.equal(fake.hub.wheel.size, 0)
  }
})

t.test('a handler is not held to what it could not do while the process stood still', async (t) => {
  const { fake, transport, errors } = await connected({ heartbeat: { interval: 0, timeout: 0 }, deadlines: { write: 0, handler: 10_000, close: 0 } }, { onMessage: () => never })
  fake.hub.wheel.start()
  transport.message('slow')
  await fake.clock.advance(2_000)
  fake.clock.stall(60_000)
  await fake.clock.advance(7_000)
  t.same(errors, [])
  await fake.clock.advance(1_500)
  t.match(errors, [{ code: 'FST_HUB_HANDLER_TIMEOUT' }])
  fake.hub.wheel.stop()
})

t.test('each run of a handler has the whole deadline, and 0 is none', async (t) => {
  const opens: Array<() => void> = []
  const onMessage = async (): Promise<void> => { await new Promise<void>((resolve) => { opens.push(resolve) }) }
  const { fake, transport, errors } = await connected({ deadlines: { write: 0, handler: 10_000, close: 0 } }, { onMessage })
  for (let i = 0; i < 5; i++) transport.message('x')
  for (let i = 0; i < 5; i++) {
    await fake.advance(9_000)
    opens[i]?.()
    await settled()
  }
  t.same(errors, [])
  await fake.advance(60_000)
  t.same(errors, [], 'nothing runs')
  t.equal(fake.hub.wheel.size, 0, 'and nothing is armed for it')

  const patient = await connected({ deadlines: { write: 0, handler: 0, close: 0 } }, { onMessage: () => never })
  patient.transport.message('x')
  await patient.fake.advance(1_000_000)
  t.same(patient.errors, [])
})

t.test('deadlines.handler watches onConnect, and a handler that outlives its connection', async (t) => {
  const connecting = await connected({ deadlines: { write: 0, handler: 1_000, close: 5_000 } }, { onConnect: () => never })
  t.equal(connecting.connection.state, 'connecting')
  await connecting.fake.advance(1_200)
  t.match(connecting.errors, [{ code: 'FST_HUB_HANDLER_TIMEOUT' }])
  t.equal(connecting.transport.closed?.code, 1011)

  const gone = await connected({ deadlines: { write: 0, handler: 1_000, close: 5_000 } }, { onMessage: () => never, onDisconnect: (_connection, info) => { gone.ends.push(info) } })
  gone.transport.message('hangs')
  gone.transport.message('behind it')
  gone.transport.reset()
  await settled()
  t.same(gone.ends, [], 'not while its last message is handled')
  await gone.fake.advance(1_200)
  t.match(gone.errors, [{ code: 'FST_HUB_HANDLER_TIMEOUT' }])
  t.same(gone.ends, [{ code: 1006, reason: '', initiator: 'network' }])
  t.equal(gone.fake.hub.wheel.size, 0)
})

t.test('messages that came before the end are handled after it, each with its deadline', async (t) => {
  const opens: Array<() => void> = []
  const world = await connected({ deadlines: { write: 0, handler: 1_000, close: 0 } }, {
    onMessage: async () => { await new Promise<void>((resolve) => { opens.push(resolve) }) },
    onDisconnect: (_connection, info) => { world.ends.push(info) }
  })
  for (let i = 0; i < 3; i++) world.transport.message('x')
  world.transport.peerClose(1000)
  for (let i = 0; i < 3; i++) {
    await world.fake.advance(900)
    t.same(world.ends, [])
    opens[i]?.()
    await settled()
  }
  t.equal(world.ends.length, 1)
  t.same(world.errors, [])
  t.equal(world.fake.hub.wheel.size, 0)
})

t.test('the close deadline holds while a handler runs', async (t) => {
  for (const [handler, terminatedAfter] of [[30_000, 1_200], [500, 1_200]] as const) {
    const { fake, connection, transport } = await connected({ heartbeat, deadlines: { write: 0, handler, close: 1_000 } }, { onMessage: () => never })
    transport.answersClose = false
    transport.message('hangs')
    connection.close(4000)
    await fake.advance(terminatedAfter)
    t.equal(transport.terminated, true)
    t.equal(transport.closed?.code, 4000)
  }
})

t.test('pings of connections that came in one moment are spread, and stay spread', async (t) => {
  const { fake } = await connected({ heartbeat })
  const { clock } = fake
  const peers = await Promise.all(Array.from({ length: 999 }, async () => await fake.connect()))
  const perTick = async (ms: number): Promise<number[]> => {
    const counts: number[] = []
    for (let tick = 0; tick < ms / 100; tick++) {
      const before = peers.map(({ transport }) => transport.pings)
      clock.advanceSync(100)
      const pinged = peers.filter(({ transport }, i) => transport.pings > (before[i] as number))
      for (const { transport } of pinged) transport.peerPong()
      if (pinged.length > 0) counts.push(pinged.length)
    }
    return counts
  }
  for (let round = 0; round < 3; round++) {
    const before = peers.map(({ transport }) => transport.pings)
    const counts = await perTick(30_250 + 250 + (round === 0 ? 7_500 : 0))
    t.ok(peers.every(({ transport }, i) => transport.pings > (before[i] as number)), `all are pinged in round ${round}`)
    t.ok(counts.reduce((sum, count) => sum + count, 0) <= 999 + 256, `and hardly one twice in round ${round}`)
    t.ok(Math.max(...counts) <= 512, `at most 256 in a tick, of which the clock moves two at a time: ${Math.max(...counts)}`)
  }
})

t.test('FAULTS 34: a write that the peer does not take in time ends it as a slow reader', async (t) => {
  const { fake, connection, transport, ends } = await connected({ deadlines: { write: 10_000, handler: 0, close: 5_000 } })
  transport.block(1)
  connection.send('stuck')
  await fake.turn()
  connection.send('queued')
  await fake.advance(9_900)
  t.equal(transport.terminated, false)
  await fake.advance(300)
  t.same(ends, [{ code: 4429, reason: 'slow reader', initiator: 'server' }])
  t.same(transport.calls.slice(-2), ['terminate', 'end'], 'a Close could not overtake what is stuck')
  t.match(fake.hub.stats(), { messages: { sent: 1, dropped: 1 }, queuedBytes: 0 })
  t.equal(fake.hub.wheel.size, 0)
})

t.test('the write deadline is for one write: who takes each in time, however slowly, stays', async (t) => {
  const { fake, connection, transport, ends } = await connected({ deadlines: { write: 10_000, handler: 0, close: 5_000 } })
  transport.block(1)
  connection.send('x'.repeat(500_000))
  for (let i = 0; i < 7; i++) {
    await fake.advance(9_000)
    transport.drain(1)
  }
  transport.drain()
  await fake.advance(60_000)
  t.equal(transport.messages.length, 1)
  t.same(ends, [], 'and what is not blocked has no deadline')
  transport.block(1)
  connection.send('y')
  await fake.advance(9_000)
  transport.drain()
  transport.block(1)
  connection.send('z')
  await fake.advance(9_000)
  t.same(ends, [], 'each write begins anew')
  await fake.advance(1_300)
  t.match(ends, [{ code: 4429 }])
})

t.test('the write deadline holds during our Close, too; 0 is off; pings do not refresh it', async (t) => {
  const closing = await connected({ deadlines: { write: 2_000, handler: 0, close: 0 } })
  closing.transport.block(1)
  closing.connection.send('stuck')
  await closing.fake.turn()
  closing.connection.close(4000, 'mine')
  await closing.fake.advance(1_500)
  closing.transport.peerPing()
  await closing.fake.advance(800)
  t.same(closing.transport.calls.at(-1), 'end')
  t.match(closing.ends, [{ code: 4000, reason: 'mine' }], 'the first decision about the end stands')

  const off = await connected({ deadlines: { write: 0, handler: 0, close: 0 } })
  off.transport.block(1)
  off.connection.send('stuck')
  await off.fake.advance(600_000)
  t.same(off.ends, [])
  t.equal(off.fake.hub.wheel.size, 0)
})

t.test('asked whether its client is there: whatever it says first is an answer', async (t) => {
  const { fake, connection, transport } = await connected({})
  const answer = connection.isThere()
  t.equal(transport.pings, 1)
  fake.clock.advanceSync(4_900)
  transport.peerPong()
  t.equal(await answer, true)
  t.equal(await connection.isThere(), true)
  const other = await connected({})
  other.transport.message('I am')
  t.equal(await other.connection.isThere(), true)
  t.same([transport.pings, other.transport.pings], [1, 0], 'who was heard of is not asked')
  const several = await connected({})
  const answers = Array.from({ length: 20_000 }, async () => await several.connection.isThere())
  t.equal(several.transport.pings, 1, 'one question does for all who ask')
  several.transport.peerPong()
  t.equal((await Promise.all(answers)).every((isThere) => isThere), true, 'and one word answers them, however many')
  t.equal(fake.hub.wheel.size, 0)
})

t.test('a client that says nothing is not there: for as long as it may take over our Close, or until its end', async (t) => {
  const { fake, connection, ends } = await connected({})
  const silent = connection.isThere()
  await fake.advance(5_100)
  t.equal(await silent, false)
  t.same(ends, [], 'which is no reason to end it')

  const unbounded = await connected({ deadlines: { write: 0, handler: 0, close: 0 }, heartbeat })
  const until = unbounded.connection.isThere()
  await unbounded.fake.advance(60_200)
  t.equal(await until, false)
  t.match(unbounded.ends, [{ code: 4408 }])

  for (const end of ['close', 'peerClose', 'reset'] as const) {
    const { fake, connection, transport } = await connected({})
    const asked = connection.isThere()
    if (end === 'close') connection.close()
    else transport[end]()
    t.equal(await asked, false, end)
    t.equal(await connection.isThere(), false)
    await fake.advance(30_000)
    t.equal(fake.hub.wheel.size, 0)
  }
})
