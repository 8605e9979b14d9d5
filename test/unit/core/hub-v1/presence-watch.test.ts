import t from 'tap'
import type { Endpoint } from '../../../../lib/core/hub-v1/endpoint.js'
import { PresenceWatch } from '../../../../lib/core/hub-v1/presence-watch.js'
import type { Presence } from '../../../../lib/core/ports.js'
import type { Frame } from '../../../../lib/protocol/frame.js'
import { jsonCodec } from '../../../../lib/protocol/hub-v1/json.js'
import { msgpackCodec } from '../../../../lib/protocol/hub-v1/msgpack.js'
import { startV1 } from '../../../helpers/v1-world.js'

t.test('presence of a room that one is in', async (t) => {
  const fake = await startV1(t)
  const ada = await fake.peer({ user: 'ada' })
  t.match(await ada.ask({ op: 'presence', room: 'a' }), { op: 'error', code: 'not_joined', room: 'a' })
  await ada.ask({ op: 'join', room: 'a' })
  const also = await fake.peer({ user: 'ada' })
  await also.ask({ op: 'join', room: 'a' })
  await (await fake.peer()).ask({ op: 'join', room: 'a' })
  t.match(await ada.ask({ op: 'presence', room: 'a' }), { op: 'reply', data: { users: [{ user: 'ada', connections: 2 }], states: [] } })
  await fake.hub.room('a').setEphemeral('ada', 'typing', 3_000)
  t.match(await ada.ask({ op: 'presence', room: 'a' }), { data: { states: [{ user: 'ada', key: 'typing' }] } })
  await fake.advance(5_000)
  t.same(ada.of('presence'), [], 'nobody asked for changes')
})

t.test('whoever watches is told of changes, once per interval', async (t) => {
  const fake = await startV1(t)
  const ada = await fake.peer({ user: 'ada' })
  await ada.ask({ op: 'join', room: 'a' })
  t.match(await ada.ask({ op: 'presence', room: 'a', watch: true }), { op: 'reply' })
  await fake.advance(2_000)
  const before = ada.of('presence').length
  const bob = await fake.peer({ user: 'bob' })
  await bob.ask({ op: 'join', room: 'a' })
  await (await fake.peer({ user: 'eve' })).ask({ op: 'join', room: 'a' })
  const passing = await fake.peer({ user: 'passing' })
  await passing.ask({ op: 'join', room: 'a' })
  await passing.ask({ op: 'leave', room: 'a' })
  await fake.hub.room('a').setEphemeral('bob', 'typing', 1_500)
  await fake.advance(1_100)
  t.same(ada.of('presence').slice(before), [{ op: 'presence', room: 'a', joined: ['bob', 'eve'], left: [], states: [{ user: 'bob', key: 'typing', active: true }] }])
  await fake.advance(1_900)
  t.same(ada.of('presence').slice(before + 1), [{ op: 'presence', room: 'a', joined: [], left: [], states: [{ user: 'bob', key: 'typing', active: false }] }])
  bob.peer.reset()
  await fake.advance(1_100)
  t.match(ada.of('presence').at(-1), { joined: [], left: ['bob'] })
  const count = ada.of('presence').length
  await ada.ask({ op: 'presence', room: 'a', watch: false })
  await (await fake.peer({ user: 'late' })).ask({ op: 'join', room: 'a' })
  await fake.advance(2_000)
  t.equal(ada.of('presence').length, count)
})

t.test('leaving the room, and leaving for good, end it', async (t) => {
  const fake = await startV1(t)
  const ada = await fake.peer({ user: 'ada' })
  const bob = await fake.peer({ user: 'bob' })
  for (const peer of [ada, bob]) {
    await peer.ask({ op: 'join', room: 'a' })
    await peer.ask({ op: 'presence', room: 'a', watch: true })
  }
  await ada.ask({ op: 'leave', room: 'a' })
  await fake.advance(2_000)
  t.same(ada.of('presence'), [])
  t.match(bob.of('presence').at(-1), { left: ['ada'] })
  await ada.ask({ op: 'join', room: 'a' })
  await ada.ask({ op: 'presence', room: 'a', watch: true })
  await ada.peer.connection.leave('a')
  await fake.advance(2_000)
  bob.peer.reset()
  await fake.advance(2_000)
  t.same(ada.of('presence'), [])
})

t.test('a slow reader gets a whole list in place of the changes that it missed', async (t) => {
  const fake = await startV1(t)
  const ada = await fake.peer({ user: 'ada', kernel: 400 })
  await ada.ask({ op: 'join', room: 'a' })
  await ada.ask({ op: 'presence', room: 'a', watch: true })
  await fake.advance(2_000)
  ada.peer.stuck()
  for (let i = 0; i < 20; i++) {
    ada.peer.connection.send('x'.repeat(100))
    await fake.turn()
  }
  for (const user of ['b', 'c', 'd']) {
    await (await fake.peer({ user })).ask({ op: 'join', room: 'a' })
    await fake.advance(1_100)
  }
  await fake.hub.room('a').setEphemeral('d', 'typing', 60_000)
  await fake.advance(1_100)
  const before = ada.of('presence').length
  ada.peer.read()
  await fake.advance(10)
  const told = ada.of('presence').slice(before)
  t.match(told, [{ users: [{ user: 'ada' }, { user: 'b' }, { user: 'c' }, { user: 'd' }], states: [{ user: 'd', key: 'typing', active: true }] }])
  t.equal(told.length, 1)
})

t.test('arguments of setEphemeral are checked', async (t) => {
  const { hub } = await startV1(t)
  const room = hub.room('a')
  await t.rejects(room.setEphemeral('', 'typing', 1), { code: 'FST_HUB_INVALID_NAME', message: /user/ })
  await t.rejects(room.setEphemeral('ada', '', 1), { code: 'FST_HUB_INVALID_NAME', message: /key/ })
  await t.rejects(room.setEphemeral('ada', 'typing', -1), { code: 'FST_HUB_INVALID_ARGUMENT', message: /ttl/ })
})

t.test('a presence that can not be watched is an error, and may be asked for again', async (t) => {
  const fake = await startV1(t)
  const ada = await fake.peer({ user: 'ada' })
  await ada.ask({ op: 'join', room: 'a' })
  const { presence } = fake.hub
  const watch = presence.watch.bind(presence)
  presence.watch = async () => { throw new Error('away') }
  t.match(await ada.ask({ op: 'presence', room: 'a', watch: true }), { op: 'error', code: 'internal' })
  presence.watch = watch
  t.match(await ada.ask({ op: 'presence', room: 'a', watch: true }), { op: 'reply' })
  await (await fake.peer({ user: 'bob' })).ask({ op: 'join', room: 'a' })
  await fake.advance(1_100)
  t.match(ada.of('presence').at(-1), { joined: ['bob'] })
  t.match(fake.errors, [{ message: 'away' }])
})

t.test('a change is encoded once for each codec, whoever it goes to', async (t) => {
  const watch = new PresenceWatch({ watch: async () => {} } as Partial<Presence> as Presence, t.threw)
  const frames: Frame[] = []
  for (const codec of [jsonCodec, msgpackCodec, jsonCodec, msgpackCodec]) {
    const endpoint = { codec, watching: null, connection: { blocked: false, control: (frame: Frame) => { frames.push(frame) } } }
    await watch.watch(endpoint as unknown as Endpoint, 'a')
  }
  watch.onPresence('a', { joined: ['ada'], left: [], states: [] })
  const [json, msgpack] = frames
  t.not(json, msgpack)
  t.ok(frames[2] === json && frames[3] === msgpack && frames.length === 4)
})
