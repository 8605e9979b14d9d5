import t from 'tap'
import type { HubConnection } from '../../../lib/core/connection.js'
import { Registry } from '../../../lib/core/registry.js'

const connection = (id: string, user: string | null): HubConnection => ({ id, user }) as HubConnection

t.test('connections by id and by user', (t) => {
  const registry = new Registry()
  const [a1, a2, b, anonymous] = [connection('a1', 'ann'), connection('a2', 'ann'), connection('b', 'bob'), connection('x', null)]
  for (const one of [a1, a2, b, anonymous]) registry.add(one)
  t.same([registry.size, registry.users], [4, 2])
  t.equal(registry.get('a2'), a2)
  t.equal(registry.get('nobody'), undefined)
  t.same([...registry.ofUser('ann')], [a1, a2])
  t.same([...registry.ofUser('null')], [])
  t.same([...registry.all()], [a1, a2, b, anonymous])
  for (const one of [a1, b, anonymous, a2]) registry.remove(one)
  t.same([registry.size, registry.users], [0, 0])
  registry.remove(a1)
  t.same([registry.size, registry.users], [0, 0])
  t.end()
})
