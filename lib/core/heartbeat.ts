/** `heartbeat` option: milliseconds; 0 turns that half off. */
export interface HeartbeatOptions { readonly interval: number, readonly timeout: number }

/** What to do now, and in how many milliseconds to look again (Infinity: never). */
export interface HeartbeatStep { readonly action: 'none' | 'ping' | 'expire', readonly next: number }

/** No ping has been sent since the peer was heard. */
export const NOT_ASKED = -1

/**
 * Decides for one connection. A ping goes only to a peer that was silent for an interval; one that was silent for the
 * timeout has expired. Whatever it sends moves `lastSeen`, so nothing has to be re-armed for each message.
 *
 * Where there are pings, a peer that was not asked in time has not failed to answer: this process slept. It is asked
 * then, and has half of what is between interval and timeout to answer.
 * @param lastSeen monotonic milliseconds of the last complete message, ping or pong
 * @param asked when the first ping since then was sent, or NOT_ASKED
 */
export function heartbeatStep ({ interval, timeout }: HeartbeatOptions, lastSeen: number, asked: number, now: number): HeartbeatStep {
  const silent = now - lastSeen
  let untilTimeout = timeout > 0 ? timeout - silent : Infinity
  if (interval > 0 && timeout > 0) {
    const sinceAsked = asked === NOT_ASKED ? 0 : now - asked
    untilTimeout = Math.max(untilTimeout, Math.ceil((timeout - interval) / 2) - sinceAsked)
  }
  if (untilTimeout <= 0) return { action: 'expire', next: 0 }
  if (interval === 0) return { action: 'none', next: untilTimeout }
  if (silent >= interval) return { action: 'ping', next: Math.min(interval, untilTimeout) }
  return { action: 'none', next: Math.min(interval - silent, untilTimeout) }
}
