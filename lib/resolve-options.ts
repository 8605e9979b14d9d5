import type { FastifyRequest } from 'fastify'
import type { TSchema } from 'typebox'
import { Errors } from 'typebox/schema'
import { systemClock } from './core/clock.js'
import type { HubCluster } from './core/cluster/hub-cluster.js'
import { describe } from './core/describe.js'
import { compileOrigins } from './core/origin.js'
import type { Clock } from './core/ports.js'
import { isToken } from './core/subprotocol.js'
import { FST_HUB_INVALID_OPTIONS } from './errors.js'
import type { HubOptions, ResolvedOptions } from './options.js'
import { optionsSchema } from './options-schema.js'
import { resolveRedis } from './resolve-redis.js'
import { HUB_SUBPROTOCOLS } from './protocol/hub-v1/codecs.js'
import { isName } from './protocol/names.js'

/** The parts of a schema that this file reads. */
interface SchemaView {
  properties?: Record<string, SchemaView>
  items?: SchemaView
  type?: string
  enum?: string[]
  minimum?: number
  maximum?: number
  minLength?: number
  default?: unknown
  expected?: string
  unit?: string
}

/** What a value may be. */
type Check = readonly [expected: string, isValid: (value: unknown) => boolean]

const schema = optionsSchema as unknown as SchemaView
/** Milliseconds. */
const DEFAULT_SPREAD = 5_000
const ROUTE_OPTIONS = ['schema', 'config', 'constraints', 'preValidation', 'preHandler', 'logLevel']
const WEBSOCKET_OPTIONS = ['errorHandler', 'options', 'preClose']
const FUNCTION: Check = ['a function', (value) => typeof value === 'function']
const FUNCTIONS: Check = ['a function, or a list of them', (value) => (Array.isArray(value) ? value : [value]).every((one) => typeof one === 'function')]
const BOOLEAN: Check = ['a boolean', (value) => typeof value === 'boolean']
const COUNT: Check = ['a whole number of at least 0', (value) => Number.isSafeInteger(value) && (value as number) >= 0]
/** Of ws, as far as they make sense behind @fastify/websocket. */
const SERVER_OPTIONS: Record<string, Check> = {
  allowSynchronousEvents: BOOLEAN,
  autoPong: BOOLEAN,
  closeTimeout: COUNT,
  maxBufferedChunks: COUNT,
  maxFragments: COUNT,
  maxPendingAutoPongs: COUNT,
  verifyClient: FUNCTION,
  WebSocket: FUNCTION
}
/** Of ws, with what stands in their place: they would undo what the plugin promises. */
const OWN_SERVER_OPTIONS: Record<string, string> = {
  clientTracking: 'nothing: the WebSockets of other routes are closed with the app, those of the hub are not tracked',
  handleProtocols: 'subprotocols in its place',
  maxPayload: 'limits.maxMessageBytes in its place',
  noServer: 'nothing: the plugin sets it',
  path: 'the option path of the plugin in its place',
  perMessageDeflate: 'compression in its place',
  server: 'nothing: the plugin sets it',
  skipUTF8Validation: 'nothing: text messages are always checked'
}
/** Subprotocols of ours begin with it: an application must not speak something else under such a name. */
const RESERVED_SUBPROTOCOLS = 'hub.'
const HISTORY_MODES: readonly unknown[] = ['log', 'cache']

/**
 * Checks the options and fills in the defaults.
 * @param capacity default of `limits.connections`
 * @throws FST_HUB_INVALID_OPTIONS that names the option, what was expected, what was got
 */
export function resolveOptions (given: unknown, capacity: number): ResolvedOptions {
  const options = withoutUndefined(schema, given ?? {})
  checkSchema(options)
  checkFunctions(options)
  checkClock(options)
  checkCluster(options)
  const { path, origins, ...rest }: Record<string, unknown> = { path: '/ws', origins: 'same-origin', route: {}, websocket: {}, clock: clockOf(options), ...defaults(schema, options) }
  const resolved = { ...rest, paths: Array.isArray(path) ? path : [path], isOriginAllowed: compile(origins) } as unknown as ResolvedOptions
  checkSockets(resolved.limits)
  resolved.limits.connections ??= capacity
  resolved.redis = resolveRedis(options['redis'], resolved.redis)
  resolved.drain.spread ??= defaultSpread(resolved.drain.timeout)
  checkHistory(resolved)
  checkAsyncApi(resolved)
  checkPaths(resolved.paths)
  checkSubprotocols(resolved)
  checkPassedThrough(resolved)
  checkContradictions(resolved)
  return resolved
}

function fail (path: string, expected: string, got: string): never {
  throw new FST_HUB_INVALID_OPTIONS(path, expected, got)
}

/** `{ path: undefined }` means the default, as everywhere in JavaScript. */
function withoutUndefined (at: SchemaView, given: unknown): Record<string, unknown> {
  if (!isPlain(given)) fail('(root)', 'an object', describe(given))
  return Object.fromEntries(Object.entries(given)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => {
      const child = own(at, key)
      return [key, child?.properties !== undefined && isPlain(value) ? withoutUndefined(child, value) : value]
    }))
}

/** Not what every object inherits: an option may be called `constructor`. */
function own ({ properties = {} }: SchemaView, key: string): SchemaView | undefined {
  return Object.hasOwn(properties, key) ? properties[key] : undefined
}

function isPlain (value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function checkSchema (options: Record<string, unknown>): void {
  // An error about the value itself says more than one about the object around it.
  const [error] = Errors(optionsSchema as TSchema, options)[1].sort((a, b) => b.instancePath.length - a.instancePath.length)
  if (error === undefined) return
  const keys = error.instancePath.split('/').slice(1).map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'))
  const path = keys.join('.')
  let at = schema
  let value: unknown = options
  for (const key of keys) {
    value = (value as Record<string, unknown>)[key]
    const child = at.items ?? own(at, key)
    if (child === undefined) fail(path, `no such option; there are ${Object.keys(at.properties as object).join(', ')}`, describe(value))
    at = child
  }
  fail(path, error.keyword === 'uniqueItems' ? 'each value once' : expectation(at), describe(value))
}

/** What a schema allows, in words. */
export function expectation ({ type, enum: values, items, minimum, maximum, minLength, expected, unit }: SchemaView): string {
  if (expected !== undefined) return expected
  if (values !== undefined) return values.map((value) => `'${value}'`).join(' or ')
  if (type === 'integer' || type === 'number') {
    const kind = `a ${type === 'integer' ? 'whole ' : ''}number${unit === 'ms' ? ' of milliseconds' : ''}`
    return maximum === Number.MAX_SAFE_INTEGER ? `${kind} of at least ${minimum}` : `${kind} from ${minimum} to ${maximum}`
  }
  if (type === 'array' && items !== undefined) return `a list, each ${expectation(items)}`
  if (type === 'string' && minLength !== undefined) return minLength === 1 ? 'a string that is not empty' : `a string of at least ${minLength} characters`
  return type === 'object' ? 'an object' : `a ${type}`
}

function checkFunctions (options: Record<string, unknown>): void {
  const check = (path: string, value: unknown): void => { if (value !== undefined && typeof value !== 'function') fail(path, 'a function', describe(value)) }
  for (const key of ['identify', 'onConnect', 'onMessage', 'onDisconnect', 'refresh']) check(key, options[key])
  for (const [key, value] of Object.entries(options['authorize'] ?? {})) check(`authorize.${key}`, value)
}

function checkClock ({ clock }: Record<string, unknown>): void {
  if (clock === undefined) return
  const isClock = typeof clock === 'object' && clock !== null && ['now', 'monotonic', 'every', 'defer'].every((method) => typeof (clock as Record<string, unknown>)[method] === 'function')
  if (!isClock) fail('clock', schema.properties?.['clock']?.expected as string, describe(clock))
}

function checkCluster ({ cluster, clock, redis }: Record<string, unknown>): void {
  if (cluster === undefined) return
  if (redis !== undefined) fail('cluster', 'none beside redis', 'both')
  const isCluster = typeof cluster === 'object' && cluster !== null && typeof (cluster as Partial<HubCluster>).enter === 'function'
  if (!isCluster) fail('cluster', schema.properties?.['cluster']?.expected as string, describe(cluster))
  if (clock !== undefined && clock !== (cluster as HubCluster).clock) fail('clock', 'that of the option cluster, or none beside it', 'another one')
}

function clockOf ({ cluster }: { cluster?: HubCluster }): Clock { return cluster?.clock ?? systemClock }

/** Copies what is given, and fills in the schema's defaults. */
function defaults ({ properties = {} }: SchemaView, given: Record<string, unknown>): Record<string, unknown> {
  const filled: Record<string, unknown> = { ...given }
  for (const [key, child] of Object.entries(properties)) {
    if (child.properties !== undefined) filled[key] = defaults(child, (given[key] ?? {}) as Record<string, unknown>)
    else if (filled[key] === undefined && child.default !== undefined) filled[key] = child.default
  }
  return filled
}

function checkPaths (paths: unknown[]): void {
  if (paths.length === 0) fail('path', 'at least one path', '[]')
  for (const path of paths) {
    if (typeof path !== 'string' || !path.startsWith('/')) fail('path', 'a string that starts with /, or a list of them', describe(path))
    checkPath('path', path)
  }
  if (new Set(paths).size < paths.length) fail('path', 'each path once', describe(paths))
}

/** What a request can not have for its path: such a route would never be found. */
function checkPath (option: string, path: string): void {
  const plain = withoutPatterns(path)
  if (/[?#]/.test(plain)) fail(option, 'a path without a query (?) and a fragment (#)', describe(path))
  if (plain.split('/').some((segment) => segment === '.' || segment === '..')) fail(option, 'a path without . and .. as segments', describe(path))
  // The router decodes requests, and takes the % of a route for itself: that of '/a%2Fb' is found at /a%252Fb.
  if (/%[\da-f]{2}/i.test(plain)) fail(option, 'characters as they are, not percent-encoded', describe(path))
}

/** Without what stands in parentheses, and the ? of an optional parameter at the end. */
function withoutPatterns (path: string): string {
  let plain = ''
  let depth = 0
  for (const char of path) {
    if (char === '(') depth++
    if (depth === 0) plain += char
    if (char === ')' && depth > 0) depth--
  }
  return plain.replace(/(\/[^/]*:[^/?]+)\?$/, '$1')
}

function checkHistory ({ history }: { history: { rooms?: unknown, size?: unknown, mode?: unknown } }): void {
  if (history.mode === 'cache' && history.size === 0) fail('history.size', "at least 1 while history.mode is 'cache'", '0')
  if (history.rooms === undefined) history.rooms = {}
  const { rooms } = history
  const expected = schema.properties?.['history']?.properties?.['rooms']?.expected as string
  if (!isPlain(rooms)) fail('history.rooms', expected, describe(rooms))
  for (const [room, policy] of Object.entries(rooms)) {
    const path = `history.rooms.${room}`
    const fixed = room.replaceAll('*', '')
    if (!isName(fixed) && (room === '' || fixed !== '')) fail('history.rooms', 'names, or patterns, of which a room may be: of 1 to 255 bytes of UTF-8', describe(room))
    if (!isPlain(policy)) fail(path, expected, describe(policy))
    checkKeys(path, policy, ['size', 'ttl', 'mode'])
    const { size, ttl, mode } = policy as Record<string, unknown>
    for (const [key, value] of Object.entries({ size, ttl })) {
      if (value !== undefined && (!Number.isSafeInteger(value) || (value as number) < 0)) fail(`${path}.${key}`, 'a whole number of at least 0', describe(value))
    }
    if (mode !== undefined && !HISTORY_MODES.includes(mode)) fail(`${path}.mode`, "'log' or 'cache'", describe(mode))
    if ((mode ?? history.mode) === 'cache' && (size ?? history.size) === 0) fail(`${path}.size`, "at least 1 while mode is 'cache'", '0')
  }
}

function checkAsyncApi ({ asyncapi, paths, subprotocols }: ResolvedOptions): void {
  const path: unknown = asyncapi.path
  if (path === undefined) return
  if (typeof path !== 'string' || !path.startsWith('/')) fail('asyncapi.path', 'a string that starts with /', describe(path))
  checkPath('asyncapi.path', path)
  if (paths.includes(path)) fail('asyncapi.path', 'another than that of the WebSocket', describe(path))
  if (!subprotocols.some((name) => HUB_SUBPROTOCOLS.includes(name))) fail('asyncapi.path', `nothing while subprotocols has neither ${HUB_SUBPROTOCOLS.join(' nor ')}: there is nothing to describe`, describe(path))
}

/** A drain that may take less time than usual is spread over less. */
function defaultSpread (timeout: number): number {
  return timeout === 0 ? DEFAULT_SPREAD : Math.min(DEFAULT_SPREAD, Math.floor(timeout / 3))
}

function compile (origins: unknown): ResolvedOptions['isOriginAllowed'] {
  const rules = Array.isArray(origins) ? origins as unknown[] : [origins]
  for (const rule of rules) {
    if (typeof rule !== 'string' && typeof rule !== 'function' && !(rule instanceof RegExp)) {
      fail('origins', schema.properties?.['origins']?.expected as string, describe(rule))
    }
  }
  if (rules.length === 0) fail('origins', 'at least one rule', '[]')
  try {
    return compileOrigins<FastifyRequest>(origins as NonNullable<HubOptions['origins']>)
  } catch (error) {
    fail('origins', schema.properties?.['origins']?.expected as string, (error as Error).message)
  }
}

function checkSubprotocols ({ subprotocols, requireSubprotocol }: ResolvedOptions): void {
  for (const name of subprotocols) {
    if (!isToken(name)) fail('subprotocols', 'tokens as of RFC 9110 section 5.6.2', describe(name))
    if (name.startsWith(RESERVED_SUBPROTOCOLS) && !HUB_SUBPROTOCOLS.includes(name)) fail('subprotocols', `of the names that begin with '${RESERVED_SUBPROTOCOLS}', ${HUB_SUBPROTOCOLS.join(' or ')}`, describe(name))
  }
  if (requireSubprotocol && subprotocols.length === 0) fail('requireSubprotocol', 'false while subprotocols is empty', 'true')
}

function checkPassedThrough ({ route, websocket }: ResolvedOptions): void {
  if (!isPlain(route)) fail('route', schema.properties?.['route']?.expected as string, describe(route))
  checkKeys('route', route, ROUTE_OPTIONS)
  for (const key of ['schema', 'config', 'constraints'] as const) {
    if (route[key] !== undefined && !isPlain(route[key])) fail(`route.${key}`, 'an object', describe(route[key]))
  }
  checkEach('route', route, { preValidation: FUNCTIONS, preHandler: FUNCTIONS, logLevel: ['the name of a level', (value) => typeof value === 'string'] })
  if (!isPlain(websocket)) fail('websocket', schema.properties?.['websocket']?.expected as string, describe(websocket))
  checkKeys('websocket', websocket, WEBSOCKET_OPTIONS)
  checkEach('websocket', websocket, { errorHandler: FUNCTION, preClose: FUNCTION })
  const options = (websocket.options ?? {}) as Record<string, unknown>
  if (!isPlain(options)) fail('websocket.options', 'an object: options of ws', describe(options))
  for (const [key, expected] of Object.entries(OWN_SERVER_OPTIONS)) {
    if (options[key] !== undefined) fail(`websocket.options.${key}`, expected, describe(options[key]))
  }
  checkKeys('websocket.options', options, Object.keys({ ...SERVER_OPTIONS, ...OWN_SERVER_OPTIONS }))
  checkEach('websocket.options', options, SERVER_OPTIONS)
}

function checkEach (path: string, options: object, checks: Record<string, Check>): void {
  for (const [key, [expected, isValid]] of Object.entries(checks)) {
    const value = (options as Record<string, unknown>)[key]
    if (value !== undefined && !isValid(value)) fail(`${path}.${key}`, expected, describe(value))
  }
}

function checkKeys (path: string, options: object, known: readonly string[]): void {
  for (const [key, value] of Object.entries(options)) {
    if (!known.includes(key)) fail(`${path}.${key}`, `no such option; there are ${known.join(', ')}`, describe(value))
  }
}

/** Before the default of `connections` is filled in: only a number that somebody has chosen can contradict. */
function checkSockets ({ sockets, connections }: ResolvedOptions['limits']): void {
  if (sockets > 0 && connections > sockets) {
    fail('limits.sockets', `at least limits.connections (${connections}), with room for those who wait or are refused, or 0`, String(sockets))
  }
}

function checkContradictions ({ drain, heartbeat, limits, queue }: ResolvedOptions): void {
  const { interval, timeout } = heartbeat
  if (interval > 0 && timeout > 0 && timeout <= interval) {
    fail('heartbeat.timeout', `more than heartbeat.interval (${interval}), or 0`, String(timeout))
  }
  if (limits.connections > 0 && limits.connectionsPerIp > limits.connections) {
    fail('limits.connectionsPerIp', `at most limits.connections (${limits.connections})`, String(limits.connectionsPerIp))
  }
  if (limits.onFull === 'wait' && limits.maxWaiting === 0) {
    fail('limits.maxWaiting', "at least 1 while limits.onFull is 'wait'", '0')
  }
  if (drain.timeout > 0 && drain.spread >= drain.timeout) {
    fail('drain.spread', `less than drain.timeout (${drain.timeout}): connections that were not reached by then would be terminated`, String(drain.spread))
  }
  if (queue.maxMessages === 0 && queue.maxBytes === 0 && queue.overflow !== 'drop-oldest') {
    fail('queue.overflow', "'drop-oldest' while the queue has no bound: it can not overflow", `'${queue.overflow}'`)
  }
}
