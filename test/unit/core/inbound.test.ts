import fc from 'fast-check'
import t from 'tap'
import { Inbound, type InboundShared } from '../../../lib/core/inbound.js'
import { isThenable } from '../../../lib/core/thenable.js'
import { InboundMessage } from '../../../lib/core/message.js'
import { settled } from '../../helpers/until.js'

type Handler = (text: string) => unknown

function shared (maxPending: number, rate: Partial<InboundShared['settings']['rate']> = {}): InboundShared {
  return {
    settings: { maxPending, rate: { messagesPerSecond: 0, burst: 0, bytesPerSecond: 0, violations: 0, ...rate } },
    counters: { limited: 0, throttled: 0 },
    clock: { monotonic: () => 0 },
    wheel: { delay: { stalled: 0, stalledBefore: 0 } }
  }
}

class Host {
  readonly inboundShared: InboundShared
  readonly events: string[] = []
  readonly inbound: Inbound
  #handler: Handler

  constructor (handler: Handler, maxPending = 2, rate: Parameters<typeof shared>[1] = {}) {
    this.#handler = handler
    this.inboundShared = shared(maxPending, rate)
    this.inbound = new Inbound(this)
  }

  receive (...texts: string[]): void { for (const text of texts) this.inbound.receive(new InboundMessage(Buffer.from(text), false)) }
  handle (message: InboundMessage): unknown {
    this.events.push(message.text())
    return this.#handler(message.text())
  }

  onFailure (error: unknown): void { this.events.push(`failed: ${error instanceof Error ? error.message : String(error)}`) }
  onBusy (busy: boolean): void { this.events.push(busy ? 'busy' : 'free') }
  pause (): void { this.events.push('pause') }
  resume (): void { this.events.push('resume') }
  onThrottled (wait: number): void { this.events.push(`throttled for ${wait}`) }
  onFlood (): void { this.events.push('flood') }
  taken (): string[] { return this.events.splice(0) }
}

interface Gate { promise: Promise<void>, open: () => void, fail: (error: unknown) => void }

function gate (): Gate {
  let open = (): void => {}
  let fail: Gate['fail'] = () => {}
  const promise = new Promise<void>((resolve, reject) => {
    open = resolve
    fail = reject
  })
  return { promise, open, fail }
}

t.test('messages are held until begin has succeeded', async (t) => {
  const host = new Host(() => {})
  const first = gate()
  host.receive('a')
  t.same(host.taken(), [])
  host.inbound.begin(() => first.promise)
  host.receive('b')
  t.same(host.taken(), ['busy', 'pause'])
  t.equal(host.inbound.paused, true)
  first.open()
  await settled()
  t.same(host.taken(), ['free', 'a', 'b', 'resume'])
  t.equal(host.inbound.paused, false)
  host.receive('c')
  t.same(host.taken(), ['c'])
})

t.test('where begin fails nothing is handled, whatever the host does about it', async (t) => {
  for (const fail of [() => { throw new Error('no') }, async () => { throw new Error('no') }]) {
    const host = new Host(() => {})
    host.receive('a')
    host.inbound.begin(fail)
    host.receive('b')
    await settled()
    host.receive('c')
    t.same(host.taken().filter((event) => event.length === 1 || event.startsWith('failed')), ['failed: no'])
    t.equal(host.inbound.paused, false)
    host.inbound.whenIdle(() => { host.events.push('idle') })
    t.same(host.taken(), ['idle'])
  }
})

t.test('one at a time, in order, however long each takes', async (t) => {
  const gates = new Map<string, Gate>()
  const host = new Host((text) => {
    const one = gate()
    gates.set(text, one)
    return one.promise
  }, 10)
  host.inbound.begin(() => {})
  host.receive('a', 'b')
  await settled()
  t.same(host.taken(), ['a', 'busy'])
  gates.get('a')?.open()
  await settled()
  t.same(host.taken(), ['free', 'b', 'busy'])
  gates.get('b')?.fail(new Error('bad'))
  await settled()
  t.same(host.taken(), ['failed: bad', 'free'])
})

t.test('the socket is paused while maxPending wait, and only then', async (t) => {
  const wait = gate()
  const host = new Host((text) => text === 'slow' ? wait.promise : undefined, 2)
  host.inbound.begin(() => {})
  host.receive('slow', '1')
  t.same(host.taken(), ['slow', 'busy'])
  host.receive('2')
  t.same(host.taken(), ['pause'])
  host.receive('3', '4')
  t.same(host.taken(), [], 'what one read had brought in is kept, and nobody is paused twice')
  wait.open()
  await settled()
  t.same(host.taken(), ['free', '1', '2', '3', '4', 'resume'])
})

t.test('what a synchronous handler causes to be received waits for its turn', (t) => {
  const host: Host = new Host((text) => {
    if (text !== 'a') return
    host.receive('b')
    host.events.push('end of a')
  })
  host.inbound.begin(() => {
    host.receive('a')
    host.events.push('end of begin')
  })
  t.same(host.taken(), ['end of begin', 'a', 'end of a', 'b'])
  t.end()
})

t.test('a handler that throws is told, and the next runs unless it is stopped', (t) => {
  const host = new Host(() => { throw new Error('bad') })
  host.inbound.begin(() => {})
  host.receive('a', 'b')
  t.same(host.taken(), ['a', 'failed: bad', 'b', 'failed: bad'])
  host.inbound.stop()
  host.receive('c')
  t.same(host.taken(), [])
  t.end()
})

t.test('sealed: what waits is handled, what comes is not', async (t) => {
  const wait = gate()
  const host = new Host((text) => text === 'slow' ? wait.promise : undefined, 10)
  host.inbound.begin(() => {})
  host.receive('slow', 'waiting')
  host.inbound.seal()
  host.receive('late')
  wait.open()
  await settled()
  t.same(host.taken(), ['slow', 'busy', 'free', 'waiting'])
})

t.test('the socket is read again once nothing more is taken: the end of the connection has to be seen', async (t) => {
  for (const how of ['seal', 'stop', 'abandon'] as const) {
    const wait = gate()
    const host = new Host(() => wait.promise, 1)
    host.inbound.begin(() => {})
    host.receive('a', 'b')
    t.same(host.taken(), ['a', 'busy', 'pause'])
    host.inbound[how]()
    t.same(host.taken(), ['resume'], how)
    t.equal(host.inbound.paused, false)
    host.receive('c')
    wait.open()
    await settled()
    t.equal(host.taken().filter((event) => event === 'pause' || event === 'resume').length, 0)
  }
  const held = new Host(() => {}, 1)
  held.receive('a')
  held.inbound.stop()
  t.same(held.taken(), ['pause', 'resume'], 'before begin, too')
})

t.test('idle is told once: not while a handler runs, not while a message waits', async (t) => {
  const wait = gate()
  const host = new Host((text) => text === 'slow' ? wait.promise : undefined, 10)
  host.inbound.begin(() => {})
  host.receive('slow', 'next')
  host.inbound.seal()
  host.inbound.whenIdle(() => { host.events.push('idle') })
  await settled()
  t.same(host.taken(), ['slow', 'busy'])
  wait.open()
  await settled()
  t.same(host.taken(), ['free', 'next', 'idle'])
  host.inbound.whenIdle(() => { host.events.push('at once') })
  t.same(host.taken(), ['at once'])

  const stopped = new Host(() => new Promise(() => {}), 10)
  stopped.inbound.begin(() => {})
  stopped.receive('for ever', 'never')
  stopped.inbound.whenIdle(() => { stopped.events.push('idle') })
  stopped.inbound.stop()
  t.same(stopped.taken(), ['for ever', 'busy'])
  stopped.inbound.abandon()
  t.same(stopped.taken(), ['idle'])

  const inside: Host = new Host(() => {
    inside.inbound.whenIdle(() => { inside.events.push('idle') })
    inside.events.push('still here')
  })
  inside.inbound.begin(() => {})
  inside.receive('a')
  t.same(inside.taken(), ['a', 'still here', 'idle'])
})

t.test('a handler that was abandoned changes nothing when it ends after all, but its failure is told', async (t) => {
  const [one, two] = [gate(), gate()]
  for (const [wait, settle] of [[one, one.open], [two, () => { two.fail(new Error('late')) }]] as const) {
    const host = new Host(() => wait.promise)
    host.inbound.begin(() => {})
    host.receive('a')
    host.inbound.abandon()
    host.taken()
    settle()
    await settled()
    t.same(host.taken(), wait === two ? ['failed: late'] : [])
  }
})

t.test('a thenable that does not keep the rules breaks no order', async (t) => {
  const bad: Record<string, PromiseLike<void>> = {
    twice: { then (resolve: (value: undefined) => void) { resolve(undefined); setImmediate(() => { resolve(undefined) }) } } as unknown as PromiseLike<void>,
    throws: { then () { throw new Error('no') } } as unknown as PromiseLike<void>
  }
  const wait = gate()
  const host = new Host((text) => bad[text] ?? (text === 'slow' ? wait.promise : undefined), 10)
  host.inbound.begin(() => {})
  host.receive('twice', 'slow', 'last')
  await settled()
  await settled()
  t.same(host.taken(), ['twice', 'busy', 'free', 'slow', 'busy'], 'last must wait for slow')
  wait.open()
  await settled()
  t.same(host.taken(), ['free', 'last'])
  host.receive('throws', 'next')
  await settled()
  t.same(host.taken(), ['throws', 'busy', 'failed: no', 'free', 'next'])
})

t.test('what is thenable', (t) => {
  for (const value of [Promise.resolve(), { then () {} }]) t.equal(isThenable(value), true)
  for (const value of [null, undefined, 1, 'then', {}, { then: true }]) t.equal(isThenable(value), false)
  t.end()
})

t.test('a peer ahead of its rate of bytes is not read until it is told so, even when the connection has closed', (t) => {
  const host = new Host(() => {}, 2, { bytesPerSecond: 1000 })
  host.inbound.begin(() => {})
  host.inbound.spend(1000, 0)
  t.same(host.taken(), [], 'as many may come at once')
  host.inbound.spend(500, 0)
  host.inbound.spend(250, 0)
  t.same(host.taken(), ['pause', 'throttled for 500', 'throttled for 750'])
  t.same(host.inboundShared.counters, { limited: 0, throttled: 1 })
  host.inbound.seal()
  t.same(host.taken(), [])
  host.inbound.unthrottle()
  t.same(host.taken(), ['resume'])
  t.end()
})

t.test('messages over the rate are counted, and as many in a row as may be are a flood', (t) => {
  const { inbound, inboundShared: { counters }, ...host } = new Host(() => {}, 2, { messagesPerSecond: 1, burst: 2, violations: 2 })
  t.same([0, 0, 0, 0].map((now) => inbound.take(now)), [true, true, false, false])
  t.same(host.events.splice(0), ['flood'])
  t.same(counters, { limited: 2, throttled: 0 })
  t.equal(inbound.take(1000), true, 'the rate gives one more')
  t.equal(inbound.take(1000), false)
  t.same(host.events, [], 'they were not in a row')
  t.end()
})

t.test('what a peer has used up is forgotten once it would be full again, and not before', (t) => {
  const { inbound } = new Host(() => {}, 2, { messagesPerSecond: 1, burst: 2 })
  inbound.rest(0)
  for (const now of [0, 0]) t.ok(inbound.take(now))
  inbound.rest(1000)
  t.same([inbound.take(1000), inbound.take(1000)], [true, false], 'one had come back')
  inbound.rest(4000)
  t.same([4000, 4000, 4000].map((now) => inbound.take(now)), [true, true, false])
  t.end()
})

t.test('random handlers, sync and async, good and bad: every message once, in order, never two at a time', async () => {
  const kind = fc.constantFrom('sync', 'throws', 'async', 'rejects', 'slow')
  await fc.assert(fc.asyncProperty(fc.array(fc.tuple(kind, fc.boolean()), { maxLength: 40, size: 'max' }), fc.integer({ min: 1, max: 4 }), async (steps, maxPending) => {
    let running = 0
    let open: Array<() => void> = []
    let paused = false
    const handled: number[] = []
    const finish = async (how: () => Promise<void>): Promise<void> => {
      if (++running > 1) throw new Error('two at a time')
      await how()
      running--
    }
    const failures: unknown[] = []
    const inbound = new Inbound({
      inboundShared: shared(maxPending),
      handle (message) {
        if (running > 0) failures.push('overlap')
        const i = message.json<number>()
        handled.push(i)
        switch (steps[i]?.[0]) {
          case 'throws': throw new Error('expected')
          case 'async': return finish(async () => {})
          case 'slow': return finish(async () => { await new Promise<void>((resolve) => { open.push(resolve) }) })
          case 'rejects': return finish(async () => {}).then(() => { throw new Error('expected') })
        }
        return undefined
      },
      onFailure (error) { if ((error as Error).message !== 'expected') failures.push(error) },
      onBusy () {},
      pause () { paused = true },
      resume () { paused = false },
      onThrottled () {},
      onFlood () {}
    })
    inbound.begin(() => {})
    for (const [i, [, wait]] of steps.entries()) {
      inbound.receive(new InboundMessage(Buffer.from(String(i)), false))
      if (!wait) continue
      await settled()
      for (const go of open.splice(0)) go()
    }
    for (let rounds = 0; rounds <= steps.length; rounds++) {
      await settled()
      for (const go of open) go()
      open = []
    }
    return failures.length === 0 && handled.length === steps.length && handled.every((value, i) => value === i) && !paused
  }), { numRuns: 50 })
})
