import fc from 'fast-check'
import t from 'tap'
import { historyPolicies, type HistoryOptions } from '../../../lib/core/history-policy.js'

const general = { size: 1, ttl: 2, mode: 'log' as const }
const policies = (rooms: HistoryOptions['rooms']): ReturnType<typeof historyPolicies> => historyPolicies({ ...general, rooms })

t.test('without patterns one policy holds for all', (t) => {
  const policyOf = policies({})
  t.same(policyOf('room'), general)
  t.equal(policyOf('room'), policyOf('other'))
  t.end()
})

t.test('what a pattern leaves out is as for all', (t) => {
  const policyOf = policies({ size: { size: 0 }, ttl: { ttl: 0 }, mode: { mode: 'cache' }, nothing: {}, undefined: { size: undefined, ttl: 7 } })
  t.same(policyOf('size'), { ...general, size: 0 })
  t.same(policyOf('ttl'), { ...general, ttl: 0 })
  t.same(policyOf('mode'), { ...general, mode: 'cache' })
  t.same(policyOf('nothing'), general)
  t.same(policyOf('undefined'), { ...general, ttl: 7 })
  t.same(policyOf('another'), general)
  t.end()
})

t.test('the first pattern that fits holds', (t) => {
  const policyOf = policies({ 'chat:vip': { size: 3 }, 'chat:*': { size: 4 }, '*': { size: 5 } })
  t.same(['chat:vip', 'chat:vip2', 'chat:', 'chat', ''].map((room) => policyOf(room).size), [3, 4, 4, 5, 5])
  t.end()
})

t.test('a pattern fits the whole name, and only * is special', (t) => {
  const fits = (pattern: string, room: string): boolean => policies({ [pattern]: { size: 9 } })(room).size === 9
  for (const [pattern, room] of [['a', 'a'], ['*', ''], ['a*', 'a'], ['*a', 'a'], ['a*a', 'aa'], ['a*b*c', 'a-b-b-c'], ['**', 'x'], ['a.c', 'a.c'], ['*\n*', 'a\nb'], ['*ab*ab*', 'abab']] as const) {
    t.ok(fits(pattern, room), `${pattern} fits ${JSON.stringify(room)}`)
  }
  for (const [pattern, room] of [['a', 'A'], ['a', 'ab'], ['a', 'ba'], ['a*a', 'a'], ['a*b*a', 'aba-'], ['*b*b', 'ab'], ['a*b*b', 'ab'], ['a.c', 'abc'], ['a?', 'ab'], ['[a]', 'a'], ['*ab*ab*', 'abb']] as const) {
    t.notOk(fits(pattern, room), `${pattern} does not fit ${JSON.stringify(room)}`)
  }
  t.end()
})

t.test('patterns are as RegExps with .* for each *', (t) => {
  const text = (...letters: string[]): fc.Arbitrary<string> => fc.array(fc.constantFrom(...letters), { maxLength: 10 }).map((all) => all.join(''))
  fc.assert(fc.property(text('a', 'b', '*', '.', '\n'), fc.array(text('a', 'a', 'b', '.', '\n'), { minLength: 1, maxLength: 20 }), (pattern, rooms) => {
    const policyOf = policies({ [pattern]: { size: 9 } })
    const model = new RegExp(`^${pattern.split('*').map((part) => part.replaceAll('.', '\\.')).join('.*')}$`, 's')
    for (const room of rooms) {
      // Asked twice: the second answer is remembered.
      for (let i = 0; i < 2; i++) if ((policyOf(room).size === 9) !== model.test(room)) throw new Error(`${JSON.stringify(pattern)} and ${JSON.stringify(room)}`)
    }
  }), { numRuns: 2_000 })
  t.end()
})

t.test('a policy is the same when more names have been asked for than are remembered', (t) => {
  const policyOf = policies({ 'chat:*': { size: 9 } })
  const before = policyOf('chat:1')
  for (let i = 0; i < 25_000; i++) policyOf(`room ${i}`)
  t.equal(policyOf('chat:1'), before)
  t.same(policyOf('room 1'), general)
  t.end()
})

t.test('a name that was made to fit slowly takes no time', (t) => {
  // With a RegExp this is 10^20 steps.
  const policyOf = policies({ [`${'*a'.repeat(20)}*b`]: { size: 9 } })
  t.equal(policyOf('a'.repeat(255)).size, general.size)
  t.end()
})
