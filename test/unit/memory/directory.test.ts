import t from 'tap'
import type { DirectoryEntry, Removal, SessionScope } from '../../../lib/core/ports.js'
import { FST_HUB_BROKER_UNAVAILABLE } from '../../../lib/errors.js'
import { MemoryDirectory } from '../../../lib/memory/directory.js'
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

t.test("whoever came first and is heard of late takes nobody's place who came later, and is there", async (t) => {
  const directory = new MemoryDirectory()
  const entry = (id: string, device: string | null = null): DirectoryEntry => ({ id, user: 'ann', nodeId: 'n', device, ip: null, subprotocol: null, connectedAt: 1, lastSeen: 2 })
  const asked = (id: string, scope: SessionScope = 'user', device: string | null = null): { claimed: Promise<Removal>, answer: (isThere: boolean) => void } => {
    const { promise, open } = gate<boolean>()
    const claimed = Promise.resolve(directory.claim(entry(id, device), scope, async () => await promise))
    claimed.catch(() => {})
    return { claimed, answer: open }
  }
  const there = async (): Promise<string[]> => (await directory.user('ann')).map(({ id }) => id)
  await directory.claim(entry('first'), 'user')
  const [second, third, fourth] = [asked('second'), asked('third'), asked('fourth')]
  third.answer(true)
  t.same((await third.claimed).removed.map(({ id }) => id), ['first'])
  second.answer(true)
  await t.rejects(second.claimed, FST_HUB_BROKER_UNAVAILABLE)
  t.same(await there(), ['third'])
  fourth.answer(true)
  t.same((await fourth.claimed).removed.map(({ id }) => id), ['third'])

  const fifth = asked('fifth')
  await directory.remove({ id: 'fourth' })
  await directory.claim(entry('sixth'), 'user', async () => true)
  fifth.answer(true)
  await t.rejects(fifth.claimed, FST_HUB_BROKER_UNAVAILABLE, 'the later one did not have to wait')
  const seventh = asked('seventh')
  const eighth = asked('eighth')
  eighth.answer(true)
  await eighth.claimed
  await directory.remove({ id: 'eighth' })
  seventh.answer(true)
  await seventh.claimed
  t.same(await there(), ['seventh'], 'the later one has left')
  const phone = asked('phone', 'device', null)
  await directory.claim(entry('web', 'web'), 'device')
  phone.answer(true)
  await phone.claimed
  t.same(await there(), ['web', 'phone'], 'on another device')
})
