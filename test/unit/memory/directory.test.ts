import t from 'tap'
import { MemoryDirectory } from '../../../lib/memory/directory.js'

t.test('keeps the entries that it is given, and forgets them at close', async (t) => {
  const directory = new MemoryDirectory()
  const more = { nodeId: 'n', device: null, ip: null, subprotocol: null, connectedAt: 1, lastSeen: 2 }
  const [ann, anonymous] = [{ id: '1', user: 'ann', ...more }, { id: '2', user: null, ...more }]
  await directory.claim(ann, 'none')
  await directory.claim(anonymous, 'none')
  t.equal((await directory.user('ann'))[0], ann, 'the connection itself, no copy')
  await directory.close()
  t.same(await directory.user('ann'), [])
  t.equal(await directory.remove(ann), false)
  t.equal(await directory.remove(anonymous), false)
  t.ok((await directory.removeUser('ann')).fence > 2, 'the fence does not go back')
})
