import { isIPv4, isIPv6 } from 'node:net'

/**
 * What counts as one address for per-address limits: an IPv4 address itself, mapped into IPv6 or not, and the /64 of an
 * IPv6 address, because a single host can use all of it (RFC 4291 section 2.5.4, RFC 6177).
 * Anything else (a socket path, a proxy's name) counts as it is.
 */
export function ipKey (ip: string): string {
  if (isIPv4(ip)) return ip
  const address = ip.split('%', 1)[0] as string
  if (!isIPv6(address)) return ip
  const groups = expand(address)
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    return groups.slice(6).flatMap((group) => [group >> 8, group & 0xff]).join('.')
  }
  return `${groups.slice(0, 4).map((group) => group.toString(16)).join(':')}::/64`
}

/** The eight groups of a valid IPv6 address. */
function expand (address: string): number[] {
  const [head = '', tail] = address.split('::', 2)
  const front = parse(head)
  if (tail === undefined) return front
  const back = parse(tail)
  return [...front, ...new Array<number>(8 - front.length - back.length).fill(0), ...back]
}

function parse (part: string): number[] {
  if (part === '') return []
  return part.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)]
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number)
    return [a << 8 | b, c << 8 | d]
  })
}
