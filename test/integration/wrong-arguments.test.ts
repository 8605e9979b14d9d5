import Fastify from 'fastify'
import t, { type Test } from 'tap'
import fastifyHub, { type Connection, type Hub, type HubOptions, type Room, type User } from '../../lib/index.js'
import { connect } from '../../lib/testing/index.js'
import { until } from '../helpers/until.js'

/** An own value of each kind, which no method takes for its options. */
const NO_OPTIONS: readonly unknown[] = [null, 0, 1, '', 'x', true, [], ['x'], () => {}, Symbol('s'), 1n]
const NO_STRINGS: readonly unknown[] = [null, 0, true, [], {}, () => {}, Symbol('s'), 1n, Object.create(null)]
const NO_NAMES: readonly unknown[] = [undefined, '', 'x'.repeat(256), ...NO_STRINGS]

/** Whatever it is given: a test speaks to it as JavaScript may. */
type Loose<T> = { readonly [K in keyof T]: T[K] extends (...args: never[]) => unknown ? (...args: unknown[]) => unknown : T[K] }

interface World { hub: Loose<Hub>, room: Loose<Room>, user: Loose<User>, connection: Omit<Loose<Connection>, 'data'> & { data: unknown } }

async function world (t: Test): Promise<World> {
  const app = Fastify()
  await app.register(fastifyHub, {})
  await app.ready()
  t.teardown(async () => { await app.close() })
  const { connection } = await connect(app.hub, { user: 'ann' })
  const loose = <T>(value: T): Loose<T> => value as unknown as Loose<T>
  return { hub: loose(app.hub), room: loose(app.hub.room('lobby')), user: loose(app.hub.user('ann')), connection: loose(connection) as World['connection'] }
}

interface Case {
  /** What is called, with the wrong value. */
  readonly call: (world: World, wrong: unknown) => unknown
  readonly values: readonly unknown[]
  readonly code: string
  /** What the message begins with: which argument, and what was expected. */
  readonly says: string
}

const argument = (name: string, expected: string): Pick<Case, 'code' | 'says'> => ({ code: 'FST_HUB_INVALID_ARGUMENT', says: `${name}: expected ${expected}, got ` })
const OPTIONS = { ...argument('options', 'an object'), values: NO_OPTIONS }
const REASON = { ...argument('reason', 'a string'), values: NO_STRINGS }
const CLOSE_CODE = { values: [null, 0, '1000', 1005, 1006, 5000, NaN, {}, []], code: 'FST_HUB_INVALID_CLOSE_CODE', says: 'Close code must be ' }
const OVERFLOW = { ...argument('overflow', "'drop-oldest', 'reject-new' or 'disconnect'"), values: [null, 1, 'drop', []] }
const EXCEPT = { ...argument('except', 'connections or their ids'), values: [null, 1, {}, [1]] }
const DATA = { values: [undefined, () => {}, Symbol('s'), 1n], code: 'FST_HUB_INVALID_DATA', says: 'Data can not be sent: ' }
const EVENT = { ...argument('event', "'connect', 'disconnect', 'overflow' or 'error'"), values: ['nope', '', null, undefined, 1, {}, Symbol('s'), 'toString', Object.create(null)] }
const LISTENER = { ...argument('listener', 'a function'), values: [undefined, null, 'x', {}, []] }
const name = (what: string): Pick<Case, 'code' | 'says' | 'values'> => ({ values: NO_NAMES, code: 'FST_HUB_INVALID_NAME', says: `${what} must be a string of 1 to 255 bytes of UTF-8, got ` })
const key = { ...name('key'), values: ['', ...NO_STRINGS] }
const unknown = (known: string, path = 'options'): Pick<Case, 'code' | 'says' | 'values'> => ({ ...argument(`${path}.nope`, `no such option; there are ${known}`), values: [{ nope: 1 }] })

/** Of each public method, each argument. */
const CASES: Record<string, readonly Case[]> = {
  'connection.send': [
    { ...DATA, call: ({ connection }, data) => connection.send(data) },
    { ...OPTIONS, call: ({ connection }, options) => connection.send('x', options) },
    { ...unknown('overflow, key'), call: ({ connection }, options) => connection.send('x', options) },
    { ...OVERFLOW, call: ({ connection }, overflow) => connection.send('x', { overflow }) },
    { ...key, call: ({ connection }, key) => connection.send('x', { key }) }
  ],
  'connection.join': [{ ...name('room'), call: ({ connection }, room) => connection.join(room) }],
  'connection.leave': [{ ...name('room'), call: ({ connection }, room) => connection.leave(room) }],
  'connection.refresh': [{ ...argument('expiresAt', 'a valid Date, or milliseconds (not seconds) since the Unix epoch, or null'), values: [undefined, 0, 'x', {}, NaN, new Date(NaN)], call: ({ connection }, at) => connection.refresh(at) }],
  'connection.close': [{ ...CLOSE_CODE, call: ({ connection }, code) => { connection.close(code) } }, { ...REASON, call: ({ connection }, reason) => { connection.close(1000, reason) } }],
  'connection.kick': [
    { ...REASON, call: ({ connection }, reason) => connection.kick(reason) },
    { ...OPTIONS, call: ({ connection }, options) => connection.kick('x', options) },
    { ...unknown('code'), call: ({ connection }, options) => connection.kick('x', options) },
    { ...CLOSE_CODE, call: ({ connection }, code) => connection.kick('x', { code }) }
  ],
  'connection.terminate': [],
  'connection.data': [{ ...argument('data', 'an object'), values: [undefined, null, 0, 'x', true, () => {}], call: ({ connection }, data) => { connection.data = data } }],
  'room.connections': [],
  'room.presence': [],
  'room.publish': [
    { ...DATA, call: ({ room }, data) => room.publish(data) },
    { ...OPTIONS, call: ({ room }, options) => room.publish('x', options) },
    { ...unknown('except, overflow, ephemeral, key'), call: ({ room }, options) => room.publish('x', options) },
    { ...OVERFLOW, call: ({ room }, overflow) => room.publish('x', { overflow }) },
    { ...EXCEPT, call: ({ room }, except) => room.publish('x', { except }) },
    { ...argument('ephemeral', 'a boolean'), values: [null, 0, 'x', {}], call: ({ room }, ephemeral) => room.publish('x', { ephemeral }) },
    { ...key, call: ({ room }, key) => room.publish('x', { key, ephemeral: true }) }
  ],
  'room.setEphemeral': [
    { ...name('user'), call: ({ room }, user) => room.setEphemeral(user, 'typing', 1) },
    { ...name('key'), call: ({ room }, key) => room.setEphemeral('ann', key, 1) },
    { ...argument('ttl', 'a whole number of milliseconds of at least 0'), values: [undefined, null, -1, 1.5, '1', {}], call: ({ room }, ttl) => room.setEphemeral('ann', 'typing', ttl) }
  ],
  'room.history': [
    { ...argument('since', '{ epoch: string, offset: a whole number of at least 0 }'), values: [null, 1, 'x', {}, { epoch: 1, offset: 1 }, { epoch: 'x', offset: -1 }], call: ({ room }, since) => room.history(since) },
    { ...argument('limit', 'a whole number of at least 0'), values: [null, -1, 1.5, '1', {}], call: ({ room }, limit) => room.history(undefined, limit) }
  ],
  'user.connections': [],
  'user.online': [],
  'user.send': [
    { ...DATA, call: ({ user }, data) => user.send(data) },
    { ...OPTIONS, call: ({ user }, options) => user.send('x', options) },
    { ...unknown('overflow, key, offline'), call: ({ user }, options) => user.send('x', options) },
    { ...OVERFLOW, call: ({ user }, overflow) => user.send('x', { overflow }) },
    { ...key, call: ({ user }, key) => user.send('x', { key }) },
    { ...argument('offline', 'an object'), values: NO_OPTIONS, call: ({ user }, offline) => user.send('x', { offline }) },
    { ...unknown('ttl', 'offline'), call: ({ user }, offline) => user.send('x', { offline }) },
    { ...argument('offline.ttl', 'a whole number of milliseconds of at least 0'), values: [null, -1, 1.5, '1', {}], call: ({ user }, ttl) => user.send('x', { offline: { ttl } }) }
  ],
  'user.kick': [
    { ...REASON, call: ({ user }, reason) => user.kick(reason) },
    { ...OPTIONS, call: ({ user }, options) => user.kick('x', options) },
    { ...unknown('code'), call: ({ user }, options) => user.kick('x', options) },
    { ...CLOSE_CODE, call: ({ user }, code) => user.kick('x', { code }) }
  ],
  // An id is looked up: what can be none is there as little as one of a connection that has gone.
  'hub.get': [],
  'hub.connections': [],
  'hub.health': [],
  'hub.drain': [],
  'hub.room': [{ ...name('room'), call: ({ hub }, room) => hub.room(room) }],
  'hub.user': [{ ...name('user'), call: ({ hub }, user) => hub.user(user) }],
  'hub.broadcast': [
    { ...DATA, call: ({ hub }, data) => hub.broadcast(data) },
    { ...OPTIONS, call: ({ hub }, options) => hub.broadcast('x', options) },
    { ...unknown('except, overflow, key, ephemeral'), call: ({ hub }, options) => hub.broadcast('x', options) },
    { ...OVERFLOW, call: ({ hub }, overflow) => hub.broadcast('x', { overflow }) },
    { ...EXCEPT, call: ({ hub }, except) => hub.broadcast('x', { except }) },
    { ...key, call: ({ hub }, key) => hub.broadcast('x', { key }) },
    { ...argument('ephemeral', 'nothing: every broadcast is ephemeral'), values: [false, null, 0, 'x'], call: ({ hub }, ephemeral) => hub.broadcast('x', { ephemeral }) }
  ],
  'hub.event': [
    { ...name('event'), call: ({ hub }, event) => hub.event(event, { handler: () => {} }) },
    { ...argument('definition of event "x"', 'an object with schema and handler'), values: [undefined, null, 1, 'x', [], () => {}, { nope: 1 }], call: ({ hub }, definition) => hub.event('x', definition) },
    { ...argument('handler of event "x"', 'a function'), values: [undefined, null, 1, {}], call: ({ hub }, handler) => hub.event('x', { handler }) },
    { ...argument('schema of event "x"', 'an object with data and reply'), values: [null, 1, 'x', [], { nope: 1 }], call: ({ hub }, schema) => hub.event('x', { schema, handler: () => {} }) },
    { ...argument('schema.data of event "x"', ''), says: 'schema.data of event "x": expected ', values: [null, 1, 'x', [], { type: 'nope' }], call: ({ hub }, data) => hub.event('x', { schema: { data }, handler: () => {} }) }
  ],
  'hub.stats': [
    { ...OPTIONS, call: ({ hub }, options) => hub.stats(options) },
    { ...unknown('cluster, timeout'), values: [{ cluster: true, nope: 1 }], call: ({ hub }, options) => hub.stats(options) },
    { ...argument('cluster', 'true, or no options'), values: [undefined, null, false, 1], call: ({ hub }, cluster) => hub.stats({ cluster }) },
    { ...argument('timeout', 'a whole number of milliseconds from 1 to 2147483647'), values: [null, 0, -1, 1.5, '1', 2 ** 31], call: ({ hub }, timeout) => hub.stats({ cluster: true, timeout }) }
  ],
  'hub.on': [{ ...EVENT, call: ({ hub }, event) => hub.on(event, () => {}) }, { ...LISTENER, call: ({ hub }, listener) => hub.on('error', listener) }],
  'hub.once': [{ ...EVENT, call: ({ hub }, event) => hub.once(event, () => {}) }, { ...LISTENER, call: ({ hub }, listener) => hub.once('error', listener) }],
  'hub.off': [{ ...EVENT, call: ({ hub }, event) => hub.off(event, () => {}) }, { ...LISTENER, call: ({ hub }, listener) => hub.off('error', listener) }]
}

/** Methods that give no promise throw. */
const THROWS = /^connection\.(send|refresh|close|data)$|^hub\.(room|user|event|on|once|off)$/

for (const [method, cases] of Object.entries(CASES)) {
  t.test(`${method}: a wrong argument is told by its name, what was expected and what was got`, async (t) => {
    const all = await world(t)
    for (const { call, values, code, says } of cases) {
      for (const wrong of values) {
        const failed = (error: unknown): unknown => error
        let result: unknown
        try {
          result = call(all, wrong)
          t.notMatch(method, THROWS, 'it throws')
          result = await Promise.resolve(result).then(() => 'nothing', failed)
        } catch (error) {
          t.match(method, THROWS, 'it rejects')
          result = error
        }
        const { code: got, message } = result as { code?: string, message?: string }
        t.equal(got, code, `${says}${typeof wrong}`)
        t.ok(message?.startsWith(says), message ?? 'nothing')
      }
    }
    t.equal(all.connection.state, 'open', 'nothing was done')
    t.equal(all.connection.queued.messages, 0)
  })
}

t.test('no public method is left out', async (t) => {
  const { hub, room, user, connection } = await world(t)
  // Those that the declarations name; the objects have more, which are the plugin's.
  const declared = Object.keys(CASES).map((method) => method.split('.') as [string, string])
  for (const [what, method] of declared) {
    const target = { hub, room, user, connection }[what] as unknown as Record<string, unknown>
    t.ok(method === 'data' || typeof target[method] === 'function', `${what}.${method}`)
  }
  for (const [what, target] of Object.entries({ room, user })) {
    const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(target)).filter((key) => key !== 'constructor' && typeof Object.getOwnPropertyDescriptor(Object.getPrototypeOf(target), key)?.value === 'function')
    t.same(methods.filter((method) => !Object.hasOwn(CASES, `${what}.${method}`)), [])
  }
})

t.test('options that are undefined are none, and a broadcast may be said to be ephemeral', async (t) => {
  const { hub, room, user, connection } = await world(t)
  t.equal(connection.send('x', { key: undefined, nope: undefined }), 'sent')
  t.match(await hub.broadcast('x', { ephemeral: true, except: undefined }), { sent: 1 })
  t.match(await room.publish('x', undefined), { offset: 1 })
  t.match(await user.send('x', { offline: undefined }), { delivered: 1 })
  t.equal(await user.kick(undefined, { code: undefined }), 1)
  await until(() => connection.state === 'closed', 'the end')
})

t.test("an 'error' listener that throws does not hide what it was told", async (t) => {
  const lines: Array<{ err?: { message: string }, msg: string }> = []
  const app = Fastify({ logger: { level: 'error', stream: { write: (line: string) => { lines.push(JSON.parse(line) as typeof lines[0]) } } } })
  await app.register(fastifyHub, { onConnect: () => { throw new Error('the first') } })
  app.hub.on('error', () => { throw new Error('the second') })
  app.hub.on('error', async () => { throw new Error('the third') })
  await app.ready()
  t.teardown(async () => { await app.close() })
  const peer = await connect(app.hub)
  await until(() => peer.ended !== null && lines.length === 4, 'the end')
  t.same(lines.map(({ err }) => err?.message), ['the first', 'the second', 'the first', 'the third'])
})

t.test('at register: what only the router can tell is told by the name of the option, too', async (t) => {
  const failure = async (options: HubOptions): Promise<unknown> => {
    const app = Fastify()
    try {
      await app.register(fastifyHub, options)
      return 'nothing'
    } catch (error) {
      return error
    } finally {
      await app.close()
    }
  }
  for (const path of ['/a/*/b', '/a/:id(', '/a/:id?/:b?']) {
    const { code, message } = await failure({ path }) as { code: string, message: string }
    t.equal(code, 'FST_HUB_INVALID_OPTIONS')
    t.match(message, /^fastify-hub option path: expected /)
    t.ok(message.includes(JSON.stringify(path)), message)
  }
  t.match(await failure({ route: { constraints: { host: 5 } } } as never), { code: 'FST_HUB_INVALID_OPTIONS', message: /^fastify-hub option path, or route\.constraints: expected what the router can take, got "\/ws": / })
  t.match(await failure({ route: { schema: { body: {} } } }), { code: /^FST_ERR_/ }, 'what Fastify refuses has a code of its own')
})
