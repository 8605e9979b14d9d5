import fc from 'fast-check'
import t from 'tap'
import { pack, readEntry, unpack } from '../../../lib/redis/presence-codec.js'
import { HOSTILE_NAMES } from '../../contract/names.js'

const fields = (...values: Array<string | number>): Buffer[] => values.map((value) => Buffer.from(`${value}`))

t.test('FAULTS 69: a pair comes back as it was, and no other is like it', (t) => {
  const seen = new Set<string>()
  for (const first of HOSTILE_NAMES) {
    for (const second of HOSTILE_NAMES) {
      const packed = pack(first, second)
      t.same(unpack(Buffer.from(packed)), [first, second])
      seen.add(packed)
    }
  }
  t.equal(seen.size, HOSTILE_NAMES.length ** 2)
  const name = fc.string({ unit: 'grapheme' })
  fc.assert(fc.property(name, name, (first, second) => {
    const [one, other] = unpack(Buffer.from(pack(first, second)))
    return one === first && other === second
  }))
  t.end()
})

t.test('all pairs with one first name begin alike, and those with another do not', (t) => {
  for (const name of HOSTILE_NAMES) {
    const prefix = pack(name, '')
    for (const other of HOSTILE_NAMES) t.equal(pack(other, 'x').startsWith(prefix), name === other)
  }
  t.end()
})

t.test('what is no pair is refused', (t) => {
  for (const text of ['', ':', 'a', '3:ab', '3', ':3:abc', 'x:abc', '1e9:a']) t.throws(() => unpack(Buffer.from(text)), { message: 'a pair of names was expected' }, text)
  t.end()
})

t.test('an entry is read', (t) => {
  t.same(readEntry(fields('#', 7, 'r', 'room', '+', pack('ann', '1'), '-', pack('bob', '2'), 'r', 'other', 's', pack('ann', 'typing'), 't', 1500, 'x', pack('bob', 'typing'))), {
    number: 7,
    changes: [
      { kind: 'enter', room: 'room', user: 'ann', connectionId: '1' },
      { kind: 'leave', room: 'room', user: 'bob', connectionId: '2' },
      { kind: 'state', room: 'other', user: 'ann', key: 'typing', ttl: 1500 },
      { kind: 'end', room: 'other', user: 'bob', key: 'typing' }
    ]
  })
  t.same(readEntry(fields('#', 1)), { number: 1, changes: [] })
  t.end()
})

t.test('what is no entry is refused', (t) => {
  const pair = pack('ann', '1')
  for (const values of [[], ['x', 1], ['#', 'x'], ['#', 1.5], ['#', 1, '+', pair], ['#', 1, 'r', 'room', '?', pair], ['#', 1, 'r', 'room', '+', 'nonsense'], ['#', 1, 'r', 'room', 's', pair], ['#', 1, 'r', 'room', 's', pair, 't', 'x'], ['#', 1, 'r', 'room', 's', pair, 'r', 1]]) {
    t.throws(() => readEntry(fields(...values)), /expected/, values.join(' '))
  }
  t.end()
})
