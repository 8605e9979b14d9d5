import type { HistoryPolicy, HistoryPolicyOf } from './ports.js'

/** The option `history`: a policy for all rooms, and others by pattern. */
export interface HistoryOptions extends HistoryPolicy {
  /** By room name, or pattern: `*` stands for any characters. The first that fits holds; what it leaves out is as above. */
  readonly rooms: Readonly<Record<string, { readonly [K in keyof HistoryPolicy]?: HistoryPolicy[K] | undefined }>>
}

/** Names whose policy is remembered. */
const MAX_REMEMBERED = 10_000

/** Which policy holds for a room. */
export function historyPolicies ({ rooms, ...general }: HistoryOptions): HistoryPolicyOf {
  const patterns = Object.entries(rooms).map(([pattern, policy]) => ({ matches: compile(pattern), policy: { size: policy.size ?? general.size, ttl: policy.ttl ?? general.ttl, mode: policy.mode ?? general.mode } }))
  if (patterns.length === 0) return () => general
  const remembered = new Map<string, HistoryPolicy>()
  return (room) => {
    let policy = remembered.get(room)
    if (policy === undefined) {
      policy = patterns.find(({ matches }) => matches(room))?.policy ?? general
      // Names may be without number, and a peer's: what is remembered is begun anew when it is too much.
      if (remembered.size >= MAX_REMEMBERED) remembered.clear()
      remembered.set(room, policy)
    }
    return policy
  }
}

/** Without a RegExp, which a name made for it could keep busy for seconds: each part is looked for behind the one before it. */
function compile (pattern: string): (room: string) => boolean {
  const [first = '', ...rest] = pattern.split('*')
  const last = rest.pop()
  if (last === undefined) return (room) => room === pattern
  return (room) => {
    if (room.length < first.length + last.length || !room.startsWith(first) || !room.endsWith(last)) return false
    let at = first.length
    const end = room.length - last.length
    for (const part of rest) {
      const found = room.indexOf(part, at)
      if (found < 0 || found + part.length > end) return false
      at = found + part.length
    }
    return true
  }
}
