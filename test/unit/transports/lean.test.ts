import { once } from 'node:events'
import { Socket } from 'node:net'
import t, { type Test } from 'tap'
import type { TransportListener } from '../../../lib/core/ports.js'
import { FrameParser } from '../../../lib/protocol/frame-parser.js'
import { LeanTransport } from '../../../lib/transports/lean.js'
import { textFrame } from '../../helpers/raw-frames.js'

/** On a socket that is not connected: bytes are handed to it. */
function transport (t: Test, told: Partial<TransportListener>): { socket: Socket, lean: LeanTransport } {
  const socket = new Socket()
  const lean = new LeanTransport(socket, { parser: new FrameParser({}), read: null, closeTimeout: 1_000 })
  lean.attach({ onMessage: () => {}, onControl: () => {}, onDrain: () => {}, onError: () => {}, onClose: () => {}, ...told })
  t.teardown(() => { socket.destroy() })
  return { socket, lean }
}

t.test('where a listener throws, the connection ends: what was behind it is lost', async (t) => {
  const ends: number[] = []
  const received: string[] = []
  const { socket, lean } = transport(t, {
    onMessage: (data) => {
      received.push(data.toString())
      throw new Error('on purpose')
    },
    onClose: (code) => { ends.push(code) }
  })
  const two = Buffer.concat([textFrame('first'), textFrame('second')])
  t.throws(() => { lean.read(two, two.length) }, { message: 'on purpose' })
  lean.read(two, two.length)
  await once(socket, 'close')
  t.same(received, ['first'])
  t.same(ends, [1006])
  t.equal(lean.writable, false)
})

t.test('only as many bytes are read as have come', (t) => {
  const received: string[] = []
  const { lean } = transport(t, { onMessage: (data) => { received.push(data.toString()) } })
  const memory = Buffer.concat([textFrame('new'), textFrame('left by another')])
  lean.read(memory, textFrame('new').length)
  t.same(received, ['new'])
  t.end()
})

t.test('one that is ignored reads no further, within one read', (t) => {
  const received: string[] = []
  const { lean } = transport(t, {
    onMessage: (data) => {
      received.push(data.toString())
      if (received.length === 2) lean.ignore()
    }
  })
  const flood = Buffer.concat(['1', '2', '3', '4'].map(textFrame))
  lean.read(flood, flood.length)
  lean.read(flood, flood.length)
  t.same(received, ['1', '2'])
  t.end()
})

t.test('what one read brought in is told, although the first message paused its connection, or ended it', (t) => {
  for (const how of ['pause', 'close', 'terminate'] as const) {
    const received: string[] = []
    const { lean } = transport(t, {
      onMessage: (data) => {
        received.push(data.toString())
        lean[how](1000, '')
      }
    })
    const messages = Buffer.concat([textFrame('first'), textFrame('second'), textFrame('half')]).subarray(0, -2)
    lean.read(messages, messages.length)
    t.same(received, ['first', 'second'], how)
  }
  t.end()
})
