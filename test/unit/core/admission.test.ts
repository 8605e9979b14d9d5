import fc from 'fast-check'
import t from 'tap'
import { Admission, type AdmissionLimits, type Slot } from '../../../lib/core/admission.js'
import { TICK_MS, TimingWheel } from '../../../lib/core/timing-wheel.js'
import { TestClock } from '../../../lib/testing/test-clock.js'

const UNLIMITED: AdmissionLimits = { connections: 0, connectionsPerIp: 0, upgradesPerSecond: 0, onFull: 'reject', waitTimeout: 0, maxWaiting: 0 }
const noop = (): void => {}

function setup (limits: Partial<AdmissionLimits>): { admission: Admission, clock: TestClock, wheel: TimingWheel } {
  const clock = new TestClock()
  const wheel = new TimingWheel(clock, (error) => { throw error })
  wheel.start()
  return { admission: new Admission({ ...UNLIMITED, ...limits }, clock, wheel), clock, wheel }
}

t.test('slots are counted, and given back once', (t) => {
  const { admission } = setup({ connections: 2, connectionsPerIp: 2 })
  const a = admission.acquire('1.1.1.1', noop)
  const b = admission.acquire(null, noop)
  t.same([a.state, admission.held, admission.addresses], ['held', 2, 1])
  t.throws(() => admission.acquire(null, noop), { code: 'FST_HUB_FULL', statusCode: 503 })
  a.release()
  a.release()
  t.same([a.state, admission.held, admission.addresses], ['released', 1, 0])
  b.release()
  t.equal(admission.held, 0)
  t.end()
})

t.test('0 connections is no limit', (t) => {
  const { admission } = setup({})
  for (let i = 0; i < 1_000; i++) admission.acquire(null, noop)
  t.equal(admission.held, 1_000)
  t.end()
})

t.test('FAULTS 17: the cap per address counts those who wait, and IPv6 by /64', (t) => {
  const { admission } = setup({ connections: 1, connectionsPerIp: 2, onFull: 'wait', maxWaiting: 9 })
  const held = admission.acquire('2001:db8::1', noop)
  const waiting = admission.acquire('2001:db8::2', noop)
  t.equal(waiting.state, 'waiting')
  t.throws(() => admission.acquire('2001:db8::3', noop), { code: 'FST_HUB_TOO_MANY_CONNECTIONS_PER_IP', statusCode: 429 })
  t.equal(admission.acquire('2001:db8:0:1::3', noop).state, 'waiting', 'another /64')
  t.equal(admission.acquire(null, noop).state, 'waiting', 'no address, no limit')
  waiting.release()
  t.equal(admission.acquire('2001:db8::3', noop).state, 'waiting')
  held.release()
  t.equal(admission.held, 1)
  t.end()
})

t.test('upgrades per second and address', (t) => {
  const { admission, clock } = setup({ upgradesPerSecond: 2 })
  admission.acquire('1.1.1.1', noop).release()
  admission.acquire('1.1.1.1', noop).release()
  t.throws(() => admission.acquire('1.1.1.1', noop), { code: 'FST_HUB_UPGRADE_RATE', statusCode: 429 })
  t.throws(() => admission.acquire('::ffff:1.1.1.1', noop), { code: 'FST_HUB_UPGRADE_RATE' }, 'the same address')
  admission.acquire('1.1.1.2', noop)
  for (let i = 0; i < 5; i++) admission.acquire(null, noop)
  clock.advanceSync(500)
  t.equal(admission.acquire('1.1.1.1', noop).state, 'held')
  t.end()
})

t.test('those who wait get slots in order, and only while they wait', (t) => {
  const { admission } = setup({ connections: 1, onFull: 'wait', maxWaiting: 3 })
  const order: string[] = []
  const settle = (name: string) => (error: Error | null): void => { order.push(error === null ? name : 'refused') }
  const first = admission.acquire(null, settle('first'))
  const [b, c, d] = [admission.acquire(null, settle('b')), admission.acquire(null, settle('c')), admission.acquire(null, settle('d'))]
  t.equal(admission.waiting, 3)
  t.throws(() => admission.acquire(null, noop), { code: 'FST_HUB_FULL' })
  b.release()
  t.equal(admission.waiting, 2)
  first.release()
  t.same(order, ['c'], 'who left the line is passed over')
  t.same([c.state, d.state, admission.held, admission.waiting], ['held', 'waiting', 1, 1])
  c.release()
  d.release()
  t.same(order, ['c', 'd'])
  t.equal(admission.held, 0)
  t.end()
})

t.test('waiting ends at waitTimeout; 0 is no limit', (t) => {
  const { admission, clock, wheel } = setup({ connections: 1, onFull: 'wait', maxWaiting: 2, waitTimeout: 1_000 })
  const held = admission.acquire('1.1.1.1', noop)
  const errors: Array<Error | null> = []
  const slot = admission.acquire('1.1.1.1', (error) => { errors.push(error) })
  clock.advanceSync(900)
  t.equal(slot.state, 'waiting')
  clock.advanceSync(300)
  t.match(errors, [{ code: 'FST_HUB_WAIT_TIMEOUT', statusCode: 503 }])
  t.equal(slot.state, 'released')
  t.equal(admission.waiting, 0)
  const lucky = admission.acquire('1.1.1.1', (error) => { errors.push(error) })
  held.release()
  clock.advanceSync(2_000)
  t.equal(lucky.state, 'held', 'a granted slot has no timeout any more')
  lucky.release()
  t.same([errors.length, wheel.size, admission.addresses], [2, 0, 0])

  const patient = setup({ connections: 1, onFull: 'wait', maxWaiting: 1 })
  patient.admission.acquire(null, noop)
  const waiting = patient.admission.acquire(null, noop)
  patient.clock.advanceSync(1_000_000)
  t.equal(waiting.state, 'waiting')
  t.end()
})

t.test('drain refuses those who wait, and everyone who comes', (t) => {
  const { admission, wheel } = setup({ connections: 1, onFull: 'wait', maxWaiting: 5, waitTimeout: 1_000 })
  const held = admission.acquire('1.1.1.1', noop)
  const errors: Array<Error | null> = []
  for (let i = 0; i < 3; i++) admission.acquire('1.1.1.1', (error) => { errors.push(error) })
  t.equal(admission.draining, false)
  admission.drain()
  t.equal(admission.draining, true)
  t.match(errors, [{ code: 'FST_HUB_DRAINING' }, { code: 'FST_HUB_DRAINING' }, { code: 'FST_HUB_DRAINING' }])
  t.throws(() => admission.acquire(null, noop), { code: 'FST_HUB_DRAINING', statusCode: 503 })
  t.same([admission.waiting, admission.held, wheel.size], [0, 1, 0])
  held.release()
  t.same([admission.held, admission.addresses], [0, 0])
  t.end()
})

t.test('nobody is granted a slot by a drain, even when a refused one gives back what it held elsewhere', (t) => {
  const { admission } = setup({ connections: 1, onFull: 'wait', maxWaiting: 5 })
  const held = admission.acquire(null, noop)
  const results: Array<string | undefined> = []
  const settled = (error: (Error & { code?: string }) | null): void => {
    results.push(error?.code)
    held.release()
  }
  admission.acquire(null, settled)
  admission.acquire(null, settled)
  admission.drain()
  t.same(results, ['FST_HUB_DRAINING', 'FST_HUB_DRAINING'])
  t.same([admission.held, admission.waiting], [0, 0])
  t.end()
})

t.test('random interleavings: never over the cap, never leaked, first come first served', (t) => {
  const IPS = ['10.0.0.1', '::ffff:10.0.0.1', '2001:db8::1', '2001:db8::2', null]
  const op = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('acquire' as const), ip: fc.constantFrom(...IPS) }) },
    { weight: 5, arbitrary: fc.record({ kind: fc.constant('release' as const), which: fc.nat(30) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('advance' as const), ms: fc.nat(900) }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'releaseTwice' as const }) }
  )
  const limits = fc.record({
    connections: fc.nat(5),
    connectionsPerIp: fc.nat(4),
    upgradesPerSecond: fc.constantFrom(0, 0, 5),
    onFull: fc.constantFrom('reject' as const, 'wait' as const),
    waitTimeout: fc.constantFrom(0, 1_000),
    maxWaiting: fc.nat(4)
  })
  fc.assert(fc.property(limits, fc.array(op, { maxLength: 120, size: 'max' }), fc.boolean(), (limits, ops, drain) => {
    const { admission, clock, wheel } = setup(limits)
    const slots: Slot[] = []
    /** Waiting, in order of arrival. */
    let line: Slot[] = []
    const granted: Slot[] = []
    let last: Slot | undefined
    const check = (): void => {
      const held = slots.filter(({ state }) => state === 'held').length
      const waiting = slots.filter(({ state }) => state === 'waiting').length
      if (admission.held !== held || admission.waiting !== waiting) throw new Error(`${admission.held}/${admission.waiting} instead of ${held}/${waiting}`)
      if (limits.connections > 0 && held > limits.connections) throw new Error('over the cap')
      if (waiting > 0 && held < limits.connections) throw new Error('somebody waits while a slot is free')
      if (waiting > limits.maxWaiting) throw new Error('too many wait')
      line = line.filter(({ state }) => state === 'waiting')
      if (wheel.size !== (limits.waitTimeout > 0 ? waiting : 0)) throw new Error('a timer leaked')
    }
    for (const step of ops) {
      if (step.kind === 'acquire') {
        let settledOnce = false
        try {
          const slot: Slot = admission.acquire(step.ip, (error) => {
            if (settledOnce) throw new Error('settled twice')
            settledOnce = true
            if (error === null) {
              if (line.find(({ state }) => state !== 'released') !== slot) throw new Error('jumped the line')
              granted.push(slot)
              line.splice(line.indexOf(slot), 1)
            } else if (slot.state !== 'released') {
              throw new Error('refused, but not released')
            }
          })
          slots.push(slot)
          last = slot
          if (slot.state === 'waiting') line.push(slot)
        } catch (error) {
          const { code } = error as { code?: string }
          if (code === undefined) throw error
        }
      } else if (step.kind === 'advance') {
        clock.advanceSync(step.ms)
      } else {
        const slot = step.kind === 'release' ? slots[step.which % Math.max(1, slots.length)] : last
        slot?.release()
        if (step.kind === 'releaseTwice') slot?.release()
      }
      check()
    }
    if (drain) {
      admission.drain()
      check()
      if (admission.waiting !== 0) throw new Error('somebody waits while it drains')
    }
    for (const slot of slots) slot.release()
    clock.advanceSync(limits.waitTimeout + 2 * TICK_MS)
    return admission.held === 0 && admission.waiting === 0 && admission.addresses === 0 && wheel.size === 0
  }), { numRuns: 300 })
  t.end()
})
