import t from 'tap'
import { Type } from 'typebox'
import { HubError, type HubClient, type PresenceChange } from '../../lib/client/index.js'
import type { LocalHub } from '../../lib/core/hub.js'
import { ClientWorld, codecs, refusal } from '../helpers/client-world.js'
import { until } from '../helpers/until.js'

/** An error with which an HTTP handler would answer 422. */
class TooMuch extends Error { statusCode = 422 }

const events = {
  add: { data: Type.Object({ a: Type.Number(), b: Type.Number() }), reply: Type.Number() },
  refuse: { reply: Type.Null() },
  fail: { reply: Type.Null() }
}

function defineEvents (hub: LocalHub): void {
  hub.event('add', { schema: events.add, handler: (_, { a, b }) => a + b })
  hub.event('refuse', { schema: events.refuse, handler: () => { throw new TooMuch('too much of it') } })
  hub.event('fail', { schema: events.fail, handler: () => { throw new Error('a secret of the server') } })
}

for (const codec of codecs) {
  t.test(`${codec.name}: join, publish, leave`, async (t) => {
    const world = await ClientWorld.start(t, { hub: { authorize: { join: (_, room) => room !== 'vault', publish: (connection) => connection.user !== 'guest' } } })
    const [ada, bob, guest] = ['ada', 'bob', 'guest'].map((user) => world.client(codec, { user }).hub) as [HubClient, HubClient, HubClient]
    const heard: unknown[] = []
    const heardByAda: unknown[] = []
    bob.room('lobby').on('message', (data, { offset }) => { heard.push([offset, data]) })
    ada.room('lobby').on('message', (data) => { heardByAda.push(data) })
    const position = await bob.room('lobby').join()
    t.match(position, { epoch: String, offset: 0 })
    t.match(await refusal(bob.room('vault').join()), { name: 'HubError', code: 'not_allowed', room: 'vault' })

    t.strictSame(await ada.room('lobby').publish({ text: 'hello', list: [1, null, true] }), { epoch: position.epoch, offset: 1 })
    t.match(await refusal(guest.room('lobby').publish('hi')), { code: 'not_allowed', room: 'lobby' })
    await ada.room('lobby').publish(new Uint8Array([0, 128, 255]))
    await world.hub.room('lobby').publish('of the server')
    await world.hub.room('lobby').publish('in no log', { ephemeral: true })
    await until(() => heard.length === 4, () => `four publications: ${JSON.stringify(heard)}`)
    t.strictSame(heard.map((one) => JSON.parse(JSON.stringify(one))), JSON.parse(JSON.stringify([
      [1, { text: 'hello', list: [1, null, true] }], [2, new Uint8Array([0, 128, 255])], [3, 'of the server'], [undefined, 'in no log']
    ])))
    t.ok((heard[1] as unknown[])[1] instanceof Uint8Array)

    await ada.room('lobby').join({ since: { epoch: position.epoch, offset: 1 } })
    await until(() => heardByAda.length === 2, 'what was published since')
    t.strictSame(ada.room('lobby').position, { epoch: position.epoch, offset: 3 })
    await bob.room('lobby').leave()
    await world.hub.room('lobby').publish('after')
    await until(() => heardByAda.length === 3, 'the last one')
    t.equal(heardByAda[2], 'after')
    t.equal(heard.length, 4, 'who has left hears nothing')
    t.equal(bob.room('lobby').joined, false)
  })

  t.test(`${codec.name}: the server joins and leaves for its clients`, async (t) => {
    const world = await ClientWorld.start(t, { hub: { onConnect: async (connection) => { await connection.join(`of ${connection.user}`) } } })
    const { hub: client } = world.client(codec, { user: 'ada' })
    const told: unknown[] = []
    client.on('joined', (room) => {
      told.push(`joined ${room.name}`)
      room.on('message', (data) => { told.push(data) })
      room.on('left', () => { told.push(`left ${room.name}`) })
    })
    await until(() => told.length === 1, 'the room')
    await world.hub.room('of ada').publish(1)
    const [connection] = world.hub.connections()
    await connection?.leave('of ada')
    await until(() => told.length === 3, () => `the end of it: ${JSON.stringify(told)}`)
    t.strictSame(told, ['joined of ada', 1, 'left of ada'])
  })

  t.test(`${codec.name}: emit is answered, or fails with a code and the path to what is wrong`, async (t) => {
    const world = await ClientWorld.start(t, { setUp: defineEvents })
    const { hub: client, errors } = world.client<typeof events & { other: object }>(codec)
    t.equal(await client.emit('add', { a: 1, b: 2 }), 3)
    const wrong = await refusal(client.emit('add', { a: 1, b: '2' as unknown as number }))
    t.ok(wrong instanceof HubError)
    t.match(wrong, { code: 'invalid_data', path: '/data/b' })
    t.match(await refusal(client.emit('add', { a: 1 } as unknown as { a: number, b: number })), { code: 'invalid_data', path: /^\/data/ })
    t.match(await refusal(client.emit('other')), { code: 'unknown_event', path: '/event' })
    t.match(await refusal(client.emit('refuse')), { code: 'rejected', message: 'too much of it' })
    const failed = await refusal(client.emit('fail')) as HubError
    t.equal(failed.code, 'internal')
    t.notMatch(failed.message, /secret/)
    t.match(await refusal(client.room('none').presence()), { code: 'not_joined', room: 'none' })
    t.strictSame(errors, [], 'nobody else heard of it')
  })

  t.test(`${codec.name}: messages for a user who is offline come first, and until they are acknowledged`, async (t) => {
    const world = await ClientWorld.start(t)
    const ada = world.hub.user('ada')
    for (const n of [1, 2]) t.match(await ada.send({ n }, { offline: { ttl: 60_000 } }), { delivered: 0, stored: true })

    const first = world.client(codec, { user: 'ada' })
    const heard: unknown[] = []
    first.hub.on('direct', (data) => {
      heard.push(data)
      if (heard.length === 2) throw new Error('not now')
    })
    await first.opened()
    await ada.send('live', { offline: { ttl: 60_000 } })
    await until(() => world.hub.stats().offline.acknowledged === 2, 'the acknowledgements')
    t.strictSame(heard, [{ n: 1 }, { n: 2 }, 'live'])
    t.match(first.errors, [{ message: 'not now' }])

    first.hub.reconnect()
    await until(() => heard.length === 4, 'the one that was not taken care of')
    t.strictSame(heard[3], { n: 2 })
    await until(() => world.hub.stats().offline.acknowledged === 3, 'its acknowledgement')
    first.hub.reconnect()
    await first.opened(3)
    await ada.send('last')
    await until(() => heard.length >= 5, 'a live one')
    t.strictSame(heard.slice(4), ['last'], 'nothing of before')
  })

  t.test(`${codec.name}: refresh`, async (t) => {
    const later = Date.now() + 7_200_000
    const world = await ClientWorld.start(t, {
      hub: {
        identify: () => ({ user: 'ada', expiresAt: later - 3_600_000 }),
        refresh: (_, data) => data === 'good' ? { user: 'ada', expiresAt: later } : data === 'other' ? { user: 'bob' } : data === 'forever' ? { user: 'ada' } : null
      }
    })
    const { hub: client } = world.client(codec)
    const [connection] = await until(() => world.hub.size === 1, 'the connection').then(() => [...world.hub.connections()])
    t.equal(connection?.expiresAt, later - 3_600_000)
    await until(() => client.state.is === 'open', 'an open client')
    t.strictSame(await client.refresh('good'), { expiresAt: later })
    t.equal(connection?.expiresAt, later)
    for (const data of ['bad', 'other']) t.match(await refusal(client.refresh(data)), { code: 'not_allowed' })
    t.equal(connection?.expiresAt, later)
    t.strictSame(await client.refresh('forever'), { expiresAt: null })
  })

  t.test(`${codec.name}: presence and ephemeral states`, async (t) => {
    const world = await ClientWorld.start(t)
    const [ada, bob] = ['ada', 'bob'].map((user) => world.client(codec, { user }).hub) as [HubClient, HubClient]
    const room = ada.room('lobby')
    const changes: PresenceChange[] = []
    room.on('presence', (change) => { changes.push(change) })
    await room.join()
    t.strictSame(await room.presence({ watch: true }), { users: [{ user: 'ada', connections: 1 }], states: [] })
    const told = async (what: string, found: (change: PresenceChange) => boolean | undefined): Promise<void> => {
      await until(() => changes.some(found), () => `${what}: ${JSON.stringify(changes)}`)
      t.pass(what)
    }
    await bob.room('lobby').join()
    await told('bob came', ({ joined }) => joined?.includes('bob'))
    const typing = (isActive: boolean) => ({ states }: PresenceChange) => states?.some(({ user, key, active }) => user === 'bob' && key === 'typing' && active === isActive)
    await world.hub.room('lobby').setEphemeral('bob', 'typing', 60_000)
    await told('bob types', typing(true))
    t.match(await room.presence(), { states: [{ user: 'bob', key: 'typing' }] })
    await world.hub.room('lobby').setEphemeral('bob', 'typing', 0)
    await told('bob types no more', typing(false))
    bob.close()
    await told('bob went', ({ left }) => left?.includes('bob'))

    // On the next connection the whole list stands for what nobody told meanwhile.
    changes.length = 0
    ada.reconnect()
    await told('everybody, again', ({ users }) => users?.some(({ user }) => user === 'ada'))
  })
}
