import t from 'tap'
import { Keys } from '../../../lib/redis/keys.js'
import { HOSTILE_NAMES } from '../../contract/names.js'

/** The part of a key by which Redis Cluster chooses its slot: "Hash tags" of its specification. */
function tagOf (key: string): string {
  const start = key.indexOf('{')
  const end = key.indexOf('}', start + 1)
  return start === -1 || end <= start + 1 ? key : key.slice(start + 1, end)
}

/** Every key that is made of one name. */
const ofName = (keys: Keys, name: string): string[] =>
  [keys.meta(name), keys.log(name), keys.connection(name, `of ${name}`), keys.user(name), keys.kick(name), keys.presence(name), keys.presenceIndex(name), keys.states(name), keys.watchers(name), keys.offline(name), keys.offlineExpiry(name)]

t.test('FAULTS 69: no two keys are the same, whatever the names are', async (t) => {
  const keys = new Keys('hub', 4, false)
  const all = [
    keys.nodes, keys.config,
    ...[0, 1, 2, 3].flatMap((partition) => [keys.bus(partition), keys.batches(partition), keys.parked(partition), keys.fence(partition), keys.mark(partition), keys.lives(partition)]),
    ...HOSTILE_NAMES.flatMap((name) => [...ofName(keys, name), keys.inbox(name), keys.connection(null, name)])
  ]
  t.equal(new Set(all).size, all.length)
})

t.test('a key is of one kind, also for names that look like the end of another', async (t) => {
  const keys = new Keys('hub', 1, false)
  const names = ['', 'x', 'x:meta', 'meta:x', 'expiry:x', '-expiry:x', 'hub:{0}:meta:x', '}:meta:x', ':x']
  const all = names.flatMap((name) => ofName(keys, name))
  t.equal(new Set(all).size, all.length)
})

t.test('keys of one name, and those of its partition, are in one slot', async (t) => {
  for (const prefix of ['hub', 'app:hub', '{app}:hub']) {
    const keys = new Keys(prefix, 16, false)
    for (const name of HOSTILE_NAMES) {
      const partition = keys.partitionOf(name)
      const tags = new Set([...ofName(keys, name), keys.connection(null, name), keys.bus(partition), keys.batches(partition), keys.fence(partition), keys.mark(partition), keys.lives(partition), keys.parked(partition)].map(tagOf))
      t.equal(tags.size, 1, JSON.stringify(name))
    }
  }
  const keys = new Keys('hub', 16, false)
  t.equal(new Set(Array.from({ length: 16 }, (_, partition) => tagOf(keys.bus(partition)))).size, 16, 'partitions have slots of their own')
  t.not(tagOf(keys.inbox('node')), tagOf(keys.inbox('other')))
})

t.test('the partition of a name is the same on all nodes, in every version', async (t) => {
  const keys = new Keys('hub', 16, false)
  // What is in Redis was put there by it: a change of these numbers loses it.
  t.same(['', 'a', 'lobby', 'ü', '😀', 'x'.repeat(255)].map((name) => keys.partitionOf(name)), [5, 12, 3, 11, 8, 15])
  t.ok(HOSTILE_NAMES.every((name) => new Keys('hub', 1, false).partitionOf(name) === 0))
})

t.test('names are spread over all partitions', async (t) => {
  for (const partitions of [2, 16, 1_024]) {
    const keys = new Keys('hub', partitions, false)
    const counts = new Array<number>(partitions).fill(0)
    const perPartition = 100
    for (let i = 0; i < perPartition * partitions; i++) (counts[keys.partitionOf(`room ${i}`)] as number)++
    t.ok(counts.every((count) => count > perPartition / 3 && count < perPartition * 3), `${partitions}: ${Math.min(...counts)} to ${Math.max(...counts)}`)
  }
})

t.test('all keys begin with the prefix', async (t) => {
  const keys = new Keys('app:hub', 2, false)
  t.ok([keys.nodes, keys.config, keys.inbox('n'), keys.bus(1), ...ofName(keys, 'a')].every((key) => key.startsWith('app:hub:')))
})
