import type { Test } from 'tap'
import type { DirectoryEntry } from '../../lib/core/ports.js'
import { directoryNodes, entry, idsOf, sorted, type DirectoryFactory } from './directory-world.js'
import { HOSTILE_NAMES } from './names.js'

/** What every Directory must do. */
export function directoryContract (t: Test, factory: DirectoryFactory): void {
  const nodes = directoryNodes(factory)

  t.test('finds the connections of a user', async (t) => {
    const [directory] = await nodes(t)
    t.same(await directory.user('nobody'), [])
    const [a, b, c] = [entry('ann', { device: 'web' }), entry('ann'), entry('bob')]
    for (const one of [a, b, c]) await directory.claim(one, 'none')
    t.same(sorted(await directory.user('ann')), [a, b])
    t.same(await idsOf(directory, 'bob'), [c.id])
  })

  t.test('what is known of a connection comes back as it went in, also with what was removed', async (t) => {
    const [one, other] = await nodes(t, 2)
    const ann = entry('ann', { nodeId: 'a:{b}', device: 'web', ip: '2001:db8::1', subprotocol: 'hub.v1.json', connectedAt: 1_700_000_000_001, lastSeen: 1_700_000_000_002 })
    const bare = entry('bare')
    for (const login of [ann, bare]) {
      await one.claim(login, 'none')
      t.same(sorted(await other.user(login.user as string)), [login])
      t.same(sorted((await other.claim(entry(login.user, { device: login.device }), 'device')).removed), [login])
      await one.claim(login, 'user')
      t.same(sorted((await other.removeUser(login.user as string)).removed), [login])
    }
  })

  t.test('a removed connection is gone; the others stay', async (t) => {
    const [directory] = await nodes(t)
    const [a, b] = [entry('ann'), entry('ann')]
    await directory.claim(a, 'none')
    await directory.claim(b, 'none')
    t.equal(await directory.remove(a), true)
    t.same(await idsOf(directory, 'ann'), [b.id])
    t.equal(await directory.remove(a), false, 'again')
    t.equal(await directory.remove(entry('ann')), false)
    t.equal(await directory.remove(b), true)
    t.same(await directory.user('ann'), [])
  })

  t.test('of several callers at once one removes it', async (t) => {
    const [one, other] = await nodes(t, 2)
    const target = entry('ann')
    await one.claim(target, 'none')
    const results = await Promise.all(Array.from({ length: 20 }, async (_, i) => await (i % 2 === 0 ? one : other).remove(target)))
    t.equal(results.filter(Boolean).length, 1)
  })

  t.test('an anonymous connection can be removed, and belongs to no user', async (t) => {
    const [directory] = await nodes(t)
    const anonymous = entry(null)
    await directory.claim(anonymous, 'none')
    for (const user of ['null', 'undefined', anonymous.id]) t.same(await directory.user(user), [])
    t.equal(await directory.remove(anonymous), true)
    t.equal(await directory.remove(anonymous), false)
  })

  t.test('every node sees the connections of all', async (t) => {
    const [one, other] = await nodes(t, 2)
    const [a, b] = [entry('ann', { nodeId: 'one' }), entry('ann', { nodeId: 'other' })]
    await one.claim(a, 'none')
    await other.claim(b, 'none')
    for (const directory of [one, other]) t.same((await directory.user('ann')).map(({ nodeId }) => nodeId).sort(), ['one', 'other'])
    t.equal(await other.remove(a), true)
    t.same(await idsOf(one, 'ann'), [b.id])
  })

  t.test('what was answered does not change, and changing it changes nothing', async (t) => {
    const [directory] = await nodes(t)
    const a = entry('ann')
    await directory.claim(a, 'none')
    const before = await directory.user('ann') as DirectoryEntry[]
    await directory.claim(entry('ann'), 'none')
    t.equal(before.length, 1)
    before.length = 0
    t.equal((await directory.user('ann')).length, 2)
  })

  t.test('FAULTS 69: users whose names look alike are different users', async (t) => {
    const [directory] = await nodes(t)
    const entries = HOSTILE_NAMES.map((name) => entry(name, { device: name }))
    for (const one of entries) await directory.claim(one, 'none')
    for (const { id, user, device } of entries) {
      const found = await directory.user(user as string)
      t.same(found.map((one) => [one.id, one.user, one.device]), [[id, user, device]])
    }
    for (const one of entries) t.equal(await directory.remove(one), true)
    for (const name of HOSTILE_NAMES) t.same(await directory.user(name), [])
  })

  t.test("scope 'user': takes the place of all that the user had, on every node", async (t) => {
    const [one, other] = await nodes(t, 2)
    const [a, b, c, bob, anonymous] = [entry('ann', { device: 'web' }), entry('ann'), entry('ann'), entry('bob'), entry(null)]
    t.same((await one.claim(a, 'none')).removed, [])
    t.same((await other.claim(b, 'none')).removed, [])
    await one.claim(bob, 'user')
    await one.claim(anonymous, 'user')
    t.same(sorted((await one.claim(c, 'user')).removed), [a, b])
    for (const directory of [one, other]) t.same(await idsOf(directory, 'ann'), [c.id])
    t.same(await idsOf(one, 'bob'), [bob.id])
    t.equal(await one.remove(a), false, 'already gone')
    t.equal(await one.remove(anonymous), true)
  })

  t.test("scope 'device': only of the same device; those without one are one device", async (t) => {
    const [one, other] = await nodes(t, 2)
    const [web, phone, none] = [entry('ann', { device: 'web' }), entry('ann', { device: 'phone' }), entry('ann')]
    for (const first of [web, phone, none]) t.same((await one.claim(first, 'device')).removed, [])
    const [web2, none2] = [entry('ann', { device: 'web' }), entry('ann')]
    t.same(sorted((await other.claim(web2, 'device')).removed), [web])
    t.same(sorted((await other.claim(none2, 'device')).removed), [none])
    t.same((await other.claim(entry('bob', { device: 'phone' }), 'device')).removed, [], "another user's")
    t.same(await idsOf(one, 'ann'), [phone.id, web2.id, none2.id].sort())
  })

  t.test('anonymous connections take the place of nobody', async (t) => {
    const [directory] = await nodes(t)
    const [a, b] = [entry(null, { device: 'web' }), entry(null, { device: 'web' })]
    for (const scope of ['user', 'device'] as const) {
      t.same((await directory.claim(a, scope)).removed, [])
      t.same((await directory.claim(b, scope)).removed, [])
      t.equal(await directory.remove(a), true)
      t.equal(await directory.remove(b), true)
    }
  })

  t.test('the fence grows with each step for a user, over all nodes', async (t) => {
    const [one, other] = await nodes(t, 2)
    const fences: number[] = []
    for (const directory of [one, other, one]) {
      fences.push((await directory.claim(entry('ann'), 'none')).fence)
      fences.push((await directory.removeUser('ann')).fence)
      fences.push((await directory.claim(entry('ann'), 'user')).fence)
      fences.push((await directory.claim(entry('ann', { device: 'web' }), 'device')).fence)
      fences.push((await directory.removeUser('ann')).fence, (await directory.removeUser('ann')).fence)
    }
    t.same(fences, [...new Set(fences)].sort((a, b) => a - b))
    t.ok((fences[0] as number) > 0)
    t.ok(fences.every((fence) => Number.isSafeInteger(fence)))
  })

  t.test('FAULTS 67: of logins at once exactly one stays, that with the highest fence', async (t) => {
    const [one, other] = await nodes(t, 2)
    const entries = Array.from({ length: 20 }, () => entry('ann'))
    const claims = await Promise.all(entries.map(async (login, i) => ({ login, ...await (i % 2 === 0 ? one : other).claim(login, 'user') })))
    claims.sort((a, b) => a.fence - b.fence)
    t.same(claims.flatMap(({ removed }) => removed.map(({ id }) => id)), claims.slice(0, -1).map(({ login }) => login.id), 'each of the others is removed by the next one')
    t.same(await idsOf(one, 'ann'), [claims.at(-1)?.login.id])
  })

  t.test('removeUser removes what is there at that moment, and nothing later', async (t) => {
    const [one, other] = await nodes(t, 2)
    const [a, b, bob, later] = [entry('ann'), entry('ann', { device: 'web' }), entry('bob'), entry('ann')]
    await one.claim(a, 'none')
    await other.claim(b, 'none')
    await other.claim(bob, 'none')
    t.same(sorted((await other.removeUser('ann')).removed), [a, b])
    t.same((await one.removeUser('ann')).removed, [])
    t.same((await one.removeUser('nobody')).removed, [])
    await one.claim(later, 'none')
    t.same(await idsOf(other, 'ann'), [later.id])
    t.same(await idsOf(other, 'bob'), [bob.id])
  })

  t.test('FAULTS 66: claims and removals at once: each login is removed by the first removal behind it, or stays', async (t) => {
    const [one, other] = await nodes(t, 2)
    const steps = await Promise.all(Array.from({ length: 40 }, async (_, i) => {
      const directory = i % 2 === 0 ? one : other
      if (i % 5 === 4) return { login: null, ...await directory.removeUser('ann') }
      const login = entry('ann')
      return { login, ...await directory.claim(login, 'none') }
    }))
    steps.sort((a, b) => a.fence - b.fence)
    let present: string[] = []
    for (const { login, removed } of steps) {
      if (login !== null) {
        t.same(removed, [])
        present.push(login.id)
      } else {
        t.same(removed.map(({ id }) => id).sort(), present.sort())
        present = []
      }
    }
    t.same(await idsOf(one, 'ann'), present.sort())
  })

  t.test('FAULTS 69: logins of users and devices whose names look alike end nobody else', async (t) => {
    const [directory] = await nodes(t)
    const pairs = [...HOSTILE_NAMES.flatMap((name) => [['a', name], [name, 'a'], [name, null]] as const), ['a:b', 'c'], ['a', 'b:c'], ['a}', '{b'], ['a', '}{b']] as const
    const distinct = [...new Map(pairs.map((pair) => [JSON.stringify(pair), pair])).values()]
    const entries = distinct.map(([user, device]) => entry(user, { device }))
    for (const login of entries) t.same((await directory.claim(login, 'device')).removed, [], JSON.stringify([login.user, login.device]))
    for (const login of entries) t.same((await directory.claim(entry(login.user, { device: login.device }), 'device')).removed.map(({ id }) => id), [login.id])
    for (const name of HOSTILE_NAMES) {
      const { removed } = await directory.removeUser(name)
      t.ok(removed.length > 0 && removed.every(({ user }) => user === name), JSON.stringify(name))
    }
  })
}
