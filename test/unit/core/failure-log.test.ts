import t from 'tap'
import { FailureLog } from '../../../lib/core/failure-log.js'
import { FST_HUB_BROKER_UNAVAILABLE } from '../../../lib/errors.js'
import { TestClock } from '../../../lib/testing/index.js'

t.test('a fault is a line each time; what fails as Redis is away is one in ten seconds, which counts the others', async (t) => {
  const clock = new TestClock()
  const lines: unknown[] = []
  const log = new FailureLog(clock, { info: () => {}, error: (details, message) => { lines.push({ ...details, message }) } })
  for (const connection of ['a', 'b']) log.tell(new Error('mine'), connection)
  t.match(lines.splice(0), [{ err: { message: 'mine' }, connection: 'a', message: 'a handler of the hub failed' }, { connection: 'b' }])
  for (let i = 0; i < 100; i++) log.tell(new FST_HUB_BROKER_UNAVAILABLE('it is away'), `${i}`)
  t.match(lines, [{ connection: '0', leftOut: 0 }])
  log.tell(new Error('mine'), undefined)
  await clock.advance(10_000)
  log.tell(new FST_HUB_BROKER_UNAVAILABLE('it is away'), 'last')
  t.match(lines, [{}, { err: { message: 'mine' } }, { connection: 'last', leftOut: 99 }])
  t.equal(lines.length, 3)
})
