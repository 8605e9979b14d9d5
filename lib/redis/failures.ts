import { FST_HUB_BROKER_UNAVAILABLE } from '../errors.js'

/** It is there, and will do it later: what was asked for was not done. */
const LATER = /^(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|BUSY|NOREPLICAS) /

/** Whether an error is what Redis answered, and will answer again. */
export function isRefusal (error: unknown): boolean {
  const { cause } = error as Error
  return cause instanceof Error && cause.name === 'ReplyError' && !LATER.test(cause.message)
}

/** Whether an error is what Redis answered, and begins with this word: `NOSCRIPT`, `NOGROUP`. */
export function isReply (error: unknown, word: string): boolean {
  const { cause = error } = error as Error
  return cause instanceof Error && cause.message.startsWith(`${word} `)
}

/** @param why in words for whoever asked */
export function unavailable (why: Error, cause: unknown = why): Error {
  const error = new FST_HUB_BROKER_UNAVAILABLE(why.message)
  error.cause = cause
  return error
}

/** What is behind the failure of all addresses of a host, or of all nodes of a cluster; without the command, whose arguments are secrets. */
export function causeOf (error: Error & { lastNodeError?: Error, errors?: Error[] }): Error {
  const cause: Error & { command?: unknown, cert?: unknown } = error.lastNodeError ?? error.errors?.at(-1) ?? error
  delete cause.command
  // A log would have all of its bytes, one number for each.
  delete cause.cert
  return cause
}
