import t from 'tap'
import type { DirectoryEntry, RemovalCause } from '../../../../lib/core/ports.js'
import { MemoryDirectory } from '../../../../lib/memory/directory.js'
import { Link } from '../../../../lib/testing/cluster/link.js'
import { LinkedDirectory, type Kicks } from '../../../../lib/testing/cluster/linked-directory.js'
import { TestClock } from '../../../../lib/testing/test-clock.js'

const AWAY = { code: 'FST_HUB_BROKER_UNAVAILABLE' }
const LEASE_MS = 10_000

interface Node { link: Link, directory: LinkedDirectory, removed: Array<[string, RemovalCause]>, lost: string[] }

function nodes (): { clock: TestClock, one: Node, other: Node } {
  const clock = new TestClock()
  const inner = new MemoryDirectory()
  const kicks: Kicks = new Map()
  const node = (): Node => {
    const link = new Link(clock, () => {})
    const removed: Node['removed'] = []
    const lost: string[] = []
    const directory = new LinkedDirectory(link, inner, kicks, {
      onRemoved: (ids, cause) => { removed.push(...ids.map((id): [string, RemovalCause] => [id, cause])) },
      onLeaseLost: (ids) => { lost.push(...ids) }
    })
    return { link, directory, removed, lost }
  }
  return { clock, one: node(), other: node() }
}

const entry = (id: string, user: string | null): DirectoryEntry => ({ id, nodeId: 'node', device: null, user, ip: null, subprotocol: null, connectedAt: 0, lastSeen: 0 })

t.test('who comes while the node is cut off is entered when it is healed, unless the user was kicked meanwhile', async (t) => {
  const { one: { link, directory, removed }, other } = nodes()
  link.cut()
  await t.rejects(async () => await directory.claim(entry('kicked', 'ann'), 'none'), AWAY)
  await t.rejects(async () => await directory.claim(entry('bob', 'bob'), 'none'), AWAY)
  await t.rejects(async () => await directory.claim(entry('anonymous', null), 'user'), AWAY)
  await t.rejects(async () => await directory.claim(entry('single', 'cid'), 'user'), AWAY)
  t.same((await other.directory.removeUser('ann')).removed, [])
  await t.rejects(async () => await directory.claim(entry('later', 'ann'), 'none'), AWAY)
  link.heal()
  t.same((await other.directory.user('ann')).map(({ id }) => id), ['later'])
  t.same((await other.directory.user('bob')).map(({ id }) => id), ['bob'])
  t.same(await other.directory.user('cid'), [], 'the hub has refused it')
  t.equal(await other.directory.remove({ id: 'anonymous', user: null }), true)
  t.same([removed, other.removed], [[['kicked', 'kick']], []])
})

t.test("whose node is cut off while its client is asked takes nobody's place", async (t) => {
  const { one, other } = nodes()
  await one.directory.claim(entry('first', 'ann'), 'user')
  await t.rejects(async () => await other.directory.claim(entry('second', 'ann'), 'user', async () => {
    other.link.cut()
    return true
  }), AWAY)
  other.link.heal()
  t.same((await one.directory.user('ann')).map(({ id }) => id), ['first'])
})

t.test('logins that may be alone are lost after 10 s: once for each cut', async (t) => {
  const { clock, one: { link, directory, lost }, other } = nodes()
  await directory.claim(entry('ann', 'ann'), 'user')
  await directory.claim(entry('bob', 'bob'), 'user')
  await directory.claim(entry('anonymous', null), 'user')
  await directory.claim(entry('many', 'cid'), 'none')
  await directory.remove(entry('bob', 'bob'))
  link.cut()
  await clock.advance(LEASE_MS / 2)
  link.cut()
  t.same(lost, [])
  await clock.advance(LEASE_MS / 2)
  t.same(lost, ['ann'])
  await clock.advance(LEASE_MS)
  link.heal()
  t.same([lost, other.lost], [['ann'], []])
  link.cut()
  link.heal()
  await clock.advance(LEASE_MS)
  t.same(lost, ['ann'])
  link.cut()
  link.close()
  await clock.advance(LEASE_MS)
  t.same([lost, clock.timers], [['ann'], 0])
})
