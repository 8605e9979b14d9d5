import t from 'tap'
import { Flusher } from '../../../lib/core/flusher.js'
import { TestClock } from '../../../lib/testing/test-clock.js'

t.test('flushes in order, at the end of the turn; one that throws stops no other', (t) => {
  const clock = new TestClock()
  const errors: unknown[] = []
  const flusher = new Flusher(clock, (error) => { errors.push(error) })
  const order: string[] = []
  const mark = (name: string, then = (): void => {}): void => {
    flusher.mark({
      flush () {
        order.push(name)
        then()
      }
    })
  }
  mark('a')
  mark('b', () => { throw new Error('b') })
  mark('c', () => { mark('next turn') })
  t.same(order, [])
  clock.turn()
  t.same(order, ['a', 'b', 'c'])
  t.match(errors, [new Error('b')])
  clock.turn()
  t.same(order, ['a', 'b', 'c', 'next turn'])
  clock.turn()
  t.equal(order.length, 4)
  t.end()
})
