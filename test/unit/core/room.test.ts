import t from 'tap'
import type { StreamPosition } from '../../../lib/core/types.js'
import { FakeBroker } from '../../helpers/fake-broker.js'
import { TestClock } from '../../../lib/testing/test-clock.js'
import { startHub } from '../../helpers/fake-hub.js'

t.test('a room is a handle: nothing exists for it before somebody is in', async (t) => {
  const fake = await startHub()
  const room = fake.hub.room('room')
  t.same([room.name, room.size, [...room.connections()]], ['room', 0, []])
  const { connection } = await fake.connect()
  await connection.join('room')
  t.same([room.size, [...room.connections()]], [1, [connection]])
  t.equal(fake.hub.room('other').size, 0)
})

t.test('history of a room', async (t) => {
  const fake = await startHub()
  const room = fake.hub.room('room')
  const start = await room.history()
  t.same([start.publications, start.recovered, start.position.offset], [[], true, 0])
  const { epoch, offset } = await room.publish('x') as StreamPosition
  t.same(await room.history({ epoch, offset }), { position: { epoch, offset: 1 }, publications: [], recovered: true })
  t.equal((await room.history(start.position, 10)).recovered, false)
  for (const since of [null, 1, {}, { epoch }, { epoch, offset: -1 }, { epoch, offset: 1.5 }, { epoch: 1, offset: 1 }, { epoch, offset: '1' }]) {
    await t.rejects(room.history(since as never), { code: 'FST_HUB_INVALID_ARGUMENT', message: /^since: expected/ })
  }
  for (const limit of [-1, 0.5, NaN, Infinity, '1', null]) await t.rejects(room.history(undefined, limit as never), { code: 'FST_HUB_INVALID_ARGUMENT', message: /^limit: expected/ })
})

t.test('publications of a broker that keeps some are shown with offset and data', async (t) => {
  const clock = new TestClock()
  class Keeping extends FakeBroker {
    override async history (): Promise<{ position: StreamPosition, publications: Array<{ offset: number, payload: string, options: object }>, recovered: boolean }> {
      return { position: { epoch: 'e', offset: 2 }, publications: [{ offset: 2, payload: 'two', options: {} }], recovered: true }
    }
  }
  const fake = await startHub({ clock, broker: (listener) => new Keeping(clock, listener) })
  t.same(await fake.hub.room('room').history({ epoch: 'e', offset: 1 }), { position: { epoch: 'e', offset: 2 }, publications: [{ offset: 2, data: 'two' }], recovered: true })
})
