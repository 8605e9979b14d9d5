import t from 'tap'
import { disconnectFor } from '../../../lib/core/failure.js'
import { FST_HUB_BROKER_UNAVAILABLE } from '../../../lib/errors.js'

t.test('what failed because Redis is away is worth another try soon; everything else is a fault', async (t) => {
  t.equal(disconnectFor(new FST_HUB_BROKER_UNAVAILABLE('it is away')).code, 1013)
  for (const error of [new Error('mine'), undefined, 'text']) t.equal(disconnectFor(error).code, 1011)
})
