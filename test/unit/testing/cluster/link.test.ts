import t from 'tap'
import { TestClock } from '../../../../lib/testing/test-clock.js'
import { Link, MAX_WAITING } from '../../../../lib/testing/cluster/link.js'

class World {
  readonly clock = new TestClock()
  readonly came: unknown[] = []
  closed = 0
  readonly link = new Link(this.clock, () => { this.closed++ })

  arrive (what: unknown, topic = 'topic', isOnce = false): void { this.link.arrive(topic, () => { this.came.push(what) }, isOnce) }

  follow (what: unknown, topic = 'topic'): void { this.link.follow(topic, () => { this.came.push(what) }, () => { this.came.push(`held ${String(what)}`) }) }
}

t.test('what arrives comes in order, in the next turn', async (t) => {
  const { clock, came, link, ...world } = new World()
  for (let i = 0; i < 3; i++) link.arrive('topic', () => { came.push(i) }, false)
  t.same(came, [])
  t.equal(link.waits('topic'), true)
  clock.turn()
  t.same(came, [0, 1, 2])
  t.equal(link.waits('topic'), false)
  t.equal(world.closed, 0)
})

t.test('cut: nothing comes until it is healed, and then in order', async (t) => {
  const world = new World()
  const { clock, came, link } = world
  world.arrive('before')
  link.cut()
  world.arrive('meanwhile')
  await clock.advance(60_000)
  t.same([came, link.isCut], [[], true])
  link.cut()
  link.heal()
  t.same([came, link.isCut], [[], false])
  world.arrive('after')
  link.heal()
  clock.turn()
  t.same(came, ['before', 'meanwhile', 'after'])
})

t.test('cut and healed within a turn, or while something comes', async (t) => {
  const world = new World()
  const { clock, came, link } = world
  world.arrive('a')
  link.cut()
  link.heal()
  clock.turn()
  t.same(came, ['a'])
  link.arrive('topic', () => { link.cut() }, false)
  world.arrive('b')
  clock.turn()
  t.same(came, ['a'])
  link.heal()
  clock.turn()
  t.same(came, ['a', 'b'])
})

t.test('delayed: later, in order, and nothing overtakes', async (t) => {
  const world = new World()
  const { clock, came, link } = world
  link.delay(500)
  world.arrive('slow')
  await clock.advance(200)
  world.arrive('slower')
  link.delay(0)
  world.arrive('quick')
  world.follow('own')
  await clock.advance(299)
  t.same(came, [])
  await clock.advance(1)
  t.same(came, ['slow'])
  await clock.advance(200)
  t.same(came, ['slow', 'slower', 'quick', 'own'])
  t.equal(clock.timers, 0)
})

t.test('cut while delayed: late by both', async (t) => {
  const world = new World()
  const { clock, came, link } = world
  link.delay(500)
  world.arrive('x')
  await clock.advance(300)
  link.cut()
  t.equal(clock.timers, 0)
  link.heal()
  await clock.advance(199)
  t.same(came, [])
  await clock.advance(1)
  t.same(came, ['x'])
})

t.test('doubled: twice, but for what must come once', async (t) => {
  const world = new World()
  const { clock, came, link } = world
  link.double(true)
  world.arrive('a')
  world.arrive('once', 'topic', true)
  world.follow('own')
  clock.turn()
  link.double(false)
  world.arrive('b')
  clock.turn()
  t.same(came, ['a', 'a', 'once', 'own', 'b'])
})

t.test('dropped: nothing about that comes, and nobody waits for it', async (t) => {
  const world = new World()
  const { clock, came, link } = world
  world.arrive('a', 'gone')
  world.follow('own', 'gone')
  world.arrive('b', 'kept')
  link.drop('gone')
  link.drop('unknown')
  t.equal(link.waits('gone'), false)
  clock.turn()
  t.same(came, ['held own', 'b'])
})

t.test('nobody waits for what is held up by a cut; it comes all the same', async (t) => {
  const world = new World()
  world.arrive('a')
  world.follow('own')
  world.link.cut()
  t.same(world.came, ['held own'])
  world.link.heal()
  world.clock.turn()
  t.same(world.came, ['held own', 'a', 'own'])
})

t.test('what waits is bounded: the oldest is lost', async (t) => {
  const world = new World()
  const { clock, came, link } = world
  world.follow('own', 'oldest')
  link.cut()
  came.length = 0
  for (let i = 1; i <= MAX_WAITING; i++) world.arrive(i)
  t.same(came, ['held own'])
  t.equal(link.waits('oldest'), false)
  came.length = 0
  world.arrive('last')
  link.heal()
  clock.turn()
  t.same([came.length, came[0], came.at(-1)], [MAX_WAITING, 2, 'last'])
})

t.test('what the others have to be told: now, or when it is healed, in order', async (t) => {
  const { clock, came, link } = new World()
  const tell = async (what: string): Promise<string> => await link.tell(async () => {
    came.push(what)
    return what
  })
  t.equal(await tell('a'), 'a')
  link.cut()
  t.throws(() => { link.check() }, { code: 'FST_HUB_BROKER_UNAVAILABLE' })
  await t.rejects(tell('b'), { code: 'FST_HUB_BROKER_UNAVAILABLE' })
  await t.rejects(tell('c'), { code: 'FST_HUB_BROKER_UNAVAILABLE' })
  t.same(came, ['a'])
  link.heal()
  t.same(came, ['a', 'b', 'c'])
  link.check()
  clock.turn()
  t.same(came, ['a', 'b', 'c'], 'once')
})

t.test('close: nothing comes any more, what was owed is told, no timer is left', async (t) => {
  const world = new World()
  const { clock, came, link } = world
  link.delay(500)
  world.arrive('x')
  world.follow('own')
  link.cut()
  came.length = 0
  await t.rejects(link.tell(async () => { came.push('owed') }))
  link.close()
  link.close()
  t.equal(world.closed, 1)
  world.arrive('late')
  link.heal()
  await clock.advance(1_000)
  t.same(came, ['owed', 'held own'])
  t.equal(clock.timers, 0)
})
