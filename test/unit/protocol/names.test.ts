import t from 'tap'
import { isName } from '../../../lib/protocol/names.js'

t.test('names are 1 to 255 bytes of well-formed UTF-8', (t) => {
  for (const name of ['a', '\0', 'a\nb', 'a'.repeat(255), 'é'.repeat(127), '😀'.repeat(63), '__proto__']) t.equal(isName(name), true, JSON.stringify(name))
  for (const name of ['', 'a'.repeat(256), 'é'.repeat(128), '😀'.repeat(64), '\ud800', 'a\udc00b', 1, null, undefined, [], Object('a')]) t.equal(isName(name), false)
  t.end()
})
