import t from 'tap'
import type { DirectoryEntry } from '../../../lib/core/ports.js'
import { MemoryDirectory } from '../../../lib/memory/directory.js'
import { heapUsed } from '../../helpers/gc.js'
import { gate } from '../../helpers/until.js'

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

t.test('logins of one user that wait for their clients cost the same each, however many they are', async (t) => {
  const COUNT = 5_000
  const directory = new MemoryDirectory()
  const login = (id: number): DirectoryEntry => ({ id: `${id}`, user: 'ann', nodeId: 'n', device: null, ip: null, subprotocol: null, connectedAt: 1, lastSeen: 2 })
  await directory.claim(login(0), 'user')
  const before = heapUsed()
  const heard = gate<boolean>()
  const claims = Array.from({ length: COUNT }, async (_, i) => await directory.claim(login(i + 1), 'user', async () => await heard.promise))
  const each = Math.round((heapUsed() - before) / COUNT)
  t.ok(each < 10_000, `${each} bytes each`)
  heard.open(false)
  t.ok((await Promise.allSettled(claims)).every(({ status }) => status === 'rejected'))
  t.same((await directory.user('ann')).map(({ id }) => id), ['0'])
})
