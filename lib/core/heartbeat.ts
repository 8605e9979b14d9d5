import { TICK_MS } from './timing-wheel.js'

/** `heartbeat` option: milliseconds; 0 turns that half off. */
export interface HeartbeatOptions { readonly interval: number, readonly timeout: number }

/** What to do now, and in how many milliseconds to look again (Infinity: never). */
export interface HeartbeatStep { readonly action: 'none' | 'ping' | 'expire', readonly next: number }

/** How long a ping may be put off, so that many connections are looked at in one go: each look wakes the process. */
const LONGEST_GRID = 250
/** The same, of the interval, and of the time for the answer. */
const GRID_SHARE = 120

/** No ping has been sent since the peer was heard. */
export const NOT_ASKED = -1

/**
 * Milliseconds between the times at which pings are due: rounded to these, or in short intervals to none but whole ones.
 */
export function pingGrid (options: HeartbeatOptions): number {
  const grid = Math.min(LONGEST_GRID, Math.floor(timeToAnswer(options) / GRID_SHARE / TICK_MS) * TICK_MS)
  return grid >= TICK_MS ? grid : 1
}

/** Milliseconds that are left for a ping to be late, and for its answer: as long as the interval, where there is no timeout. */
export function timeToAnswer ({ interval, timeout }: HeartbeatOptions): number {
  return timeout > 0 ? Math.min(interval, timeout - interval) : interval
}

/**
 * Decides for one connection. A ping goes only to a peer that was silent for an interval, and was not asked within it; one
 * that was silent for the timeout has expired. Whatever it sends moves `lastSeen`, so nothing has to be re-armed for each
 * message.
 *
 * Where there are pings, a peer that was not asked in time has not failed to answer: this process slept. It is asked
 * then, and has half of what is between interval and timeout to answer.
 *
 * Pings are due on a grid. So is the look at one that waits for its answer: nearly always that has come, and the next ping is
 * put off in turn. Only a peer that is still silent then is looked at when its timeout is, to the tick.
 * @param lastSeen monotonic milliseconds of the last complete message, ping or pong
 * @param asked when the first ping since then was sent, or NOT_ASKED
 */
export function heartbeatStep (options: HeartbeatOptions, lastSeen: number, asked: number, now: number): HeartbeatStep {
  const { interval, timeout } = options
  const silent = now - lastSeen
  let untilTimeout = timeout > 0 ? timeout - silent : Infinity
  if (interval > 0 && timeout > 0) {
    const sinceAsked = asked === NOT_ASKED ? 0 : now - asked
    untilTimeout = Math.max(untilTimeout, Math.ceil((timeout - interval) / 2) - sinceAsked)
  }
  if (untilTimeout <= 0) return { action: 'expire', next: 0 }
  if (interval === 0) return { action: 'none', next: untilTimeout }
  const grid = pingGrid(options)
  // One that was asked has an interval to answer, too, before it is asked again.
  const untilPing = Math.max(interval - silent, asked === NOT_ASKED ? 0 : asked + interval - now)
  const isDue = untilPing <= 0
  const ping = Math.ceil((now + (isDue ? interval : untilPing)) / grid) * grid
  const beforeTimeout = Math.floor((now + untilTimeout) / grid) * grid
  const last = beforeTimeout > now ? beforeTimeout : now + untilTimeout
  return { action: isDue ? 'ping' : 'none', next: Math.min(ping, last) - now }
}
