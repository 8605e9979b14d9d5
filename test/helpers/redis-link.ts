import type { Test } from 'tap'
import { systemClock } from '../../lib/core/clock.js'
import { connectionsTo, type RedisTarget } from '../../lib/redis/connections.js'
import { RedisLink } from '../../lib/redis/link.js'

/** A link that is not connected. The test closes it. */
export async function newLink (t: Test, target: string | object, timeout = 5_000): Promise<RedisLink> {
  const where: RedisTarget = typeof target === 'string' ? { url: target, client: undefined } : { url: undefined, client: target }
  const link = new RedisLink(await connectionsTo(where), systemClock, timeout)
  t.teardown(async () => { await link.close() })
  return link
}

/** A link that is connected. The test closes it. */
export async function connectedLink (t: Test, target: string | object, timeout?: number): Promise<RedisLink> {
  const link = await newLink(t, target, timeout)
  await link.connect()
  return link
}
