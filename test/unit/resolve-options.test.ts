import type { FastifyRequest } from 'fastify'
import t from 'tap'
import { systemClock } from '../../lib/core/clock.js'
import { optionsSchema } from '../../lib/options-schema.js'
import { expectation, resolveOptions } from '../../lib/resolve-options.js'
import { TestCluster } from '../../lib/testing/cluster/test-cluster.js'
import { TestClock } from '../../lib/testing/test-clock.js'

const CAPACITY = 5_000
const resolve = (given: unknown): ReturnType<typeof resolveOptions> => resolveOptions(given, CAPACITY)

interface View { properties?: Record<string, View>, items?: View, type?: string, enum?: string[], default?: unknown, minimum?: number, maximum?: number, description?: string, expected?: string }

const schema = optionsSchema as unknown as View & { properties: Record<string, View> }

/** The options below one that are no group: their paths, and their schemas. */
const leavesOf = (view: View, path: readonly string[] = []): Array<[string[], View]> =>
  view.properties === undefined ? [[[...path], view]] : Object.entries(view.properties).flatMap(([key, child]) => leavesOf(child, [...path, key]))
const leaves = leavesOf(schema)

/** Options of which this one alone may be wrong. */
const at = (path: readonly string[], value: unknown): unknown => {
  const options = path.reduceRight((inner, key) => ({ [key]: inner }), value) as Record<string, object>
  return path[0] === 'redis' && path[1] !== 'url' && path[1] !== 'client' ? { redis: { url: 'redis://localhost', ...options['redis'] } } : options
}
const FUNCTIONS = ['identify', 'onConnect', 'onMessage', 'onDisconnect', 'refresh']

t.test('defaults are those of the design', (t) => {
  const { isOriginAllowed, ...resolved } = resolve(undefined)
  t.equal(isOriginAllowed('https://a.test', 'a.test', {} as FastifyRequest), true)
  t.equal(isOriginAllowed('https://b.test', 'a.test', {} as FastifyRequest), false)
  t.same(resolved, {
    paths: ['/ws'],
    decorateAs: 'hub',
    guardUpgrades: true,
    allowMissingOrigin: true,
    subprotocols: [],
    requireSubprotocol: false,
    messages: 'any',
    sessions: 'many',
    authorize: {},
    history: { size: 0, ttl: 300_000, mode: 'log', rooms: {} },
    offline: { maxMessages: 100, ttl: 86_400_000 },
    presence: { interval: 1_000 },
    resume: { ttl: 120_000 },
    asyncapi: { title: 'fastify-hub', version: '1.0.0' },
    heartbeat: { interval: 30_000, timeout: 60_000 },
    deadlines: { admit: 10_000, write: 10_000, handler: 30_000, close: 5_000 },
    queue: { maxMessages: 64, maxBytes: 1024 * 1024, overflow: 'drop-oldest' },
    compression: { level: 0, threshold: 1_024 },
    inbound: { maxPending: 4 },
    limits: {
      connections: CAPACITY,
      connectionsPerIp: 0,
      upgradesPerSecond: 0,
      sockets: 0,
      onFull: 'reject',
      waitTimeout: 5_000,
      maxWaiting: 1_000,
      maxLoopDelay: 0,
      maxMessageBytes: 64 * 1024,
      messagesPerSecond: 100,
      burst: 200,
      bytesPerSecond: 1_048_576,
      violations: 10
    },
    drain: { spread: 5_000, timeout: 15_000 },
    route: {},
    websocket: {},
    clock: systemClock
  })
  for (const nothing of [null, {}, { limits: {} }, Object.create(null)]) t.same(resolve(nothing), resolve(undefined))
  t.end()
})

t.test('clock: a Clock, with methods of its own or of its class', (t) => {
  const clock = new TestClock()
  t.equal(resolve({ clock }).clock, clock)
  t.equal(resolve({ clock: systemClock }).clock, systemClock)
  const message = /^fastify-hub option clock: expected a Clock: an object with now, monotonic, every and defer, got /
  for (const wrong of [5, null, 'now', [], {}, Date, { ...systemClock, defer: undefined }]) t.throws(() => resolve({ clock: wrong }), { code: 'FST_HUB_INVALID_OPTIONS', message })
  t.end()
})

t.test('cluster: its clock is the clock', (t) => {
  const [machine, clock] = [new TestCluster(), new TestClock()]
  const cluster = new TestCluster({ clock })
  t.match(resolve({ cluster }), { cluster, clock })
  t.match(resolve({ cluster, clock }), { cluster, clock })
  t.match(resolve({ cluster: machine }), { cluster: machine, clock: systemClock })
  t.equal(resolve({}).cluster, undefined)
  t.throws(() => resolve({ cluster, clock: new TestClock() }), { code: 'FST_HUB_INVALID_OPTIONS', message: /^fastify-hub option clock: expected that of the option cluster, or none/ })
  t.throws(() => resolve({ cluster: machine, redis: { url: 'redis://127.0.0.1' } }), { code: 'FST_HUB_INVALID_OPTIONS', message: /option cluster: expected none beside redis, got both/ })
  for (const wrong of [5, null, 'redis', [], {}, TestCluster]) t.throws(() => resolve({ cluster: wrong }), { code: 'FST_HUB_INVALID_OPTIONS', message: /^fastify-hub option cluster: expected a TestCluster of fastify-hub\/testing, got / })
  t.end()
})

t.test('undefined is the default, everywhere', (t) => {
  const given: Record<string, unknown> = {}
  for (const [[key = '', child, ...more]] of leaves) {
    if (child === undefined) given[key] = undefined
    else if (more.length === 0) given[key] = { ...given[key] as object, [child]: undefined }
  }
  const redis = { ...given['redis'] as object, url: 'redis://localhost', stream: { maxLength: undefined, ttl: undefined } }
  t.same(resolve({ ...given, redis }), resolve({ redis: { url: 'redis://localhost' } }))
  t.same(resolve({ ...given, redis: undefined }), resolve({}))
  t.same(resolve({ redis: { ...redis, stream: undefined } }), resolve({ redis: { url: 'redis://localhost' } }))
  t.same(resolve({ heartbeat: undefined, limits: undefined }), resolve({}))
  t.end()
})

t.test('what is given stays, and is not changed', (t) => {
  const identify = (): null => null
  const given = Object.freeze({ path: ['/a', '/b/:id'], identify, limits: Object.freeze({ connections: 7 }), subprotocols: Object.freeze(['raw']), route: Object.freeze({ logLevel: 'warn' }), websocket: { options: { maxFragments: 5 } } })
  const resolved = resolve(given)
  t.same(resolved.paths, ['/a', '/b/:id'])
  t.notOk('path' in resolved)
  t.equal(resolved.identify, identify)
  t.equal(resolved.limits.connections, 7)
  t.equal(resolved.limits.burst, 200)
  t.same(resolved.subprotocols, ['raw'])
  t.same(resolved.route, { logLevel: 'warn' })
  t.same(resolved.websocket, { options: { maxFragments: 5 } })
  t.equal(resolve({ limits: { connections: 0 } }).limits.connections, 0, '0 is no limit, not the default')
  t.end()
})

t.test('an option of the wrong type is named, with what was expected and what was got', (t) => {
  const wrongs = [Symbol('s'), null, [], {}, 'x', -1, 1.5, NaN, Infinity, true, 12n, () => {}, new Date(0)]
  for (const [path, view] of leaves) {
    const key = path.join('.')
    let refused = 0
    for (const wrong of wrongs) {
      try {
        resolve(at(path, wrong))
      } catch (error) {
        refused++
        const { code, message } = error as Error & { code: string }
        if (code !== 'FST_HUB_INVALID_OPTIONS') t.fail(`${key}: ${String(error)}`)
        if (!message.startsWith(`fastify-hub option ${key}`) || !/: expected .{3,}, got .+$/s.test(message)) t.fail(`${key}: ${message}`)
        if (message.includes('undefined') || message.includes('[object')) t.fail(`${key}: ${message}`)
      }
    }
    // A number takes some of them, a boolean one.
    t.ok(refused >= 8, `${key}: ${refused} refused`)
    t.ok((view.description ?? '').length > 10, `${key} is described`)
  }
  t.end()
})

t.test('groups take objects only', (t) => {
  for (const [key, view] of Object.entries(schema.properties)) {
    if (view.properties === undefined) continue
    for (const [wrong, shown] of [[null, 'null'], [5, '5'], ['x', '"x"'], [[], '[]'], [true, 'true'], [() => {}, 'a function']] as const) {
      t.throws(() => resolve({ [key]: wrong }), { code: 'FST_HUB_INVALID_OPTIONS', message: `fastify-hub option ${key}: expected an object, got ${shown}` })
    }
  }
  for (const wrong of [5, 'x', [], true, () => {}]) t.throws(() => resolve(wrong), { code: 'FST_HUB_INVALID_OPTIONS', message: /option \(root\): expected an object, got/ })
  t.end()
})

t.test('bounds', (t) => {
  for (const [path, { type, minimum, maximum }] of leaves) {
    if (type !== 'integer' && type !== 'number') continue
    const key = path.join('.')
    t.type(minimum, 'number', key)
    t.throws(() => resolve(at(path, (minimum as number) - 1)), { message: new RegExp(`option ${key.replaceAll('.', '\\.')}: expected a .*number.* (of at least|from) ${minimum}.*, got ${(minimum as number) - 1}$`) })
    t.throws(() => resolve(at(path, (maximum as number) * 2)), { code: 'FST_HUB_INVALID_OPTIONS' }, key)
    for (const wrong of ['5', NaN, Infinity]) t.throws(() => resolve(at(path, wrong)), { code: 'FST_HUB_INVALID_OPTIONS' }, key)
    if (type === 'integer') t.throws(() => resolve(at(path, 1.5)), { message: /expected a whole number/ }, key)
  }
  t.equal(resolve({ limits: { messagesPerSecond: 0.5, upgradesPerSecond: 0.1 } }).limits.messagesPerSecond, 0.5, 'rates may be fractions')
  for (const [options, message] of [
    [{ limits: { burst: 0 } }, 'fastify-hub option limits.burst: expected a whole number of at least 1, got 0'],
    [{ inbound: { maxPending: 0 } }, 'fastify-hub option inbound.maxPending: expected a whole number of at least 1, got 0'],
    [{ deadlines: { admit: -1 } }, 'fastify-hub option deadlines.admit: expected a whole number of milliseconds from 0 to 2147483647, got -1'],
    [{ queue: { overflow: 'drop' } }, "fastify-hub option queue.overflow: expected 'drop-oldest' or 'reject-new' or 'disconnect', got \"drop\""],
    [{ decorateAs: '' }, 'fastify-hub option decorateAs: expected a string that is not empty, got ""'],
    [{ guardUpgrades: 'yes' }, 'fastify-hub option guardUpgrades: expected a boolean, got "yes"'],
    [{ subprotocols: 'raw' }, 'fastify-hub option subprotocols: expected a list, each a string that is not empty, got "raw"'],
    [{ subprotocols: ['raw', ''] }, 'fastify-hub option subprotocols.1: expected a string that is not empty, got ""'],
    [{ subprotocols: [1] }, 'fastify-hub option subprotocols.0: expected a string that is not empty, got 1'],
    [{ subprotocols: ['a', 'b', 'a'] }, 'fastify-hub option subprotocols: expected each value once, got ["a","b","a"]'],
    [{ onMessage: 'log' }, 'fastify-hub option onMessage: expected a function, got "log"']
  ] as const) t.throws(() => resolve(options), { code: 'FST_HUB_INVALID_OPTIONS', message })
  for (const key of FUNCTIONS) for (const wrong of [null, {}, 'x']) t.throws(() => resolve({ [key]: wrong }), { message: new RegExp(`option ${key}: expected a function`) })
  t.end()
})

t.test('unknown options, and what there is instead', (t) => {
  t.throws(() => resolve({ pth: '/x' }), { code: 'FST_HUB_INVALID_OPTIONS', message: /^fastify-hub option pth: expected no such option; there are path, decorateAs, .*websocket, clock, cluster, got "\/x"$/ })
  t.throws(() => resolve({ limits: { conections: 1 } }), { message: /^fastify-hub option limits\.conections: expected no such option; there are connections, .*violations, got 1$/ })
  t.throws(() => resolve({ route: { handler: 1 } }), { message: /^fastify-hub option route\.handler: expected no such option; there are schema, config/ })
  for (const key of ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'a/b', 'a~b', 'a~1b', '', 'a.b', '0']) {
    const named = new RegExp(`option .*${key.replace('.', '\\.')}: expected no such option; there are `)
    t.throws(() => resolve(JSON.parse(`{${JSON.stringify(key)}: 1}`)), { code: 'FST_HUB_INVALID_OPTIONS', message: named }, key)
    t.throws(() => resolve({ limits: JSON.parse(`{${JSON.stringify(key)}: {"a": 1}}`) }), { code: 'FST_HUB_INVALID_OPTIONS', message: named }, `limits ${key}`)
  }
  t.end()
})

t.test('paths', (t) => {
  for (const path of ['/', '/ws', '/a/:b', '/a/*', ['/a'], ['/a', '/b']]) t.doesNotThrow(() => resolve({ path }))
  for (const path of ['', 'ws', '*', 5, null, {}, ['/a', 'b'], ['/a', 1], [undefined]]) t.throws(() => resolve({ path }), { message: /^fastify-hub option path: expected a string that starts with \/, or a list of them, got / })
  t.throws(() => resolve({ path: [] }), { message: 'fastify-hub option path: expected at least one path, got []' })
  t.throws(() => resolve({ path: ['/a', '/b', '/a'] }), { message: 'fastify-hub option path: expected each path once, got ["/a","/b","/a"]' })
  for (const path of ['/a b', '/é', '/a/:id?', '/a/:id(^\\d+?$)', '/a/:x(a(b)?)?', '/:a-:b(.*)?', '/a.b/..c', '/100%', '/%zz', '/:id(%2F)', '//']) t.doesNotThrow(() => resolve({ path }), path)
  for (const option of ['path', 'asyncapi.path'] as const) {
    const given = (path: string): unknown => option === 'path' ? { path: ['/ok', path] } : { asyncapi: { path }, subprotocols: ['hub.v1.json'] }
    for (const [path, expected] of [
      ...['/a?x', '/a?', '/a#x', '/?', '/:a?/b', '/a/:id(x)?y', '/a?/:id'].map((path) => [path, 'a path without a query (?) and a fragment (#)']),
      ...['/a/../b', '/..', '/./a', '/a/.'].map((path) => [path, 'a path without . and .. as segments']),
      ...['/a%20b', '/%C3%A9', '/%41', '/a%2Fb', '/a%2fb', '/%ff'].map((path) => [path, 'characters as they are, not percent-encoded'])
    ] as Array<[string, string]>) t.throws(() => resolve(given(path)), { code: 'FST_HUB_INVALID_OPTIONS', message: `fastify-hub option ${option}: expected ${expected}, got ${JSON.stringify(path)}` })
  }
  t.throws(() => resolve({ path: ['/a', '/b'], asyncapi: { path: '/b' }, subprotocols: ['hub.v1.json'] }), { message: 'fastify-hub option asyncapi.path: expected another than that of the WebSocket, got "/b"' })
  t.end()
})

t.test('origins', (t) => {
  for (const origins of ['*', 'same-origin', 'null', 'https://a.test', /^https:/, () => true, ['same-origin', 'https://*.a.test', /x/, () => false]]) t.doesNotThrow(() => resolve({ origins }))
  t.throws(() => resolve({ origins: [] }), { message: 'fastify-hub option origins: expected at least one rule, got []' })
  for (const [origins, got] of [[5, '5'], [null, 'null'], [{}, 'an object'], [['https://a.test', 1], '1'], ['a.test', "'a.test' is no origin"], [/x/g, '/x/g has the g or y flag'], [['*', 'null'], "'*' allows every origin"], [['https://a.test/x'], "'https://a.test/x' is more than an origin"]] as const) {
    try {
      resolve({ origins })
      t.fail(`${got}: accepted`)
    } catch (error) {
      const { message } = error as Error
      t.ok(message.startsWith("fastify-hub option origins: expected 'same-origin', '*', an origin"), message)
      t.ok(message.includes(`got ${got}`), message)
    }
  }
  t.end()
})

t.test('subprotocols', (t) => {
  for (const name of ['a b', 'a,b', 'é', 'a\n']) t.throws(() => resolve({ subprotocols: ['ok', name] }), { message: /^fastify-hub option subprotocols: expected tokens as of RFC 9110/ })
  t.throws(() => resolve({ subprotocols: ['hub.v2.json'] }), { message: /of the names that begin with 'hub\.', hub\.v1\.json or hub\.v1\.msgpack, got "hub\.v2\.json"$/ })
  t.doesNotThrow(() => resolve({ subprotocols: ['hub.v1.msgpack', 'hub.v1.json'] }))
  t.doesNotThrow(() => resolve({ subprotocols: ['raw', 'hubbub', 'v1.hub.'], requireSubprotocol: true }))
  t.throws(() => resolve({ requireSubprotocol: true }), { message: 'fastify-hub option requireSubprotocol: expected false while subprotocols is empty, got true' })
  t.end()
})

t.test('what is passed through', (t) => {
  for (const wrong of [null, 5, [], 'x', () => {}]) {
    t.throws(() => resolve({ route: wrong }), { message: /^fastify-hub option route: expected an object with schema/ })
    t.throws(() => resolve({ websocket: wrong }), { message: /^fastify-hub option websocket: expected an object: options of @fastify\/websocket/ })
  }
  t.doesNotThrow(() => resolve({ route: { schema: {}, config: {}, constraints: {}, preValidation: [], preHandler: [], logLevel: 'info' } }))
  for (const key of ['schema', 'config', 'constraints']) t.throws(() => resolve({ route: { [key]: 5 } }), { message: `fastify-hub option route.${key}: expected an object, got 5` })
  t.throws(() => resolve({ websocket: { optoins: {} } }), { message: 'fastify-hub option websocket.optoins: expected no such option; there are errorHandler, options, preClose, got an object' })
  t.throws(() => resolve({ websocket: { options: { maxpayload: 1 } } }), { message: /^fastify-hub option websocket\.options\.maxpayload: expected no such option; there are allowSynchronousEvents, / })
  for (const [wrong, message] of [
    [{ route: { preHandler: 5 } }, 'route.preHandler: expected a function, or a list of them, got 5'],
    [{ route: { preValidation: [() => {}, null] } }, 'route.preValidation: expected a function, or a list of them, got [null,null]'],
    [{ route: { logLevel: 5 } }, 'route.logLevel: expected the name of a level, got 5'],
    [{ websocket: { errorHandler: 5 } }, 'websocket.errorHandler: expected a function, got 5'],
    [{ websocket: { preClose: null } }, 'websocket.preClose: expected a function, got null'],
    [{ websocket: { options: { autoPong: 'yes' } } }, 'websocket.options.autoPong: expected a boolean, got "yes"'],
    [{ websocket: { options: { closeTimeout: -1 } } }, 'websocket.options.closeTimeout: expected a whole number of at least 0, got -1'],
    [{ websocket: { options: { verifyClient: {} } } }, 'websocket.options.verifyClient: expected a function, got an object']
  ] as const) t.throws(() => resolve(wrong), { code: 'FST_HUB_INVALID_OPTIONS', message: `fastify-hub option ${message}` })
  t.throws(() => resolve({ websocket: { options: 5 } }), { message: 'fastify-hub option websocket.options: expected an object: options of ws, got 5' })
  t.throws(() => resolve({ websocket: { options: { clientTracking: false } } }), {
    code: 'FST_HUB_INVALID_OPTIONS',
    message: 'fastify-hub option websocket.options.clientTracking: expected nothing: the WebSockets of other routes are closed with the app, those of the hub are not tracked, got false'
  })
  t.throws(() => resolve({ websocket: { options: { handleProtocols: () => {} } } }), { message: 'fastify-hub option websocket.options.handleProtocols: expected subprotocols in its place, got a function' })
  t.throws(() => resolve({ websocket: { options: { skipUTF8Validation: true } } }), { message: 'fastify-hub option websocket.options.skipUTF8Validation: expected nothing: text messages are always checked, got true' })
  t.doesNotThrow(() => resolve({ websocket: { options: { maxFragments: 5, closeTimeout: 1 }, errorHandler: () => {}, preClose: () => {} } }))
  t.throws(() => resolve({ websocket: { options: { maxPayload: 1 } } }), { message: 'fastify-hub option websocket.options.maxPayload: expected limits.maxMessageBytes in its place, got 1' })
  for (const key of ['server', 'noServer']) t.throws(() => resolve({ websocket: { options: { [key]: true } } }), { message: new RegExp(`option websocket\\.options\\.${key}: expected nothing: the plugin sets it, got true`) })
  for (const options of [undefined, null, {}]) t.doesNotThrow(() => resolve({ websocket: { options } }))
  t.end()
})

t.test('the spread of a drain that must be short is a third of its time', (t) => {
  t.same(resolve({ drain: { timeout: 3_000 } }).drain, { spread: 1_000, timeout: 3_000 })
  t.same(resolve({ drain: { timeout: 60_000 } }).drain, { spread: 5_000, timeout: 60_000 })
  t.same(resolve({ drain: { timeout: 0 } }).drain, { spread: 5_000, timeout: 0 })
  t.same(resolve({ drain: { spread: 60_000, timeout: 0 } }).drain, { spread: 60_000, timeout: 0 })
  t.end()
})

t.test('contradictions', (t) => {
  for (const [options, message] of [
    [{ heartbeat: { interval: 100, timeout: 100 } }, 'heartbeat.timeout: expected more than heartbeat.interval (100), or 0, got 100'],
    [{ heartbeat: { interval: 60_000 } }, 'heartbeat.timeout: expected more than heartbeat.interval (60000), or 0, got 60000'],
    [{ heartbeat: { timeout: 1 } }, 'heartbeat.timeout: expected more than heartbeat.interval (30000), or 0, got 1'],
    [{ limits: { connections: 5, connectionsPerIp: 6 } }, 'limits.connectionsPerIp: expected at most limits.connections (5), got 6'],
    [{ limits: { connectionsPerIp: CAPACITY + 1 } }, `limits.connectionsPerIp: expected at most limits.connections (${CAPACITY}), got ${CAPACITY + 1}`],
    [{ limits: { connections: 5, sockets: 4 } }, 'limits.sockets: expected at least limits.connections (5), with room for those who wait or are refused, or 0, got 4'],
    [{ limits: { onFull: 'wait', maxWaiting: 0 } }, "limits.maxWaiting: expected at least 1 while limits.onFull is 'wait', got 0"],
    [{ drain: { spread: 400, timeout: 400 } }, 'drain.spread: expected less than drain.timeout (400): connections that were not reached by then would be terminated, got 400'],
    [{ drain: { spread: 15_000 } }, 'drain.spread: expected less than drain.timeout (15000): connections that were not reached by then would be terminated, got 15000'],
    [{ queue: { maxMessages: 0, maxBytes: 0, overflow: 'disconnect' } }, "queue.overflow: expected 'drop-oldest' while the queue has no bound: it can not overflow, got 'disconnect'"]
  ] as const) t.throws(() => resolve(options), { code: 'FST_HUB_INVALID_OPTIONS', statusCode: 500, message: `fastify-hub option ${message}` })
  for (const options of [
    { heartbeat: { interval: 0, timeout: 1 } }, { heartbeat: { interval: 100_000, timeout: 0 } }, { heartbeat: { interval: 0, timeout: 0 } }, { limits: { connections: 0, connectionsPerIp: 6 } },
    { limits: { connections: 5, connectionsPerIp: 5 } }, { limits: { sockets: 1 } }, { limits: { connections: 0, sockets: 1 } }, { limits: { connections: 5, sockets: 5 } }, { limits: { connections: 5, sockets: 0 } }, { limits: { maxWaiting: 0 } }, { queue: { maxMessages: 0, maxBytes: 0 } }, { queue: { maxMessages: 0, overflow: 'disconnect' } }
  ]) t.doesNotThrow(() => resolve(options), JSON.stringify(options))
  t.end()
})

t.test('two errors: the one about a value is told first, since it says more', (t) => {
  t.throws(() => resolve({ nonsense: 1, limits: { burst: 'x' } }), { message: /option limits\.burst: expected a whole number/ })
  t.end()
})

t.test('what a schema allows, in words', (t) => {
  t.equal(expectation({ type: 'number', minimum: 1, maximum: 2 }), 'a number from 1 to 2')
  t.equal(expectation({ type: 'object', expected: 'a function' }), 'a function')
  t.end()
})

t.test('history is checked, room by room', (t) => {
  const rooms = { a: { size: 5 }, 'b*': { mode: 'cache', size: 1, ttl: 0 } }
  t.same(resolve({ history: { rooms } }).history, { size: 0, ttl: 300_000, mode: 'log', rooms })
  for (const [wrong, message] of [
    [[], /history\.rooms: expected an object/],
    [null, /history\.rooms: expected an object/],
    ...['', 'x'.repeat(256), '\ud800', `${'x'.repeat(256)}*`].map((room) => [{ [room]: {} }, /history\.rooms: expected names, or patterns, of which a room may be: of 1 to 255 bytes of UTF-8, got /] as const),
    [{ a: 5 }, /history\.rooms\.a: expected an object/],
    [{ a: { sice: 5 } }, /history\.rooms\.a\.sice: expected no such option; there are size, ttl, mode/],
    [{ a: { size: -1 } }, /history\.rooms\.a\.size: expected a whole number of at least 0, got -1/],
    [{ a: { ttl: '5m' } }, /history\.rooms\.a\.ttl: expected a whole number/],
    [{ a: { mode: 'ring' } }, /history\.rooms\.a\.mode: expected 'log' or 'cache'/],
    [{ '*': {}, ['é'.repeat(127) + '*']: {}, a: { mode: 'cache' } }, /history\.rooms\.a\.size: expected at least 1 while mode is 'cache', got 0/]
  ] as const) t.throws(() => resolve({ history: { rooms: wrong } }), { code: 'FST_HUB_INVALID_OPTIONS', message })
  t.throws(() => resolve({ history: { mode: 'cache' } }), { message: /history\.size: expected at least 1 while history\.mode is 'cache'/ })
  t.end()
})

t.test('what hub.v1 needs is checked', (t) => {
  for (const key of ['join', 'publish']) t.throws(() => resolve({ authorize: { [key]: true } }), { message: new RegExp(`option authorize\\.${key}: expected a function`) })
  t.throws(() => resolve({ resume: { secret: 'short' } }), { message: /resume\.secret: expected a string of at least 32 characters/ })
  t.throws(() => resolve({ presence: { interval: 10 } }), { message: /presence\.interval: expected a whole number of milliseconds from 50/ })
  t.throws(() => resolve({ asyncapi: { path: 'x' } }), { message: /asyncapi\.path: expected a string that starts with \// })
  t.end()
})
