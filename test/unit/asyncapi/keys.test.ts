import t from 'tap'
import { Keys } from '../../../lib/asyncapi/keys.js'

t.test('keys are of allowed characters, and each is given once', (t) => {
  const keys = new Keys()
  t.same(['a', 'a', 'a_2', 'a', 'a:b/c', 'a b', '😀', '__proto__', 'x-y.z'].map((wanted) => keys.take(wanted)),
    ['a', 'a_2', 'a_2_2', 'a_3', 'a_b_c', 'a_b', '_', '__proto__', 'x-y.z'])
  t.end()
})
