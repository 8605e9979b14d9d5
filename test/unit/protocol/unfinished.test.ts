import fc from 'fast-check'
import t, { type Test } from 'tap'
import { HEADROOM, Unfinished } from '../../../lib/protocol/unfinished.js'

const BINARY = 2
const CONTINUATION = 0
const LIMIT = 64 * 1024
/** Nothing is masked by it. */
const KEY = 0

/** @returns the sizes of what is allocated from now on, to the end of the test, for messages: without their headroom */
function watchAllocations (t: Test): number[] {
  const sizes: number[] = []
  const { allocUnsafeSlow } = Buffer
  Buffer.allocUnsafeSlow = (size) => {
    sizes.push(size - HEADROOM)
    return allocUnsafeSlow(size)
  }
  t.teardown(() => { Buffer.allocUnsafeSlow = allocUnsafeSlow })
  return sizes
}

const sum = (numbers: readonly number[]): number => numbers.reduce((sum, one) => sum + one, 0)
const take = (unfinished: Unfinished, bytes: Uint8Array): number => unfinished.take(Buffer.from(bytes), 0, bytes.length, LIMIT)

t.test('64 KiB are announced: nothing before a byte, 64 bytes for one, and all at once when a quarter comes', (t) => {
  const sizes = watchAllocations(t)
  const [slow, quick] = [new Unfinished(), new Unfinished()]
  slow.begin(BINARY, true, LIMIT, KEY)
  take(slow, Buffer.alloc(0))
  t.same(sizes, [])
  take(slow, Buffer.alloc(1))
  t.same(sizes, [64])
  quick.begin(BINARY, true, LIMIT, KEY)
  take(quick, Buffer.alloc(LIMIT / 4, 'x'))
  t.same(sizes, [64, LIMIT])
  take(quick, Buffer.alloc(LIMIT * 3 / 4, 'x'))
  t.same(sizes, [64, LIMIT], 'one allocation')
  const message = quick.message()
  t.equal(message.buffer.byteLength, HEADROOM + LIMIT, 'and no copy')
  t.equal(message.byteOffset, HEADROOM)
  t.ok(message.equals(Buffer.alloc(LIMIT, 'x')))
  t.end()
})

t.test('byte by byte: memory follows what was sent, and so does the work', (t) => {
  for (const [what, begin] of [
    ['in one frame', (unfinished: Unfinished, i: number) => { if (i === 0) unfinished.begin(BINARY, true, LIMIT, KEY) }],
    ['each in a frame of its own', (unfinished: Unfinished, i: number) => { unfinished.begin(i === 0 ? BINARY : CONTINUATION, i === LIMIT - 1, 1, KEY) }]
  ] as const) {
    const sizes = watchAllocations(t)
    const unfinished = new Unfinished()
    let isBounded = true
    for (let i = 0; i < LIMIT; i++) {
      begin(unfinished, i)
      take(unfinished, Buffer.from([i & 0xff]))
      isBounded &&= (sizes.at(-1) as number) <= Math.max(64, 4 * (i + 1))
    }
    t.ok(isBounded, `${what}: never more than four times as much as has come`)
    t.ok(sum(sizes) < 4 * LIMIT, `${what}: in all ${sum(sizes)} bytes`)
    t.ok(sizes.every((size) => size <= LIMIT), `${what}: nor more than a message may have`)
    t.ok(unfinished.message().equals(Buffer.from(Array.from({ length: LIMIT }, (_, i) => i & 0xff))), what)
  }
  t.end()
})

t.test('any fragments in any pieces make their message, in memory of its size', (t) => {
  const sizes = watchAllocations(t)
  const fragment = fc.tuple(fc.uint8Array({ maxLength: 600, size: 'max' }), fc.integer({ min: 1, max: 300 }))
  fc.assert(fc.property(fc.array(fragment, { minLength: 1, maxLength: 6 }), (fragments) => {
    const unfinished = new Unfinished()
    let [sent, isBounded] = [0, true]
    for (const [i, [bytes, piece]] of fragments.entries()) {
      unfinished.begin(i === 0 ? BINARY : CONTINUATION, i === fragments.length - 1, bytes.length, KEY)
      for (let at = 0; at < bytes.length; at += piece) {
        const chunk = bytes.subarray(at, at + piece)
        sizes.length = 0
        isBounded &&= take(unfinished, chunk) === chunk.length
        sent += chunk.length
        isBounded &&= sizes.every((size) => size <= Math.max(64, 4 * sent))
      }
      if (unfinished.left > 0) return false
    }
    const expected = Buffer.concat(fragments.map(([bytes]) => bytes))
    return isBounded && unfinished.opcode === BINARY && unfinished.length === expected.length && unfinished.message().equals(expected)
  }), { numRuns: 500 })
  t.end()
})
