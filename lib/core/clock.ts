import type { Clock, Timer } from './ports.js'

/** The machine's time. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => Math.trunc(performance.now()),
  every (ms: number, fn: () => void): Timer {
    // libuv counts from the start of the turn: without one more, a timer may come before its time by this clock.
    const timer = setInterval(fn, ms + 1).unref()
    return { cancel: () => { clearInterval(timer) } }
  },
  defer: (fn: () => void): void => { setImmediate(fn) }
}
