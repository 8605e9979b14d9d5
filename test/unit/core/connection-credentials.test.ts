import fc from 'fast-check'
import t from 'tap'
import type { ConnectionSettings } from '../../../lib/core/connection-host.js'
import type { DisconnectInfo } from '../../../lib/core/types.js'
import { gate, settled } from '../../helpers/until.js'
import { TestClock } from '../../../lib/testing/test-clock.js'
import { startHub, type FakeHub, type FakeHubOptions, type FakePeer } from '../../helpers/fake-hub.js'
import { SlowDirectory } from '../../helpers/slow-directory.js'

interface World extends FakePeer { fake: FakeHub, clock: TestClock, handled: string[], ends: DisconnectInfo[], expiresAt: number }

const MINUTE = 60_000

/** A connection whose credentials expire in a minute. */
async function connected (options: FakeHubOptions = {}, lifetime = MINUTE): Promise<World> {
  const handled: string[] = []
  const ends: DisconnectInfo[] = []
  const fake = await startHub({
    onMessage: (_connection, message) => { handled.push(message.text()) },
    onDisconnect: (_connection, info) => { ends.push(info) },
    ...options
  })
  const expiresAt = fake.clock.now() + lifetime
  return { fake, clock: fake.clock, handled, ends, expiresAt, ...await fake.connect({ user: 'ann', expiresAt }) }
}

const expired = { code: 4401, reason: 'credentials expired', initiator: 'server' }

t.test('FAULTS 65: closed with 4401 within a second, not before', async (t) => {
  for (const heartbeat of [{ interval: 0, timeout: 0 }, { interval: 30_000, timeout: 90_000 }]) {
    for (const lifetime of [1, 99, 100, 101, 999, 1_000, 30_000, 30_001, MINUTE, 3_600_000]) {
      const { fake, ends, transport } = await connected({ settings: { heartbeat } }, lifetime)
      for (let left = lifetime - 1; left > 0; left -= 20_000) {
        if (left > 20_000) transport.message('still here')
        fake.clock.advanceSync(Math.min(20_000, left))
      }
      await fake.turn()
      t.same([ends, transport.closed], [[], null], `${lifetime} ms`)
      await fake.advance(301)
      t.same(ends, [expired])
      t.equal(fake.hub.wheel.size, 0)
    }
  }
})

t.test('a Date is as good as a number', async (t) => {
  const fake = await startHub()
  const time = fake.clock.now() + 1_000
  const { connection, transport } = await fake.connect({ expiresAt: new Date(time) })
  t.equal(connection.expiresAt, time)
  await fake.advance(1_300)
  t.equal(transport.closed?.code, 4401)
})

t.test('without an expiry: null, and nothing in the wheel for it', async (t) => {
  const fake = await startHub()
  for (const identity of [{}, { expiresAt: undefined }, { expiresAt: Infinity }]) {
    const { connection, transport } = await fake.connect(identity)
    t.equal(connection.expiresAt, null)
    t.equal(fake.hub.wheel.size, 0)
    transport.reset()
  }
})

t.test('a far future is no past: beyond 2^31 ms, and to the end of time', async (t) => {
  for (const lifetime of [2 ** 31, 2 ** 31 + 1, 2 ** 32, 100 * 365 * 86_400_000, Number.MAX_SAFE_INTEGER, Number.MAX_VALUE]) {
    const { fake, ends, transport, expiresAt } = await connected({}, lifetime)
    await fake.advance(10 * MINUTE)
    t.same(ends, [])
    if (lifetime > 2 ** 33) continue
    fake.clock.stall(expiresAt - fake.clock.now() - 100)
    fake.clock.advanceSync(0)
    t.equal(transport.closed, null)
    await fake.advance(400)
    t.same(ends, [expired])
  }
})

t.test('FAULTS 65: a message that comes after expiry is not processed, although no tick has come', async (t) => {
  const { clock, fake, transport, handled, ends, expiresAt } = await connected()
  await fake.advance(expiresAt - clock.now() - 1)
  transport.message('in time')
  clock.setWallClock(expiresAt)
  t.equal(transport.closed, null, 'no tick')
  transport.message('too late')
  t.equal(transport.closed?.code, 4401)
  await fake.turn()
  t.same(handled, ['in time'])
  t.same(ends, [expired])
})

/** Three messages have come: the first is with a slow handler, the others wait behind it. */
async function behindSlowHandler (): Promise<World & { slow: ReturnType<typeof gate<void>> }> {
  const slow = gate<void>()
  const handled: string[] = []
  const world = await connected({
    settings: { deadlines: { write: 0, handler: 0, close: 5_000 } },
    onMessage: async (_connection, message) => {
      handled.push(message.text())
      await slow.promise
    }
  })
  for (const text of ['1', '2', '3']) world.transport.message(text)
  return { ...world, handled, slow }
}

t.test('FAULTS 65: messages that came before, and waited behind an async handler, are not processed after expiry', async (t) => {
  const { fake, transport, ends, handled, slow } = await behindSlowHandler()
  fake.clock.stall(MINUTE)
  slow.open()
  await settled()
  t.equal(transport.closed?.code, 4401)
  await fake.turn()
  t.same(handled, ['1'])
  t.same(ends, [expired], 'once its last handler is done')
})

t.test('FAULTS 65: nor when the peer has closed meanwhile: its code stands', async (t) => {
  const { fake, transport, ends, handled, slow } = await behindSlowHandler()
  transport.peerClose(1001, 'bye')
  await fake.advance(MINUTE + 1_000)
  t.same(ends, [])
  slow.open()
  await settled()
  t.same(handled, ['1'])
  t.same(ends, [{ code: 1001, reason: 'bye', initiator: 'peer' }])
})

t.test('expiry during a handler: the handler is left alone, and onDisconnect waits for it', async (t) => {
  const slow = gate<void>()
  const { fake, transport, ends } = await connected({ settings: { deadlines: { write: 0, handler: 0, close: 5_000 } }, onMessage: async () => { await slow.promise } })
  transport.message('slow')
  await fake.advance(MINUTE + 300)
  t.equal(transport.closed?.code, 4401)
  t.same(ends, [])
  slow.open()
  await settled()
  t.same(ends, [expired])
})

t.test('FAULTS 65: expiry while onConnect is pending: 4401, and onDisconnect', async (t) => {
  const slow = gate<void>()
  const { fake, connection, transport, ends, handled } = await connected({ settings: { deadlines: { write: 0, handler: 0, close: 5_000 } }, onConnect: async () => { await slow.promise } })
  transport.message('held')
  await fake.advance(MINUTE + 300)
  t.equal(transport.closed?.code, 4401)
  slow.open()
  await settled()
  t.same(ends, [expired])
  t.same(handled, [])
  t.equal(connection.state, 'closed')
})

t.test('FAULTS 65: what expires while it enters never begins', async (t) => {
  const events: string[] = []
  const log = (what: string) => () => { events.push(what) }
  for (const how of ['stall', 'advance'] as const) {
    const directory = new SlowDirectory()
    const fake = await startHub({ directory, onConnect: log('connect'), onDisconnect: log('disconnect') })
    const { transport } = fake.accept({ user: 'ann', expiresAt: fake.clock.now() + 1_000 })
    directory.calls[0]?.take()
    // With a tick of the wheel, and without one.
    if (how === 'advance') await fake.advance(1_300)
    else fake.clock.setWallClock(fake.clock.now() + 1_000)
    t.equal(transport.closed?.code, how === 'advance' ? 4401 : undefined)
    directory.calls[0]?.answer()
    await settled()
    t.equal(transport.closed?.code, 4401)
    directory.calls[1]?.answer()
    await fake.turn()
    t.same(events, [])
    t.same(await directory.inner.user('ann'), [])
    t.equal(fake.hub.admission.held, 0)
  }
})

t.test('FAULTS 65: refresh: it stays, up to the last millisecond', async (t) => {
  const { clock, fake, connection, transport, handled, ends, expiresAt } = await connected()
  await fake.advance(expiresAt - clock.now() - 1)
  t.equal(connection.refresh(expiresAt + MINUTE), true)
  t.equal(connection.expiresAt, expiresAt + MINUTE)
  await fake.advance(MINUTE)
  transport.message('still here')
  t.same(handled, ['still here'])
  t.same(ends, [])
  await fake.advance(301)
  t.same(ends, [expired])
})

t.test('FAULTS 65: refresh comes too late, although no tick has come: false, and 4401', async (t) => {
  const { clock, connection, transport, expiresAt } = await connected()
  clock.stall(expiresAt - clock.now() - 1)
  clock.setWallClock(expiresAt)
  t.equal(transport.closed, null)
  t.equal(connection.refresh(expiresAt + MINUTE), false)
  t.equal(transport.closed?.code, 4401)
  t.equal(connection.expiresAt, expiresAt)
  t.equal(connection.refresh(null), false)
})

t.test('refresh by a message, as an application does it; also while another one is handled', async (t) => {
  const { fake, transport, ends, expiresAt } = await connected({
    onMessage: async (connection, message) => {
      await settled()
      connection.send(connection.refresh(Number(message.text())))
    }
  })
  await fake.advance(MINUTE - 500)
  transport.message(String(expiresAt + MINUTE))
  await settled()
  await fake.advance(MINUTE)
  t.same([transport.messages, ends], [['true'], []])
})

t.test('refresh shortens, too', async (t) => {
  const { clock, fake, connection, ends } = await connected()
  t.equal(connection.refresh(new Date(clock.now() + 1_000)), true)
  await fake.advance(900)
  t.same(ends, [])
  await fake.advance(400)
  t.same(ends, [expired])
})

t.test('refresh with a moment that has passed ends it at once', async (t) => {
  const { clock, connection, transport } = await connected()
  t.equal(connection.refresh(clock.now()), false)
  t.equal(transport.closed?.code, 4401)
})

t.test('refresh takes an expiry away, and gives one', async (t) => {
  for (const never of [null, Infinity]) {
    const { clock, fake, connection, ends } = await connected()
    t.equal(connection.refresh(never), true)
    t.equal(connection.expiresAt, null)
    t.equal(fake.hub.wheel.size, 0)
    await fake.advance(10 * MINUTE)
    t.same(ends, [])
    t.equal(connection.refresh(clock.now() + 1_000), true)
    await fake.advance(1_300)
    t.same(ends, [expired])
  }
})

t.test('refresh of what is over: false; of nonsense: an error', async (t) => {
  const { clock, fake, connection, expiresAt } = await connected()
  for (const wrong of [undefined, NaN, 'tomorrow', Math.floor(expiresAt / 1000), new Date(NaN)]) {
    t.throws(() => connection.refresh(wrong as number), { code: 'FST_HUB_INVALID_ARGUMENT', message: /^expiresAt: expected/ })
  }
  t.equal(connection.expiresAt, expiresAt)
  connection.close(1000)
  t.equal(connection.refresh(clock.now() + MINUTE), false, 'closing')
  await fake.turn()
  t.equal(connection.refresh(clock.now() + MINUTE), false, 'closed')
  t.equal(fake.hub.wheel.size, 0, 'and nothing is armed again')
  t.throws(() => connection.refresh(7), { code: 'FST_HUB_INVALID_ARGUMENT' }, 'whatever its state')
})

t.test('the clock of the machine is set forward: messages are refused at once, and a silent one is found within half a minute', async (t) => {
  const talking = await connected()
  talking.clock.setWallClock(talking.expiresAt)
  talking.transport.message('too late')
  t.equal(talking.transport.closed?.code, 4401)
  t.same(talking.handled, [])

  const silent = await connected({}, 24 * 3_600_000)
  silent.clock.setWallClock(silent.expiresAt)
  await silent.fake.advance(30_300)
  t.same(silent.ends, [expired])
})

t.test('the clock of the machine is set back: it lives as long as its credentials do by that clock', async (t) => {
  const { clock, fake, transport, handled, ends, expiresAt } = await connected()
  clock.setWallClock(expiresAt - 2 * MINUTE)
  await fake.advance(2 * MINUTE - 1)
  transport.message('x')
  t.same([handled, ends], [['x'], []])
  await fake.advance(301)
  t.same(ends, [expired])
})

t.test('expired and silent beyond the heartbeat at once: told of the credentials, and ended', async (t) => {
  const { fake, clock, transport, ends } = await connected({ settings: { heartbeat: { interval: 0, timeout: MINUTE } } })
  transport.answersClose = false
  clock.stall(2 * MINUTE)
  await fake.advance(1_000)
  t.equal(transport.terminated, true, 'there is nobody to wait for')
  t.same(ends, [expired])
})

t.test('no heartbeat, no other deadline is lost beside it', async (t) => {
  const settings: Partial<ConnectionSettings> = { heartbeat: { interval: 30_000, timeout: 90_000 }, deadlines: { write: 0, handler: 10_000, close: 1_000 } }
  const { fake, transport, ends } = await connected({ settings }, 10 * MINUTE)
  await fake.advance(30_300)
  t.equal(transport.pings, 1)
  await fake.advance(59_900)
  t.equal(ends[0]?.code, 4408)

  const hanging = await connected({ settings, onMessage: () => new Promise(() => {}) }, 10 * MINUTE)
  hanging.transport.message('x')
  await hanging.fake.advance(10_300)
  t.equal(hanging.ends[0]?.code, 1011)

  const stubborn = await connected({ settings }, MINUTE)
  stubborn.transport.answersClose = false
  await stubborn.fake.advance(MINUTE + 1_300)
  t.equal(stubborn.transport.terminated, true)
  t.same(stubborn.ends, [expired])
})

t.test('FAULTS 65: whatever happens: no message is handled after expiry, and the end comes within a second of it', async () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('advance' as const), ms: fc.nat(3_000) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('message' as const), takes: fc.nat(2_000) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('refresh' as const), ms: fc.integer({ min: -500, max: 5_000 }) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('refresh' as const), ms: fc.constant(null) }) }
  )
  await fc.assert(fc.asyncProperty(fc.nat(5_000), fc.array(step, { maxLength: 40, size: 'max' }), async (lifetime, steps) => {
    const problems: string[] = []
    /** Handlers that run, and when they are done. */
    const running: Array<{ until: number, done: () => void }> = []
    /** What the connection should live by. */
    let expiresAt = Infinity
    const fake = await startHub({
      settings: { deadlines: { write: 0, handler: 0, close: 5_000 } },
      onMessage: async (_connection, message) => {
        if (fake.clock.now() >= expiresAt) problems.push(`handled ${fake.clock.now() - expiresAt} ms after expiry`)
        await new Promise<void>((resolve) => { running.push({ until: fake.clock.now() + Number(message.text()), done: resolve }) })
      }
    })
    expiresAt = fake.clock.now() + lifetime + 1
    const { connection, transport } = await fake.connect({ expiresAt })
    for (const { kind, ...rest } of steps) {
      if (kind === 'message' && !transport.ended) {
        transport.message(String((rest as { takes: number }).takes))
      } else if (kind === 'refresh') {
        const { ms } = rest as { ms: number | null }
        const now = fake.clock.now()
        const next = ms === null ? Infinity : now + ms
        const inTime = now < expiresAt && next > now
        // A moment that has passed ends it, too.
        if (now < expiresAt) expiresAt = next
        if (connection.refresh(ms === null ? null : next) !== inTime) problems.push(`refresh did not answer ${inTime}`)
      } else if (kind === 'advance') {
        for (let left = (rest as { ms: number }).ms; left > 0; left -= 50) {
          fake.clock.advanceSync(Math.min(50, left))
          for (const { until, done } of running) if (fake.clock.now() >= until) done()
          await settled()
          const late = fake.clock.now() - expiresAt
          if (late > 1_000 && transport.closed === null) problems.push(`${late} ms after expiry, and not closed`)
        }
      }
      if (transport.closed !== null && fake.clock.now() < expiresAt) problems.push('closed too early')
      await settled()
    }
    if (problems.length > 0) throw new Error(problems.join('; '))
  }), { numRuns: 100 })
})
