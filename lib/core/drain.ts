import { disconnects } from '../protocol/disconnect.js'
import type { HubConnection } from './connection.js'
import { TICK_MS, Timeout, type TimingWheel } from './timing-wheel.js'

export interface DrainOptions {
  /** Milliseconds over which connections are closed; 0: all at once. */
  readonly spread: number
  /** Milliseconds after which the rest is terminated; 0: never. */
  readonly timeout: number
}

/** Closed at once however short that makes it: a small server need not wait for the whole spread. */
const MIN_BATCH = 64

/**
 * Closes connections with 1012 in batches, one per look at the wheel, so that their clients do not all come back at once.
 * @param onTimeout called at the timeout
 * @returns ends both the batches and the timeout
 */
export function drainConnections (connections: readonly HubConnection[], { spread, timeout }: DrainOptions, wheel: TimingWheel, onTimeout: () => void): () => void {
  const { code, reason } = disconnects.restart
  const batches = Math.max(1, Math.floor(spread / TICK_MS))
  const batch = spread === 0 ? connections.length : Math.max(MIN_BATCH, Math.ceil(connections.length / batches))
  let next = 0
  const pace = new Timeout(wheel, closeBatch)
  function closeBatch (): void {
    const closing = connections.slice(next, next + batch)
    for (const [i, connection] of closing.entries()) {
      // Its own time to come back: all of them over the spread, in the order in which they go.
      connection.endpoint?.goodbye(Math.floor(spread * (next + i + 1) / connections.length))
      connection.close(code, reason)
    }
    next += batch
    // 0 is the next look at the wheel; TICK_MS from now would be the one after it, most of the time.
    if (next < connections.length) pace.start(0)
  }
  const deadline = new Timeout(wheel, onTimeout)
  if (timeout > 0) deadline.start(timeout)
  closeBatch()
  return () => {
    pace.cancel()
    deadline.cancel()
  }
}
