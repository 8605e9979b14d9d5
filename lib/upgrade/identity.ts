import { FST_HUB_UNAUTHORIZED } from '../errors.js'

/** What `identify` threw, as an answer: with its own statusCode from 400 to 599, else 401 that tells nothing of the cause. */
export function toRefusal (thrown: unknown): Error & { statusCode?: number } {
  const statusCode: unknown = thrown instanceof Error && 'statusCode' in thrown ? thrown.statusCode : undefined
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode <= 599) return thrown as Error
  const error = new FST_HUB_UNAUTHORIZED()
  error.cause = thrown
  return error
}
