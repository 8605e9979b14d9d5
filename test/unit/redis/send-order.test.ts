import t from 'tap'
import { SendOrder } from '../../../lib/redis/send-order.js'

t.test('who comes while Redis is away goes behind those which it was sent, and everybody who comes then behind those', (t) => {
  const order = new SendOrder()
  t.notOk(order.isBehind('room', true), 'it was sent nothing')
  order.sent('room')
  order.sent('room')
  t.notOk(order.isBehind('room', false), 'it keeps the order itself')
  t.ok(order.isBehind('room', true))
  t.notOk(order.isBehind('other', true))
  const story: number[] = []
  order.turn('room', () => { story.push(1) })
  t.ok(order.isBehind('room', false), 'though it is back')
  order.turn('room', () => { story.push(2) })
  order.settled('room')
  t.same(story, [])
  order.settled('room')
  t.same(story, [1, 2])
  t.notOk(order.isBehind('room', true))
  t.end()
})

t.test('they are bounded', (t) => {
  const order = new SendOrder()
  order.sent('room')
  let turns = 0
  const go = (): void => { turns++ }
  for (let i = 0; i < 1_000; i++) order.turn('room', go)
  t.throws(() => { order.turn('room', go) }, { code: 'FST_HUB_BROKER_UNAVAILABLE', message: /1000 publications wait in the room "room" already/ })
  order.settled('room')
  t.equal(turns, 1_000)
  t.end()
})
