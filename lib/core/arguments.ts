import { types } from 'node:util'
import { FST_HUB_INVALID_ARGUMENT, FST_HUB_INVALID_CLOSE_CODE, FST_HUB_INVALID_NAME } from '../errors.js'
import { isSendableCloseCode } from '../protocol/disconnect.js'
import { isName } from '../protocol/names.js'
import { describe } from './describe.js'
import type { PublicationOptions } from './ports.js'
import type { Except, Overflow, PublishOptions } from './types.js'

export { isName }

/** Milliseconds since the Unix epoch, of March 1973. What is less are seconds, as tokens have them (RFC 7519 section 2), or a Date made of seconds. */
const EARLIEST_EXPIRY = 1e11

/** How `toExpiry` wants it. */
export const EXPIRY = 'a valid Date, or milliseconds (not seconds) since the Unix epoch'

/** @throws FST_HUB_INVALID_NAME */
export function checkName (what: 'room' | 'user' | 'key' | 'event', value: unknown): string {
  if (!isName(value)) throw new FST_HUB_INVALID_NAME(what, describe(value))
  return value
}

/** @throws FST_HUB_INVALID_NAME */
export function checkKey (value: unknown): string | null {
  return value === undefined ? null : checkName('key', value)
}

const POLICIES: readonly unknown[] = ['drop-oldest', 'reject-new', 'disconnect'] satisfies Overflow[]

/** @throws FST_HUB_INVALID_ARGUMENT */
export function checkOverflow (value: unknown): void {
  if (value !== undefined && !POLICIES.includes(value)) {
    throw new FST_HUB_INVALID_ARGUMENT('overflow', "'drop-oldest', 'reject-new' or 'disconnect'", describe(value))
  }
}

/**
 * The ids of an `except`.
 * @throws FST_HUB_INVALID_ARGUMENT
 */
export function exceptIds (except: Except | undefined): ReadonlySet<string> | undefined {
  if (except === undefined) return undefined
  const list = Array.isArray(except) ? except : [except]
  return new Set(list.map((item: unknown) => {
    const id = typeof item === 'object' && item !== null && 'id' in item ? item.id : item
    if (typeof id !== 'string') throw new FST_HUB_INVALID_ARGUMENT('except', 'connections or their ids', describe(item))
    return id
  }))
}

const NO_OPTIONS: PublicationOptions = {}

/** @throws FST_HUB_INVALID_ARGUMENT, FST_HUB_INVALID_NAME */
export function toPublicationOptions (options: PublishOptions | undefined): PublicationOptions {
  if (options === undefined) return NO_OPTIONS
  const { overflow, ephemeral, except, key } = options
  checkOverflow(overflow)
  if (ephemeral !== undefined && typeof ephemeral !== 'boolean') throw new FST_HUB_INVALID_ARGUMENT('ephemeral', 'a boolean', typeof ephemeral)
  checkKey(key)
  if (key !== undefined && ephemeral !== true) throw new FST_HUB_INVALID_ARGUMENT('key', "none, or 'ephemeral: true' beside it: replacing a publication that has an offset would leave a hole", describe(key))
  return { except: exceptIds(except), overflow, ephemeral, key }
}

/** Whole milliseconds since the Unix epoch; null for Infinity, which is never; undefined for what can be no expiry. */
export function toExpiry (value: unknown): number | null | undefined {
  const time = types.isDate(value) ? value.getTime() : value
  if (time === Infinity) return null
  return typeof time === 'number' && time >= EARLIEST_EXPIRY ? Math.floor(time) : undefined
}

/**
 * An expiry, or null for none.
 * @throws FST_HUB_INVALID_ARGUMENT
 */
export function checkExpiry (value: unknown): number | null {
  const time = value === null ? null : toExpiry(value)
  if (time === undefined) throw new FST_HUB_INVALID_ARGUMENT('expiresAt', `${EXPIRY}, or null`, describe(value))
  return time
}

/**
 * Milliseconds.
 * @throws FST_HUB_INVALID_ARGUMENT
 */
export function checkTtl (name: string, value: unknown): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw new FST_HUB_INVALID_ARGUMENT(name, 'a whole number of milliseconds of at least 0', describe(value))
  return value as number
}

/** @throws FST_HUB_INVALID_CLOSE_CODE */
export function checkCloseCode (code: unknown): void {
  if (!isSendableCloseCode(code)) throw new FST_HUB_INVALID_CLOSE_CODE(describe(code))
}
