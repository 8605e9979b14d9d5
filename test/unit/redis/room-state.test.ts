import t from 'tap'
import { RoomOrder } from '../../../lib/redis/room-order.js'
import { knownOf, learn, type RoomState } from '../../../lib/redis/room-state.js'

const at = (epoch: string, offset: number): RoomState => {
  const order = new RoomOrder({ deliver: () => ({ sent: 0, queued: 0, dropped: 0, rejected: 0 }), gap: () => {}, goesOn: () => {}, turned: () => {}, missing: () => {} })
  order.begin({ epoch, offset })
  return { name: 'room', partition: 0, order, begun: Promise.resolve({ epoch, offset }), named: { epoch: '', offset: 0 }, missingSince: Infinity, awaited: null, verdict: null, isSought: false }
}

t.test('what Redis has named is known, though what is before it has not come; and so is what has come too early', async (t) => {
  const state = at('e', 5)
  t.same(knownOf(state), { epoch: 'e', offset: 5 })
  learn(state, { epoch: 'e', offset: 7 })
  t.same(knownOf(state), { epoch: 'e', offset: 7 })
  state.order.fromStream('e', [{ offset: 9, payload: '9', options: {} }], false)
  t.same(knownOf(state), { epoch: 'e', offset: 9 })
})

t.test('what is heard late, or of another epoch, takes nothing back', async (t) => {
  const state = at('e', 5)
  learn(state, { epoch: 'e', offset: 7 })
  for (const position of [{ epoch: 'e', offset: 6 }, { epoch: 'd', offset: 9 }, { epoch: 'f', offset: 1 }]) learn(state, position)
  t.same(knownOf(state), { epoch: 'e', offset: 7 })
  state.order.compare({ known: 'e', position: { epoch: 'f', offset: 2 }, sequence: 0, held: -1, start: 2 })
  t.same(knownOf(state), { epoch: 'f', offset: 2 })
})
