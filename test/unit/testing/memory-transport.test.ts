import fc from 'fast-check'
import t from 'tap'
import type { TransportListener } from '../../../lib/core/ports.js'
import { encodeFrame } from '../../../lib/protocol/frame.js'
import { FrameReader } from '../../../lib/testing/frame-reader.js'
import { MemoryTransport } from '../../../lib/testing/memory-transport.js'
import { TestClock } from '../../../lib/testing/test-clock.js'

interface World { clock: TestClock, transport: MemoryTransport, heard: string[], received: () => number }

/** What the server's side hears, in order, and how many bytes the peer has read. */
function setup (kernel = 0): World {
  const clock = new TestClock()
  const heard: string[] = []
  let received = 0
  const transport = new MemoryTransport(clock, kernel, {
    onBytes: (bytes) => { received += bytes.length },
    onEnd: (code) => { heard.push(`far end: ${code}`) }
  })
  transport.attach({
    onMessage: (data, isBinary) => { heard.push(`${isBinary ? 'bytes' : 'text'} ${data.toString()}`) },
    onControl: (kind, data) => { heard.push(`${kind} ${data.toString()}`) },
    onDrain: () => { heard.push(transport.blocked ? 'drain while blocked' : 'drain') },
    onError: (error) => { throw error },
    onClose: (code, reason) => { heard.push(`close ${code}${reason}`) }
  })
  return { clock, transport, heard, received: () => received }
}

const message = (text: string) => (listener: TransportListener): void => { listener.onMessage(Buffer.from(text), false, 0) }

t.test('a peer that reads: never blocked', (t) => {
  const { clock, transport, heard, received } = setup()
  transport.write([Buffer.alloc(100_000), Buffer.alloc(5)])
  t.same([transport.blocked, transport.writable, received()], [false, true, 100_005])
  transport.ping()
  t.equal(received(), 100_007)
  clock.turn()
  t.same(heard, [])
  t.end()
})

t.test('one that does not: the kernel takes what it can, then the socket is blocked', (t) => {
  const { clock, transport, heard, received } = setup(100)
  transport.read(0)
  transport.write([Buffer.alloc(100)])
  t.equal(transport.blocked, false)
  transport.write([Buffer.alloc(1)])
  t.equal(transport.blocked, true)
  transport.ping()
  t.equal(received(), 0)
  transport.read(Infinity)
  t.equal(received(), 103)
  t.same([transport.blocked, heard], [true, []], 'the server is not told within the call')
  clock.turn()
  t.same([transport.blocked, heard], [false, ['drain']])
  clock.turn()
  t.same(heard, ['drain'], 'once')
  t.end()
})

t.test('control frames alone do not block the socket', (t) => {
  const { clock, transport, heard, received } = setup()
  transport.read(0)
  transport.ping()
  transport.pong(Buffer.from('p'))
  t.same([transport.blocked, received()], [false, 0])
  transport.write([Buffer.alloc(1)])
  t.equal(transport.blocked, true)
  transport.read(Infinity)
  clock.turn()
  t.same([transport.blocked, received(), heard], [false, 6, ['drain']])
  t.end()
})

t.test('a slow one: progress within a write is not seen', (t) => {
  const { clock, transport, heard, received } = setup(10)
  transport.read(1_000)
  clock.advanceSync(5_000)
  transport.write([Buffer.alloc(260)])
  t.equal(transport.blocked, true)
  clock.advanceSync(100)
  t.same([received(), transport.blocked, heard], [100, true, []], 'idle time is not saved up')
  clock.advanceSync(100)
  t.same([received(), transport.blocked, heard], [200, true, []])
  clock.advanceSync(100)
  t.same([received(), transport.blocked, heard], [260, false, ['drain']])
  transport.write([Buffer.alloc(10)])
  t.equal(transport.blocked, false, 'the kernel takes it')
  clock.advanceSync(100)
  t.equal(received(), 270)
  transport.read(3)
  transport.write([Buffer.alloc(10)])
  clock.advanceSync(1_000)
  t.equal(received(), 273, 'less than a byte each time adds up')
  clock.stall(1_000)
  t.equal(received(), 276, 'a stall, too')
  t.equal(clock.timers, 1)
  transport.read(0)
  t.equal(clock.timers, 0)
  clock.advanceSync(10_000)
  t.equal(received(), 276)
  t.end()
})

t.test('what the peer sends is heard in the next turn, in order; while the server does not read, later', (t) => {
  const { clock, transport, heard, received } = setup()
  transport.send(message('a'))
  transport.send((listener) => { listener.onControl('ping', Buffer.from('p')) })
  t.same(heard, [])
  clock.turn()
  t.same(heard, ['text a', 'ping p'])
  t.equal(received(), 0, 'to answer a ping is for the connection')
  transport.pong(Buffer.from('p'))
  t.equal(received(), 3)
  transport.send(message('b'))
  transport.send(() => { transport.pause() })
  transport.send(message('c'))
  clock.turn()
  transport.send(message('d'))
  clock.turn()
  t.same(heard.splice(0), ['text a', 'ping p', 'text b'])
  transport.resume()
  t.same(heard, [], 'not within the call')
  clock.turn()
  t.same(heard, ['text c', 'text d'])
  t.end()
})

t.test("the server's Close frame waits behind what was written; the peer's ends it", (t) => {
  const { clock, transport, heard, received } = setup()
  transport.close(4000, 'why')
  transport.write([Buffer.alloc(9)])
  transport.ping()
  transport.pong(Buffer.alloc(0))
  t.same([transport.writable, received()], [false, 7], 'nothing is written behind it')
  clock.turn()
  t.same(heard, [], 'the peer has to answer')
  transport.send(message('meanwhile'))
  transport.sendClose(4000, 'yes')
  transport.send(message('too late'))
  clock.turn()
  t.same(heard, ['text meanwhile', 'close 4000yes', 'far end: 4000'])
  transport.send(message('after the end'))
  transport.terminate()
  transport.reset()
  transport.read(5)
  clock.advanceSync(500)
  t.equal(heard.length, 3, 'nothing comes after the end')
  t.equal(clock.timers, 0)
  t.end()
})

t.test('terminate: the end follows, and nothing else', (t) => {
  const { clock, transport, heard } = setup()
  transport.read(0)
  transport.write([Buffer.alloc(9)])
  transport.send(message('not read any more'))
  transport.lose()
  transport.terminate()
  transport.read(Infinity)
  t.same([transport.writable, heard], [false, []])
  clock.turn()
  t.same(heard, ['close 1006', 'far end: 1006'])
  clock.turn()
  transport.write([Buffer.alloc(9)])
  t.equal(heard.length, 2)
  t.end()
})

t.test('reset: what was sent before arrives, what is written in between is lost', (t) => {
  const { clock, transport, heard, received } = setup()
  transport.send(message('before'))
  transport.reset()
  transport.write([Buffer.alloc(9)])
  clock.turn()
  transport.write([Buffer.alloc(9)])
  t.same([heard, received(), transport.writable], [['text before', 'close 1006', 'far end: 1006'], 0, false])
  t.end()
})

t.test('lost packets: what was sent before arrives; the rest does when the network is back', (t) => {
  const { clock, transport, heard, received } = setup(100)
  transport.send(message('before'))
  transport.lose()
  transport.send(message('lost'))
  transport.write([Buffer.alloc(100)])
  t.equal(transport.blocked, false)
  transport.write([Buffer.alloc(100)])
  t.equal(transport.blocked, true)
  clock.advanceSync(1_000_000)
  t.same([heard.splice(0), received(), transport.blocked], [['text before'], 0, true])
  transport.read(Infinity)
  clock.turn()
  t.same([heard.splice(0), received(), transport.blocked], [['drain', 'text lost'], 200, false])
  transport.lose()
  transport.read(Infinity)
  transport.send(message('a short loss'))
  clock.turn()
  t.same(heard, ['text a short loss'])
  t.end()
})

t.test('random calls keep the promises of the port', (t) => {
  const op = fc.oneof(
    { weight: 8, arbitrary: fc.record({ kind: fc.constant('write' as const), size: fc.integer({ min: 1, max: 3_000 }) }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('read' as const), rate: fc.constantFrom(0, 1, 999, 50_000, Infinity) }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('time' as const), ms: fc.nat(1_000) }) },
    { weight: 8, arbitrary: fc.record({ kind: fc.constantFrom('ping' as const, 'turn' as const, 'pause' as const, 'resume' as const, 'lose' as const, 'pong' as const, 'message' as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('close' as const, 'terminate' as const, 'reset' as const, 'sendClose' as const) }) }
  )
  fc.assert(fc.property(fc.constantFrom(0, 500, 100_000), fc.array(op, { maxLength: 60, size: 'max' }), (kernel, ops) => {
    const clock = new TestClock()
    let within = false
    let ends = 0
    let sent = 0
    let nextMessage = 0
    const reader = new FrameReader()
    const read: number[] = []
    const written: number[] = []
    const called = (): void => {
      if (within) throw new Error('called back within a call')
      if (ends > 0) throw new Error('called after the end')
    }
    const transport = new MemoryTransport(clock, kernel, {
      onBytes: (bytes) => { for (const one of reader.push(bytes)) if (one.kind === 'message') read.push(one.data.length) },
      onEnd: () => {}
    })
    transport.attach({
      onMessage: (data) => {
        called()
        if (Number(data.toString()) !== nextMessage++) throw new Error('out of order')
      },
      onControl: called,
      onDrain: () => {
        called()
        if (transport.blocked) throw new Error('still blocked')
      },
      onError: (error) => { throw error },
      onClose: () => {
        called()
        ends++
      }
    })
    for (const step of ops) {
      within = true
      if (step.kind === 'write') {
        if (transport.writable) written.push(step.size)
        transport.write(encodeFrame('x'.repeat(step.size)).chunks)
      } else if (step.kind === 'message') {
        const number = sent++
        transport.send((listener) => { listener.onMessage(Buffer.from(String(number)), false, 0) })
      } else if (step.kind === 'close' || step.kind === 'sendClose') transport[step.kind](1000, '')
      else if (step.kind === 'read') transport.read(step.rate)
      else if (step.kind === 'pong') transport.pong(Buffer.from('p'))
      else if (step.kind !== 'time' && step.kind !== 'turn') transport[step.kind]()
      within = false
      if (step.kind === 'time') clock.advanceSync(step.ms)
      if (step.kind === 'turn') clock.turn()
      if (read.some((size, i) => size !== written[i])) throw new Error('something else was read than written')
      if (kernel === 0 && transport.writable && !transport.blocked && read.length < written.length) throw new Error('bytes wait, and the socket is not blocked')
    }
    transport.terminate()
    clock.turn()
    clock.turn()
    return ends === 1 && clock.timers === 0
  }))
  t.end()
})
