import t from 'tap'
import { RoomOrder } from '../../../lib/redis/room-order.js'
import { knownOf, type RoomState } from '../../../lib/redis/room-state.js'

const at = (epoch: string, offset: number): RoomState => {
  const order = new RoomOrder({ deliver: () => ({ sent: 0, queued: 0, dropped: 0, rejected: 0 }), gap: () => {}, goesOn: () => {}, turned: () => {}, missing: () => {} })
  order.begin({ epoch, offset })
  return { name: 'room', partition: 0, order, begun: Promise.resolve({ epoch, offset }), missingSince: Infinity, awaited: null, verdict: null, isSought: false }
}

t.test('what Redis has named is known, though what is before it has not come; and so is what has come too early', async (t) => {
  const state = at('e', 5)
  t.same(knownOf(state), { epoch: 'e', offset: 5 })
  state.order.learn({ epoch: 'e', offset: 7 })
  t.same(knownOf(state), { epoch: 'e', offset: 7 })
  state.order.fromStream('e', [{ offset: 9, payload: '9', options: {} }], false)
  t.same(knownOf(state), { epoch: 'e', offset: 9 })
})

t.test('what is heard late, or of another epoch, takes nothing back', async (t) => {
  const state = at('e', 5)
  state.order.learn({ epoch: 'e', offset: 7 })
  for (const position of [{ epoch: 'e', offset: 6 }, { epoch: 'd', offset: 9 }, { epoch: 'f', offset: 1 }]) state.order.learn(position)
  t.same(knownOf(state), { epoch: 'e', offset: 7 })
  state.order.compare({ known: 'e', position: { epoch: 'f', offset: 2 }, sequence: 0, held: -1, start: 2 })
  t.same(knownOf(state), { epoch: 'f', offset: 2 })
})

t.test('FAULTS 54: an epoch that goes on from before what Redis had named: it has lost that, and is told', async (t) => {
  const state = at('e', 5)
  state.order.learn({ epoch: 'e', offset: 7 })
  t.equal(state.order.compare({ known: 'e', position: { epoch: 'f', offset: 8 }, sequence: 0, held: 6, start: 0 }), false)
  t.same(knownOf(state), { epoch: 'e', offset: 7 })
  state.order.compare({ known: 'e', position: { epoch: 'f', offset: 8 }, sequence: 0, held: 7, start: 0 })
  t.same(state.order.position, { epoch: 'f', offset: 5 })
  t.same(knownOf(state), { epoch: 'f', offset: 7 }, 'the offsets are as they were')
})
