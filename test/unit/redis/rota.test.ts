import t from 'tap'
import { Rota } from '../../../lib/redis/rota.js'

t.test('everything has its turn once in a round, and not all at once', (t) => {
  const rota = new Rota<{ slot: number }>(10)
  const items = Array.from({ length: 50 }, () => ({ slot: 0 }))
  for (const item of items) rota.add(item, rota.start(), 0)
  const round = (): Array<ReadonlySet<object>> => Array.from({ length: 10 }, () => rota.next())
  t.same(round().map(({ size }) => size), Array(10).fill(5))
  t.equal(new Set(round().flatMap((turn) => [...turn])).size, 50)
  for (const item of items.slice(5)) rota.delete(item)
  t.same(new Set(round().flatMap((turn) => [...turn])), new Set(items.slice(0, 5)))
  t.end()
})

t.test('those of a group are together, unless they are many', (t) => {
  const rota = new Rota<{ slot: number }>(10)
  const start = rota.start()
  for (let place = 0; place < 1_000; place++) rota.add({ slot: 0 }, start, place)
  const sizes = Array.from({ length: 10 }, () => rota.next().size).sort((a, b) => a - b)
  t.same(sizes, [64, 64, 64, 64, 104, 128, 128, 128, 128, 128])
  t.end()
})
