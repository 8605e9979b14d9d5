import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify'
import {
  FST_HUB_DRAINING, FST_HUB_FULL, FST_HUB_METHOD_NOT_ALLOWED, FST_HUB_OVERLOADED, FST_HUB_TOO_MANY_CONNECTIONS_PER_IP, FST_HUB_UPGRADE_RATE,
  FST_HUB_UPGRADE_REQUIRED, FST_HUB_WAIT_TIMEOUT, FST_HUB_ADMIT_TIMEOUT
} from '../errors.js'

/** An error that is the answer to an upgrade. */
export interface RefusalError extends Error { code?: string, statusCode?: number }

/** Seconds. Draining: another node takes over at once. Full, overloaded: give it time. */
const RETRY_AFTER: ReadonlyMap<unknown, number> = new Map<unknown, number>([
  [FST_HUB_DRAINING, 1], [FST_HUB_UPGRADE_RATE, 1], [FST_HUB_TOO_MANY_CONNECTIONS_PER_IP, 5],
  [FST_HUB_OVERLOADED, 5], [FST_HUB_FULL, 5], [FST_HUB_WAIT_TIMEOUT, 5], [FST_HUB_ADMIT_TIMEOUT, 5]
])

/**
 * Answers through the app's error handler, and logs one line at info. Fastify's default handler would log a second, and
 * a 503 as an error; when it runs, onError hooks may have taken their time.
 * @param answer passes the error on to Fastify
 */
export function refuse (request: FastifyRequest, reply: FastifyReply, error: RefusalError, answer: (error: Error) => void): void {
  const retryAfter = RETRY_AFTER.get(error.constructor)
  if (retryAfter !== undefined) reply.header('retry-after', retryAfter)
  if (error instanceof FST_HUB_UPGRADE_REQUIRED) reply.headers({ upgrade: 'websocket', connection: 'upgrade', 'sec-websocket-version': '13' })
  if (error instanceof FST_HUB_METHOD_NOT_ALLOWED) reply.header('allow', 'GET')
  logRefusal(request.log, error)
  reply.log = withoutLineAbout(error, reply.log)
  answer(error)
}

export function logRefusal (log: FastifyBaseLogger, { code, statusCode, message: reason, cause }: RefusalError): void {
  log.info({ code, statusCode, reason, ...cause !== undefined && { err: cause } }, 'websocket upgrade refused')
}

/** A logger that leaves out what is said about one error. */
function withoutLineAbout (error: Error, log: FastifyBaseLogger): FastifyBaseLogger {
  const quiet = Object.create(log) as FastifyBaseLogger
  for (const level of ['info', 'error'] as const) {
    quiet[level] = (...line: Parameters<FastifyBaseLogger[typeof level]>) => {
      const [details] = line as [unknown]
      if ((details as { err?: unknown } | null)?.err !== error) log[level](...line)
    }
  }
  return quiet
}
