/** What an entry of the bus tells of one room: who came or went with which connection, or which state began (again) or ended. */
export type PresenceChange =
  | { readonly kind: 'enter' | 'leave', readonly room: string, readonly user: string, readonly connectionId: string }
  | { readonly kind: 'state', readonly room: string, readonly user: string, readonly key: string, /** Milliseconds. */ readonly ttl: number }
  | { readonly kind: 'end', readonly room: string, readonly user: string, readonly key: string }

/** What one entry of the bus tells. */
export interface PresenceEntry {
  /** Its number in the partition. */
  readonly number: number
  /** In the order in which they were made. */
  readonly changes: readonly PresenceChange[]
}

const COLON = 0x3a

/**
 * Two names as one: the length of the first in bytes of UTF-8, a colon, both. No two pairs are the same, whatever is in the
 * names, and all pairs with one first name begin alike, which no other does.
 */
export function pack (first: string, second: string): string { return `${Buffer.byteLength(first)}:${first}${second}` }

/** @throws Error for what `pack` does not make */
export function unpack (pair: Buffer): [first: string, second: string] {
  const colon = pair.indexOf(COLON)
  const start = colon + 1
  const end = start + Number(pair.toString('latin1', 0, colon))
  if (colon < 1 || !(end <= pair.length)) throw new Error('a pair of names was expected')
  return [pair.toString('utf8', start, end), pair.toString('utf8', end)]
}

/**
 * Reads the fields of an entry that lua/presence-change.lua has written: `#` its number, then `r` a room, with its changes after it:
 * `+` and `-` a pair of user and connection, `s` and `x` one of user and key, `t` the milliseconds of the state before it.
 * @throws Error for what it does not write
 */
export function readEntry (fields: readonly Buffer[]): PresenceEntry {
  const number = Number(fields[1])
  if (String(fields[0]) !== '#' || !Number.isSafeInteger(number)) throw new Error('the number of an entry was expected')
  const changes: PresenceChange[] = []
  let room: string | undefined
  for (let i = 2; i + 1 < fields.length; i += 2) {
    const name = String(fields[i])
    const value = fields[i + 1] as Buffer
    if (name === 'r') {
      room = String(value)
      continue
    }
    if (room === undefined) throw new Error('the name of a room was expected')
    const [user, second] = unpack(value)
    if (name === '+') changes.push({ kind: 'enter', room, user, connectionId: second })
    else if (name === '-') changes.push({ kind: 'leave', room, user, connectionId: second })
    else if (name === 'x') changes.push({ kind: 'end', room, user, key: second })
    else if (name === 's') changes.push({ kind: 'state', room, user, key: second, ttl: readTtl(fields[i += 2], fields[i + 1]) })
    else throw new Error(`a change of presence was expected, got ${name}`)
  }
  return { number, changes }
}

function readTtl (name: Buffer | undefined, value: Buffer | undefined): number {
  const ttl = Number(value)
  if (String(name) !== 't' || !Number.isFinite(ttl)) throw new Error('the time of a state was expected')
  return ttl
}
