import t from 'tap'
import { Condition } from '../../../lib/redis/condition.js'
import { TestClock } from '../../../lib/testing/index.js'

interface Line { readonly msg: string, readonly ms?: unknown, readonly err?: Error }

class World {
  readonly clock = new TestClock()
  readonly lines: Line[] = []
  readonly link = { isFound: false, why: new Error('it was not asked yet') }
  readonly condition: Condition

  constructor () {
    const write = (details: object, msg: string): void => { this.lines.push({ ...details, msg }) }
    this.condition = new Condition(this.link, this.clock, { info: write, error: write })
  }

  get told (): string[] { return this.lines.map(({ msg, err }) => err === undefined ? msg : `${msg}: ${err.message}`) }

  found (): void {
    this.link.isFound = true
    this.condition.found()
  }

  lost (why: string): void {
    const error = new Error(why)
    Object.assign(this.link, { isFound: false, why: error })
    this.condition.lost(error)
  }

  /** A second later. */
  async isAwayFor (why: string): Promise<void> {
    await this.clock.advance(1_000)
    this.link.why = new Error(why)
    this.condition.look()
  }
}

const AWAY = 'Redis is away: nodes do not hear of each other'
const STILL = 'Redis is still away'

t.test('the log tells that Redis is away, that it is back, and for how long it was not there', async (t) => {
  const world = new World()
  const { clock, condition } = world
  world.found()
  t.same([world.told, condition.absence], [[], null], 'that it is there from the start is no news')
  world.lost('the connection was lost')
  t.equal(condition.absence, 'Redis is away for 0 s: the connection was lost')
  await clock.advance(60_000)
  t.match(condition.absence, /^Redis is away for 60 s/)
  world.found()
  t.equal(condition.absence, null)
  await clock.advance(5_000)
  condition.look()
  t.match(world.lines, [{ msg: AWAY }, { msg: 'Redis is back', ms: 60_000 }])
  t.equal(world.lines.length, 2)
  world.lost('again')
  world.found()
  condition.close()
  t.equal(clock.timers, 0)
})

t.test('why it is away is told when another reason turns up, and not again and again', async (t) => {
  const world = new World()
  world.lost('the connection was lost')
  for (let i = 0; i < 60; i++) await world.isAwayFor('connect ECONNREFUSED')
  t.match(world.condition.absence, /ECONNREFUSED/)
  t.same(world.told, [`${AWAY}: the connection was lost`, `${STILL}: connect ECONNREFUSED`])
  for (let i = 0; i < 60; i++) await world.isAwayFor(i % 2 === 0 ? 'WRONGPASS' : 'getaddrinfo ENOTFOUND')
  t.equal(world.told[2], `${STILL}: WRONGPASS`)
  t.ok(world.told.length <= 2 + 6, 'of reasons in turns, one in ten seconds')
})

t.test('a Redis that is found and lost again and again, as one that has become a replica, is away all the time', async (t) => {
  const world = new World()
  const { clock, condition } = world
  world.lost('READONLY')
  for (let i = 0; i < 20; i++) {
    await world.isAwayFor(`READONLY script: ${i}, on @user_script:57.`)
    world.found()
    await clock.advance(2_000)
    world.lost(`READONLY script: ${i}, on @user_script:57.`)
  }
  t.same(world.told, [`${AWAY}: READONLY`])
  t.match(condition.absence, /^Redis is away for 60 s: READONLY/)
  world.found()
  await clock.advance(5_000)
  t.same(world.told.slice(1), ['Redis is back'])
})

t.test('what is not there at the start is told by whoever waits for it, and back when it comes', async (t) => {
  const world = new World()
  world.link.why = new Error('connect ECONNREFUSED')
  world.condition.missed()
  for (let i = 0; i < 20; i++) await world.isAwayFor('connect ECONNREFUSED')
  world.found()
  await world.clock.advance(5_000)
  t.same(world.told, ['Redis is back'])
})

t.test('what Redis refuses, and what it does not answer, is told for ten seconds, and logged once in as many', async (t) => {
  const world = new World()
  const { clock, condition } = world
  condition.refused(new Error('ERR no such key'))
  t.equal(condition.complaint, null, 'an answer')
  for (let i = 0; i < 20; i++) condition.refused(new Error('OOM command not allowed'))
  t.equal(condition.complaint, 'Redis refuses what it is asked for: OOM command not allowed')
  await clock.advance(10_000)
  t.equal(condition.complaint, null)
  condition.refused(new Error('OOM command not allowed'))
  await clock.advance(10_000)
  condition.unanswered(new Error('no answer within 5000 ms'))
  t.equal(condition.complaint, 'Redis does not answer: no answer within 5000 ms')
  t.equal(world.lines.length, 3)
})
