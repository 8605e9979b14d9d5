import { describe } from './core/describe.js'
import { FST_HUB_INVALID_OPTIONS } from './errors.js'
import type { RedisClient, ResolvedRedis } from './options.js'
import { REDIS_URL } from './options-schema.js'

/** Of ioredis' options, those that a url may have as parameters, with what they may be: all others would get past our own. */
const PARAMETERS: Record<string, RegExp> = { db: /^\d+$/, family: /^[046]$/, username: /^/, password: /^/ }

/**
 * Checks what a schema can not say of the option `redis`.
 * @param given as the application gave it
 * @param filled the same with defaults
 * @returns undefined where nothing was given
 * @throws FST_HUB_INVALID_OPTIONS; nothing of a url is in its message, since there is a password in it
 */
export function resolveRedis (given: unknown, filled: ResolvedRedis | undefined): ResolvedRedis | undefined {
  if (given === undefined || filled === undefined) return undefined
  const { url, client } = filled as { url: unknown, client: unknown }
  if ((url === undefined) === (client === undefined)) fail('redis', 'either url or client', url === undefined ? 'none of them' : 'both')
  if (client === undefined) {
    const problem = problemOf(url)
    if (problem !== null) fail('redis.url', REDIS_URL, problem)
  } else if (!isClient(client)) {
    fail('redis.client', 'an instance of ioredis: Redis or Cluster', describe(client))
  }
  return { ...filled, url: filled.url, client: filled.client }
}

function fail (path: string, expected: string, got: string): never {
  throw new FST_HUB_INVALID_OPTIONS(path, expected, got)
}

function isClient (value: unknown): value is RedisClient {
  if (typeof value !== 'object' || value === null) return false
  const { status, isCluster, options, duplicate } = value as Partial<RedisClient>
  return typeof status === 'string' && typeof isCluster === 'boolean' && typeof options === 'object' && typeof duplicate === 'function'
}

/** What is wrong with a url; null: nothing. */
function problemOf (url: unknown): string | null {
  if (typeof url !== 'string') return describe(url)
  // Two slashes are a url without its scheme.
  if (/^\/[^/]/.test(url)) return problemOfParameters(new URLSearchParams(/\?(.*)$/s.exec(url)?.[1]))
  // ioredis finds TLS in small letters only, and would send the password in the clear.
  if (!/^rediss?:\/\//.test(url)) return 'a string that does not begin like that'
  let parsed: URL
  try {
    parsed = new URL(url)
    decodeURIComponent(`${parsed.username}${parsed.password}`)
  } catch {
    return 'one that can not be read: special characters of a password are percent-encoded'
  }
  if (parsed.hostname === '') return 'one without a host'
  if (!/^\/?\d*$/.test(parsed.pathname)) return 'one whose path is no number of a database'
  if (parsed.hash !== '') return 'one with a fragment'
  return problemOfParameters(parsed.searchParams)
}

function problemOfParameters (parameters: URLSearchParams): string | null {
  for (const [name, value] of parameters) {
    if (!Object.hasOwn(PARAMETERS, name)) return `one with other parameters than ${Object.keys(PARAMETERS).join(', ')}: give a client in its place`
    if (PARAMETERS[name]?.test(value) === false) return `one with a parameter ${name} that makes no sense`
  }
  return null
}
