import { FST_HUB_BROKER_UNAVAILABLE } from '../errors.js'
import { disconnects, type Disconnect } from '../protocol/disconnect.js'

/** How a connection ends for which something failed: what it needs may be away for a while, or is wrong. */
export function disconnectFor (error: unknown): Disconnect {
  return error instanceof FST_HUB_BROKER_UNAVAILABLE ? disconnects.tryAgain : disconnects.internalError
}
