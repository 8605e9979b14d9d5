import type { HubHealth } from './types.js'

/** Sockets of the HTTP server, those that never become a WebSocket included. */
export interface SocketFigures {
  /** Open now. */
  readonly open: number
  /** Dropped so far, because as many as `limit` were open. */
  readonly dropped: number
  /** When the last one was dropped: monotonic milliseconds, -Infinity for never. */
  readonly droppedAt: number
  /** Open at most; 0 is no limit. */
  readonly limit: number
}

/** What a hub's health is judged by. Times in milliseconds. */
export interface Vitals {
  /** Monotonic. */
  readonly now: number
  readonly draining: boolean
  readonly connections: number
  readonly loopDelay: number
  readonly waiting: number
  readonly held: number
  readonly limits: { readonly connections: number, readonly onFull: 'reject' | 'wait', readonly maxWaiting: number, readonly maxLoopDelay: number }
  readonly sockets: SocketFigures
  /** Of all queues of the process, in bytes. */
  readonly budget: { readonly bytes: number, readonly limit: number, readonly shed: number, readonly shedding: boolean }
  /** What is wrong with what the ports rest upon. */
  readonly troubles: readonly string[]
}

/** A loop that is later than this is told of when `limits.maxLoopDelay` says nothing: clients notice a second. */
const LATE_MS = 1_000
/** For how long a dropped socket is told of. */
const RECENT_MS = 10_000

/** Each answers a sentence with its figures, or null. */
const CHECKS: ReadonlyArray<(vitals: Vitals) => string | null> = [loop, slots, sockets, queues]

/** Draining wins: nothing that is degraded matters on a node that is about to go. */
export function judge (vitals: Vitals): HubHealth {
  if (vitals.draining) return { status: 'draining', reasons: [`the hub drains, ${count(vitals.connections, 'connection')} left`] }
  const reasons = [...CHECKS.map((check) => check(vitals)).filter((reason) => reason !== null), ...vitals.troubles]
  return { status: reasons.length === 0 ? 'ok' : 'degraded', reasons }
}

function loop ({ loopDelay, limits: { maxLoopDelay } }: Vitals): string | null {
  if (loopDelay <= (maxLoopDelay || LATE_MS)) return null
  const late = `the event loop is ${Math.round(loopDelay)} ms late`
  return maxLoopDelay > 0 ? `${late}, limits.maxLoopDelay is ${maxLoopDelay}: upgrades are refused` : late
}

function slots ({ held, waiting, limits: { connections, onFull, maxWaiting } }: Vitals): string | null {
  if (connections === 0 || held < connections) return null
  const taken = `all ${connections} slots are taken (limits.connections)`
  return onFull === 'wait' ? `${taken}, ${waiting} of at most ${maxWaiting} upgrades wait in line` : `${taken}: upgrades are refused`
}

function sockets ({ now, sockets: { open, dropped, droppedAt, limit } }: Vitals): string | null {
  const ago = now - droppedAt
  if (ago >= RECENT_MS) return null
  return `the server dropped ${count(dropped, 'socket')} so far, the last ${Math.round(ago / 1000)} s ago: ${open} are open, at most ${limit} may be`
}

function queues ({ budget: { bytes, limit, shed, shedding } }: Vitals): string | null {
  if (!shedding) return null
  return `the queues of this process are full, the fattest gave way ${count(shed, 'time')} so far: ${bytes} of ${limit} bytes are taken (queue.maxTotalBytes)`
}

function count (n: number, thing: string): string { return `${n} ${thing}${n === 1 ? '' : 's'}` }
