import t from 'tap'
import { startHub } from '../../helpers/fake-hub.js'

t.test('a user is all its connections', async (t) => {
  const fake = await startHub()
  const ann = fake.hub.user('ann')
  t.equal(ann.id, 'ann')
  t.equal(await ann.online(), false)
  t.same([...ann.connections()], [])
  const [one, two, bob] = [await fake.connect({ user: 'ann' }), await fake.connect({ user: 'ann' }), await fake.connect({ user: 'bob' })]
  t.same([...ann.connections()], [one.connection, two.connection])
  t.equal(await ann.online(), true)
  t.equal(fake.hub.stats().users, 2)
  t.same(await ann.send('hello'), { delivered: 2, nodes: [fake.hub.nodeId], stored: false })
  fake.clock.turn()
  t.same([one, two, bob].map(({ transport }) => transport.messages), [['hello'], ['hello'], []])
  one.transport.reset()
  t.same([...ann.connections()], [two.connection])
  two.transport.reset()
  t.equal(await ann.online(), false)
  t.equal(fake.hub.stats().users, 1)
})

t.test('send counts those that took it', async (t) => {
  const fake = await startHub({ queue: { maxMessages: 1, maxBytes: 0 } })
  const ann = fake.hub.user('ann')
  t.same(await ann.send('x'), { delivered: 0, nodes: [], stored: false })
  const [one, two] = [await fake.connect({ user: 'ann' }), await fake.connect({ user: 'ann' })]
  one.transport.block()
  t.equal((await ann.send('1')).delivered, 2)
  t.equal((await ann.send('2', { overflow: 'reject-new' })).delivered, 1)
  two.connection.close()
  t.same(await ann.send('3', { overflow: 'reject-new' }), { delivered: 0, nodes: [], stored: false })
  await t.rejects(ann.send(undefined), { code: 'FST_HUB_INVALID_DATA' })
  await t.rejects(ann.send('x', { overflow: 'no' as never }), { code: 'FST_HUB_INVALID_ARGUMENT' })
})

t.test('kick ends them all, and counts those it ended', async (t) => {
  const fake = await startHub()
  const [one, two, closing] = [await fake.connect({ user: 'ann' }), await fake.connect({ user: 'ann' }), await fake.connect({ user: 'ann' })]
  const bob = await fake.connect({ user: 'bob' })
  closing.connection.close(1000)
  t.equal(await fake.hub.user('ann').kick('out', { code: 1001 }), 2)
  t.same([one, two, closing].map(({ transport }) => transport.closed), [{ code: 1001, reason: 'out' }, { code: 1001, reason: 'out' }, { code: 1000, reason: '' }])
  t.equal(bob.connection.state, 'open')
  t.equal(await fake.hub.user('bob').kick(), 1)
  t.same(bob.transport.closed, { code: 4501, reason: 'kicked' })
  t.equal(await fake.hub.user('nobody').kick(), 0)
  const last = await fake.connect({ user: 'cid' })
  await t.rejects(fake.hub.user('cid').kick('x', { code: 1006 }), { code: 'FST_HUB_INVALID_CLOSE_CODE' })
  t.equal(last.connection.state, 'open')
})
