import type { Test } from 'tap'
import type { Directory, DirectoryEntry } from '../../lib/core/ports.js'
import { HOSTILE_NAMES } from './names.js'

/** Views of one directory, as several nodes have them. Each test gets its own, empty. */
export interface DirectoryWorld {
  node (): Directory | Promise<Directory>
  close (): void | Promise<void>
}

let ids = 0
const entry = (user: string | null, more: Partial<DirectoryEntry> = {}): DirectoryEntry => ({ id: `connection-${++ids}`, nodeId: 'node', device: null, user, ...more })

/** What every Directory must do. */
export function directoryContract (t: Test, factory: () => DirectoryWorld | Promise<DirectoryWorld>): void {
  const nodes = async (t: Test, count = 1): Promise<[Directory, Directory]> => {
    const world = await factory()
    const made: Directory[] = []
    t.teardown(async () => {
      for (const directory of made) await directory.close()
      await world.close()
    })
    for (let i = 0; i < count; i++) made.push(await world.node())
    return made as [Directory, Directory]
  }
  const idsOf = async (directory: Directory, user: string): Promise<string[]> => (await directory.user(user)).map(({ id }) => id).sort()

  t.test('finds the connections of a user', async (t) => {
    const [directory] = await nodes(t)
    t.same(await directory.user('nobody'), [])
    const [a, b, c] = [entry('ann', { device: 'web' }), entry('ann'), entry('bob')]
    for (const one of [a, b, c]) await directory.add(one)
    const found = await directory.user('ann')
    t.same(found.map(({ id, nodeId, user, device }) => ({ id, nodeId, user, device })).sort((x, y) => x.id < y.id ? -1 : 1), [a, b])
    t.same(await idsOf(directory, 'bob'), [c.id])
  })

  t.test('a removed connection is gone; the others stay', async (t) => {
    const [directory] = await nodes(t)
    const [a, b] = [entry('ann'), entry('ann')]
    await directory.add(a)
    await directory.add(b)
    t.equal(await directory.remove(a.id), true)
    t.same(await idsOf(directory, 'ann'), [b.id])
    t.equal(await directory.remove(a.id), false, 'again')
    t.equal(await directory.remove('unknown'), false)
    t.equal(await directory.remove(b.id), true)
    t.same(await directory.user('ann'), [])
  })

  t.test('of several callers at once one removes it', async (t) => {
    const [one, other] = await nodes(t, 2)
    const target = entry('ann')
    await one.add(target)
    const results = await Promise.all(Array.from({ length: 20 }, async (_, i) => await (i % 2 === 0 ? one : other).remove(target.id)))
    t.equal(results.filter(Boolean).length, 1)
  })

  t.test('an anonymous connection can be removed, and belongs to no user', async (t) => {
    const [directory] = await nodes(t)
    const anonymous = entry(null)
    await directory.add(anonymous)
    for (const user of ['null', 'undefined', anonymous.id]) t.same(await directory.user(user), [])
    t.equal(await directory.remove(anonymous.id), true)
    t.equal(await directory.remove(anonymous.id), false)
  })

  t.test('every node sees the connections of all', async (t) => {
    const [one, other] = await nodes(t, 2)
    const [a, b] = [entry('ann', { nodeId: 'one' }), entry('ann', { nodeId: 'other' })]
    await one.add(a)
    await other.add(b)
    for (const directory of [one, other]) t.same((await directory.user('ann')).map(({ nodeId }) => nodeId).sort(), ['one', 'other'])
    t.equal(await other.remove(a.id), true)
    t.same(await idsOf(one, 'ann'), [b.id])
  })

  t.test('what was answered does not change, and changing it changes nothing', async (t) => {
    const [directory] = await nodes(t)
    const a = entry('ann')
    await directory.add(a)
    const before = await directory.user('ann') as DirectoryEntry[]
    await directory.add(entry('ann'))
    t.equal(before.length, 1)
    before.length = 0
    t.equal((await directory.user('ann')).length, 2)
  })

  t.test('FAULTS 69: users whose names look alike are different users', async (t) => {
    const [directory] = await nodes(t)
    const entries = HOSTILE_NAMES.map((name) => entry(name, { device: name }))
    for (const one of entries) await directory.add(one)
    for (const { id, user, device } of entries) {
      const found = await directory.user(user as string)
      t.same(found.map((one) => [one.id, one.user, one.device]), [[id, user, device]])
    }
    for (const { id } of entries) t.equal(await directory.remove(id), true)
    for (const name of HOSTILE_NAMES) t.same(await directory.user(name), [])
  })
}
