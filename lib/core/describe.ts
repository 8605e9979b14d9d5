import { types } from 'node:util'

/** How a wrong value is shown in an error: its JSON where that says enough, its type otherwise. Never long, and never throws. */
export function describe (value: unknown): string {
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'string') return value.length > 60 ? `a string of ${value.length} characters` : JSON.stringify(value)
  if (Array.isArray(value)) return describeList(value)
  if (typeof value !== 'object' || value === null) return String(value)
  if (types.isDate(value)) return Number.isNaN(value.getTime()) ? 'an invalid Date' : `the Date ${value.toISOString()}`
  const { constructor } = value as { constructor: unknown }
  return typeof constructor === 'function' && constructor !== Object ? `an instance of ${constructor.name}` : 'an object'
}

function describeList (list: unknown[]): string {
  try {
    const text = JSON.stringify(list)
    return text.length > 80 ? `${text.slice(0, 77)}...` : text
  } catch {
    // A cycle, or a BigInt.
    return 'a list'
  }
}
