import type { Test } from 'tap'
import { InboundMessage } from '../../lib/core/message.js'
import type { OfflineListener, OfflineStore, StoredMessage } from '../../lib/core/ports.js'
import { encodeFrame, payloadOf } from '../../lib/protocol/frame.js'
import { JsonText } from '../../lib/protocol/json-text.js'
import { HOSTILE_NAMES } from './names.js'

/** Views of one store, as several nodes have them. Each test gets its own, empty. */
export interface OfflineWorld {
  node (listener: OfflineListener): OfflineStore | Promise<OfflineStore>
  /** Lets that many milliseconds pass, or a little more. */
  advance (ms: number): Promise<void>
  close (): void | Promise<void>
}

export type OfflineFactory = (options: { maxMessages: number }) => OfflineWorld | Promise<OfflineWorld>

interface Nodes {
  readonly store: OfflineStore
  readonly other: OfflineStore
  /** What was told to either node. */
  readonly dropped: { evicted: number, expired: number }
  readonly advance: (ms: number) => Promise<void>
}

const HOUR = 3_600_000
const ALL = 1_000

const bodies = (messages: readonly StoredMessage[]): string[] => messages.map(({ payload }) => payloadOf(encodeFrame(payload)).payload.toString())

/** What every OfflineStore must do. */
export function offlineStoreContract (t: Test, factory: OfflineFactory): void {
  const nodes = async (t: Test, maxMessages = 100): Promise<Nodes> => {
    const world = await factory({ maxMessages })
    const dropped = { evicted: 0, expired: 0 }
    const listener: OfflineListener = { onDropped: (reason, count) => { dropped[reason] += count } }
    const [store, other] = [await world.node(listener), await world.node(listener)]
    t.teardown(async () => {
      await store.close()
      await other.close()
      await world.close()
    })
    return { store, other, dropped, advance: async (ms) => { await world.advance(ms) } }
  }
  /** Puts `'1'`, `'2'` and so on. */
  const fill = async (store: OfflineStore, user: string, count: number): Promise<string[]> => {
    const ids: string[] = []
    for (let i = 1; i <= count; i++) ids.push(await store.put(user, `${i}`, HOUR))
    return ids
  }

  t.test('messages wait in order of arrival, each with an id of its own', async (t) => {
    const { store } = await nodes(t)
    t.same(await store.list('ann', undefined, ALL), [])
    const ids = await fill(store, 'ann', 5)
    await store.put('bob', 'for bob', HOUR)
    t.equal(new Set(ids).size, 5)
    const messages = await store.list('ann', undefined, ALL)
    t.same(messages.map(({ id, payload }) => [id, payload]), ids.map((id, i) => [id, `${i + 1}`]))
    t.same(bodies(await store.list('bob', undefined, ALL)), ['for bob'])
  })

  t.test('calls take effect in the order in which they are made', async (t) => {
    const { store } = await nodes(t)
    const ids = await Promise.all(Array.from({ length: 20 }, async (_, i) => await store.put('ann', `${i}`, HOUR)))
    const messages = await store.list('ann', undefined, ALL)
    t.same(messages.map(({ id }) => id), ids)
    t.same(bodies(messages), Array.from({ length: 20 }, (_, i) => `${i}`))
  })

  t.test('what has been listed stays until it is acknowledged, on every node', async (t) => {
    const { store, other } = await nodes(t)
    const [first, second, third] = await fill(store, 'ann', 3) as [string, string, string]
    for (let i = 0; i < 2; i++) t.same(bodies(await other.list('ann', undefined, ALL)), ['1', '2', '3'])
    t.equal(await other.acknowledge('ann', [second]), 1)
    t.same(bodies(await store.list('ann', undefined, ALL)), ['1', '3'])
    t.equal(await store.acknowledge('ann', [first, second, third]), 2, 'one of them again')
    t.equal(await other.acknowledge('ann', [first]), 0)
    t.same(await store.list('ann', undefined, ALL), [])
  })

  t.test('of several acknowledgements at once, one forgets the message', async (t) => {
    const { store, other } = await nodes(t)
    const ids = await fill(store, 'ann', 1)
    const results = await Promise.all(Array.from({ length: 20 }, async (_, i) => await (i % 2 === 0 ? store : other).acknowledge('ann', ids)))
    t.equal(results.reduce((sum, count) => sum + count), 1)
  })

  t.test('ids of others, and ids that never were, are harmless', async (t) => {
    const { store } = await nodes(t)
    const [own] = await fill(store, 'ann', 1) as [string]
    t.equal(await store.acknowledge('bob', [own]), 0)
    t.equal(await store.acknowledge('ann', []), 0)
    t.equal(await store.acknowledge('ann', ['', '0', '1', '-1', '*', 'unknown', `${own}0`, `${own} `, own.slice(0, -1), '__proto__', '1-1', '$', '+']), 0)
    t.same(bodies(await store.list('ann', undefined, ALL)), ['1'])
    t.equal(await store.acknowledge('ann', [own, own]), 1, 'twice in one call')
  })

  t.test('a long list is read in parts, also when what was read has gone', async (t) => {
    const { store, other } = await nodes(t)
    const ids = await fill(store, 'ann', 10)
    t.same(bodies(await store.list('ann', undefined, 3)), ['1', '2', '3'])
    t.same(bodies(await store.list('ann', ids[2], 3)), ['4', '5', '6'])
    t.same(bodies(await store.list('ann', ids[9], 3)), [])
    await other.acknowledge('ann', ids.slice(0, 5))
    t.same(bodies(await store.list('ann', ids[2], 3)), ['6', '7', '8'])
    t.same(bodies(await store.list('ann', ids[4], 3)), ['6', '7', '8'])
    await other.acknowledge('ann', ids.slice(7))
    t.same(bodies(await store.list('ann', ids[7], 3)), [])
    await store.put('ann', '11', HOUR)
    t.same(bodies(await store.list('ann', ids[9], 3)), ['11'])
    t.same(bodies(await store.list('ann', undefined, ALL)), ['6', '7', '11'])
  })

  t.test('an id does not come again when all has gone', async (t) => {
    const { store } = await nodes(t)
    const before = await fill(store, 'ann', 2)
    await store.acknowledge('ann', before)
    const after = await fill(store, 'ann', 2)
    t.equal(new Set([...before, ...after]).size, 4)
    t.same(bodies(await store.list('ann', before[1], ALL)), ['1', '2'], 'and later ones are behind it')
  })

  t.test('beyond the limit of a user the oldest goes, and is counted', async (t) => {
    const { store, dropped } = await nodes(t, 3)
    const ids = await fill(store, 'ann', 3)
    await fill(store, 'bob', 3)
    t.equal(dropped.evicted, 0)
    for (const text of ['4', '5']) await store.put('ann', text, HOUR)
    t.same(bodies(await store.list('ann', undefined, ALL)), ['3', '4', '5'])
    t.same(bodies(await store.list('bob', undefined, ALL)), ['1', '2', '3'], 'each user has a limit of its own')
    t.same(dropped, { evicted: 2, expired: 0 })
    t.equal(await store.acknowledge('ann', ids), 1)
    await store.put('ann', '6', HOUR)
    t.same(dropped, { evicted: 2, expired: 0 }, 'what is acknowledged makes room')
    t.same(bodies(await store.list('ann', ids[0], ALL)), ['4', '5', '6'], 'behind one that was evicted')
  })

  t.test('each is kept for its own time, and its end is counted', async (t) => {
    const { store, dropped, advance } = await nodes(t, 3)
    await store.put('ann', 'long', HOUR)
    await store.put('ann', 'short', 1_000)
    await store.put('ann', 'for ever', 0)
    t.same(bodies(await store.list('ann', undefined, ALL)), ['long', 'short', 'for ever'])
    await advance(1_500)
    t.same(bodies(await store.list('ann', undefined, ALL)), ['long', 'for ever'])
    t.same(dropped, { evicted: 0, expired: 1 })
    await store.put('ann', 'next', 1_000)
    await advance(1_500)
    await store.put('ann', 'last', HOUR)
    t.same(bodies(await store.list('ann', undefined, ALL)), ['long', 'for ever', 'last'])
    t.same(dropped, { evicted: 0, expired: 2 }, 'what is too old is not evicted, and counted once')
  })

  t.test('text, JSON, bytes and messages of a peer are kept as what they are', async (t) => {
    const { store } = await nodes(t)
    for (const payload of ['text ü 😀', new JsonText('{"a":1}'), new Uint8Array([0, 128, 255]), new InboundMessage(Buffer.from('forwarded ü'), false), new InboundMessage(Buffer.from([255, 0]), true), '']) {
      await store.put('ann', payload, HOUR)
    }
    const [text, json, bytes, forwardedText, forwardedBytes, nothing] = (await store.list('ann', undefined, ALL)).map(({ payload }) => payload)
    t.equal(text, 'text ü 😀')
    t.ok(json instanceof JsonText && json.text === '{"a":1}')
    t.ok(bytes instanceof Uint8Array && Buffer.compare(bytes, Buffer.from([0, 128, 255])) === 0)
    t.equal(forwardedText, 'forwarded ü')
    t.ok(forwardedBytes instanceof Uint8Array && Buffer.compare(forwardedBytes, Buffer.from([255, 0])) === 0)
    t.equal(nothing, '')
  })

  t.test('what the caller does with its bytes later does not change what is kept', async (t) => {
    const { store } = await nodes(t)
    const bytes = Buffer.from('bytes')
    const message = new InboundMessage(Buffer.from('message'), true)
    const puts = [bytes, message].map(async (payload) => await store.put('ann', payload, HOUR))
    for (const own of [bytes, message.bytes]) own.fill('!')
    await Promise.all(puts)
    t.same(bodies(await store.list('ann', undefined, ALL)), ['bytes', 'message'])
  })

  t.test('an answer does not change, and changing it changes nothing', async (t) => {
    const { store } = await nodes(t)
    const ids = await fill(store, 'ann', 2)
    const before = await store.list('ann', undefined, ALL);
    (await store.list('ann', undefined, ALL) as StoredMessage[]).length = 0
    await store.acknowledge('ann', ids.slice(0, 1))
    t.same(bodies(before), ['1', '2'])
    t.same(bodies(await store.list('ann', undefined, ALL)), ['2'])
  })

  t.test('FAULTS 69: names that look alike are different users', async (t) => {
    const { store } = await nodes(t)
    for (const name of HOSTILE_NAMES) await store.put(name, `for ${name}`, HOUR)
    for (const name of HOSTILE_NAMES) {
      const [message, ...more] = await store.list(name, undefined, ALL)
      t.same([message?.payload, more], [`for ${name}`, []])
      t.equal(await store.acknowledge(name, [message?.id ?? '']), 1)
    }
  })
}
