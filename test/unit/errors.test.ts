import t from 'tap'
import * as errors from '../../lib/errors.js'

/** What each error answers when it ends a request: a change here is a change of the public contract. */
const STATUSES: Record<keyof typeof errors, number> = {
  FST_HUB_INVALID_OPTIONS: 500,
  FST_HUB_DUPLICATE_NAME: 500,
  FST_HUB_BAD_HANDSHAKE: 400,
  FST_HUB_UPGRADE_REQUIRED: 426,
  FST_HUB_METHOD_NOT_ALLOWED: 405,
  FST_HUB_DRAINING: 503,
  FST_HUB_OVERLOADED: 503,
  FST_HUB_ORIGIN_DENIED: 403,
  FST_HUB_NO_SUBPROTOCOL: 400,
  FST_HUB_TOO_MANY_CONNECTIONS_PER_IP: 429,
  FST_HUB_UPGRADE_RATE: 429,
  FST_HUB_FULL: 503,
  FST_HUB_WAIT_TIMEOUT: 503,
  FST_HUB_ADMIT_TIMEOUT: 503,
  FST_HUB_UNAUTHORIZED: 401,
  FST_HUB_CREDENTIALS_EXPIRED: 401,
  FST_HUB_FORBIDDEN: 403,
  FST_HUB_INVALID_IDENTITY: 500,
  FST_HUB_INVALID_HEADER: 500,
  FST_HUB_INVALID_DATA: 500,
  FST_HUB_INVALID_NAME: 400,
  FST_HUB_INVALID_ARGUMENT: 500,
  FST_HUB_DUPLICATE_EVENT: 500,
  FST_HUB_INVALID_CLOSE_CODE: 500,
  FST_HUB_CLOSED: 500,
  FST_HUB_OFFLINE_UNAVAILABLE: 500,
  FST_HUB_HANDLER_TIMEOUT: 500,
  FST_HUB_BROKER_UNAVAILABLE: 503
}

/** As many as the error with the most placeholders takes. */
const ARGUMENTS = ['first', 'second', 'third']

t.test('every error has the code of its name and the documented status', async (t) => {
  t.same(Object.keys(errors).sort(), Object.keys(STATUSES).sort())
  for (const [name, CodedError] of Object.entries(errors)) {
    const error = new (CodedError as new (...args: string[]) => Error & { code: string, statusCode?: number })(...ARGUMENTS)
    t.ok(error instanceof Error, name)
    t.equal(error.code, name)
    t.equal(error.statusCode, STATUSES[name as keyof typeof errors], name)
    t.notMatch(error.message, /%s/, `${name}: every placeholder of the message is filled`)
  }
})

t.test('the arguments of an error are part of its message', async (t) => {
  const error = new errors.FST_HUB_INVALID_OPTIONS('heartbeat.timeout', 'more than 30000', '1000')
  t.equal(error.message, 'fastify-hub option heartbeat.timeout: expected more than 30000, got 1000')
})
