import t from 'tap'
import { RoomOrder } from '../../../lib/redis/room-order.js'
import { knownOf, learn, type RoomState } from '../../../lib/redis/room-state.js'

const at = (epoch: string, offset: number): RoomState => {
  const order = new RoomOrder({ deliver: () => ({ sent: 0, queued: 0, dropped: 0, rejected: 0 }), gap: () => {}, missing: () => {} })
  order.begin({ epoch, offset })
  return { name: 'room', partition: 0, order, begun: Promise.resolve({ epoch, offset }), number: 3, heard: epoch, confirmed: { epoch: '', offset: 0 }, since: 0, early: [], doubted: '', missingSince: Infinity, awaited: null, verdict: null, isSought: false }
}

t.test('a publication that Redis has confirmed is known, though what is before it has not come', async (t) => {
  const state = at('e', 5)
  t.same(knownOf(state), { epoch: 'e', offset: 5 })
  state.confirmed = { epoch: 'e', offset: 7 }
  t.same(knownOf(state), { epoch: 'e', offset: 7 })
  state.confirmed = { epoch: 'd', offset: 9 }
  t.same(knownOf(state), { epoch: 'e', offset: 5 }, 'of this epoch')
})

t.test('FAULTS 54: where offsets are in doubt more is known than any room has, until another epoch has begun', async (t) => {
  const state = at('e', 5)
  state.doubted = 'e'
  t.same(knownOf(state), { epoch: 'e', offset: Number.MAX_SAFE_INTEGER })
  state.order.fill({ epoch: 'f', offset: 2 }, [])
  t.same(knownOf(state), { epoch: 'f', offset: 2 })
})

t.test('what is heard late takes nothing back', async (t) => {
  const state = at('e', 5)
  learn(state, { epoch: 'f', offset: 1 }, 9)
  learn(state, { epoch: 'e', offset: 6 }, 8)
  t.same([state.number, state.heard], [9, 'f'])
})
