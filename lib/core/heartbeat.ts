/** `heartbeat` option: milliseconds; 0 turns that half off. */
export interface HeartbeatOptions { readonly interval: number, readonly timeout: number }

/** What to do now, and in how many milliseconds to look again (Infinity: never). */
export interface HeartbeatStep { readonly action: 'none' | 'ping' | 'expire', readonly next: number }

/**
 * Decides for one connection. A ping goes only to a peer that was silent for an interval; one that was silent for the
 * timeout has expired. Whatever it sends moves `lastSeen`, so nothing has to be re-armed for each message.
 * @param lastSeen monotonic milliseconds of the last complete message, ping or pong
 */
export function heartbeatStep ({ interval, timeout }: HeartbeatOptions, lastSeen: number, now: number): HeartbeatStep {
  const silent = now - lastSeen
  if (timeout > 0 && silent >= timeout) return { action: 'expire', next: 0 }
  const untilTimeout = timeout > 0 ? timeout - silent : Infinity
  if (interval === 0) return { action: 'none', next: untilTimeout }
  if (silent >= interval) return { action: 'ping', next: Math.min(interval, untilTimeout) }
  return { action: 'none', next: Math.min(interval - silent, untilTimeout) }
}
