import fc from 'fast-check'
import t from 'tap'
import { heartbeatStep, NOT_ASKED, pingGrid } from '../../../lib/core/heartbeat.js'

const both = { interval: 30, timeout: 70 }

t.test('pings after an interval of silence, expires after the timeout', (t) => {
  t.same(heartbeatStep(both, 100, NOT_ASKED, 100), { action: 'none', next: 30 })
  t.same(heartbeatStep(both, 100, NOT_ASKED, 129), { action: 'none', next: 1 })
  t.same(heartbeatStep(both, 100, NOT_ASKED, 130), { action: 'ping', next: 30 })
  t.same(heartbeatStep(both, 100, 130, 160), { action: 'ping', next: 10 }, 'looks again at the timeout')
  t.same(heartbeatStep(both, 100, 130, 169), { action: 'ping', next: 1 })
  t.same(heartbeatStep(both, 100, 130, 170), { action: 'expire', next: 0 })
  t.end()
})

t.test('a peer that was not asked in time is asked, and has half of the time that is left to answer', (t) => {
  t.same(heartbeatStep(both, 100, NOT_ASKED, 170), { action: 'ping', next: 20 })
  t.same(heartbeatStep(both, 100, NOT_ASKED, 9_000), { action: 'ping', next: 20 })
  t.same(heartbeatStep(both, 100, 9_000, 9_019), { action: 'none', next: 1 })
  t.same(heartbeatStep(both, 100, 9_000, 9_020), { action: 'expire', next: 0 })
  t.same(heartbeatStep(both, 100, 160, 170), { action: 'none', next: 10 }, 'asked late')
  t.end()
})

t.test('each half can be off', (t) => {
  t.same(heartbeatStep({ interval: 0, timeout: 70 }, 0, NOT_ASKED, 10), { action: 'none', next: 60 })
  t.same(heartbeatStep({ interval: 0, timeout: 70 }, 0, NOT_ASKED, 70), { action: 'expire', next: 0 })
  t.same(heartbeatStep({ interval: 30, timeout: 0 }, 0, NOT_ASKED, 1_000), { action: 'ping', next: 30 })
  t.same(heartbeatStep({ interval: 30, timeout: 0 }, 0, NOT_ASKED, 10), { action: 'none', next: 20 })
  t.same(heartbeatStep({ interval: 0, timeout: 0 }, 0, NOT_ASKED, 1_000), { action: 'none', next: Infinity })
  t.end()
})

t.test('long intervals have pings on a grid, and looks at who was asked', (t) => {
  const options = { interval: 30_000, timeout: 60_000 }
  t.equal(pingGrid(options), 250)
  t.equal(pingGrid({ interval: 30_000, timeout: 42_000 }), 100)
  t.equal(pingGrid({ interval: 30_000, timeout: 0 }), 250)
  for (const [interval, timeout] of [[5_000, 60_000], [30_000, 34_000], [30_000, 20_000], [0, 0]] as const) t.equal(pingGrid({ interval, timeout }), 1)
  t.same(heartbeatStep(options, 1_001, NOT_ASKED, 1_001), { action: 'none', next: 30_249 })
  t.same(heartbeatStep(options, 1_001, NOT_ASKED, 31_250), { action: 'ping', next: 29_750 }, 'before the timeout, which is at 61,001')
  t.same(heartbeatStep(options, 31_260, NOT_ASKED, 61_000), { action: 'none', next: 500 }, 'it has answered')
  t.same(heartbeatStep(options, 1_001, 31_250, 61_000), { action: 'none', next: 1 }, 'it has not, and is not asked again at once')
  t.same(heartbeatStep(options, 1_001, 31_250, 61_001), { action: 'expire', next: 0 })
  t.end()
})

t.test('looking when it says to: never a busy loop, never past the timeout, never two intervals without a ping', (t) => {
  fc.assert(fc.property(fc.nat(100), fc.nat(300), fc.array(fc.nat(400), { maxLength: 20, size: 'max' }), fc.constantFrom(1, 1_000), (shortInterval, shortTimeout, times, scale) => {
    const [interval, timeout] = [shortInterval * scale, shortTimeout * scale]
    const traffic = times.map((time) => time * scale)
    const options = { interval, timeout }
    const late = pingGrid(options) - 1
    let lastSeen = 0
    let asked = NOT_ASKED
    let now = 0
    let lastPing = 0
    for (const heard of traffic) {
      const seen = Math.max(lastSeen, Math.min(now, heard))
      if (seen > lastSeen) asked = NOT_ASKED
      lastSeen = seen
      const { action, next } = heartbeatStep(options, lastSeen, asked, now)
      if (action === 'expire') return timeout > 0 && now - lastSeen >= timeout && (interval === 0 || interval >= timeout || asked !== NOT_ASKED)
      if (next <= 0) return false
      if (action === 'ping') {
        lastPing = now
        if (asked === NOT_ASKED) asked = now
      }
      if (interval > 0 && now - Math.max(lastSeen, lastPing) > interval + late) return false
      if (timeout > 0 && interval < timeout && asked <= lastSeen + interval + late && now + next > lastSeen + timeout) return false
      now += next
      if (next === Infinity) return interval === 0 && timeout === 0
    }
    return true
  }))
  t.end()
})
