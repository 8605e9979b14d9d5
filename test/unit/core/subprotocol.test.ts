import fc from 'fast-check'
import t from 'tap'
import { isToken, negotiate, parseSubprotocols } from '../../../lib/core/subprotocol.js'

t.test('tokens are those of RFC 9110 section 5.6.2', (t) => {
  const allowed = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
  for (let code = 0; code < 300; code++) {
    const character = String.fromCharCode(code)
    if (isToken(character) !== allowed.includes(character)) t.fail(`character ${code}`)
  }
  t.equal(isToken(''), false)
  t.equal(isToken('hub.v1\n'), false, 'no line break at the end either')
  t.end()
})

t.test('a header is parsed, with optional white space', (t) => {
  t.same([...parseSubprotocols('raw') ?? []], ['raw'])
  t.same([...parseSubprotocols('b, a ,\tc\t') ?? []], ['b', 'a', 'c'], 'in order')
  for (const header of ['', ' ', ',', 'a,', ',a', 'a,,b', 'a b', 'a, a', 'a;q=1', 'a, "b"', 'é', 'a\u00a0', 'a\r', '\va']) {
    t.equal(parseSubprotocols(header), null, JSON.stringify(header))
  }
  t.same([...parseSubprotocols('a, A') ?? []], ['a', 'A'], 'case counts')
  t.end()
})

t.test('1,000 tokens, and white space that would cost a naive parser its time', (t) => {
  const tokens = Array.from({ length: 1_000 }, (_, i) => `token-${i}`)
  t.equal(parseSubprotocols(tokens.join(', '))?.size, 1_000)
  // Quadratic work on a megabyte would not end within the test's time.
  const blanks = ' \t'.repeat(500_000)
  t.equal(parseSubprotocols(`${blanks}a${blanks}`)?.has('a'), true)
  t.equal(parseSubprotocols(`a${blanks}b`), null)
  t.equal(parseSubprotocols(blanks), null)
  t.equal(parseSubprotocols(','.repeat(1_000_000)), null)
  t.end()
})

t.test('what is joined by commas and any blanks is read back', (t) => {
  const token = fc.string({ unit: fc.constantFrom(..."aB3!#$%&'*+-.^_`|~"), minLength: 1, maxLength: 8 })
  const blank = fc.string({ unit: fc.constantFrom(' ', '\t'), maxLength: 3 })
  fc.assert(fc.property(fc.uniqueArray(fc.tuple(token, blank, blank), { minLength: 1, maxLength: 20, selector: ([name]) => name }), (elements) => {
    const parsed = parseSubprotocols(elements.map(([name, before, after]) => before + name + after).join(','))
    return parsed !== null && [...parsed].join() === elements.map(([name]) => name).join()
  }))
  t.end()
})

t.test("the server's preference decides", (t) => {
  t.equal(negotiate(['a', 'b'], new Set(['b', 'a'])), 'a')
  t.equal(negotiate(['a', 'b'], new Set(['c', 'b'])), 'b')
  t.equal(negotiate(['a'], new Set(['A'])), null)
  t.equal(negotiate([], new Set(['a'])), null)
  t.end()
})
