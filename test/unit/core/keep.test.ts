import t from 'tap'
import { InboundMessage } from '../../../lib/core/message.js'
import { JsonText } from '../../../lib/protocol/json-text.js'
import { keep } from '../../../lib/core/keep.js'

t.test('what cannot change is kept as it is', (t) => {
  const json = new JsonText('{}')
  t.equal(keep('text'), 'text')
  t.equal(keep(json), json)
  t.end()
})

t.test('bytes are copied, and the copy has memory of its own', (t) => {
  const bytes = Buffer.from('bytes')
  for (const payload of [bytes, new InboundMessage(Buffer.from('bytes'), true)]) {
    const kept = keep(payload)
    t.ok(kept instanceof Uint8Array)
    if (!(kept instanceof Uint8Array)) continue
    t.equal(Buffer.from(kept).toString(), 'bytes')
    t.not(kept.buffer, bytes.buffer)
    t.equal(kept.buffer.byteLength, 5)
  }
  t.end()
})

t.test('text of a peer becomes text, also over several fragments', (t) => {
  for (const text of ['', 'ü 😀', '\ufeffx', `${'x'.repeat(65_535)}ü`]) t.equal(keep(new InboundMessage(Buffer.from(text), false)), text)
  t.end()
})
