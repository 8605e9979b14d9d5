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

t.test('a flush that takes long goes on in the next turn, before what has been marked since; nobody is left out or flushed twice', (t) => {
  let time = 0
  let deferred: Array<() => void> = []
  // Its time passes within a turn.
  const clock = { now: () => time, monotonic: () => time, every: () => ({ cancel () {} }), defer: (fn: () => void) => { deferred.push(fn) } }
  const turn = (): void => {
    const now = deferred
    deferred = []
    for (const fn of now) fn()
  }
  const flusher = new Flusher(clock, (error) => { throw error })
  const flushed: number[] = []
  const mark = (i: number): void => {
    flusher.mark({
      flush () {
        flushed.push(i)
        // 1,000 of them are 20 ms of work.
        if (i % 50 === 0) time++
        if (i === 10) mark(1_000)
      }
    })
  }
  for (let i = 0; i < 1_000; i++) mark(i)
  turn()
  const slice = flushed.length
  t.ok(slice > 200 && slice < 400, `a slice is about 5 ms: ${slice}`)
  mark(1_001)
  let turns = 1
  for (; flushed.length < 1_002; turns++) turn()
  t.ok(turns >= 4 && turns <= 6, `${turns} turns`)
  t.same(flushed, Array.from({ length: 1_002 }, (_, i) => i))
  turn()
  t.equal(flushed.length, 1_002)
  t.end()
})

t.test('the root is another in each turn', (t) => {
  const clock = new TestClock()
  const flusher = new Flusher(clock, (error) => { throw error })
  const { root } = flusher
  flusher.mark({ flush () {} })
  t.equal(flusher.root, root)
  clock.turn()
  t.not(flusher.root, root)
  t.end()
})
