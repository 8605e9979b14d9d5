import fc from 'fast-check'
import t from 'tap'
import { Batch } from '../../../lib/core/batch.js'
import { encodeFrame, type Frame } from '../../../lib/protocol/frame.js'

const bytesOf = (batch: Batch): string => Buffer.concat(batch.chunks()).toString('hex')
const hex = (frames: readonly Frame[]): string => Buffer.concat(frames.flatMap(({ chunks }) => chunks)).toString('hex')

t.test('who appends the same frames ends at the same batch; another order is another batch', (t) => {
  const root = Batch.root()
  const [a, b] = [encodeFrame('a'), encodeFrame('b')] as const
  const ab = root.append(a, true).append(b, true)
  t.equal(root.append(a, true).append(b, true), ab)
  t.not(root.append(b, true).append(a, true), ab)
  t.equal(root.append(b, true).append(a, true), root.append(b, true).append(a, true), 'also behind a second child')
  t.not(root.append(a, false), root.append(a, false), 'what only one gets is not looked for again')
  t.same([root.messages, root.bytes, ab.messages, ab.bytes], [0, 0, 2, a.bytes + b.bytes])
  t.end()
})

t.test('bytes are put together once, when several connections share them', (t) => {
  const frames = [encodeFrame('one'), encodeFrame('two'), encodeFrame(Buffer.from('three'))] as const
  const batch = frames.reduce((batch, frame) => batch.append(frame, true), Batch.root())
  t.same(batch.chunks(), frames.flatMap(({ chunks }) => chunks), 'alone: the frames as they are')
  batch.holders = 2
  const joined = batch.chunks()
  t.equal(joined.length, 1)
  t.equal(bytesOf(batch), hex(frames))
  batch.holders = 1
  t.equal(batch.chunks(), joined, 'the last one gets them, too')
  const single = Batch.root().append(frames[0], true)
  single.holders = 2
  t.equal(single.chunks(), frames[0].chunks, 'of one frame nothing is copied')
  t.end()
})

t.test('random appends of many connections: each batch is what its connection got', (t) => {
  const op = fc.record({ who: fc.uniqueArray(fc.nat(4), { minLength: 1 }), length: fc.nat(300) })
  fc.assert(fc.property(fc.array(op, { maxLength: 60, size: 'max' }), (ops) => {
    const root = Batch.root()
    const batches = Array.from({ length: 5 }, () => root)
    const model = Array.from({ length: 5 }, (): Frame[] => [])
    ops.forEach(({ who, length }, i) => {
      const frame = encodeFrame(`${i}:${'x'.repeat(length)}`)
      for (const one of who) {
        const before = batches[one] as Batch
        const after = before.append(frame, who.length > 1)
        before.holders--
        after.holders++
        batches[one] = after
        model[one]?.push(frame)
      }
    })
    batches.forEach((batch, i) => {
      const frames = model[i] as Frame[]
      if (frames.length === 0) return
      if (batch.messages !== frames.length || batch.bytes !== frames.reduce((sum, { bytes }) => sum + bytes, 0)) throw new Error('counts differ')
      if (bytesOf(batch) !== hex(frames)) throw new Error('other bytes')
      const same = batches.filter((other) => other === batch).length
      if (batch.holders !== same) throw new Error('holders differ')
      // Where the same frames went to several, they share one node.
      model.forEach((other, j) => {
        if (hex(other) === hex(frames) && frames.every((frame, k) => other[k] === frame) && batches[j] !== batch) throw new Error('not shared')
      })
    })
  }))
  t.end()
})
