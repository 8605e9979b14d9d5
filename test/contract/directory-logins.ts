import type { Test } from 'tap'
import { systemClock } from '../../lib/core/clock.js'
import { Outranked } from '../../lib/core/outranked.js'
import type { AskLogin, Directory, DirectoryEntry, Removal, RemovalCause } from '../../lib/core/ports.js'
import { FST_HUB_BROKER_UNAVAILABLE } from '../../lib/errors.js'
import { gate, until } from '../helpers/until.js'
import { directoryNodes, entry, idsOf, sorted, type DirectoryFactory } from './directory-world.js'

/** A claim that waits for a sign of its client. */
interface Waiting {
  readonly login: DirectoryEntry
  readonly claim: Promise<Removal>
  /** Its client is heard of. */
  readonly answer: (isThere: boolean) => void
  /** The other logins that were asked for, in order. */
  readonly others: DirectoryEntry[]
  /** How the next of those answers. */
  otherAnswers: () => boolean | Promise<boolean>
}

/** Which logins a Directory lets in where several want one place, and clients have to show that they are there. */
export function directoryLoginsContract (t: Test, factory: DirectoryFactory): void {
  const nodes = directoryNodes(factory)

  async function wait (directory: Directory, more: Partial<DirectoryEntry> = {}): Promise<Waiting> {
    const [asked, answered] = [gate(), gate<boolean>()]
    const login = entry('ann', more)
    const others: DirectoryEntry[] = []
    const isThere: AskLogin = async (who) => {
      if (who.id !== login.id) {
        others.push(who)
        return await waiting.otherAnswers()
      }
      asked.open()
      return await answered.promise
    }
    const waiting: Waiting = { login, claim: Promise.resolve(directory.claim(login, 'user', isThere)), answer: answered.open, others, otherAnswers: () => true }
    waiting.claim.catch(() => {})
    await asked.promise
    return waiting
  }

  /** Lets it be known, to all, that what comes now comes later. */
  async function later (...directories: Directory[]): Promise<void> {
    const since = systemClock.monotonic()
    // Where the time is that of another machine, its answers tell.
    for (const directory of directories) for (let i = 0; i < 5; i++) await directory.claim(entry('bob'), 'user')
    await until(() => systemClock.monotonic() > since + 300, 'no doubt about who came later')
  }

  async function refused (t: Test, { claim }: Waiting, by: RemovalCause | null): Promise<void> {
    const error: unknown = await claim.then(() => 'nothing', (error: unknown) => error)
    if (by === null) t.type(error, FST_HUB_BROKER_UNAVAILABLE)
    else t.equal(error instanceof Outranked ? error.by : error, by)
  }

  t.test("a login takes nobody's place before its client was heard of", async (t) => {
    const [one, other] = await nodes(t, 2)
    const [first, silent, last] = [entry('ann'), entry('ann'), entry('ann')]
    const asked: string[] = []
    const answers = (name: string, isThere: boolean) => async (): Promise<boolean> => {
      asked.push(name)
      return isThere
    }
    t.same((await one.claim(first, 'user')).removed, [])
    await t.rejects(async () => await other.claim(silent, 'user', answers('silent', false)), FST_HUB_BROKER_UNAVAILABLE)
    t.same(await idsOf(one, 'ann'), [first.id])
    t.same(sorted((await other.claim(last, 'user', answers('last', true))).removed), [first])
    const more = entry('ann')
    await one.claim(more, 'none', answers('one of many', false))
    t.same(asked, ['silent', 'last'])
    t.same(await idsOf(one, 'ann'), [last.id, more.id].sort())
  })

  t.test('FAULTS 67: of several that wait for their clients the one that came last has the place, whoever is heard of first; the others are ended for good', async (t) => {
    const [one, other] = await nodes(t, 2)
    const first = entry('ann')
    await one.claim(first, 'user')
    const second = await wait(one)
    await later(one, other)
    const third = await wait(other)
    third.answer(true)
    t.same(sorted((await third.claim).removed), [first])
    second.answer(true)
    await refused(t, second, 'login')
    t.same(second.others.map(({ id }) => id), [third.login.id])
    t.same(sorted(second.others), [third.login])
    t.same(await idsOf(one, 'ann'), [third.login.id])
    const fourth = await wait(one)
    fourth.answer(true)
    t.same(sorted((await fourth.claim).removed), [third.login])
  })

  for (const isThere of [true, false]) {
    t.test(`one that came later found the place free, and ${isThere ? 'is there: the earlier one is ended for good' : 'is not there: it may be an earlier try of the client that waits, which may come back'}`, async (t) => {
      const [one, other] = await nodes(t, 2)
      const [first, last] = [entry('ann'), entry('ann')]
      await one.claim(first, 'user')
      const waiting = await wait(one)
      waiting.otherAnswers = () => isThere
      await one.remove(first)
      await later(one, other)
      t.same((await other.claim(last, 'user')).removed, [])
      waiting.answer(true)
      await refused(t, waiting, isThere ? 'login' : null)
      t.same(waiting.others.map(({ id }) => id), [last.id])
      t.same(await idsOf(one, 'ann'), [last.id])
    })
  }

  t.test('one that came later is gone when it is asked for: the earlier one has the place; unless a still later one has', async (t) => {
    const [one, other] = await nodes(t, 2)
    for (const isReplaced of [false, true]) {
      const [first, gone, last] = [entry('ann'), entry('ann'), entry('ann')]
      await one.claim(first, 'user')
      const waiting = await wait(one)
      await one.remove(first)
      await later(one, other)
      await other.claim(gone, 'user')
      waiting.otherAnswers = async () => {
        waiting.otherAnswers = () => true
        if (isReplaced) await other.claim(last, 'user')
        else await other.remove(gone)
        return false
      }
      waiting.answer(true)
      if (isReplaced) await refused(t, waiting, 'login')
      else t.same((await waiting.claim).removed, [])
      t.same(await idsOf(one, 'ann'), [isReplaced ? last.id : waiting.login.id])
      await one.removeUser('ann')
    }
  })

  t.test('one that came later is no matter where it takes no place of this one', async (t) => {
    const [one, other] = await nodes(t, 2)
    const phone = entry('ann', { device: 'phone' })
    await one.claim(phone, 'device')
    const asked = gate()
    const answered = gate<boolean>()
    const claim = Promise.resolve(one.claim(entry('ann', { device: 'phone' }), 'device', async () => {
      asked.open()
      return await answered.promise
    }))
    await asked.promise
    await later(one, other)
    const web = entry('ann', { device: 'web' })
    await other.claim(web, 'device')
    answered.open(true)
    t.same(sorted((await claim).removed), [phone])
    t.equal((await one.user('ann')).length, 2)
  })

  t.test('a login that waits for its client is there for a kick: it does not get in behind it', async (t) => {
    const [one, other] = await nodes(t, 2)
    const first = entry('ann')
    await one.claim(first, 'user')
    const waiting = await wait(other)
    const { removed } = await one.removeUser('ann')
    t.ok(removed.some(({ id }) => id === first.id))
    waiting.answer(true)
    await refused(t, waiting, 'kick')
    t.same(await idsOf(one, 'ann'), [])
    const last = entry('ann')
    await other.claim(last, 'user')
    t.same(await idsOf(one, 'ann'), [last.id])
  })

  t.test('nor while one that came later is asked for', async (t) => {
    const [one, other] = await nodes(t, 2)
    const first = entry('ann')
    await one.claim(first, 'user')
    const waiting = await wait(one)
    await one.remove(first)
    await later(one, other)
    await other.claim(entry('ann'), 'user')
    waiting.otherAnswers = async () => {
      await other.removeUser('ann')
      return false
    }
    waiting.answer(true)
    await refused(t, waiting, 'kick')
    t.same(await idsOf(one, 'ann'), [])
  })
}
