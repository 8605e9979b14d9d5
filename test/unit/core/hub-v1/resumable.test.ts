import t from 'tap'
import { gate } from '../../../helpers/until.js'
import { back, countCalls } from '../../../helpers/v1-session.js'
import { startV1 } from '../../../helpers/v1-world.js'

const settings = { heartbeat: { interval: 30_000, timeout: 60_000 } }

t.test('an answer is there as long as its session, however late the end of the connection was seen', async (t) => {
  const fake = await startV1(t, { settings })
  const calls = countCalls(fake)
  const first = await fake.peer({ user: 'ada' })
  await first.ask({ op: 'event', event: 'count' }, 'x')
  first.peer.vanish()
  await fake.advance(61_000)
  t.ok(first.peer.ended, 'by the heartbeat')
  await fake.advance(100_000)
  const { peer, isSame } = await back(fake, 'ada', first.session)
  t.equal(isSame, true)
  t.match(await peer.ask({ op: 'event', event: 'count' }, 'x'), { data: 1 })
  t.equal(calls.length, 1)
})

t.test('an answer that took long is kept from when it was given', async (t) => {
  const fake = await startV1(t, { resume: { ttl: 10_000, secret: undefined }, settings: { heartbeat: { interval: 3_000, timeout: 8_000 } } })
  const { promise, open } = gate()
  let calls = 0
  fake.hub.event('slow', {
    handler: async () => {
      await promise
      return ++calls
    }
  })
  const peer = await fake.peer({ user: 'ada' })
  peer.say({ op: 'event', event: 'slow', id: 1 })
  await fake.advance(25_000)
  open()
  await fake.advance(15_000)
  t.match(await peer.ask({ op: 'event', event: 'slow' }, 1), { data: 1 })
  t.equal(calls, 1)
})

t.test('an old connection whose resume has to wait does not take the session from the one that has come since', async (t) => {
  const { promise, open } = gate()
  const fake = await startV1(t, { settings, onConnect: async ({ device }) => { if (device === 'slow') await promise } })
  const first = await fake.peer({ user: 'ada' })
  first.peer.reset()
  const stuck = await fake.peer({ user: 'ada', device: 'slow', resume: { session: first.session, id: 'resume' } })
  stuck.peer.vanish()
  const { peer, isSame } = await back(fake, 'ada', first.session)
  t.equal(isSame, true)
  open()
  await fake.advance(10)
  t.equal(peer.peer.ended, null)
  t.not(stuck.peer.connection.state, 'open')
  t.equal((await back(fake, 'ada', peer.session)).isSame, true)
})

t.test('a token is good once more only until the answer to its resume must have come', async (t) => {
  const fake = await startV1(t, { settings })
  const first = await fake.peer({ user: 'ada' })
  first.peer.reset()
  const second = await back(fake, 'ada', first.session)
  t.equal(second.isSame, true)
  await fake.advance(100_000)
  t.equal((await back(fake, 'ada', first.session)).isSame, false)
  t.equal(second.peer.peer.ended, null, 'the connection that has it stays')

  const lost = await back(fake, 'ada', second.peer.session)
  lost.peer.peer.vanish()
  await fake.advance(100_000)
  t.ok(lost.peer.peer.ended)
  t.equal((await back(fake, 'ada', second.peer.session)).isSame, true, 'nothing was heard of it after its resume: it may not have had the answer')
})

t.test('as long as the answer to a resume has to come, nothing is used up and nothing is forgotten', async (t) => {
  const gates = Array.from({ length: 5 }, () => gate())
  let asked = 0
  const fake = await startV1(t, {
    settings: { heartbeat: { interval: 3_000, timeout: 8_000 }, deadlines: { write: 10_000, handler: 30_000, close: 5_000 } },
    resume: { ttl: 10_000, secret: undefined },
    application: {
      join: async () => {
        await gates[asked++]?.promise
        return true
      }
    }
  })
  const calls = countCalls(fake)
  const first = await fake.peer({ user: 'ada' })
  await first.ask({ op: 'event', event: 'count' }, 'x')
  first.peer.reset()
  const rooms = Object.fromEntries(gates.map((_, i) => [`r${i}`, { epoch: 'e', offset: 1 }]))
  const second = await fake.peer({ user: 'ada', resume: { session: first.session, rooms, id: 'resume' } })
  for (const { open } of gates.slice(0, 4)) {
    await fake.advance(20_000)
    open()
  }
  await fake.advance(10)
  t.same(second.of('reply'), [])
  second.peer.reset()
  await fake.advance(10)
  for (const { open } of gates) open()
  await fake.advance(10)
  const third = await back(fake, 'ada', first.session)
  t.equal(third.isSame, true, 'it had no answer, although it was heard of for long')
  t.match(await third.peer.ask({ op: 'event', event: 'count' }, 'x'), { data: 1 })
  t.equal(calls.length, 1)
})

t.test('that its socket is read again is no sign of life', async (t) => {
  const { promise, open } = gate()
  const fake = await startV1(t, { settings: { maxPending: 2, heartbeat: { interval: 3_000, timeout: 8_000 } } })
  fake.hub.event('slow', { handler: async () => { await promise } })
  const first = await fake.peer({ user: 'ada' })
  first.peer.reset()
  const second = await back(fake, 'ada', first.session)
  for (let i = 0; i < 4; i++) second.peer.say({ op: 'join', room: 'a' })
  for (let i = 0; i < 4; i++) second.peer.say({ op: 'event', event: 'slow' })
  await fake.advance(20_000)
  t.equal(second.peer.peer.ended, null)
  second.peer.peer.reset()
  await fake.advance(10)
  open()
  await fake.advance(10)
  t.equal((await back(fake, 'ada', first.session)).isSame, true)
})
