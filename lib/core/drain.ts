import { disconnects } from '../protocol/disconnect.js'
import type { HubConnection } from './connection.js'
import { TICK_MS, Timeout, type TimingWheel } from './timing-wheel.js'

export interface DrainOptions {
  /** Milliseconds over which connections are closed; 0: all at once. */
  readonly spread: number
  /** Milliseconds after which the rest is terminated; 0: never. */
  readonly timeout: number
}

/** Closed in one tick however few ticks that takes: a small server need not wait for the whole spread. */
const MIN_BATCH = 128

/**
 * Closes connections with 1012 in batches, one per tick of the wheel, so that their clients do not all come back at once.
 * @returns `expired` resolves at the timeout; `cancel` ends both
 */
export function drainConnections (connections: readonly HubConnection[], { spread, timeout }: DrainOptions, wheel: TimingWheel): { expired: Promise<'expired'>, cancel: () => void } {
  const ticks = Math.max(1, Math.floor(spread / TICK_MS))
  const batch = spread === 0 ? connections.length : Math.max(MIN_BATCH, Math.ceil(connections.length / ticks))
  let next = 0
  const pace = new Timeout(wheel, closeBatch)
  function closeBatch (): void {
    const end = next + batch
    for (; next < end && next < connections.length; next++) {
      const { code, reason } = disconnects.restart
      connections[next]?.close(code, reason)
    }
    // 0 is the next tick; TICK_MS from now would be the one after it, most of the time.
    if (next < connections.length) pace.start(0)
  }
  const { promise: expired, resolve } = withResolvers<'expired'>()
  const deadline = new Timeout(wheel, () => { resolve('expired') })
  if (timeout > 0) deadline.start(timeout)
  closeBatch()
  return { expired, cancel: () => { pace.cancel(); deadline.cancel() } }
}

function withResolvers<T> (): { promise: Promise<T>, resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {}
  const promise = new Promise<T>((_resolve) => { resolve = _resolve })
  return { promise, resolve }
}
