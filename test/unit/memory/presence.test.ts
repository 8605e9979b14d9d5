import t from 'tap'
import { MemoryPresence } from '../../../lib/memory/presence.js'

t.test('forgets everybody at close', async (t) => {
  const presence = new MemoryPresence()
  await presence.enter('room', 'ann', '1')
  await presence.close()
  t.same(await presence.list('room'), [])
})
