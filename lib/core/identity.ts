import { FST_HUB_CREDENTIALS_EXPIRED, FST_HUB_FORBIDDEN, FST_HUB_INVALID_IDENTITY } from '../errors.js'
import { EXPIRY, isName, toExpiry } from './arguments.js'
import { describe } from './describe.js'
import type { Identity } from './types.js'

const FIELDS = ['user', 'device', 'expiresAt', 'data']

/**
 * Checks what `identify` or `refresh` returned.
 * @param now milliseconds since the Unix epoch
 * @throws FST_HUB_FORBIDDEN for null, FST_HUB_INVALID_IDENTITY for what is no Identity, FST_HUB_CREDENTIALS_EXPIRED for one of the past
 */
export function checkIdentity (value: unknown, now: number): Identity {
  if (value === null) throw new FST_HUB_FORBIDDEN()
  if (typeof value !== 'object' || Array.isArray(value)) throw new FST_HUB_INVALID_IDENTITY(`expected an object or null, got ${describe(value)}`)
  for (const field of Object.keys(value)) {
    // A field that is not acted upon must not be passed over in silence: it may be meant to restrict something.
    if (!FIELDS.includes(field)) throw new FST_HUB_INVALID_IDENTITY(`there is no field '${field}', only ${FIELDS.join(', ')}`)
  }
  const identity = value as Identity
  for (const field of ['user', 'device'] as const) {
    const name: unknown = identity[field]
    if (name !== undefined && !isName(name)) throw new FST_HUB_INVALID_IDENTITY(`${field} must be a string of 1 to 255 bytes of UTF-8, got ${describe(name)}`)
  }
  if (identity.data !== undefined && (typeof identity.data !== 'object' || identity.data === null)) {
    throw new FST_HUB_INVALID_IDENTITY(`data must be an object, got ${describe(identity.data)}`)
  }
  if (identity.expiresAt !== undefined) {
    const time = toExpiry(identity.expiresAt)
    if (time === undefined) throw new FST_HUB_INVALID_IDENTITY(`expiresAt must be ${EXPIRY}, got ${describe(identity.expiresAt)}`)
    if (time !== null && time <= now) throw new FST_HUB_CREDENTIALS_EXPIRED()
  }
  return identity
}
