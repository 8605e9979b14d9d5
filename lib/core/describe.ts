import { types } from 'node:util'

/** Of a URL, such as that of Redis. */
const CREDENTIALS = /:\/\/[^]*@|[?&]password=/i

/** How a wrong value is shown in an error: its JSON where that says enough, its type otherwise. Never long, never the password of a URL, and never throws. */
export function describe (value: unknown): string {
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'string') return describeString(value)
  if (Array.isArray(value)) return describeList(value)
  if (typeof value !== 'object' || value === null) return String(value)
  if (types.isDate(value)) return Number.isNaN(value.getTime()) ? 'an invalid Date' : `the Date ${value.toISOString()}`
  const { constructor } = value as { constructor: unknown }
  return typeof constructor === 'function' && constructor !== Object ? `an instance of ${constructor.name}` : 'an object'
}

function describeString (text: string): string {
  if (CREDENTIALS.test(text)) return 'a URL with credentials'
  return text.length > 60 ? `a string of ${text.length} characters` : JSON.stringify(text)
}

function describeList (list: unknown[]): string {
  try {
    const text = JSON.stringify(list)
    if (CREDENTIALS.test(text)) return 'a list of URLs with credentials'
    return text.length > 80 ? `${text.slice(0, 77)}...` : text
  } catch {
    // A cycle, or a BigInt.
    return 'a list'
  }
}
