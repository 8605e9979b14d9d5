import { pointer } from './words.js'

/** Lists and objects in each other: more than a message has use for, and far less than any reader's stack holds. */
const MAX_DEPTH = 64

/** What is wrong with a part of a value. */
export interface ValueProblem {
  /** JSON Pointer (RFC 6901) from the value to it. */
  path: string
  message: string
}

/**
 * Whether what a codec has decoded is a JSON value. MessagePack has bytes and NaN beside, and of JSON itself the number 1e999
 * becomes an infinite one. What was sent in one encoding must go out in the other.
 * @returns null when it is one
 */
export function jsonProblem (value: unknown, depth = 0): ValueProblem | null {
  if (typeof value === 'number') return Number.isFinite(value) ? null : { path: '', message: 'a number that is not finite' }
  if (typeof value !== 'object' || value === null) return null
  if (value instanceof Uint8Array) return { path: '', message: 'bytes, which only the whole `data` of a publish may be' }
  if (depth === MAX_DEPTH) return { path: '', message: `lists and objects deeper than ${MAX_DEPTH}` }
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const problem = jsonProblem(value[i], depth + 1)
      if (problem !== null) return below(i, problem)
    }
    return null
  }
  for (const key of Object.keys(value)) {
    const problem = jsonProblem((value as Record<string, unknown>)[key], depth + 1)
    if (problem !== null) return below(key, problem)
  }
  return null
}

function below (key: string | number, { path, message }: ValueProblem): ValueProblem {
  return { path: pointer(key) + path, message }
}
