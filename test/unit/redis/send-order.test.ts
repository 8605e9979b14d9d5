import t from 'tap'
import { SendOrder } from '../../../lib/redis/send-order.js'
import { settled } from '../../helpers/until.js'

t.test('who comes while Redis is away goes behind those which it was sent, and everybody who comes then behind those', async (t) => {
  const order = new SendOrder()
  t.notOk(order.isBehind('room', true), 'it was sent nothing')
  order.sent('room')
  order.sent('room')
  t.notOk(order.isBehind('room', false), 'it keeps the order itself')
  t.ok(order.isBehind('room', true))
  t.notOk(order.isBehind('other', true))
  const story: number[] = []
  const first = order.turn('room').then(() => { story.push(1) })
  t.ok(order.isBehind('room', false), 'though it is back')
  const second = order.turn('room').then(() => { story.push(2) })
  order.settled('room')
  await settled()
  t.same(story, [])
  order.settled('room')
  await Promise.all([first, second])
  t.same(story, [1, 2])
  t.notOk(order.isBehind('room', true))
})

t.test('they are bounded', async (t) => {
  const order = new SendOrder()
  order.sent('room')
  const turns = Array.from({ length: 1_000 }, async () => { await order.turn('room') })
  await t.rejects(order.turn('room'), { code: 'FST_HUB_BROKER_UNAVAILABLE', message: /1000 publications wait in the room "room" already/ })
  order.settled('room')
  await Promise.all(turns)
})
