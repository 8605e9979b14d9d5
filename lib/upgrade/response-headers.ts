import { validateHeaderName, validateHeaderValue } from 'node:http'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { FST_HUB_INVALID_HEADER } from '../errors.js'

/** Hop-by-hop fields (RFC 9110 section 7.6.1) and what the handshake itself says. A 101 has no content. */
const NOT_FOR_101 = /^(?:connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|content-.*|sec-websocket-.*)$/

/** Where @fastify/cookie keeps cookies until onSend, which a hijacked 101 never runs. */
const PENDING_COOKIES = 'fastify.reply.setCookies'

interface PendingCookie { name: string, value: string, opts: object }

/**
 * The header lines of the 101 that hooks and `identify` have set on the reply. ws writes them unchecked, so a value with
 * a line break would be header injection: it is taken off the reply and refused.
 * @throws FST_HUB_INVALID_HEADER
 */
export function responseHeaderLines (reply: FastifyReply): string[] {
  writePendingCookies(reply)
  const lines: string[] = []
  let malformed: Set<string> | null = null
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    if (value === undefined || NOT_FOR_101.test(name)) continue
    for (const item of Array.isArray(value) ? value : [value]) {
      try {
        validateHeaderName(name)
        validateHeaderValue(name, String(item))
      } catch {
        malformed = (malformed ?? new Set<string>()).add(name)
      }
      lines.push(`${name}: ${String(item)}`)
    }
  }
  if (malformed === null) return lines
  for (const name of malformed) reply.removeHeader(name)
  throw new FST_HUB_INVALID_HEADER([...malformed].map((name) => JSON.stringify(name)).join(', '))
}

/** Cookies set with `reply.setCookie` become headers now. Without @fastify/cookie there are none. */
function writePendingCookies (reply: FastifyReply): void {
  const { serializeCookie } = reply.server as FastifyInstance & { serializeCookie?: (name: string, value: string, options: object) => string }
  if (serializeCookie === undefined) return
  const key = Object.getOwnPropertySymbols(reply).find(({ description }) => description === PENDING_COOKIES)
  if (key === undefined) return
  const pending = (reply as unknown as Record<symbol, Map<string, PendingCookie> | null>)[key]
  for (const { name, value, opts } of pending?.values() ?? []) reply.header('set-cookie', serializeCookie(name, value, opts))
  pending?.clear()
}
