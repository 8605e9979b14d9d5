import t from 'tap'
import { Bus } from '../../../lib/redis/bus.js'
import { Keys } from '../../../lib/redis/keys.js'
import type { RedisLink } from '../../../lib/redis/link.js'
import type { StreamListener, StreamReader } from '../../../lib/redis/stream-reader.js'
import { TestClock } from '../../../lib/testing/test-clock.js'

interface Rig {
  readonly bus: Bus
  /** What the listener of publications was told, in order. */
  readonly told: string[]
  readonly held: Map<string, StreamListener>
  readonly entry: (number: number, node?: string) => void
}

/** A bus whose stream the test writes. @param latest what Redis answers when it is asked for the latest number */
function rig (latest: () => Promise<number | null> = async () => 5): Rig {
  const held = new Map<string, StreamListener>()
  const reader = { hold: async (key: string, listener: StreamListener) => { held.set(key, listener) }, release: (key: string) => { held.delete(key) } }
  const link = { isCluster: false, call: async () => await latest() }
  const keys = new Keys('hub', 1, false)
  const bus = new Bus(link as unknown as RedisLink, reader as unknown as StreamReader, keys, new TestClock(), (error) => { told.push(String(error)) })
  const told: string[] = []
  bus.listen('publications', {
    onEntry: (_partition, node, [number]) => { told.push(`${String(number)} ${node}`) },
    onLost: () => { told.push('lost') }
  })
  const entry = (number: number, node = 'other'): void => { held.get(keys.bus(0))?.onEntry(['s', `${number}`, 'n', node, 'k', 'm', `${number}`].map((text) => Buffer.from(text)), '1-1') }
  return { bus, told, held, entry }
}

t.test('entries in order are told; a number that is left out is lost', async (t) => {
  const { bus, told, entry } = rig()
  await bus.hold(0)
  for (const number of [6, 7, 9]) entry(number)
  t.same(told, ['6 other', '7 other', '9 other', 'lost'])
  t.equal(bus.progress(0).sequence, 9)
})

t.test('FAULTS 54: a number that comes once more is told as others are, and what may be missing is looked for', async (t) => {
  const { bus, told, entry } = rig()
  await bus.hold(0)
  for (const number of [6, 7, 7, 8]) entry(number)
  t.same(told, ['6 other', '7 other', '7 other', 'lost', '8 other'])
})

t.test('Redis goes right after the partition was begun: it is not read for nobody', async (t) => {
  let isAway = true
  const { bus, told, held, entry } = rig(async () => {
    if (isAway) throw new Error('it has gone')
    return null
  })
  await t.rejects(bus.hold(0), { message: 'it has gone' })
  t.equal(held.size, 0)
  isAway = false
  await bus.hold(0)
  entry(1)
  t.same(told, ['1 other'])
  bus.release(0)
  t.equal(held.size, 0)
})
