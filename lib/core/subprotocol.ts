/** RFC 9110 section 5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

export function isToken (value: string): boolean { return TOKEN.test(value) }

/**
 * The tokens of a Sec-WebSocket-Protocol header (RFC 6455 section 11.3.4), in linear time.
 * @returns null when it is malformed: an empty element, an invalid token, a token twice
 */
export function parseSubprotocols (header: string): ReadonlySet<string> | null {
  const offered = new Set<string>()
  for (const element of header.split(',')) {
    const token = trimBlanks(element)
    if (!isToken(token) || offered.has(token)) return null
    offered.add(token)
  }
  return offered
}

/** Optional white space is SP and HTAB: RFC 9110 section 5.6.3. Without a RegExp: `/\s+$/` is quadratic. */
function trimBlanks (text: string): string {
  let start = 0
  let end = text.length
  while (start < end && isBlank(text.charCodeAt(start))) start++
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--
  return text.slice(start, end)
}

function isBlank (code: number): boolean { return code === 0x20 || code === 0x09 }

/** The first of the server's subprotocols that the client offers: the server's preference decides. */
export function negotiate (supported: readonly string[], offered: ReadonlySet<string>): string | null {
  return supported.find((name) => offered.has(name)) ?? null
}
