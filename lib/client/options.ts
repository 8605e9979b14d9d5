import type { BackoffOptions } from './backoff.js'
import type { ClientCodec } from './codec.js'
import { jsonCodec } from './json.js'
import { globalPage, globalWebSocket, MAX_MS, systemClock, type ClientClock, type PageLike, type WebSocketConstructor } from './platform.js'
import type { ClientOptions, OutboxOptions } from './types.js'

/** The options of a client, each with a value. */
export interface Settings {
  readonly url: ClientOptions['url']
  readonly token: ClientOptions['token']
  readonly codec: ClientCodec
  readonly backoff: Required<BackoffOptions>
  readonly maxTries: number
  readonly maxTime: number
  readonly connectTimeout: number
  readonly pongTimeout: number
  readonly requestTimeout: number
  readonly outbox: Required<OutboxOptions>
  readonly manualAck: boolean
  readonly WebSocket: WebSocketConstructor
  readonly page: PageLike | null
  readonly random: () => number
  readonly clock: ClientClock
}

/** @throws TypeError that names the option, what was expected, and what was given */
export function settingsOf (options: ClientOptions): Settings {
  const { url, token, codec = jsonCodec, manualAck = false } = options
  const { backoff: { min = 1_000, max = 30_000, factor = 2 } = {}, outbox: { maxMessages = 1_000, overflow = 'reject-new', resend = true } = {} } = options
  const { maxTries = 0, maxTime = 0, connectTimeout = 10_000, pongTimeout = 10_000, requestTimeout = 30_000 } = options
  const { WebSocket = globalWebSocket(), page = globalPage() ?? null, random = Math.random, clock = systemClock } = options
  check('url', 'a string or a function', url, (typeof url === 'string' && url !== '') || typeof url === 'function')
  check('token', 'a function', token, token === undefined || typeof token === 'function')
  check('codec', 'a codec of fastify-hub/client', codec, typeof codec?.encode === 'function')
  check('outbox.overflow', "'reject-new' or 'drop-oldest'", overflow, ['reject-new', 'drop-oldest'].includes(overflow))
  check('outbox.resend', 'a boolean', resend, typeof resend === 'boolean')
  check('manualAck', 'a boolean', manualAck, typeof manualAck === 'boolean')
  check('random', 'a function', random, typeof random === 'function')
  check('clock', 'an object with now, setTimeout and clearTimeout', clock, [clock?.now, clock?.setTimeout, clock?.clearTimeout].every((member) => typeof member === 'function'))
  number('outbox.maxMessages', maxMessages, 0, Infinity)
  number('backoff.min', min, 1, MAX_MS)
  number('backoff.max', max, min, MAX_MS)
  number('backoff.factor', factor, 1, Infinity)
  number('maxTries', maxTries, 0, Infinity)
  number('maxTime', maxTime, 0, Infinity)
  number('connectTimeout', connectTimeout, 1, MAX_MS)
  number('pongTimeout', pongTimeout, 1, MAX_MS)
  number('requestTimeout', requestTimeout, 0, MAX_MS)
  if (WebSocket === undefined) throw new TypeError('the option WebSocket must be a WebSocket class, as that of the package ws: this platform has none')
  return {
    url,
    token,
    codec,
    backoff: { min, max, factor },
    outbox: { maxMessages, overflow, resend },
    manualAck,
    maxTries,
    maxTime,
    connectTimeout,
    pongTimeout,
    requestTimeout,
    WebSocket,
    page,
    random,
    clock
  }
}

function number (name: string, value: number, min: number, max: number): void {
  const range = max === Infinity ? `at least ${min}` : `${min} to ${max}`
  check(name, `a number of ${range}`, value, typeof value === 'number' && value >= min && value <= max)
}

function check (name: string, expected: string, value: unknown, isRight: boolean): void {
  if (isRight) return
  const got = typeof value === 'string' ? JSON.stringify(value) : typeof value === 'number' ? String(value) : typeof value
  throw new TypeError(`the option ${name} must be ${expected}, got ${got}`)
}
