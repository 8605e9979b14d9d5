import t from 'tap'
import { HubError } from '../../../lib/client/errors.js'
import { Outbox } from '../../../lib/client/outbox.js'
import type { OutboxOptions } from '../../../lib/client/index.js'
import { outcome } from '../../helpers/client-rig.js'
import { ClientTime } from '../../helpers/client-time.js'

const LIMITS = { maxMessageBytes: 0, messagesPerSecond: 0, burst: 1 }
const DEFAULTS = { maxMessages: 1_000, overflow: 'reject-new', resend: true } as const

interface Sent { op: string, id: number, event?: string }

class Rig {
  readonly time = new ClientTime()
  sent: Sent[] = []
  readonly outbox: Outbox

  constructor (options: OutboxOptions = {}, requestTimeout = 30_000) {
    this.outbox = new Outbox({
      clock: this.time,
      requestTimeout,
      encode: (message) => JSON.stringify(message),
      send: (data) => { this.sent.push(JSON.parse(String(data)) as Sent) }
    }, { ...DEFAULTS, ...options })
    this.outbox.start()
  }

  /** Names of the events that were sent. */
  get names (): string { return this.sent.map(({ event }) => event).join('') }

  emit (event: string): Promise<unknown> { return outcome(this.outbox.request({ op: 'event', event }, true)) }

  connect (session = true, limits = LIMITS): void {
    this.sent = []
    this.outbox.opened()
    this.outbox.limits(limits)
    this.outbox.ready(session)
  }
}

t.test('what waits goes in order when the server has answered resume, before what comes later', async (t) => {
  const rig = new Rig()
  rig.emit('a')
  rig.emit('b')
  rig.outbox.opened()
  rig.emit('c')
  t.equal(rig.names, '')
  rig.outbox.ready(true)
  rig.emit('d')
  t.equal(rig.names, 'abcd')
  t.strictSame(rig.sent.map(({ id }) => id), [1, 2, 3, 4])
})

t.test('each promise settles with its own answer, whatever the order', async (t) => {
  const rig = new Rig()
  rig.connect()
  const all = ['a', 'b', 'c'].map((name) => rig.emit(name))
  rig.outbox.resolve(3, 'third')
  t.equal(rig.outbox.reject(1, new HubError('invalid_data', 'no', { path: '/x' })), true)
  rig.outbox.resolve(2, 'second')
  rig.outbox.resolve(2, 'again')
  t.equal(rig.outbox.reject(2, new HubError('internal', 'again')), false)
  t.strictSame(await Promise.all(all), [{ code: 'invalid_data' }, { value: 'second' }, { value: 'third' }])
  t.equal(rig.time.timers, 0)
})

t.test('what had no answer when the connection ended goes again, under its id, before what came later', async (t) => {
  const rig = new Rig()
  rig.connect()
  const a = rig.emit('a')
  rig.emit('b')
  rig.emit('c')
  rig.outbox.resolve(2, null)
  rig.outbox.lost()
  t.equal(rig.time.timers, 0, 'no time runs without a connection')
  rig.emit('d')
  await rig.time.advance(1_000_000)
  rig.connect(false)
  t.equal(rig.names, 'acd')
  t.strictSame(rig.sent.map(({ id }) => id), [1, 3, 4])
  rig.outbox.resolve(1, 'done')
  t.strictSame(await a, { value: 'done' })
})

t.test('resend false: fails where the server knows nothing of it, and goes again where it does', async (t) => {
  for (const session of [true, false]) {
    const rig = new Rig({ resend: false })
    rig.connect()
    const a = rig.emit('a')
    rig.outbox.lost()
    rig.emit('b')
    rig.connect(session)
    t.equal(rig.names, session ? 'ab' : 'b')
    if (!session) t.strictSame(await a, { code: 'uncertain' })
  }
})

t.test('without an answer: a timeout, from the moment it was sent', async (t) => {
  const rig = new Rig({}, 1_000)
  const a = rig.emit('a')
  await rig.time.advance(5_000)
  rig.connect()
  await rig.time.advance(999)
  rig.outbox.lost()
  rig.connect()
  await rig.time.advance(999)
  const b = rig.emit('b')
  await rig.time.advance(1)
  t.strictSame(await a, { code: 'timeout' })
  rig.outbox.resolve(1, 'late')
  rig.outbox.resolve(2, 'in time')
  t.strictSame(await b, { value: 'in time' })
})

t.test('an answer that came while the machine slept waits behind the timer: it is waited for once more', async (t) => {
  const rig = new Rig({}, 10_000)
  rig.connect()
  const [a, b] = [rig.emit('a'), rig.emit('b')]
  await rig.time.advance(2_000)
  await rig.time.sleep(60_000)
  rig.outbox.resolve(1, 'while it slept')
  t.strictSame(await a, { value: 'while it slept' })
  await rig.time.sleep(60_000)
  t.strictSame(await b, { code: 'timeout' }, 'all timers of a hidden page are late')
  t.equal(rig.names, 'ab')
})

t.test('requestTimeout 0: no limit', async (t) => {
  const rig = new Rig({}, 0)
  rig.connect()
  rig.emit('a')
  t.equal(rig.time.timers, 0)
})

t.test('a full outbox: the new one fails, or the oldest', async (t) => {
  const reject = new Rig({ maxMessages: 2 })
  const all = ['a', 'b', 'c'].map((name) => reject.emit(name))
  t.strictSame(await all[2], { code: 'outbox_full' })
  reject.connect()
  t.equal(reject.names, 'ab')
  const drop = new Rig({ maxMessages: 2, overflow: 'drop-oldest' })
  const others = ['a', 'b', 'c'].map((name) => drop.emit(name))
  t.strictSame(await others[0], { code: 'outbox_full' })
  drop.connect()
  t.equal(drop.names, 'bc')
  for (let i = 0; i < 10; i++) drop.emit('x')
  t.equal(drop.sent.length, 12, 'what need not wait is not counted')
})

t.test('drop-oldest: one that was sent before may have been done, and says so', async (t) => {
  const rig = new Rig({ maxMessages: 2, overflow: 'drop-oldest' })
  rig.connect()
  const sent = rig.emit('a')
  rig.outbox.lost()
  const others = ['b', 'c', 'd'].map((name) => rig.emit(name))
  t.strictSame(await sent, { code: 'uncertain' })
  t.strictSame(await others[0], { code: 'outbox_full' })
  rig.connect()
  t.equal(rig.names, 'cd')
})

t.test('maxMessages 0: nothing waits', async (t) => {
  for (const overflow of ['reject-new', 'drop-oldest'] as const) {
    const rig = new Rig({ maxMessages: 0, overflow })
    t.strictSame(await rig.emit('a'), { code: 'outbox_full' })
    rig.connect()
    rig.emit('b')
    t.equal(rig.names, 'b')
    rig.outbox.lost()
    rig.connect(true, { ...LIMITS, messagesPerSecond: 1, burst: 2 })
    t.equal(rig.names, 'b')
    t.strictSame(await rig.emit('c'), { code: 'outbox_full' }, 'nor for the rate of the server')
  }
})

t.test('what is not kept goes at once, and ends with the connection', async (t) => {
  const rig = new Rig()
  t.strictSame(await outcome(rig.outbox.request({ op: 'refresh' }, false)), { code: 'disconnected' })
  rig.outbox.opened()
  rig.outbox.limits(LIMITS)
  rig.emit('a')
  const refresh = outcome(rig.outbox.request({ op: 'refresh' }, false))
  t.strictSame(rig.sent.map(({ op }) => op), ['refresh'])
  rig.outbox.lost()
  t.strictSame(await refresh, { code: 'disconnected' })
  rig.connect()
  t.equal(rig.names, 'a')
})

t.test('closed: all fail, and so does what comes later', async (t) => {
  const rig = new Rig()
  const a = rig.emit('a')
  rig.connect()
  const b = rig.emit('b')
  rig.outbox.close('over')
  t.strictSame(await Promise.all([a, b, rig.emit('c')]), [{ code: 'closed' }, { code: 'closed' }, { code: 'closed' }])
  t.equal(rig.time.timers, 0)
})

t.test('a message larger than the server takes fails, and is not sent: the server would close for good', async (t) => {
  const rig = new Rig()
  rig.connect(true, { ...LIMITS, maxMessageBytes: 100 })
  const frame = '{"op":"event","event":"","id":1}'.length
  const sizes = [['x'.repeat(100 - frame), true], ['x'.repeat(101 - frame), false], ['€'.repeat(22), true], ['€'.repeat(23), false], ['x'.repeat(200), false]] as const
  for (const [name, fits] of sizes) {
    rig.sent = []
    const sent = rig.emit(name)
    t.equal(rig.sent.length, fits ? 1 : 0, `${name.length} of ${name[0]}`)
    if (!fits) t.strictSame(await sent, { code: 'too_large' })
  }
})

t.test('bytes are counted as they are', async (t) => {
  const outbox = new Outbox({ clock: new ClientTime(), requestTimeout: 0, encode: () => new Uint8Array(101), send: () => {} }, DEFAULTS)
  outbox.start()
  outbox.limits({ ...LIMITS, maxMessageBytes: 100 })
  outbox.ready(true)
  t.strictSame(await outcome(outbox.request({ op: 'event', event: 'a' }, true)), { code: 'too_large' })
})

t.test('what can not be encoded fails alone, with a code', async (t) => {
  const rig = new Rig()
  rig.connect()
  await t.rejects(rig.outbox.request({ op: 'event', event: 'a', data: 1n }, true), { name: 'HubError', code: 'unwritable', message: /BigInt/, cause: TypeError })
  rig.emit('b')
  t.equal(rig.names, 'b')
})

t.test('the rate of the server is kept, in order, until the connection ends', async (t) => {
  const rig = new Rig({ maxMessages: 1_000 })
  for (let i = 0; i < 20; i++) rig.emit(String.fromCharCode(97 + i))
  rig.connect(true, { maxMessageBytes: 0, messagesPerSecond: 10, burst: 20 })
  t.equal(rig.names, 'abcdefghij')
  for (let id = 1; id <= 10; id++) rig.outbox.resolve(id, null)
  t.equal(rig.names, 'abcdefghij')
  await rig.time.advance(125)
  t.equal(rig.names, 'abcdefghijk')
  rig.emit('z')
  t.equal(rig.names, 'abcdefghijk', 'none goes ahead')
  rig.outbox.lost()
  await rig.time.advance(10_000)
  t.equal(rig.names, 'abcdefghijk')
  rig.connect()
  t.equal(rig.names, 'klmnopqrstz')
})
