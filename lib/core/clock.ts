import type { Clock, Timer } from './ports.js'

/** The machine's time. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => Math.trunc(performance.now()),
  every (ms: number, fn: () => void): Timer {
    const timer = setInterval(fn, ms).unref()
    return { cancel: () => { clearInterval(timer) } }
  },
  defer: (fn: () => void): void => { setImmediate(fn) }
}
