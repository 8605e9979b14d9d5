import t from 'tap'
import { toRefusal } from '../../../lib/upgrade/identity.js'

t.test('what identify throws keeps its status from 400 to 599', (t) => {
  for (const statusCode of [400, 403, 404, 499, 500, 503, 599]) {
    const error = Object.assign(new Error('own'), { statusCode })
    t.equal(toRefusal(error), error)
  }
  t.end()
})

t.test('else it is 401, and the cause stays inside', (t) => {
  const odd = [399, 600, 200, 0, NaN, '403', null].map((statusCode) => Object.assign(new Error('secret'), { statusCode }))
  for (const thrown of [new Error('secret'), ...odd, 'text', null, undefined, { statusCode: 403 }]) {
    const refusal = toRefusal(thrown)
    t.match(refusal, { code: 'FST_HUB_UNAUTHORIZED', statusCode: 401, message: 'Not authenticated' })
    t.equal(refusal.cause, thrown)
  }
  t.end()
})
