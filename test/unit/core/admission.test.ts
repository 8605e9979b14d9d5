import fc from 'fast-check'
import t from 'tap'
import { Admission, type AdmissionLimits, type Slot } from '../../../lib/core/admission.js'
import { TICK_MS, TimingWheel } from '../../../lib/core/timing-wheel.js'
import { TestClock } from '../../../lib/testing/test-clock.js'

const UNLIMITED: AdmissionLimits = { connections: 0, connectionsPerIp: 0, upgradesPerSecond: 0, onFull: 'reject', waitTimeout: 0, maxWaiting: 0 }
const noop = (): void => {}

function setup (limits: Partial<AdmissionLimits>): { admission: Admission, clock: TestClock, wheel: TimingWheel } {
  const clock = new TestClock()
  const wheel = new TimingWheel(clock, (error) => { throw error })
  wheel.start()
  return { admission: new Admission({ ...UNLIMITED, ...limits }, clock, wheel), clock, wheel }
}

t.test('slots are counted, and given back once', (t) => {
  const { admission } = setup({ connections: 2, connectionsPerIp: 2 })
  const a = admission.acquire('1.1.1.1', noop)
  const b = admission.acquire(null, noop)
  t.same([a.state, admission.held, admission.addresses], ['held', 2, 1])
  t.throws(() => admission.acquire(null, noop), { code: 'FST_HUB_FULL', statusCode: 503 })
  a.release()
  a.release()
  t.same([a.state, admission.held, admission.addresses], ['released', 1, 0])
  b.release()
  t.equal(admission.held, 0)
  t.end()
})

t.test('0 connections is no limit', (t) => {
  const { admission } = setup({})
  for (let i = 0; i < 1_000; i++) admission.acquire(null, noop)
  t.equal(admission.held, 1_000)
  t.end()
})

t.test('FAULTS 17: the cap per address counts those who wait, and IPv6 by /64', (t) => {
  const { admission } = setup({ connections: 1, connectionsPerIp: 2, onFull: 'wait', maxWaiting: 9 })
  const held = admission.acquire('2001:db8::1', noop)
  const waiting = admission.acquire('2001:db8::2', noop)
  t.equal(waiting.state, 'waiting')
  t.throws(() => admission.acquire('2001:db8::3', noop), { code: 'FST_HUB_TOO_MANY_CONNECTIONS_PER_IP', statusCode: 429 })
  t.equal(admission.acquire('2001:db8:0:1::3', noop).state, 'waiting', 'another /64')
  t.equal(admission.acquire(null, noop).state, 'waiting', 'no address, no limit')
  waiting.release()
  t.equal(admission.acquire('2001:db8::3', noop).state, 'waiting')
  held.release()
  t.equal(admission.held, 1)
  t.end()
})

t.test('upgrades per second and address', (t) => {
  const { admission, clock } = setup({ upgradesPerSecond: 2 })
  admission.acquire('1.1.1.1', noop).release()
  admission.acquire('1.1.1.1', noop).release()
  t.throws(() => admission.acquire('1.1.1.1', noop), { code: 'FST_HUB_UPGRADE_RATE', statusCode: 429 })
  t.throws(() => admission.acquire('::ffff:1.1.1.1', noop), { code: 'FST_HUB_UPGRADE_RATE' }, 'the same address')
  admission.acquire('1.1.1.2', noop)
  for (let i = 0; i < 5; i++) admission.acquire(null, noop)
  clock.advanceSync(500)
  t.equal(admission.acquire('1.1.1.1', noop).state, 'held')
  t.end()
})

t.test('those who wait get slots in order, and only while they wait', (t) => {
  const { admission } = setup({ connections: 1, onFull: 'wait', maxWaiting: 3 })
  const order: string[] = []
  const settle = (name: string) => (error: Error | null): void => { order.push(error === null ? name : 'refused') }
  const first = admission.acquire(null, settle('first'))
  const [b, c, d] = [admission.acquire(null, settle('b')), admission.acquire(null, settle('c')), admission.acquire(null, settle('d'))]
  t.equal(admission.waiting, 3)
  t.throws(() => admission.acquire(null, noop), { code: 'FST_HUB_FULL' })
  b.release()
  t.equal(admission.waiting, 2)
  first.release()
  t.same(order, ['c'], 'who left the line is passed over')
  t.same([c.state, d.state, admission.held, admission.waiting], ['held', 'waiting', 1, 1])
  c.release()
  d.release()
  t.same(order, ['c', 'd'])
  t.equal(admission.held, 0)
  t.end()
})

t.test('waiting ends at waitTimeout; 0 is no limit', (t) => {
  const { admission, clock, wheel } = setup({ connections: 1, onFull: 'wait', maxWaiting: 2, waitTimeout: 1_000 })
  const held = admission.acquire('1.1.1.1', noop)
  const errors: Array<Error | null> = []
  const slot = admission.acquire('1.1.1.1', (error) => { errors.push(error) })
  clock.advanceSync(900)
  t.equal(slot.state, 'waiting')
  clock.advanceSync(300)
  t.match(errors, [{ code: 'FST_HUB_WAIT_TIMEOUT', statusCode: 503 }])
  t.equal(slot.state, 'released')
  t.equal(admission.waiting, 0)
  const lucky = admission.acquire('1.1.1.1', (error) => { errors.push(error) })
  held.release()
  clock.advanceSync(2_000)
  t.equal(lucky.state, 'held', 'a granted slot has no timeout any more')
  lucky.release()
  t.same([errors.length, wheel.size, admission.addresses], [2, 0, 0])

  const patient = setup({ connections: 1, onFull: 'wait', maxWaiting: 1 })
  patient.admission.acquire(null, noop)
  const waiting = patient.admission.acquire(null, noop)
  patient.clock.advanceSync(1_000_000)
  t.equal(waiting.state, 'waiting')
  t.end()
})

t.test('drain refuses those who wait, and everyone who comes', (t) => {
  const { admission, wheel } = setup({ connections: 1, onFull: 'wait', maxWaiting: 5, waitTimeout: 1_000 })
  const held = admission.acquire('1.1.1.1', noop)
  const errors: Array<Error | null> = []
  for (let i = 0; i < 3; i++) admission.acquire('1.1.1.1', (error) => { errors.push(error) })
  t.equal(admission.draining, false)
  admission.drain()
  t.equal(admission.draining, true)
  t.match(errors, [{ code: 'FST_HUB_DRAINING' }, { code: 'FST_HUB_DRAINING' }, { code: 'FST_HUB_DRAINING' }])
  t.throws(() => admission.acquire(null, noop), { code: 'FST_HUB_DRAINING', statusCode: 503 })
  t.same([admission.waiting, admission.held, wheel.size], [0, 1, 0])
  held.release()
  t.same([admission.held, admission.addresses], [0, 0])
  t.end()
})

t.test('nobody is granted a slot by a drain, even when a refused one gives back what it held elsewhere', (t) => {
  const { admission } = setup({ connections: 1, onFull: 'wait', maxWaiting: 5 })
  const held = admission.acquire(null, noop)
  const results: Array<string | undefined> = []
  const settled = (error: (Error & { code?: string }) | null): void => {
    results.push(error?.code)
    held.release()
  }
  admission.acquire(null, settled)
  admission.acquire(null, settled)
  admission.drain()
  t.same(results, ['FST_HUB_DRAINING', 'FST_HUB_DRAINING'])
  t.same([admission.held, admission.waiting], [0, 0])
  t.end()
})

/* ---- against a plain model ---- */

/** What a plain reading of the rules says: lists, and counting by looking. */
class Model {
  readonly slots: Array<{ key: string | null, state: 'waiting' | 'held' | 'released', due: number }> = []
  line: number[] = []
  draining = false
  readonly #buckets = new Map<string, { tokens: number, last: number }>()
  readonly #limits: AdmissionLimits
  /** Told of each slot that waited, once. */
  readonly #settled: (slot: number, outcome: string) => void

  constructor (limits: AdmissionLimits, settled: (slot: number, outcome: string) => void) {
    this.#limits = limits
    this.#settled = settled
  }

  get held (): number { return this.slots.filter(({ state }) => state === 'held').length }

  of (key: string): number { return this.slots.filter((slot) => slot.key === key && slot.state !== 'released').length }

  /** Nobody counts them without a limit. */
  get addresses (): number {
    if (this.#limits.connectionsPerIp === 0) return 0
    return new Set(this.slots.filter(({ key, state }) => key !== null && state !== 'released').map(({ key }) => key)).size
  }

  /** @returns what becomes of it, or the code of the error */
  acquire (key: string | null, now: number): string {
    const { connections, connectionsPerIp, onFull, waitTimeout, maxWaiting } = this.#limits
    if (this.draining) return 'FST_HUB_DRAINING'
    if (key !== null && connectionsPerIp > 0 && this.of(key) === connectionsPerIp) return 'FST_HUB_TOO_MANY_CONNECTIONS_PER_IP'
    if (key !== null && !this.#takeToken(key, now)) return 'FST_HUB_UPGRADE_RATE'
    const state = connections === 0 || this.held < connections ? 'held' : 'waiting'
    if (state === 'waiting' && (onFull === 'reject' || this.line.length >= maxWaiting)) return 'FST_HUB_FULL'
    this.slots.push({ key, state, due: waitTimeout > 0 ? now + waitTimeout : Infinity })
    if (state === 'waiting') this.line.push(this.slots.length - 1)
    return state
  }

  release (index: number): void {
    const slot = this.slots[index]
    if (slot === undefined || slot.state === 'released') return
    const gaveBack = slot.state === 'held'
    slot.state = 'released'
    this.line = this.line.filter((waiting) => waiting !== index)
    const next = this.line[0]
    if (!gaveBack || next === undefined || this.draining) return
    this.line = this.line.slice(1)
    this.#slot(next).state = 'held'
    this.#settled(next, 'held')
  }

  refuse (index: number, code: string): void {
    this.#slot(index).state = 'released'
    this.line = this.line.filter((waiting) => waiting !== index)
    this.#settled(index, code)
  }

  drain (): void {
    this.draining = true
    // One that is ended because another was refused is not refused itself.
    for (let next = this.line[0]; next !== undefined; next = this.line[0]) this.refuse(next, 'FST_HUB_DRAINING')
  }

  #slot (index: number): Model['slots'][number] { return this.slots[index] as Model['slots'][number] }

  #takeToken (key: string, now: number): boolean {
    const { upgradesPerSecond } = this.#limits
    if (upgradesPerSecond === 0) return true
    const bucket = this.#buckets.get(key) ?? { tokens: upgradesPerSecond, last: now }
    this.#buckets.set(key, bucket)
    bucket.tokens = Math.min(upgradesPerSecond, bucket.tokens + (now - bucket.last) * upgradesPerSecond / 1000)
    bucket.last = now
    if (bucket.tokens < 1) return false
    bucket.tokens--
    return true
  }
}

/** Addresses, and whose they are for limits per address. */
const ADDRESSES: ReadonlyArray<[ip: string | null, key: string | null]> = [
  ['10.0.0.1', 'one'], ['::ffff:10.0.0.1', 'one'], ['10.0.0.2', 'two'], ['2001:db8::1', 'net'], ['2001:db8::ffff:1', 'net'], ['2001:db8:0:1::1', 'other net'], [null, null]
]

/** What an upgrade does when its wait is over: a client that has left, a hook that ends others, or one that comes again. */
type Reaction = { readonly kind: 'stay' | 'leave' } | { readonly kind: 'end', readonly which: number } | { readonly kind: 'come', readonly address: number }

type Step =
  | { readonly kind: 'accept', readonly address: number, readonly reaction: Reaction }
  | { readonly kind: 'release', readonly which: number }
  | { readonly kind: 'advance', readonly ms: number }
  | { readonly kind: 'drain' }

const address = fc.nat(ADDRESSES.length - 1)
const which = fc.nat(40)
const reaction: fc.Arbitrary<Reaction> = fc.oneof(
  { weight: 5, arbitrary: fc.constant({ kind: 'stay' as const }) },
  { weight: 2, arbitrary: fc.constant({ kind: 'leave' as const }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('end' as const), which }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('come' as const), address }) }
)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ kind: fc.constant('accept' as const), address, reaction }) },
  // While it waits this is an abort, while it is held a close, and after that nothing.
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('release' as const), which }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('advance' as const), ms: fc.nat(900) }) }
)
/** A drain, where there is one, comes late: after it everybody is refused. */
const steps: fc.Arbitrary<Step[]> = fc.tuple(fc.array(step, { maxLength: 120, size: 'max' }), fc.boolean(), fc.array(step, { maxLength: 20, size: 'max' }))
  .map(([before, drains, after]) => drains ? [...before, { kind: 'drain' }, ...after] : before)
const anyLimits: fc.Arbitrary<AdmissionLimits> = fc.record({
  connections: fc.nat(5),
  connectionsPerIp: fc.nat(4),
  upgradesPerSecond: fc.constantFrom(0, 0, 1, 5),
  onFull: fc.constantFrom('reject' as const, 'wait' as const, 'wait' as const),
  waitTimeout: fc.constantFrom(0, 1_000),
  maxWaiting: fc.nat(6)
})

/** Runs the same steps on the model and on the real thing. Whatever differs is an error. */
function compare (limits: AdmissionLimits, steps: readonly Step[]): boolean {
  const { admission, clock, wheel } = setup(limits)
  const reactions: Reaction[] = []
  const slots: Slot[] = []
  /** What happened, in order. */
  const told: string[] = []
  const expected: string[] = []
  const model = new Model(limits, (index, outcome) => {
    expected.push(`${index} ${outcome}`)
    react(index, (which) => { model.release(which % model.slots.length) }, (address) => { acceptModel(address, { kind: 'stay' }) })
  })

  function react (index: number, release: (which: number) => void, come: (address: number) => void): void {
    const reaction = reactions[index] as Reaction
    if (reaction.kind === 'leave') release(index)
    else if (reaction.kind === 'end') release(reaction.which)
    else if (reaction.kind === 'come') come(reaction.address)
  }

  function acceptModel (address: number, reaction: Reaction): void {
    const [, key] = ADDRESSES[address] as [string | null, string | null]
    reactions[model.slots.length] = reaction
    expected.push(`accept ${model.acquire(key, clock.monotonic())}`)
  }

  function acceptReal (address: number, reaction: Reaction): void {
    const [ip] = ADDRESSES[address] as [string | null, string | null]
    const index = slots.length
    reactions[index] = reaction
    try {
      const slot = admission.acquire(ip, (error) => {
        if (error !== null && slot.state !== 'released') throw new Error('refused, but not released')
        told.push(`${index} ${error === null ? slot.state : (error as Error & { code: string }).code}`)
        react(index, (which) => { slots[which % slots.length]?.release() }, (address) => { acceptReal(address, { kind: 'stay' }) })
      })
      slots.push(slot)
      told.push(`accept ${slot.state}`)
    } catch (error) {
      told.push(`accept ${(error as { code?: string }).code ?? String(error)}`)
    }
  }

  function check (): void {
    const [got, wanted] = [told.join(', '), expected.join(', ')]
    if (got !== wanted) throw new Error(`got ${got}; expected ${wanted}`)
    const figures = { held: admission.held, waiting: admission.waiting, addresses: admission.addresses, armed: wheel.size, states: slots.map(({ state }) => state).join() }
    const right = { held: model.held, waiting: model.line.length, addresses: model.addresses, armed: limits.waitTimeout > 0 ? model.line.length : 0, states: model.slots.map(({ state }) => state).join() }
    if (JSON.stringify(figures) !== JSON.stringify(right)) throw new Error(`got ${JSON.stringify(figures)}; expected ${JSON.stringify(right)}`)
    if (limits.connections > 0 && model.held > limits.connections) throw new Error('the model is over the cap')
  }

  /** A wait ends at the first look of the wheel after its time, and those of one look have no order. From look to look, so that both sides have the same time. */
  function advance (ms: number): void {
    for (const end = clock.monotonic() + ms; clock.monotonic() < end;) {
      const before = told.length
      clock.advanceSync(Math.min(TICK_MS - clock.monotonic() % TICK_MS, end - clock.monotonic()))
      const now = clock.monotonic()
      for (const line of told.slice(before)) {
        const [index, code] = line.split(' ') as [string, string]
        if (code !== 'FST_HUB_WAIT_TIMEOUT') continue
        const { due } = model.slots[Number(index)] as Model['slots'][number]
        if (due > now || !model.line.includes(Number(index))) throw new Error(`${line} at ${now}, due at ${due}`)
        model.refuse(Number(index), code)
      }
      if (model.line.some((index) => (model.slots[index] as Model['slots'][number]).due + TICK_MS <= now)) throw new Error('somebody waits for too long')
    }
  }

  for (const step of steps) {
    if (step.kind === 'accept') {
      acceptModel(step.address, step.reaction)
      acceptReal(step.address, step.reaction)
    } else if (step.kind === 'release') {
      const which = step.which % Math.max(1, slots.length)
      model.release(which)
      slots[which]?.release()
    } else if (step.kind === 'advance') {
      advance(step.ms)
    } else {
      model.drain()
      admission.drain()
    }
    check()
  }
  // Those that come while others leave are released, too.
  for (let i = 0; i < slots.length; i++) {
    model.release(i)
    slots[i]?.release()
    check()
  }
  return admission.held === 0 && admission.waiting === 0 && admission.addresses === 0 && wheel.size === 0
}

t.test('random interleavings of accept, wait, refuse, abort, close, drain and time do what a plain model does', (t) => {
  fc.assert(fc.property(anyLimits, steps, compare), { numRuns: 500 })
  t.end()
})
