import t from 'tap'
import { Encoded } from '../../../lib/core/encoded.js'
import { EVERYONE } from '../../../lib/core/ports.js'
import { rawCodec } from '../../../lib/protocol/codec.js'
import { payloadOf } from '../../../lib/protocol/frame.js'
import { jsonCodec } from '../../../lib/protocol/hub-v1/json.js'
import { msgpackCodec } from '../../../lib/protocol/hub-v1/msgpack.js'

const text = (encoded: Encoded, codec = rawCodec): string => payloadOf(encoded.frame(codec)).payload.toString()

t.test('one frame for each codec, however often it is asked for', async (t) => {
  const encoded = new Encoded('room', { offset: 3, payload: 'x' })
  for (const codec of [jsonCodec, rawCodec, msgpackCodec]) {
    const frame = encoded.frame(codec)
    for (const other of [rawCodec, jsonCodec, msgpackCodec]) t.equal(encoded.frame(other) === frame, other === codec)
    t.equal(encoded.frame(codec), frame)
  }
  t.equal(text(encoded), 'x')
  t.equal(text(encoded, jsonCodec), '{"op":"message","room":"room","offset":3,"data":"x"}')
})

t.test('what is in no room is a direct message', async (t) => {
  t.equal(text(new Encoded(EVERYONE, { offset: 0, payload: 'x' }), jsonCodec), '{"op":"direct","data":"x"}')
})
