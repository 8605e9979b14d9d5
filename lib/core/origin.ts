import type { Awaitable } from './types.js'

/** One entry of `origins`: a literal or `https://*.example.com`, a RegExp on the whole header, or a function. */
export type OriginRuleOf<Request> = string | RegExp | ((origin: string, request: Request) => Awaitable<boolean>)

/** Decides on one Origin header. `host` is what 'same-origin' compares with. */
export type OriginMatcher<Request> = (origin: string, host: string, request: Request) => Awaitable<boolean>

/**
 * Compiles `origins`. A header is compared as a string and never parsed: a URL parser maps `https://example.com\.evil.com`
 * onto example.com. The list is normalised instead: what a browser would send for each entry (RFC 6454 section 6.1).
 * @throws Error that says what is wrong with which entry
 */
export function compileOrigins<Request> (origins: OriginRuleOf<Request> | ReadonlyArray<OriginRuleOf<Request>>): OriginMatcher<Request> {
  if (origins === '*') return () => true
  const rules = Array.isArray(origins) ? origins as ReadonlyArray<OriginRuleOf<Request>> : [origins as OriginRuleOf<Request>]
  const literals = new Set<string>()
  const patterns: RegExp[] = []
  const functions: Array<(origin: string, request: Request) => Awaitable<boolean>> = []
  let sameOrigin = false
  for (const rule of rules) {
    if (typeof rule === 'function') {
      functions.push(rule)
    } else if (rule instanceof RegExp) {
      if (rule.global || rule.sticky) throw new Error(`${String(rule)} has the g or y flag: its answer would depend on the header before`)
      patterns.push(rule)
    } else if (rule === 'same-origin') {
      sameOrigin = true
    } else if (rule === '*') {
      throw new Error("'*' allows every origin and stands alone, not in a list")
    } else if (rule.includes('*')) {
      patterns.push(wildcard(rule))
    } else {
      literals.add(normalise(rule))
    }
  }
  return (origin, host, request) => {
    if (literals.has(origin) || (sameOrigin && isSameOrigin(origin, host)) || patterns.some((pattern) => pattern.test(origin))) return true
    return functions.length > 0 && anyOf(functions, origin, request)
  }
}

async function anyOf<Request> (functions: ReadonlyArray<(origin: string, request: Request) => Awaitable<boolean>>, origin: string, request: Request): Promise<boolean> {
  for (const allowed of functions) {
    if (await allowed(origin, request) === true) return true
  }
  return false
}

/** The scheme is not compared: TLS often ends at a proxy, and the server can not know. */
function isSameOrigin (origin: string, host: string): boolean {
  return host !== '' && (origin === `https://${host}` || origin === `http://${host}`)
}

/** What a browser sends for this origin. Schemes other than http(s) are literal: URL gives them the origin 'null'. */
function normalise (rule: string): string {
  if (rule === 'null') return rule
  const scheme = /^([a-z][a-z0-9+.-]*):\/\/[^/]/i.exec(rule)?.[1]?.toLowerCase()
  if (scheme === undefined) throw new Error(`'${rule}' is no origin: scheme://host[:port], 'same-origin', 'null' or '*'`)
  if (scheme !== 'http' && scheme !== 'https') return rule
  let url: URL
  try {
    url = new URL(rule)
  } catch {
    throw new Error(`'${rule}' is no valid URL`)
  }
  if (url.username !== '' || url.password !== '' || url.pathname !== '/' || url.search !== '' || url.hash !== '') {
    throw new Error(`'${rule}' is more than an origin: scheme://host[:port] only`)
  }
  return url.origin
}

const LABEL = '[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?'

/** `https://*.example.com`: exactly one label; `https://**.example.com`: one or more. Never the apex. */
function wildcard (rule: string): RegExp {
  const parts = /^(https?:\/\/)(\*\*?)\.([^*]+)$/i.exec(rule)
  if (parts === null) throw new Error(`'${rule}': a wildcard is the first label of an http(s) host, as in https://*.example.com`)
  const [, scheme, stars, rest] = parts as unknown as [string, string, string, string]
  const base = normalise(`${scheme}${rest}`)
  const [prefix, host] = base.split('://') as [string, string]
  const labels = stars === '*' ? LABEL : `${LABEL}(?:\\.${LABEL})*`
  return new RegExp(`^${prefix}://${labels}\\.${escape(host)}$`)
}

function escape (text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&')
}
