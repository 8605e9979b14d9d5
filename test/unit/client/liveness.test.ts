import t from 'tap'
import { Liveness } from '../../../lib/client/liveness.js'
import { ClientTime } from '../../helpers/client-time.js'

function watch (pongTimeout = 10_000): { time: ClientTime, liveness: Liveness, told: string[] } {
  const time = new ClientTime()
  const told: string[] = []
  const liveness = new Liveness({ clock: time, pongTimeout, ping: () => { told.push('ping') }, giveUp: (reason) => { told.push(reason) } })
  return { time, liveness, told }
}

t.test('asks after an interval of silence, gives up when no sound follows', async (t) => {
  const { time, liveness, told } = watch()
  liveness.start(30_000)
  await time.advance(29_999)
  t.strictSame(told, [])
  await time.advance(1)
  t.strictSame(told, ['ping'])
  await time.advance(9_999)
  t.strictSame(told, ['ping'])
  await time.advance(1)
  t.strictSame(told, ['ping', 'silent server'])
  t.equal(time.timers, 0)
})

t.test('any sound is a sign of life: the silence is counted from the last one', async (t) => {
  const { time, liveness, told } = watch()
  liveness.start(30_000)
  await time.advance(20_000)
  liveness.heard()
  await time.advance(29_999)
  t.strictSame(told, [])
  await time.advance(1)
  t.strictSame(told, ['ping'])
  await time.advance(9_999)
  liveness.heard()
  await time.advance(29_999)
  t.strictSame(told, ['ping'])
  await time.advance(1)
  t.strictSame(told, ['ping', 'ping'])
})

t.test('an interval of 0 asks in doubt only', async (t) => {
  const { time, liveness, told } = watch()
  liveness.start(0)
  await time.advance(1_000_000)
  t.strictSame(told, [])
  liveness.check()
  liveness.heard()
  await time.advance(1_000_000)
  t.strictSame(told, ['ping'])
})

t.test('in doubt there is less time; more doubt does not give more of it', async (t) => {
  const { time, liveness, told } = watch()
  liveness.start(30_000)
  await time.advance(30_000)
  liveness.check()
  for (let ms = 0; ms < 4_999; ms++) {
    if (ms % 100 === 0) liveness.check()
    await time.advance(1)
  }
  t.strictSame(told, ['ping'])
  await time.advance(1)
  t.strictSame(told, ['ping', 'silent server'])
})

t.test('less than the grace where pongTimeout is less', async (t) => {
  const { time, liveness, told } = watch(2_000)
  liveness.start(30_000)
  liveness.check()
  await time.advance(2_000)
  t.strictSame(told, ['ping', 'silent server'])
})

t.test('a machine that slept asks at once when it wakes', async (t) => {
  const { time, liveness, told } = watch()
  liveness.start(30_000)
  await time.advance(10_000)
  await time.sleep(3_600_000)
  t.strictSame(told, ['ping'])
  await time.advance(4_999)
  liveness.heard()
  await time.advance(10_000)
  t.strictSame(told, ['ping'], 'it was still there')
})

t.test('a machine that slept while it waited for an answer waits once more, and no more than that', async (t) => {
  const { time, liveness, told } = watch()
  liveness.start(30_000)
  await time.advance(30_000)
  await time.sleep(3_600_000)
  t.strictSame(told, ['ping', 'ping'], 'the answer may lie behind the timer')
  await time.sleep(60_000)
  t.strictSame(told, ['ping', 'ping', 'silent server'], 'all timers of a hidden page are late')
})

t.test('a clock that is set puts nothing off, and breaks nothing off', async (t) => {
  const { time, liveness, told } = watch()
  liveness.start(30_000)
  await time.advance(20_000)
  liveness.heard()
  time.setClock(-3_600_000)
  await time.advance(10_000)
  t.strictSame(told, [])
  await time.advance(30_000)
  t.strictSame(told, ['ping'])
  liveness.heard()
  time.setClock(3_600_000)
  await time.advance(30_000)
  t.strictSame(told, ['ping', 'ping'])
  liveness.heard()
  liveness.check()
  time.setClock(3_600_000)
  liveness.check()
  liveness.heard()
  t.equal(told.includes('silent server'), false)
})

t.test('nothing after stop, and nothing before start', async (t) => {
  const { time, liveness, told } = watch()
  liveness.check()
  liveness.heard()
  t.equal(time.timers, 0)
  liveness.start(30_000)
  liveness.stop()
  liveness.check()
  liveness.heard()
  await time.advance(1_000_000)
  t.strictSame(told, [])
})
