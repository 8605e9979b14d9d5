import fc from 'fast-check'
import t from 'tap'
import { heartbeatStep } from '../../../lib/core/heartbeat.js'

const both = { interval: 30, timeout: 70 }

t.test('pings after an interval of silence, expires after the timeout', (t) => {
  t.same(heartbeatStep(both, 100, 100), { action: 'none', next: 30 })
  t.same(heartbeatStep(both, 100, 129), { action: 'none', next: 1 })
  t.same(heartbeatStep(both, 100, 130), { action: 'ping', next: 30 })
  t.same(heartbeatStep(both, 100, 160), { action: 'ping', next: 10 }, 'looks again at the timeout')
  t.same(heartbeatStep(both, 100, 169), { action: 'ping', next: 1 })
  t.same(heartbeatStep(both, 100, 170), { action: 'expire', next: 0 })
  t.end()
})

t.test('each half can be off', (t) => {
  t.same(heartbeatStep({ interval: 0, timeout: 70 }, 0, 10), { action: 'none', next: 60 })
  t.same(heartbeatStep({ interval: 0, timeout: 70 }, 0, 70), { action: 'expire', next: 0 })
  t.same(heartbeatStep({ interval: 30, timeout: 0 }, 0, 1_000), { action: 'ping', next: 30 })
  t.same(heartbeatStep({ interval: 30, timeout: 0 }, 0, 10), { action: 'none', next: 20 })
  t.same(heartbeatStep({ interval: 0, timeout: 0 }, 0, 1_000), { action: 'none', next: Infinity })
  t.end()
})

t.test('looking when it says to: never a busy loop, never past the timeout, never two intervals without a ping', (t) => {
  fc.assert(fc.property(fc.nat(100), fc.nat(300), fc.array(fc.nat(400), { maxLength: 20, size: 'max' }), (interval, timeout, traffic) => {
    const options = { interval, timeout }
    let lastSeen = 0
    let now = 0
    let lastPing = 0
    for (const heard of traffic) {
      lastSeen = Math.max(lastSeen, Math.min(now, heard))
      const { action, next } = heartbeatStep(options, lastSeen, now)
      if (action === 'expire') return timeout > 0 && now - lastSeen >= timeout
      if (next <= 0) return false
      if (action === 'ping') lastPing = now
      if (interval > 0 && now - Math.max(lastSeen, lastPing) > interval) return false
      if (timeout > 0 && now + next > lastSeen + timeout) return false
      if (next === Infinity) return interval === 0 && timeout === 0
      now += next
    }
    return true
  }))
  t.end()
})
