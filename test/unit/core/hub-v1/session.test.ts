import t from 'tap'
import { gate } from '../../../helpers/until.js'
import { back, countCalls } from '../../../helpers/v1-session.js'
import { startV1 } from '../../../helpers/v1-world.js'

t.test('a request that is sent again after a resume is not done again, and has the same answer', async (t) => {
  const fake = await startV1(t)
  const calls = countCalls(fake)
  const first = await fake.peer({ user: 'ada' })
  t.match(await first.ask({ op: 'event', event: 'count', data: 'a' }, 'x'), { op: 'reply', data: 1 })
  const published = await first.ask({ op: 'publish', room: 'r', data: 1 }, 7)
  first.peer.reset()
  const { peer, isSame } = await back(fake, 'ada', first.session)
  t.equal(isSame, true)
  t.match(await peer.ask({ op: 'event', event: 'count', data: 'a' }, 'x'), { op: 'reply', data: 1 })
  t.same(await peer.ask({ op: 'publish', room: 'r', data: 1 }, 7), published)
  t.match(await peer.ask({ op: 'event', event: 'count', data: 'b' }, 'y'), { op: 'reply', data: 2 })
  t.same(calls, ['a', 'b'])
  t.equal((await fake.hub.room('r').history()).position.offset, 1)
  const again = await back(fake, 'ada', peer.session)
  t.match(await again.peer.ask({ op: 'event', event: 'count', data: 'a' }, 'x'), { op: 'reply', data: 1 }, 'also over two connections')
})

t.test('one that was still under way is answered when it is done', async (t) => {
  const fake = await startV1(t)
  const { promise, open } = gate<string>()
  let calls = 0
  fake.hub.event('slow', { handler: async () => [++calls, await promise] })
  const first = await fake.peer({ user: 'ada' })
  first.say({ op: 'event', event: 'slow', id: 1 })
  await fake.advance(10)
  first.peer.reset()
  await fake.advance(10)
  const { peer, isSame } = await back(fake, 'ada', first.session)
  t.equal(isSame, true)
  peer.say({ op: 'event', event: 'slow', id: 1 })
  await fake.advance(10)
  t.same(peer.of('reply').length, 1, 'that of the resume')
  open('done')
  await fake.advance(10)
  t.same(peer.of('reply').at(-1), { op: 'reply', id: 1, data: [1, 'done'] })
})

t.test("fault 68: another user's token, a reused one, an expired one, and one that is none are refused", async (t) => {
  const fake = await startV1(t)
  const calls = countCalls(fake)
  const first = await fake.peer({ user: 'ada' })
  await first.ask({ op: 'event', event: 'count' }, 'x')
  first.peer.reset()
  await fake.advance(10)
  t.equal((await back(fake, 'eve', first.session)).isSame, false)
  t.equal((await back(fake, undefined, first.session)).isSame, false)
  t.equal((await back(fake, 'ada', `${first.session}x`)).isSame, false)
  t.equal((await back(fake, 'ada', '')).isSame, false)
  t.equal((await back(fake, 'ada', 'a.b')).isSame, false)
  const good = await back(fake, 'ada', first.session)
  t.equal(good.isSame, true)
  await good.peer.ask({ op: 'event', event: 'count' }, 'x')
  const reused = await back(fake, 'ada', first.session)
  t.equal(reused.isSame, false)
  t.match(await reused.peer.ask({ op: 'event', event: 'count' }, 'x'), { data: 2 }, 'done again: it is another session')
  good.peer.peer.reset()
  await fake.advance(121_000)
  t.equal((await back(fake, 'ada', good.peer.session)).isSame, false)
  t.equal(calls.length, 2)
})

t.test('identify and authorize have run again for whoever resumes', async (t) => {
  let isBanned = false
  const fake = await startV1(t, { application: { join: () => !isBanned } })
  const first = await fake.peer({ user: 'ada' })
  const joined = await first.ask({ op: 'join', room: 'a' })
  if (joined.op !== 'joined') throw new Error('not joined')
  isBanned = true
  first.peer.reset()
  const second = await fake.peer({ user: 'ada', resume: { session: first.session, rooms: { a: { epoch: joined.epoch, offset: joined.offset } } } })
  t.match(second.of('error'), [{ code: 'not_allowed', room: 'a' }])
  t.same(second.of('joined'), [])
})

t.test('a connection that still has the session is a leftover, and is ended', async (t) => {
  const fake = await startV1(t)
  const first = await fake.peer({ user: 'ada' })
  first.peer.vanish()
  const { isSame } = await back(fake, 'ada', first.session)
  t.equal(isSame, true)
  await fake.advance(6_000)
  t.equal(fake.hub.size, 1)
  t.ok(first.peer.ended)
})

t.test('what has ended is kept for its time, and answers for theirs', async (t) => {
  const fake = await startV1(t, { resume: { ttl: 60_000, secret: undefined } })
  const calls = countCalls(fake)
  const { sessions } = fake.hub.hubV1
  for (let i = 0; i < 10; i++) (await fake.peer()).peer.reset()
  await fake.advance(10)
  t.equal(sessions.size, 10)
  const peer = await fake.peer()
  t.equal((await back(fake, undefined, peer.session)).isSame, true, 'without a request, too')
  await fake.advance(75_000)
  t.equal(sessions.size, 1)
  const other = await fake.peer()
  for (let i = 0; i < 300; i++) await other.ask({ op: 'event', event: 'count' }, `${i}`)
  other.peer.reset()
  const late = await back(fake, undefined, other.session)
  await late.peer.ask({ op: 'event', event: 'count' }, '299')
  t.equal(calls.length, 300, 'one of the latest is known')
  await late.peer.ask({ op: 'event', event: 'count' }, '100')
  t.equal(calls.length, 301, 'one of long ago is not')
  await fake.advance(75_000)
  await late.peer.ask({ op: 'event', event: 'count' }, '299')
  t.equal(calls.length, 301, 'it may have been lost by a connection that is dead, and has not been ended yet')
  await fake.advance(60_000)
  await late.peer.ask({ op: 'event', event: 'count' }, '299')
  t.equal(calls.length, 302, 'nor one that is too old')
})

t.test('answers are kept as they were, and only so many bytes of them', async (t) => {
  const fake = await startV1(t)
  const state = { n: 0, text: '' }
  fake.hub.event('state', {
    handler: () => {
      state.n++
      return state
    }
  })
  fake.hub.event('large', {
    handler: () => {
      state.n++
      return 'x'.repeat(100_000)
    }
  })
  const first = await fake.peer({ user: 'ada' })
  t.match(await first.ask({ op: 'event', event: 'state' }, 's'), { data: { n: 1 } })
  state.n = 50
  t.match(await first.ask({ op: 'event', event: 'state' }, 's'), { data: { n: 1 } })
  for (const id of ['a', 'b', 'c']) await first.ask({ op: 'event', event: 'large' }, id)
  t.equal(state.n, 53)
  await first.ask({ op: 'event', event: 'large' }, 'c')
  t.equal(state.n, 53)
  await first.ask({ op: 'event', event: 'large' }, 'a')
  t.equal(state.n, 54, 'the oldest had to go')
})

t.test('an answer that has no JSON is an error, also the second time', async (t) => {
  const fake = await startV1(t)
  let calls = 0
  const answers = [{ n: 1n }, Buffer.from('bytes'), () => {}]
  fake.hub.event('bad', { handler: () => answers[calls++] })
  const peer = await fake.peer()
  for (const id of ['a', 'b', 'c', 'a']) t.match(await peer.ask({ op: 'event', event: 'bad' }, id), { op: 'error', code: 'internal', id })
  t.equal(calls, 3)
  t.equal(peer.peer.connection.state, 'open')
  t.match(fake.errors, [{ code: 'FST_HUB_INVALID_DATA' }, { code: 'FST_HUB_INVALID_DATA' }, { code: 'FST_HUB_INVALID_DATA' }])
})

t.test('what a connection has asked for before it resumes another is not forgotten', async (t) => {
  const fake = await startV1(t)
  const calls = countCalls(fake)
  const first = await fake.peer({ user: 'ada' })
  await first.ask({ op: 'event', event: 'count' }, 'a')
  const second = await fake.peer({ user: 'ada' })
  await second.ask({ op: 'event', event: 'count' }, 'b')
  t.match(await second.ask({ op: 'resume', session: first.session }), { data: { session: true } })
  for (const id of ['a', 'b']) await second.ask({ op: 'event', event: 'count' }, id)
  t.equal(calls.length, 2)
})

t.test('what is handled after the end of its connection counts for the session', async (t) => {
  const { promise, open } = gate()
  let isFirst = true
  const fake = await startV1(t, {
    onConnect: async () => {
      if (isFirst) await promise
      isFirst = false
    }
  })
  const calls = countCalls(fake)
  const first = await fake.peer({ user: 'ada' })
  first.say({ op: 'event', event: 'count', id: 'x' })
  await fake.advance(1)
  first.peer.reset()
  await fake.advance(1)
  isFirst = false
  const second = await fake.peer({ user: 'ada', resume: { session: first.session, id: 'r' } })
  t.match(second.of('reply'), [{ id: 'r', data: { session: true } }])
  open()
  await fake.advance(1)
  await second.ask({ op: 'event', event: 'count' }, 'x')
  t.equal(calls.length, 1)
})

t.test('with a ttl of 0 nothing can be resumed', async (t) => {
  const fake = await startV1(t, { resume: { ttl: 0, secret: undefined } })
  const first = await fake.peer()
  first.peer.reset()
  t.equal((await back(fake, undefined, first.session)).isSame, false)
  t.equal(fake.hub.hubV1.sessions.size, 0)
})

t.test('a client that has not heard of its resume shows the token of before once more', async (t) => {
  const fake = await startV1(t)
  const calls = countCalls(fake)
  const first = await fake.peer({ user: 'ada' })
  await first.ask({ op: 'event', event: 'count' }, 'x')
  first.peer.reset()
  for (let i = 0; i < 3; i++) {
    const { peer, isSame } = await back(fake, 'ada', first.session)
    t.equal(isSame, true)
    peer.peer.reset()
  }
  const { peer } = await back(fake, 'ada', first.session)
  await peer.ask({ op: 'event', event: 'count' }, 'x')
  t.equal(calls.length, 1)
  t.equal((await back(fake, 'ada', first.session)).isSame, false, 'now it has')
  t.equal(peer.peer.ended, null)
  await fake.advance(140_000)
  t.equal(fake.hub.hubV1.sessions.size, 2, 'of the two that are there')
})

t.test('errors that quote much count as much', async (t) => {
  const fake = await startV1(t)
  let calls = 0
  fake.hub.event('refuse', {
    handler: () => {
      calls++
      throw Object.assign(new Error('x'.repeat(100_000)), { statusCode: 400 })
    }
  })
  const peer = await fake.peer()
  for (const id of ['a', 'b', 'c', 'a', 'c']) await peer.ask({ op: 'event', event: 'refuse' }, id)
  t.equal(calls, 4, 'a had to go, c is kept')
})

t.test('what is still being done is not done a second time, however long it takes', async (t) => {
  const { promise, open } = gate()
  const fake = await startV1(t, { resume: { ttl: 5_000, secret: undefined }, settings: { deadlines: { write: 0, handler: 0, close: 0 } } })
  let calls = 0
  fake.hub.event('slow', {
    handler: async () => {
      calls++
      await promise
      return calls
    }
  })
  const first = await fake.peer({ user: 'ada' })
  first.say({ op: 'event', event: 'slow', id: 1 })
  await fake.advance(11_000)
  const { peer, isSame } = await back(fake, 'ada', first.session)
  t.equal(isSame, true)
  peer.say({ op: 'event', event: 'slow', id: 1 })
  await fake.advance(10)
  open()
  await fake.advance(10)
  t.equal(calls, 1)
  t.match(peer.of('reply').at(-1), { id: 1, data: 1 })
})
