import { types } from 'node:util'
import { FST_HUB_INVALID_ARGUMENT, FST_HUB_INVALID_CLOSE_CODE, FST_HUB_INVALID_NAME } from '../errors.js'
import { fitReason } from '../protocol/close-reason.js'
import { disconnects, isSendableCloseCode, type Ending } from '../protocol/disconnect.js'
import { isName } from '../protocol/names.js'
import { describe } from './describe.js'
import type { PublicationOptions } from './ports.js'
import type { Except, KickOptions, Overflow, PublishOptions, SendOptions } from './types.js'

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

/**
 * What a method was given as its options. What it does not know is refused: a misspelt `except` would leave nobody out.
 * @param path where they are, when that is not where a method has them
 * @throws FST_HUB_INVALID_ARGUMENT
 */
export function checkOptions<T extends object> (options: T, known: ReadonlyArray<keyof T & string>, path: string = 'options'): T {
  const given: unknown = options
  if (typeof given !== 'object' || given === null || Array.isArray(given)) throw new FST_HUB_INVALID_ARGUMENT(path, 'an object', describe(given))
  for (const key of Object.keys(given)) {
    if ((known as readonly string[]).includes(key)) continue
    const value = (given as Record<string, unknown>)[key]
    if (value !== undefined) throw new FST_HUB_INVALID_ARGUMENT(`${path}.${key}`, `no such option; there are ${known.join(', ')}`, describe(value))
  }
  return options
}

const POLICIES: readonly unknown[] = ['drop-oldest', 'reject-new', 'disconnect'] satisfies Overflow[]

/** @throws FST_HUB_INVALID_ARGUMENT */
export function checkOverflow (value: unknown): void {
  if (value !== undefined && !POLICIES.includes(value)) {
    throw new FST_HUB_INVALID_ARGUMENT('overflow', "'drop-oldest', 'reject-new' or 'disconnect'", describe(value))
  }
}

/**
 * Options of a direct message.
 * @returns its key; null: none
 * @throws FST_HUB_INVALID_ARGUMENT, FST_HUB_INVALID_NAME
 */
export function checkSendOptions (options: SendOptions | undefined): string | null {
  if (options === undefined) return null
  const { overflow, key } = checkOptions(options, ['overflow', 'key'])
  checkOverflow(overflow)
  return checkKey(key)
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
  const { overflow, ephemeral, except, key } = checkOptions(options, ['except', 'overflow', 'ephemeral', 'key'])
  checkOverflow(overflow)
  if (ephemeral !== undefined && typeof ephemeral !== 'boolean') throw new FST_HUB_INVALID_ARGUMENT('ephemeral', 'a boolean', describe(ephemeral))
  checkKey(key)
  if (key !== undefined && ephemeral !== true) throw new FST_HUB_INVALID_ARGUMENT('key', "none, or 'ephemeral: true' beside it: replacing a publication that has an offset would leave a hole", describe(key))
  return { except: exceptIds(except), overflow, ephemeral, key }
}

/**
 * A broadcast has no place in a log: what may be said of a publication may be said of it, but for that.
 * @throws FST_HUB_INVALID_ARGUMENT
 */
export function toBroadcast (options: PublishOptions = {}): PublishOptions {
  const { ephemeral = true } = checkOptions(options, ['except', 'overflow', 'key', 'ephemeral'])
  if (ephemeral !== true) throw new FST_HUB_INVALID_ARGUMENT('ephemeral', 'nothing: every broadcast is ephemeral', describe(ephemeral))
  return { ...options, ephemeral }
}

/**
 * What an application keeps on a connection.
 * @throws FST_HUB_INVALID_ARGUMENT
 */
export function checkData<T> (value: T): T {
  if (typeof value !== 'object' || value === null) throw new FST_HUB_INVALID_ARGUMENT('data', 'an object', describe(value))
  return value
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

/**
 * The reason of a close, as a Close frame can hold it.
 * @throws FST_HUB_INVALID_ARGUMENT
 */
export function toReason (value: unknown): string {
  if (typeof value !== 'string') throw new FST_HUB_INVALID_ARGUMENT('reason', 'a string', describe(value))
  return fitReason(value)
}

/**
 * How a kick ends a connection.
 * @throws FST_HUB_INVALID_ARGUMENT, FST_HUB_INVALID_CLOSE_CODE
 */
export function toKick (reason: string = disconnects.kicked.reason, options: KickOptions = {}): Ending {
  const { code = disconnects.kicked.code } = checkOptions(options, ['code'])
  checkCloseCode(code)
  return { code, reason: toReason(reason) }
}
