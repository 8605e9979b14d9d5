import fc from 'fast-check'
import t from 'tap'
import { PeerRate } from '../../../lib/core/peer-rate.js'
import { KeyedRate, TokenBucket } from '../../../lib/core/token-bucket.js'

t.test('a bucket starts full, refills at its rate, and never holds more than its capacity', (t) => {
  const bucket = new TokenBucket(2, 0)
  const take = (now: number, tokens = 1): boolean => bucket.take(tokens, 10, 2, now)
  t.equal(take(0), true)
  t.equal(take(0), true)
  t.equal(take(0), false)
  t.equal(take(99), false)
  t.equal(take(100), true)
  t.equal(take(100), false)
  t.equal(take(10_000), true)
  t.equal(take(10_000), true)
  t.equal(take(10_000), false, 'two, however long it rested')
  t.equal(take(20_000, 3), false, 'more than its capacity never')
  t.equal(take(20_000, 2), true, 'and a refusal took nothing')
  t.end()
})

t.test('whatever the pattern, no window lets through more than rate times time plus capacity', (t) => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 20 }), fc.array(fc.nat(300), { maxLength: 200, size: 'max' }), (rate, capacity, gaps) => {
    const bucket = new TokenBucket(capacity, 0)
    const taken: number[] = []
    let now = 0
    for (const gap of gaps) {
      now += gap
      if (bucket.take(1, rate, capacity, now)) taken.push(now)
    }
    return taken.every((from, i) => taken.slice(i).every((to, j) => j + 1 <= capacity + (to - from) * rate / 1000 + 1e-6))
  }))
  t.end()
})

t.test('keys are limited each by itself, with a burst of a second', (t) => {
  const rate = new KeyedRate(3)
  for (const key of ['a', 'b']) {
    for (let i = 0; i < 3; i++) t.equal(rate.take(key, 5), true)
    t.equal(rate.take(key, 5), false)
  }
  t.equal(rate.take('a', 5 + 334), true)
  t.equal(rate.take('a', 5 + 335), false)
  t.end()
})

t.test('0 is no limit, and remembers nobody', (t) => {
  const rate = new KeyedRate(0)
  for (let i = 0; i < 1_000; i++) if (!rate.take('a', 0)) t.fail('limited')
  t.equal(rate.size, 0)
  t.end()
})

t.test('less than one a second', (t) => {
  const rate = new KeyedRate(0.1)
  t.equal(rate.take('a', 0), true)
  t.equal(rate.take('a', 9_999), false)
  t.equal(rate.take('a', 10_000), true)
  t.end()
})

t.test('keys that are silent are forgotten, and forgetting gives nobody more', (t) => {
  const rate = new KeyedRate(2)
  for (let i = 0; i < 100; i++) rate.take(`key ${i}`, 0)
  t.equal(rate.size, 100)
  rate.take('late', 1_000)
  t.equal(rate.size, 101, 'one generation back')
  rate.take('late', 2_000)
  t.equal(rate.size, 1)
  rate.take('much later', 10_000)
  t.equal(rate.size, 1, 'both generations are too old')

  fc.assert(fc.property(fc.constantFrom(0.3, 1, 2, 7.5), fc.array(fc.tuple(fc.nat(2), fc.nat(900)), { maxLength: 150, size: 'max' }), (perSecond, steps) => {
    const rate = new KeyedRate(perSecond)
    const capacity = Math.max(1, perSecond)
    const reference = new Map<number, TokenBucket>()
    let now = 0
    for (const [key, gap] of steps) {
      now += gap
      const bucket = reference.get(key) ?? new TokenBucket(capacity, 0)
      reference.set(key, bucket)
      if (rate.take(String(key), now) !== bucket.take(1, perSecond, capacity, now)) return false
    }
    return true
  }))
  t.end()
})

t.test('a debt: how long it takes to be paid off, whatever was spent', (t) => {
  const bucket = new TokenBucket(100, 0)
  t.equal(bucket.spend(100, 100, 100, 0), 0, 'all there is')
  t.equal(bucket.spend(1, 100, 100, 0), 10)
  t.equal(bucket.spend(0, 100, 100, 5), 5)
  t.equal(bucket.take(0, 100, 100, 9), false, 'still in debt')
  t.equal(bucket.spend(0, 100, 100, 10), 0)
  t.equal(bucket.spend(1_000, 100, 100, 10), 10_000, 'larger than the burst')
  fc.assert(fc.property(fc.integer({ min: 1, max: 5_000 }), fc.array(fc.tuple(fc.nat(20_000), fc.nat(500)), { maxLength: 60 }), (rate, steps) => {
    // A peer that waits as long as it is told: what it has sent by then is never more than a burst and the rate allow.
    const bucket = new TokenBucket(rate, 0)
    let now = 0
    let spent = 0
    for (const [tokens, pause] of steps) {
      spent += tokens
      now += bucket.spend(tokens, rate, rate, now)
      if (spent > rate + now * rate / 1_000 + 1e-6) return false
      now += pause
    }
    return true
  }))
  t.end()
})

t.test('what a peer sends is counted by message and by byte', (t) => {
  const peer = new PeerRate({ messagesPerSecond: 10, burst: 2, bytesPerSecond: 100, violations: 3 }, 0, 0)
  t.equal(peer.take(0, 0), true)
  t.equal(peer.take(0, 0), true)
  t.equal(peer.take(0, 0), false, 'too many messages')
  t.equal(peer.take(0, 0), false)
  t.equal(peer.violations, 2)
  t.equal(peer.take(100, 0), true)
  t.equal(peer.violations, 0, 'violations are counted in a row')
  t.equal(peer.spend(60, 1_000), 0)
  t.equal(peer.spend(60, 1_000), 200, 'bytes are waited for')
  t.equal(peer.violations, 0, 'and are no violation')
  t.equal(peer.rested(2_199), false, 'the bytes are not all back')
  t.equal(peer.rested(2_200), true)
  while (peer.take(3_000, 0)) t.equal(peer.violations, 0)
  t.equal(peer.rested(60_000), false, 'violations in a row are remembered, however long ago')
  const free = new PeerRate({ messagesPerSecond: 0, burst: 1, bytesPerSecond: 0, violations: 1 }, 0, 0)
  for (let i = 0; i < 100; i++) if (!free.take(0, 0) || free.spend(1_000, 0) > 0) t.fail('limited')
  t.equal(free.rested(0), true)
  t.end()
})
