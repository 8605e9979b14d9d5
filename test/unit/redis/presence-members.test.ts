import t from 'tap'
import { Contact } from '../../../lib/redis/contact.js'
import { Keys } from '../../../lib/redis/keys.js'
import type { Argument, Reply } from '../../../lib/redis/link.js'
import { pack } from '../../../lib/redis/presence-codec.js'
import { PresenceLane } from '../../../lib/redis/presence-lane.js'
import { PresenceMembers } from '../../../lib/redis/presence-members.js'
import type { Script } from '../../../lib/redis/script.js'
import { Turns } from '../../../lib/redis/turns.js'

const TURNS = 10

/** A Redis that knows who is in which room, and can be away, before or after it has done something. */
class FakeRedis {
  readonly inside = new Set<string>()
  state: 'here' | 'away' | 'deaf' | 'mute' = 'here'
  steps = 0

  async run (_script: Script, _keys: readonly string[], args: readonly Argument[]): Promise<Reply> {
    await Promise.resolve()
    if (this.state === 'away' || this.state === 'deaf') throw new Error(this.state)
    const count = Number(args[8])
    for (let i = 9 + count; i < args.length; i += 4) {
      this.steps++
      const name = `${args[8 + Number(args[i + 1])]} ${args[i + 2]}`
      if (args[i] === 'e') this.inside.add(name)
      else this.inside.delete(name)
    }
    if (this.state === 'mute') throw new Error('mute')
    return Array<number>(args.length).fill(0)
  }

  get isReady (): boolean { return this.state !== 'away' }
}

function setup (): { redis: FakeRedis, members: PresenceMembers, lane: PresenceLane } {
  const redis = new FakeRedis()
  const lane = new PresenceLane(redis, new Keys('hub', 1, false), 0, { nodeId: 'node', ttl: 90_000, kept: 900_000, busLength: 1_000, contact: new Contact(1_000), turns: new Turns() }, () => {})
  const members = new PresenceMembers({ laneOf: () => lane, get isReady () { return redis.isReady } }, TURNS)
  return { redis, members, lane }
}

const outcome = async (call: Promise<unknown>): Promise<string> => await call.then(() => 'ok', ({ message }: Error) => message)

t.test('who enters is kept until it has left', async (t) => {
  const { redis, members } = setup()
  for (let i = 0; i < 2; i++) await members.enter('room', 'ann', '1')
  await members.enter('other', 'ann', '1')
  t.same([members.size, [...redis.inside]], [2, [`room ${pack('ann', '1')}`, `other ${pack('ann', '1')}`]])
  for (let i = 0; i < 2; i++) await members.leave('room', 'ann', '1')
  await members.leave('other', 'ann', '1')
  await members.leave('nowhere', 'ann', '1')
  t.same([members.size, redis.inside.size], [0, 0])
})

t.test('calls under way keep what comes after them', async (t) => {
  const { redis, members, lane } = setup()
  await Promise.all([members.enter('room', 'ann', '1'), members.leave('room', 'ann', '1'), members.enter('room', 'ann', '1')])
  t.same([members.size, redis.inside.size], [1, 1])
  await Promise.all([members.leave('room', 'ann', '1'), members.enter('room', 'ann', '1'), members.leave('room', 'ann', '1')])
  t.same([members.size, redis.inside.size], [0, 0])
  await members.enter('room', 'ann', '1')
  members.renewAll()
  lane.kick()
  const [left, drained] = [members.leave('room', 'ann', '1'), lane.drain()]
  await Promise.all([left, drained])
  t.same([members.size, redis.inside.size], [0, 0])
})

t.test('everybody is renewed once in a round', async (t) => {
  const { redis, members, lane } = setup()
  for (let i = 0; i < 20; i++) await members.enter(`room ${i}`, 'ann', '1')
  redis.inside.clear()
  for (let i = 0; i < TURNS; i++) {
    members.renewSome()
    await lane.drain()
    t.equal(redis.inside.size, 2 * (i + 1))
  }
  t.equal(redis.steps, 40)
})

t.test('those who come and go in a room are spread over the round as those who stay', async (t) => {
  const { redis, members, lane } = setup()
  const [here, turns] = [640, [] as number[]]
  for (let i = 0; i < 3 * here; i++) {
    await members.enter('room', 'ann', `${i}`)
    if (i >= here) await members.leave('room', 'ann', `${i - here}`)
  }
  for (let i = 0; i < TURNS; i++) {
    redis.steps = 0
    members.renewSome()
    await lane.drain()
    turns.push(redis.steps)
  }
  t.same(turns, Array(TURNS).fill(64))
})

t.test('who enters while Redis is away enters later; who left meanwhile does not, and is forgotten', async (t) => {
  const { redis, members, lane } = setup()
  redis.state = 'away'
  t.equal(await outcome(members.enter('room', 'ann', '1')), 'away')
  t.equal(await outcome(members.enter('room', 'bob', '2')), 'away')
  t.equal(await outcome(members.leave('room', 'bob', '2')), 'away')
  t.equal(members.size, 1, 'Redis has never heard of the other')
  lane.kick()
  await lane.drain()
  t.equal(await outcome(members.leave('room', 'ann', '1')), 'away')
  t.equal(members.size, 0, 'nor of this one')
  t.equal(await outcome(members.enter('room', 'ann', '1')), 'away')
  redis.state = 'here'
  members.renewAll()
  await lane.drain()
  t.same([...redis.inside], [`room ${pack('ann', '1')}`])
})

t.test('who left while Redis was away is remembered until Redis knows', async (t) => {
  const { redis, members, lane } = setup()
  for (const user of ['ann', 'bob', 'carl']) await members.enter('room', user, '1')
  redis.state = 'away'
  for (const user of ['ann', 'bob']) t.equal(await outcome(members.leave('room', user, '1')), 'away')
  t.equal(await outcome(members.leave('room', 'dan', '1')), 'away')
  t.equal(await outcome(members.enter('room', 'bob', '1')), 'away')
  t.equal(members.size, 3)
  redis.state = 'here'
  lane.kick()
  await lane.drain()
  t.same([members.size, [...redis.inside]], [2, [`room ${pack('bob', '1')}`, `room ${pack('carl', '1')}`]])
})

t.test('what Redis did without answering is remembered, too', async (t) => {
  const { redis, members, lane } = setup()
  redis.state = 'mute'
  t.equal(await outcome(members.enter('room', 'ann', '1')), 'mute')
  t.equal(redis.inside.size, 1)
  redis.state = 'deaf'
  t.equal(await outcome(members.leave('room', 'ann', '1')), 'deaf')
  t.equal(members.size, 1, 'it may be there')
  redis.state = 'here'
  await lane.drain()
  t.same([members.size, redis.inside.size], [0, 0])
})

t.test('all leave at the end', async (t) => {
  const { redis, members, lane } = setup()
  for (let i = 0; i < 300; i++) await members.enter('room', 'ann', `${i}`)
  members.leaveAll()
  await lane.drain()
  t.same([members.size, redis.inside.size], [0, 0])
})
