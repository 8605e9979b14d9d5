import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify'
import t from 'tap'
import * as errors from '../../../lib/errors.js'
import { refuse, type RefusalError } from '../../../lib/upgrade/refusal.js'

interface Outcome { headers: Record<string, unknown>, logged: unknown[][], answered: Error[] }

/** @param onAnswer what the error handler does with the reply's logger */
function run (error: Error, onAnswer: (log: FastifyBaseLogger) => void = () => {}): Outcome {
  const outcome: Outcome = { headers: {}, logged: [], answered: [] }
  const write = (level: string) => (...line: unknown[]): void => { outcome.logged.push([level, ...line]) }
  const log = { level: 'info', info: write('info'), error: write('error'), warn: write('warn') }
  const reply = {
    log,
    header (name: string, value: unknown) { outcome.headers[name] = value },
    headers (all: object) { Object.assign(outcome.headers, all) }
  }
  refuse({ log } as unknown as FastifyRequest, reply as unknown as FastifyReply, error as RefusalError, (answered) => {
    outcome.answered.push(answered)
    onAnswer(reply.log as unknown as FastifyBaseLogger)
  })
  return outcome
}

t.test('one line at info, and the answer through the error handler', (t) => {
  const error = new errors.FST_HUB_ORIGIN_DENIED()
  const { headers, logged, answered } = run(error)
  t.same(answered, [error])
  t.same(logged, [['info', { code: 'FST_HUB_ORIGIN_DENIED', statusCode: 403, reason: 'Origin not allowed' }, 'websocket upgrade refused']])
  t.same(headers, {})
  t.end()
})

t.test('what Fastify says about the same error is left out, and nothing else is', (t) => {
  const error = new errors.FST_HUB_FULL()
  const { logged } = run(error, (log) => {
    log.error({ req: {}, res: {}, err: error }, error.message)
    log.info({ res: {}, err: error }, error.message)
    log.error({ err: new Error('another') }, 'told')
    log.info('told')
    log.info(null, 'told')
    log.warn({ err: error }, 'told')
    t.equal(log.level, 'info')
  })
  t.equal(logged.length, 5)
  t.match(logged.slice(1), [['error', {}, 'told'], ['info', 'told'], ['info', null, 'told'], ['warn', {}, 'told']])
  t.end()
})

t.test('Retry-After, in whole seconds of at least 1, where coming back helps', (t) => {
  for (const RetryLater of [errors.FST_HUB_DRAINING, errors.FST_HUB_FULL, errors.FST_HUB_WAIT_TIMEOUT, errors.FST_HUB_ADMIT_TIMEOUT, errors.FST_HUB_TOO_MANY_CONNECTIONS_PER_IP, errors.FST_HUB_UPGRADE_RATE]) {
    const error = new RetryLater()
    t.ok(error.statusCode === 503 || error.statusCode === 429)
    const seconds = run(error).headers['retry-after']
    t.ok(Number.isInteger(seconds) && (seconds as number) >= 1, error.code)
  }
  t.notOk('retry-after' in run(new errors.FST_HUB_FORBIDDEN()).headers)
  t.end()
})

t.test('426 says what to upgrade to, 405 what is allowed', (t) => {
  t.same(run(new errors.FST_HUB_UPGRADE_REQUIRED('x')).headers, { upgrade: 'websocket', connection: 'upgrade', 'sec-websocket-version': '13' })
  t.same(run(new errors.FST_HUB_METHOD_NOT_ALLOWED('POST')).headers, { allow: 'GET' })
  t.end()
})

t.test('the cause is in the log', (t) => {
  const error = new errors.FST_HUB_UNAUTHORIZED()
  error.cause = new Error('token expired')
  t.match(run(error).logged[0]?.[1], { err: { message: 'token expired' } })
  t.end()
})
