import t from 'tap'
import { Acks } from '../../../lib/client/acks.js'
import { ClientTime } from '../../helpers/client-time.js'

function acks (maxBytes = Infinity): { time: ClientTime, acks: Acks, sent: string[][] } {
  const time = new ClientTime()
  const sent: string[][] = []
  return { time, sent, acks: new Acks(time, (ids) => { sent.push(ids) }, () => maxBytes) }
}

t.test('they go together after 50 ms, each id once', async (t) => {
  const { time, acks: all, sent } = acks()
  all.done(['a'])
  await time.advance(49)
  all.done(['b', 'a'])
  t.strictSame(sent, [])
  await time.advance(1)
  t.strictSame(sent, [['a', 'b']])
  await time.advance(1_000)
  t.equal(sent.length, 1)
})

t.test('a thousand in one message', async (t) => {
  const { time, acks: all, sent } = acks()
  all.done(Array.from({ length: 2_500 }, (_, i) => String(i)))
  await time.advance(50)
  t.strictSame(sent.map(({ length }) => length), [1_000, 1_000, 500])
})

t.test('no message is larger than the server takes: it would close for good', async (t) => {
  for (const [id, maxBytes] of [['x'.repeat(36), 4_096], ['€"', 200], ['x', 40], ['longer than all that it takes', 10]] as const) {
    const { time, acks: all, sent } = acks(maxBytes)
    const ids = Array.from({ length: 300 }, (_, i) => id + i)
    all.done(ids)
    await time.advance(50)
    t.strictSame(sent.flat(), ids)
    const sizes = sent.map((ids) => Buffer.byteLength(JSON.stringify({ op: 'ack', ids })))
    t.ok(sizes.every((size, i) => size <= maxBytes || sent[i]?.length === 1), `${Math.max(...sizes)} of ${maxBytes}`)
    if (maxBytes > 1_000) t.ok(sizes.slice(0, -1).every((size) => size > maxBytes - 100), 'and none is much smaller than need be')
  }
})

t.test('nothing is sent for no ids', async (t) => {
  const { time, acks: all, sent } = acks()
  all.done([])
  await time.advance(50)
  t.strictSame(sent, [])
})

t.test('what is sent again is handled once, and acknowledged again', async (t) => {
  const { time, acks: all, sent } = acks()
  t.equal(all.begin('a'), true)
  t.equal(all.begin('a'), false, 'it is being handled')
  await time.advance(50)
  t.strictSame(sent, [])
  all.done(['a'])
  await time.advance(50)
  t.equal(all.begin('a'), false)
  await time.advance(50)
  t.strictSame(sent, [['a'], ['a']])
})

t.test('what failed is handled again', (t) => {
  const { acks: all } = acks()
  all.begin('a')
  all.failed('a')
  t.equal(all.begin('a'), true)
  t.end()
})

t.test('what was due on a connection that ended is forgotten: it comes again', async (t) => {
  const { time, acks: all, sent } = acks()
  all.done(['a'])
  all.lost()
  await time.advance(1_000)
  t.strictSame(sent, [])
  all.begin('a')
  await time.advance(50)
  t.strictSame(sent, [['a']])
})

t.test('the latest thousand are remembered', (t) => {
  const { acks: all } = acks()
  for (let i = 0; i <= 1_000; i++) all.begin(String(i))
  t.equal(all.begin('1'), false)
  t.equal(all.begin('0'), true)
  t.end()
})
