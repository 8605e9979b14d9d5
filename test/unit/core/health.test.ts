import t from 'tap'
import { judge, type Vitals } from '../../../lib/core/health.js'

const WELL: Vitals = {
  now: 100_000,
  draining: false,
  connections: 0,
  loopDelay: 0,
  waiting: 0,
  held: 0,
  limits: { connections: 0, onFull: 'reject', maxWaiting: 10, maxLoopDelay: 0 },
  sockets: { open: 0, dropped: 0, droppedAt: -Infinity, limit: 0 },
  budget: { bytes: 0, limit: 1_000, shed: 0, shedding: false },
  troubles: []
}

const limits = (given: Partial<Vitals['limits']>): Vitals['limits'] => ({ ...WELL.limits, ...given })

t.test('nothing is wrong', (t) => {
  t.same(judge(WELL), { status: 'ok', reasons: [] })
  t.same(judge({ ...WELL, held: 1_000_000, waiting: 5 }), { status: 'ok', reasons: [] }, 'without a limit there are always slots')
  t.end()
})

t.test('draining wins', (t) => {
  const bad: Vitals = { ...WELL, loopDelay: 5_000, held: 3, limits: limits({ connections: 3 }), sockets: { open: 3, dropped: 1, droppedAt: WELL.now, limit: 3 } }
  t.equal(judge(bad).reasons.length, 3)
  t.same(judge({ ...bad, draining: true, connections: 3 }), { status: 'draining', reasons: ['the hub drains, 3 connections left'] })
  t.same(judge({ ...WELL, draining: true, connections: 1 }).reasons, ['the hub drains, 1 connection left'])
  t.same(judge({ ...WELL, draining: true }).reasons, ['the hub drains, 0 connections left'])
  t.end()
})

t.test('the event loop is late', (t) => {
  t.equal(judge({ ...WELL, loopDelay: 1_000 }).status, 'ok')
  t.same(judge({ ...WELL, loopDelay: 1_000.6 }), { status: 'degraded', reasons: ['the event loop is 1001 ms late'] })
  t.equal(judge({ ...WELL, loopDelay: 1_500, limits: limits({ maxLoopDelay: 2_000 }) }).status, 'ok', 'the limit says what is late')
  t.equal(judge({ ...WELL, loopDelay: 100, limits: limits({ maxLoopDelay: 100 }) }).status, 'ok')
  t.same(judge({ ...WELL, loopDelay: 101.4, limits: limits({ maxLoopDelay: 100 }) }), { status: 'degraded', reasons: ['the event loop is 101 ms late, limits.maxLoopDelay is 100: upgrades are refused'] })
  t.end()
})

t.test('all slots are taken', (t) => {
  t.equal(judge({ ...WELL, held: 2, limits: limits({ connections: 3 }) }).status, 'ok')
  t.same(judge({ ...WELL, held: 3, limits: limits({ connections: 3 }) }), { status: 'degraded', reasons: ['all 3 slots are taken (limits.connections): upgrades are refused'] })
  t.same(judge({ ...WELL, held: 3, waiting: 2, limits: limits({ connections: 3, onFull: 'wait' }) }), {
    status: 'degraded',
    reasons: ['all 3 slots are taken (limits.connections), 2 of at most 10 upgrades wait in line']
  })
  t.end()
})

t.test('sockets were dropped a moment ago', (t) => {
  const sockets = (droppedAt: number): Vitals['sockets'] => ({ open: 50, dropped: 7, droppedAt, limit: 60 })
  t.same(judge({ ...WELL, sockets: sockets(WELL.now - 3_100) }), {
    status: 'degraded',
    reasons: ['the server dropped 7 sockets so far, the last 3 s ago: 50 are open, at most 60 may be']
  })
  t.equal(judge({ ...WELL, sockets: sockets(WELL.now - 9_999) }).status, 'degraded')
  t.equal(judge({ ...WELL, sockets: sockets(WELL.now - 10_000) }).status, 'ok')
  t.end()
})

t.test('the queues of the process had to give way', (t) => {
  t.equal(judge({ ...WELL, budget: { bytes: 900, limit: 1_000, shed: 5, shedding: false } }).status, 'ok')
  t.same(judge({ ...WELL, budget: { bytes: 900, limit: 1_000, shed: 5, shedding: true } }), {
    status: 'degraded',
    reasons: ['the queues of this process are full, the fattest gave way 5 times so far: 900 of 1000 bytes are taken (queue.maxTotalBytes)']
  })
  t.end()
})

t.test('everything at once: one sentence each', (t) => {
  const { status, reasons } = judge({ ...WELL, loopDelay: 2_000, held: 1, limits: limits({ connections: 1 }), sockets: { open: 1, dropped: 1, droppedAt: WELL.now, limit: 1 }, budget: { bytes: 1, limit: 1, shed: 1, shedding: true } })
  t.equal(status, 'degraded')
  t.same(reasons.map((reason) => reason.slice(0, 14)), ['the event loop', 'all 1 slots ar', 'the server dro', 'the queues of '])
  t.end()
})
