import t from 'tap'
import { MemoryDirectory } from '../../../lib/memory/directory.js'

t.test('keeps the entries that it is given, and forgets them at close', async (t) => {
  const directory = new MemoryDirectory()
  const [ann, anonymous] = [{ id: '1', nodeId: 'n', user: 'ann', device: null }, { id: '2', nodeId: 'n', user: null, device: null }]
  await directory.claim(ann, 'none')
  await directory.claim(anonymous, 'none')
  t.equal((await directory.user('ann'))[0], ann, 'the connection itself, no copy')
  await directory.close()
  t.same(await directory.user('ann'), [])
  t.equal(await directory.remove('1'), false)
  t.equal(await directory.remove('2'), false)
  t.ok((await directory.removeUser('ann')).fence > 2, 'the fence does not go back')
})
