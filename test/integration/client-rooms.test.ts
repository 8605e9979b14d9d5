import t from 'tap'
import { WebSocket } from 'ws'
import { ClientWorld, codecs, refusal } from '../helpers/client-world.js'
import { until } from '../helpers/until.js'

/** Turns of the event loop's microtasks. */
async function turns (count: number): Promise<void> { for (let i = 0; i < count; i++) await null }

for (const codec of codecs) {
  t.test(`${codec.name}: the server takes the connection out of a room that is being joined`, async (t) => {
    const world = await ClientWorld.start(t, { setUp: (hub) => { hub.event('out', { handler: async (connection) => { await connection.leave('a') } }) } })
    const client = world.client(codec)
    const room = client.hub.room('a')
    const since = await room.join()
    const out = client.hub.emit('out')
    t.match(await Promise.all([room.join({ since }), out]), [{ offset: 0 }, undefined])
    t.equal(room.joined, true)
    const again = client.hub.emit('out')
    t.match(await Promise.all([room.leave(), room.join(), again]), [undefined, { offset: 0 }, undefined])
    t.equal(room.joined, true)
    await client.hub.emit('out')
    t.equal(room.joined, false)
    t.match(await room.join(), { offset: 0 })
  })

  t.test(`${codec.name}: at whatever moment that is, the promise settles, and both know where they are`, async (t) => {
    let delay = 0
    const world = await ClientWorld.start(t, {
      hub: {
        authorize: {
          join: (connection, room) => {
            turns(delay).then(async () => { await connection.leave(room) }, () => {})
            return true
          }
        }
      }
    })
    const client = world.client(codec)
    await client.opened()
    const [connection] = world.hub.connections()
    const outcomes = new Set<unknown>()
    for (delay = 0; delay < 40; delay++) {
      const room = client.hub.room(`room-${delay}`)
      outcomes.add(await room.join().then(() => 'in', (error: { code: string }) => error.code))
      await client.hub.room('sync').presence().catch(() => {})
      t.equal(room.joined, connection?.rooms.has(room.name), `after ${delay} turns`)
    }
    t.strictSame([...outcomes].sort(), ['in', 'not_joined'])
    t.equal(client.hub.state.is, 'open')
  })

  t.test(`${codec.name}: a resume that comes later than onConnect waits for it`, async (t) => {
    let isSlow = false
    class SlowToSend extends WebSocket {
      override send (data: string | Buffer): void {
        if (isSlow) held.push(() => { super.send(data) })
        else super.send(data)
      }
    }
    const held: Array<() => void> = []
    const joins: string[] = []
    const world = await ClientWorld.start(t, { hub: { onConnect: async (connection) => { await connection.join('a'); joins.push(connection.id) } } })
    const client = world.client(codec, {}, { WebSocket: SlowToSend as never })
    const room = client.hub.room('a')
    const heard: unknown[] = []
    room.on('message', (data) => { heard.push(data) })
    room.on('gap', () => { heard.push('gap') })
    await client.opened()
    isSlow = true
    world.sockets.cut()
    await until(() => client.hub.state.is !== 'open', 'the end of the connection')
    for (const n of [1, 2]) await world.hub.room('a').publish(n)
    await until(() => joins.length === 2, 'the join of onConnect')
    isSlow = false
    for (const send of held) send()
    await client.opened(2)
    await world.hub.room('a').publish(3)
    await until(() => heard.length > 2, () => JSON.stringify(heard))
    t.strictSame(heard, [1, 2, 3])
  })

  t.test(`${codec.name}: what is larger than the server takes at once goes in parts`, async (t) => {
    const world = await ClientWorld.start(t, { hub: { limits: { maxMessageBytes: 4_096 }, offline: { maxMessages: 1_000 } } })
    for (let i = 0; i < 150; i++) await world.hub.user('ada').send(i, { offline: {} })
    const client = world.client(codec, { user: 'ada' })
    let directs = 0
    client.hub.on('direct', () => { directs++ })
    const rooms = Array.from({ length: 60 }, (_, i) => client.hub.room(`document:${i}`))
    await Promise.all(rooms.map(async (room) => { await room.join({ since: { epoch: 'x'.repeat(36), offset: 1 } }) }))
    await client.opened()
    await until(() => directs === 150, () => `150 messages: ${directs}`)
    world.sockets.cut()
    await client.opened(2)
    t.equal(rooms.every(({ joined }) => joined), true)
    t.strictSame([directs, client.codes, client.errors], [150, [1006], []])
  })

  t.test(`${codec.name}: data that the format has no form for fails alone, and the connection goes on`, async (t) => {
    const world = await ClientWorld.start(t, { setUp: (hub) => { hub.event('echo', { handler: (_, data) => data }) } })
    const client = world.client(codec)
    const cycle: unknown[] = []
    cycle.push(cycle)
    for (const data of [1n, cycle, new Uint8Array([1])]) t.match(await refusal(client.hub.emit('echo', data)), { name: 'HubError', code: 'unwritable' })
    t.match(await refusal(client.hub.room('a\ud83d').join()), { name: 'HubError', code: /unwritable|invalid_message/ })
    t.match(await client.hub.emit('echo', ['half an emoji \ud83d', new Date(0), undefined]), [/^half an emoji .$/, '1970-01-01T00:00:00.000Z', null])
    t.strictSame([client.codes, client.connections], [[], 1])
  })
}
