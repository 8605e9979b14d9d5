import t from 'tap'
import { PresenceRooms } from '../../../lib/core/presence-rooms.js'
import type { Bus } from '../../../lib/redis/bus.js'
import { pack } from '../../../lib/redis/presence-codec.js'
import type { Due, PresenceLane, Step } from '../../../lib/redis/presence-lane.js'
import { PresenceMirrors } from '../../../lib/redis/presence-mirrors.js'
import type { PresenceSnapshot } from '../../../lib/redis/presence-snapshot.js'
import { TestClock } from '../../../lib/testing/test-clock.js'
import { FakePresenceListener } from '../../helpers/fake-presence-listener.js'
import { settled } from '../../helpers/until.js'

const INTERVAL = 100
const RENEWAL = 30_000

/** A node whose Redis answers when the test says so. */
class World {
  readonly clock = new TestClock()
  readonly listener = new FakePresenceListener()
  /** Partitions that are held: how often. */
  held = 0
  canHold = true
  canPush = true
  readonly steps: string[] = []
  readonly reads: Array<{ answer: (number: number, users: string[], states?: PresenceSnapshot['states']) => Promise<void>, fail: () => Promise<void> }> = []
  readonly #due = new Set<Due>()
  readonly #rooms = new PresenceRooms(this.clock, INTERVAL)
  readonly mirrors: PresenceMirrors

  constructor () {
    const lane = {
      push: async ({ kind, room }: Step): Promise<boolean> => {
        if (!this.canPush) throw new Error('away')
        this.steps.push(`${kind} ${room}`)
        return true
      },
      add: (due: Due) => { this.#due.add(due) },
      remove: (due: Due) => { this.#due.delete(due) },
      kick: () => {}
    }
    const read = async (): Promise<PresenceSnapshot> => await new Promise((resolve, reject) => {
      this.reads.push({
        answer: async (number, users, states = []) => {
          resolve({ number, members: users.map((user) => ({ user, connectionId: user })), states })
          await settled()
        },
        fail: async () => {
          reject(new Error('away'))
          await settled()
        }
      })
    })
    const bus = {
      hold: async () => {
        if (!this.canHold) throw new Error('away')
        this.held++
      },
      release: () => { this.held-- }
    }
    this.mirrors = new PresenceMirrors({ partitionOf: () => 0, busAt: () => 0, laneOf: () => lane as unknown as PresenceLane, read }, bus as unknown as Bus, this.clock, this.#rooms, this.listener, RENEWAL, 10)
  }

  get last (): World['reads'][number] { return this.reads.at(-1) as World['reads'][number] }

  /** The lane has come to what is due. @param isNew whether Redis had not known that it is watched */
  async renewed (isNew: boolean | 'nobody knows'): Promise<void> {
    for (const due of [...this.#due]) {
      const step = due.step()
      if (isNew === 'nobody knows') {
        due.failed()
        continue
      }
      this.#due.delete(due)
      if (step !== null) due.done(isNew)
    }
    await settled()
  }

  /** An entry of the bus: `+ann`, `-ann`, `ann:typing 500` that lasts so long, `ann:typing` that ends. */
  entry (number: number, ...changes: string[]): void {
    const fields = ['#', `${number}`, 'r', 'room']
    for (const change of changes) {
      const [user = '', key = '', ttl] = change.replace(/^[+-]/, '').split(/[: ]/)
      if (/^[+-]/.test(change)) fields.push(change.charAt(0), pack(user, user))
      else if (ttl === undefined) fields.push('x', pack(user, key))
      else fields.push('s', pack(user, key), 't', ttl)
    }
    this.mirrors.onEntry(fields.map((field) => Buffer.from(field)))
  }

  /** What was told since it was asked last. */
  story (): string[] {
    this.clock.advanceSync(INTERVAL)
    const story = this.listener.story('room').sort()
    this.listener.heard.length = 0
    return story
  }
}

async function watching (...users: string[]): Promise<World> {
  const world = new World()
  const watched = world.mirrors.watch('room')
  await settled()
  await world.last.answer(10, users)
  await watched
  return world
}

t.test('what comes while the room is read is told, unless the snapshot has it', async (t) => {
  const world = new World()
  const watched = [world.mirrors.watch('room'), world.mirrors.watch('room')]
  world.entry(8, '+never')
  await settled()
  t.same([world.steps, world.reads.length, world.held], [['watch room'], 1, 1])
  world.entry(9, '-ann', '+bob')
  world.entry(11, '+carl', '-bob')
  await world.last.answer(10, ['ann', 'bob'], [{ user: 'ann', key: 'typing', ttl: 1_000 }])
  await Promise.all(watched)
  t.same(world.story(), ['+carl', '-bob'])
  world.entry(12, 'ann:drawing 500', 'ann:typing', '+dan')
  t.same(world.story(), ['+dan', 'ann:drawing on', 'ann:typing off'])
  world.entry(13, '-dan')
  world.clock.advanceSync(400)
  t.same(world.story(), ['-dan', 'ann:drawing off'])
})

t.test('an empty room is watched as any other', async (t) => {
  const world = new World()
  const watched = world.mirrors.watch('room')
  await settled()
  world.entry(11, '+ann')
  await world.last.answer(10, [])
  await watched
  t.same(world.story(), ['+ann'])
})

t.test('when something was lost, the room is read again, after Redis has been told that it is watched', async (t) => {
  const world = await watching('ann', 'bob')
  world.mirrors.renewAll(1)
  await world.renewed(false)
  t.equal(world.reads.length, 1, 'it was another partition')
  world.mirrors.renewAll(0)
  await world.renewed(false)
  world.entry(21, '+dan')
  await world.last.answer(20, ['bob', 'carl'], [{ user: 'bob', key: 'typing', ttl: 1_000 }])
  t.same(world.story(), ['+carl', '+dan', '-ann', 'bob:typing on'])
  world.mirrors.renewSome()
  t.equal(world.reads.length, 2)
})

t.test('it is read again as long as that fails', async (t) => {
  const world = await watching('ann')
  world.mirrors.renewAll()
  await world.renewed(false)
  world.entry(11, '+bob')
  await world.last.fail()
  t.same(world.story(), ['+bob'], 'what the bus tells holds all the same')
  world.mirrors.renewSome()
  await settled()
  world.mirrors.renewSome()
  t.equal(world.reads.length, 3, 'once at a time')
  await world.last.answer(12, ['bob'])
  t.same(world.story(), ['-ann'])
  world.mirrors.renewSome()
  t.equal(world.reads.length, 3)
})

t.test('something is lost while it is read: it is read once more', async (t) => {
  const world = await watching('ann')
  world.mirrors.renewAll(0)
  await world.renewed(false)
  world.mirrors.renewAll(0)
  await world.renewed(false)
  t.equal(world.reads.length, 2)
  await world.last.answer(12, ['ann'])
  world.mirrors.renewSome()
  await settled()
  await world.last.answer(13, ['bob'])
  t.same(world.story(), ['+bob', '-ann'])
})

t.test('when Redis has lost its data, who is missing has not left before every node has renewed', async (t) => {
  const world = await watching('ann', 'bob')
  world.entry(11, 'ann:typing 600000')
  world.story()
  world.mirrors.renewAll()
  await world.renewed(true)
  await world.last.answer(1, ['carl'])
  t.same(world.story(), ['+carl'])
  world.entry(2, '+ann')
  world.clock.advanceSync(RENEWAL - INTERVAL - 1)
  world.mirrors.renewSome()
  t.equal(world.reads.length, 2)
  world.clock.advanceSync(1)
  world.mirrors.renewSome()
  await settled()
  await world.last.answer(3, ['carl', 'ann'])
  t.same(world.story(), ['-bob', 'ann:typing off'])
})

t.test('it is not read before Redis has said whether it had forgotten', async (t) => {
  const world = await watching('ann')
  world.mirrors.renewAll()
  world.mirrors.renewSome()
  await settled()
  t.equal(world.reads.length, 1)
  await world.renewed(true)
  await world.last.answer(1, [])
  t.same(world.story(), [])
})

t.test('a snapshot is older than what was known: Redis has lost something, and who is missing may enter again', async (t) => {
  const world = await watching('ann', 'bob')
  world.mirrors.renewAll()
  await world.renewed(false)
  await world.last.answer(9, ['carl'])
  t.same(world.story(), ['+carl'])
  world.entry(10, '+ann')
  world.clock.advanceSync(RENEWAL)
  world.mirrors.renewSome()
  await settled()
  await world.last.answer(11, ['ann', 'carl'])
  t.same(world.story(), ['-bob'])
})

t.test('a renewal tells that Redis had forgotten: it is read again', async (t) => {
  const world = await watching('ann')
  for (let i = 0; i < 10; i++) world.mirrors.renewSome()
  await world.renewed(false)
  t.equal(world.reads.length, 1)
  for (let i = 0; i < 10; i++) world.mirrors.renewSome()
  await world.renewed(true)
  await world.last.answer(12, ['ann', 'bob'])
  t.same(world.story(), ['+bob'])
})

t.test('the same when nobody knows what Redis has said', async (t) => {
  const world = await watching('ann')
  for (let i = 0; i < 10; i++) world.mirrors.renewSome()
  await world.renewed('nobody knows')
  t.equal(world.reads.length, 1)
  await world.renewed(false)
  await world.last.answer(12, ['bob'])
  t.same(world.story(), ['+bob'])
  world.clock.advanceSync(RENEWAL)
  world.mirrors.renewSome()
  await settled()
  await world.last.answer(13, ['bob'])
  t.same(world.story(), ['-ann'])
  for (let i = 0; i < 10; i++) world.mirrors.renewSome()
  await world.renewed(false)
  t.equal(world.reads.length, 3)
})

t.test('what cannot be watched is not, and can be later', async (t) => {
  const world = new World()
  const fails = async (): Promise<void> => {
    await t.rejects(world.mirrors.watch('room'), { message: 'away' })
    t.same([world.mirrors.size, world.held, world.clock.timers], [0, 0, 0])
  }
  world.canHold = false
  await fails()
  world.canHold = true
  world.canPush = false
  await fails()
  world.canPush = true
  const failing = fails()
  await settled()
  await world.last.fail()
  await failing
  const watched = world.mirrors.watch('room')
  await settled()
  await world.last.answer(1, [])
  await watched
  t.same([world.mirrors.size, world.held], [1, 1])
})

t.test('after unwatch nothing is told, wherever the watch was', async (t) => {
  const world = new World()
  const early = world.mirrors.watch('room')
  await world.mirrors.unwatch('room')
  await early
  t.same([world.held, world.reads.length, world.steps], [0, 0, ['unwatch room']])
  const late = world.mirrors.watch('room')
  await settled()
  await world.mirrors.unwatch('room')
  await world.last.answer(1, ['ann'])
  await late
  world.entry(2, '+bob')
  t.same([world.held, world.mirrors.size, world.story(), world.clock.timers], [0, 0, [], 0])
  world.canPush = false
  const other = await watching('ann')
  other.mirrors.renewAll(0)
  other.canPush = false
  other.mirrors.unwatchAll()
  await other.renewed(false)
  other.entry(11, '+bob')
  for (let i = 0; i < 10; i++) other.mirrors.renewSome()
  await other.renewed(true)
  t.same([other.held, other.mirrors.size, other.story(), other.reads.length], [0, 0, [], 1])
  await other.mirrors.unwatch('room')
})
