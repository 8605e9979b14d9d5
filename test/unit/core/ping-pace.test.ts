import t from 'tap'
import { PingPace } from '../../../lib/core/ping-pace.js'

const granted = (pace: PingPace, now: number, connections: number, asked = connections): number => {
  let count = 0
  for (let i = 0; i < asked; i++) if (pace.take(now, connections)) count++
  return count
}

t.test('a small hub is not held up', (t) => {
  const pace = new PingPace({ interval: 30_000, timeout: 60_000 })
  t.equal(granted(pace, 100, 256), 256)
  t.equal(granted(pace, 200, 1_000), 256)
  t.equal(granted(pace, 300, 1_000, 31), 31)
  t.end()
})

t.test('a large one is pinged within a quarter of the interval, or of the time for the answer', (t) => {
  t.equal(granted(new PingPace({ interval: 30_000, timeout: 60_000 }), 1, 75_000), 500)
  t.equal(granted(new PingPace({ interval: 30_000, timeout: 34_000 }), 1, 75_000), 3_750)
  t.equal(granted(new PingPace({ interval: 30_000, timeout: 0 }), 1, 75_000), 500)
  t.equal(granted(new PingPace({ interval: 30_000, timeout: 30_100 }), 1, 75_000), 75_000, 'there is no time to put anything off')
  t.end()
})
