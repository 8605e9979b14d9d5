import fc from 'fast-check'
import t from 'tap'
import { MultiMap } from '../../../lib/core/multi-map.js'

t.test('it is as a Map of Sets', (t) => {
  const values = Array.from({ length: 4 }, (_, id) => ({ id }))
  const step = fc.record({ add: fc.boolean(), key: fc.constantFrom('a', 'b'), value: fc.constantFrom(...values) })
  fc.assert(fc.property(fc.array(step, { maxLength: 40, size: 'max' }), (steps) => {
    const map = new MultiMap<{ id: number }>()
    const model = new Map<string, Set<{ id: number }>>()
    for (const { add, key, value } of steps) {
      if (add) {
        map.add(key, value)
        model.set(key, (model.get(key) ?? new Set()).add(value))
      } else {
        map.delete(key, value)
        if (model.get(key)?.delete(value) === true && model.get(key)?.size === 0) model.delete(key)
      }
      if (map.size !== model.size) return false
      for (const key of ['a', 'b']) {
        const [got, expected] = [[...map.get(key)], [...model.get(key) ?? []]]
        if (got.length !== expected.length || got.some((one, i) => one !== expected[i])) return false
      }
    }
    map.clear()
    return map.size === 0 && [...map.get('a')].length === 0
  }))
  t.end()
})
