import t from 'tap'
import type { DisconnectInfo, HubEvents } from '../../../lib/core/types.js'
import { MemoryDirectory } from '../../../lib/memory/directory.js'
import { settled } from '../../helpers/until.js'
import { FakeHub, startHub } from '../../helpers/fake-hub.js'
import { PromisedDirectory } from '../../helpers/promised-directory.js'
import { SlowDirectory } from '../../helpers/slow-directory.js'

t.test('a connection is in the hub from just before onConnect until it has ended', async (t) => {
  const seen: unknown[] = []
  const fake = await startHub({
    onConnect: (connection) => { seen.push(['connect', fake.hub.get(connection.id) === connection, fake.hub.size]) },
    onDisconnect: (connection) => { seen.push(['disconnect', fake.hub.get(connection.id), fake.hub.size]) }
  })
  fake.hub.on('connect', (connection) => { seen.push(['event', fake.hub.get(connection.id) === connection]) })
  fake.hub.on('disconnect', (_connection, { code }) => { seen.push(['event', code]) })
  const { connection, transport } = await fake.connect({ user: 'ann' })
  t.same(seen, [['event', true], ['connect', true, 1]])
  t.same([...fake.hub.connections()], [connection])
  transport.peerClose(1001)
  await settled()
  t.same(seen.slice(2), [['disconnect', undefined, 0], ['event', 1001]])
  t.match(fake.hub.stats(), { connections: 0, users: 0, admitted: 1 })
  t.equal(fake.hub.get('unknown'), undefined)
})

t.test('it has slots, and they come back', async (t) => {
  const fake = await startHub({ limits: { connections: 2 } })
  const peers = [await fake.connect(), await fake.connect()]
  t.throws(() => fake.accept(), { code: 'FST_HUB_FULL' })
  for (const { transport } of peers) transport.reset()
  await settled()
  t.equal(fake.hub.admission.held, 0)
})

t.test('FAULTS 44: a socket that ends before it is in the hub never gets there', async (t) => {
  const events: string[] = []
  const handlers = { onConnect: () => { events.push('connect') }, onDisconnect: () => { events.push('disconnect') } }
  const directory = new PromisedDirectory()
  const fake = await startHub({ ...handlers, directory })
  const { connection, transport } = fake.accept({ user: 'ann' })
  transport.reset()
  t.equal(fake.hub.admission.held, 0, 'its slot is free at once')
  await settled()
  t.same(events, [])
  t.equal(fake.hub.size, 0)
  t.same(await directory.user('ann'), [])
  t.equal(connection.state, 'closed')

  const closing = fake.accept({ user: 'ann' })
  closing.transport.writable = false
  await settled()
  t.same(events, [])
  closing.transport.end(1000)
  t.equal(fake.hub.admission.held, 0)
})

t.test('a directory that fails to add: 1011, no onConnect', async (t) => {
  const directory = new SlowDirectory()
  const calls: string[] = []
  const fake = await startHub({ directory, onConnect: () => { calls.push('connect') }, onDisconnect: () => { calls.push('disconnect') } })
  const { transport } = await fake.connect({ user: 'ann' })
  directory.calls[0]?.take()
  directory.calls[0]?.lose(new Error('away'))
  await settled()
  t.equal(transport.closed?.code, 1011)
  t.equal(directory.calls[1]?.name, 'remove', 'it may have taken the claim all the same')
  t.equal((await directory.inner.user('ann')).length, 1)
  directory.calls[1]?.take()
  directory.calls[1]?.lose(new Error('still away'))
  await fake.turn()
  t.same(calls, [])
  t.equal(fake.hub.admission.held, 0)
  t.match(fake.errors, [{ message: 'away' }, { message: 'still away' }])
  t.same(await directory.inner.user('ann'), [])
})

t.test('a directory that answers at once: in the hub in the same turn; where it takes the place of another, when its client was heard of', async (t) => {
  const events: string[] = []
  const directory = new MemoryDirectory()
  const fake = await startHub({
    directory,
    sessions: 'single-per-user',
    onConnect: (connection) => {
      events.push('connect')
      connection.send('welcome')
    },
    onDisconnect: (_connection, { code }) => { events.push(`disconnect ${code}`) }
  })
  const first = fake.accept({ user: 'ann' })
  t.equal(fake.hub.get(first.connection.id), first.connection)
  const second = fake.accept({ user: 'ann' })
  await settled()
  t.same(events, ['connect'])
  t.same([first.transport.pings, second.transport.pings], [0, 1])
  t.equal(first.transport.closed, null)
  second.transport.peerPong()
  await settled()
  t.same(events, ['connect', 'connect'])
  t.equal(first.transport.closed?.code, 4502)
  await fake.turn()
  t.same(second.transport.messages, ['welcome'])
  t.same(await directory.user('ann'), [second.connection])
  t.equal(fake.hub.sessions.entering.size, 0)
})

t.test('a directory that answers at once, and an end before the beginning: waited for by a drain', async (t) => {
  const fake = await startHub({ directory: new MemoryDirectory(), onConnect: () => { t.fail('it was let in') } })
  const { transport } = fake.accept({ expiresAt: fake.clock.now() })
  t.equal(transport.closed?.code, 4401)
  t.equal(fake.hub.size, 0)
  t.equal(fake.hub.admission.held, 1)
  await fake.hub.drain()
  t.equal(fake.hub.admission.held, 0)
})

t.test('a directory that throws: 1011, no onConnect', async (t) => {
  class Failing extends MemoryDirectory {
    override claim (): never { throw new Error('away') }
  }
  const fake = await startHub({ directory: new Failing(), onConnect: () => { t.fail('it was let in') } })
  const { transport } = fake.accept()
  t.equal(transport.closed?.code, 1011)
  await fake.turn()
  t.match(fake.errors, [{ message: 'away' }])
  t.equal(fake.hub.admission.held, 0)
  t.equal(fake.hub.sessions.entering.size, 0)
})

t.test('a directory that fails to remove is told, and stops nothing', async (t) => {
  class Failing extends MemoryDirectory {
    override async remove (): Promise<boolean> { throw new Error('away') }
  }
  const directory = new Failing()
  const infos: DisconnectInfo[] = []
  const fake = await startHub({ directory, onDisconnect: (_connection, info) => { infos.push(info) } })
  const { connection, transport } = await fake.connect()
  await t.rejects(connection.kick(), { message: 'away' })
  t.equal(connection.state, 'open')
  transport.reset()
  await settled()
  t.equal(infos.length, 1)
  const { transport: early } = fake.accept()
  early.reset()
  await settled()
  t.match(fake.errors, [{ message: 'away' }, { message: 'away' }])
  t.equal(fake.hub.admission.held, 0)
})

t.test('a listener of connect that ends the connection: onConnect and onDisconnect, once each', async (t) => {
  const calls: string[] = []
  const fake = await startHub({ onConnect: () => { calls.push('connect') }, onDisconnect: (_connection, { code }) => { calls.push(`disconnect ${code}`) } })
  fake.hub.on('connect', (connection) => { connection.terminate() })
  await fake.connect()
  await fake.turn()
  t.same(calls, ['connect', 'disconnect 1006'])
})

t.test('broadcast reaches everybody who is in the hub', async (t) => {
  const fake = await startHub({ onConnect: () => new Promise(() => {}) })
  const [a, b] = [await fake.connect(), await fake.connect()]
  const early = fake.accept()
  const result = await fake.hub.broadcast('all')
  t.same(result, { sent: 2, queued: 0, dropped: 0, rejected: 0 }, 'and has no position')
  fake.clock.turn()
  t.same([a, b, early].map(({ transport }) => transport.messages), [['all'], ['all'], []])
  t.same(await new FakeHub().hub.broadcast('x'), { sent: 0, queued: 0, dropped: 0, rejected: 0 }, 'before start nobody listens')
})

t.test('what can not be published', async (t) => {
  const { hub } = await startHub()
  for (const publish of [async (data: unknown, options?: object) => await hub.broadcast(data, options), async (data: unknown, options?: object) => await hub.room('room').publish(data, options)]) {
    await t.rejects(publish(undefined), { code: 'FST_HUB_INVALID_DATA' })
    await t.rejects(publish('x', { overflow: 'maybe' }), { code: 'FST_HUB_INVALID_ARGUMENT' })
    await t.rejects(publish('x', { except: 7 }), { code: 'FST_HUB_INVALID_ARGUMENT' })
  }
  await t.rejects(async () => await hub.room('room').publish('x', { ephemeral: 'yes' as unknown as boolean }), { code: 'FST_HUB_INVALID_ARGUMENT', message: 'ephemeral: expected a boolean, got "yes"' })
  for (const name of ['', 'x'.repeat(256), null, '\udc00']) {
    t.throws(() => hub.room(name as string), { code: 'FST_HUB_INVALID_NAME', message: /^room must/ })
    t.throws(() => hub.user(name as string), { code: 'FST_HUB_INVALID_NAME', message: /^user must/ })
  }
})

t.test('order: per connection the order of calls, whatever they are', async (t) => {
  const fake = await startHub()
  const { connection, transport } = await fake.connect({ user: 'ann' })
  await connection.join('a')
  await connection.join('b')
  const calls = Array.from({ length: 40 }, async (_, i) => {
    switch (i % 5) {
      case 0: return connection.send(`${i}`)
      case 1: return await fake.hub.room('a').publish(`${i}`)
      case 2: return await fake.hub.broadcast(`${i}`)
      case 3: return await fake.hub.user('ann').send(`${i}`)
      default: return await fake.hub.room('b').publish(`${i}`, { ephemeral: true })
    }
  })
  await Promise.all(calls)
  fake.clock.turn()
  t.same(transport.messages, Array.from({ length: 40 }, (_, i) => `${i}`))
  t.equal(transport.writes.length, 1)
})

t.test('statistics and health', async (t) => {
  const sockets = { open: 7, dropped: 2, droppedAt: 34, limit: 7 }
  const fake = await startHub({ limits: { connections: 2, onFull: 'wait', maxWaiting: 5 }, sockets })
  const { hub } = fake
  const { connection } = await fake.connect({ user: 'ann' })
  await connection.join('room')
  const second = hub.admission.acquire(null, () => {})
  hub.admission.acquire(null, () => {})
  hub.refuse({ code: 'FST_HUB_FULL', statusCode: 503 })
  hub.refuse({ code: 'FST_HUB_FULL', statusCode: 503 })
  for (let i = 0; i < 3; i++) hub.refuse({ code: `E_OF_THE_APPLICATION_${i}`, statusCode: 403 })
  hub.refuse({})
  t.same(hub.stats(), {
    nodeId: hub.nodeId,
    connections: 1,
    waiting: 1,
    rooms: 1,
    users: 1,
    sockets: { open: 7, dropped: 2 },
    admitted: 1,
    refused: { FST_HUB_FULL: 2, 403: 3, 500: 1 },
    messages: { received: 0, sent: 0, queued: 0, dropped: 0, rejected: 0, replaced: 0, limited: 0, throttled: 0 },
    queuedBytes: 0,
    bus: { waiting: 0, trimmed: 0, parked: 0 },
    recovery: { recovered: 0, unrecovered: 0, behind: 0, gaps: 0 },
    offline: { stored: 0, delivered: 0, acknowledged: 0, evicted: 0, expired: 0 }
  })
  t.same(hub.health(), {
    status: 'degraded',
    reasons: [
      'all 2 slots are taken (limits.connections), 1 of at most 5 upgrades wait in line',
      'the server dropped 2 sockets so far, the last 1 s ago: 7 are open, at most 7 may be'
    ]
  })
  fake.clock.advanceSync(10_000)
  fake.clock.stall(2_300)
  t.match(hub.health().reasons, [/^the event loop is 1\d\d\d ms late$/, /^all 2 slots/])
  fake.clock.advanceSync(1_000)
  second.release()
  second.release()
  t.equal(hub.health().status, 'degraded', 'who waited has the slot')
  hub.admission.drain()
  t.same(hub.health(), { status: 'draining', reasons: ['the hub drains, 1 connection left'] })
  const drained = hub.drain()
  t.equal(hub.health().status, 'draining')
  await fake.turn()
  await drained
})

t.test('a gap is logged', async (t) => {
  const { hub, log } = await startHub()
  const [from, to] = [{ epoch: 'a', offset: 3 }, { epoch: 'b', offset: 5 }]
  hub.onGap('room', from, to)
  t.same(log, [{ level: 'error', details: { room: 'room', from, to }, message: 'publications of a room were lost' }])
})

t.test('stop frees everything', async (t) => {
  const fake = await startHub()
  t.equal(fake.clock.timers, 2)
  const { transport } = await fake.connect()
  transport.reset()
  await settled()
  await fake.hub.stop()
  t.equal(fake.clock.timers, 0)
})

t.test('events: on, once, off', async (t) => {
  const fake = await startHub()
  const heard: string[] = []
  const on = (): void => { heard.push('on') }
  t.equal(fake.hub.on('connect', on), fake.hub)
  t.equal(fake.hub.once('connect', () => { heard.push('once') }), fake.hub)
  await fake.connect()
  t.equal(fake.hub.off('connect', on), fake.hub)
  await fake.connect()
  t.same(heard, ['on', 'once'])
})

t.test('a listener that throws or rejects breaks nothing, and is told', async (t) => {
  const bad: Array<() => unknown> = [() => { throw new Error('threw') }, async () => { throw new Error('rejected') }]
  for (const listener of bad) {
    const told: unknown[] = []
    let others = 0
    const fake = await startHub()
    for (const event of ['connect', 'disconnect', 'overflow'] as Array<keyof HubEvents>) {
      fake.hub.on(event, listener)
      fake.hub.on(event, () => { others++ })
    }
    fake.hub.on('error', ({ message }, connection) => { told.push([message, connection?.id]) })
    const { connection, transport } = await fake.connect()
    transport.block()
    for (let i = 0; i < 65; i++) connection.send('x')
    fake.clock.turn()
    await settled()
    transport.reset()
    await settled()
    t.equal(others, 3)
    t.equal(told.length, 3)
    t.match(told[0], [/threw|rejected/, connection.id])
  }
})

t.test('errors without a listener are logged, and so are those of an error listener, with what it was told', async (t) => {
  const onMessage = (): never => { throw new Error('of the handler') }
  const quiet = await startHub({ onMessage })
  const peer = await quiet.connect()
  peer.transport.message('x')
  t.match(quiet.log, [{ level: 'error', details: { err: { message: 'of the handler' }, connection: peer.connection.id }, message: 'a handler of the hub failed' }])

  for (const listener of [() => { throw new Error('of the listener') }, async () => { throw new Error('of the listener') }]) {
    const loud = await startHub({ onMessage })
    loud.hub.on('error', listener)
    const { transport } = await loud.connect()
    transport.message('x')
    await settled()
    t.match(loud.errors, [{ message: 'of the handler' }, { message: 'of the listener' }])
  }
})

t.test('errors that belong to no connection are told with null', async (t) => {
  const fake = await startHub()
  const told: unknown[] = []
  fake.hub.on('error', (error, connection) => { told.push([error.message, connection]) })
  fake.hub.outbound.flusher.mark({ flush () { throw new Error('flush') } })
  fake.clock.turn()
  const quiet = await startHub()
  quiet.hub.outbound.flusher.mark({ flush () { throw new Error('flush') } })
  quiet.clock.turn()
  t.same(told, [['flush', null]])
  t.match(quiet.log, [{ details: { err: { message: 'flush' }, connection: undefined } }])
})
