/*
 * What the client needs of the platform that it runs on, as small types of its own: the types of browsers are not those of
 * Node, and whoever compiles for one need not have the other's.
 */

/** A WebSocket: that of browsers and of Node, and the one of the package ws. */
export interface WebSocketLike {
  readonly readyState: number
  readonly protocol: string
  binaryType: string
  onopen: ((event: never) => void) | null
  onmessage: ((event: never) => void) | null
  onerror: ((event: never) => void) | null
  onclose: ((event: never) => void) | null
  send (data: string | Uint8Array<ArrayBuffer>): void
  close (code?: number, reason?: string): void
}

export type WebSocketConstructor = new (url: string, protocol: string) => WebSocketLike

/** Longest time a timer can wait: what is longer would come at once. */
export const MAX_MS = 2 ** 31 - 1

/** Time. Tests drive their own. */
export interface ClientClock {
  /** Milliseconds since the Unix epoch. May jump when the machine's clock is set. */
  now (): number
  /** Calls `fn` once, after `ms`. */
  setTimeout (fn: () => void, ms: number): unknown
  clearTimeout (timer: unknown): void
}

/** Who hears of the network and of the page: the `window` of a browser. */
export interface PageLike {
  addEventListener (type: string, listener: () => void): void
  removeEventListener (type: string, listener: () => void): void
  readonly navigator?: { readonly onLine?: boolean }
  readonly document?: { readonly visibilityState?: string }
}

/** The machine's time. */
export const systemClock: ClientClock = {
  now: () => Date.now(),
  setTimeout: (fn, ms) => setTimeout(fn, ms),
  clearTimeout: (timer) => { clearTimeout(timer as number) }
}

/** The WebSocket of the platform; undefined in Node before 22. */
export function globalWebSocket (): WebSocketConstructor | undefined {
  return (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket
}

/** The window of a browser, or the scope of a worker; undefined in Node. */
export function globalPage (): PageLike | undefined {
  const page = globalThis as Partial<PageLike>
  return typeof page.addEventListener === 'function' ? page as PageLike : undefined
}

/** Tells the platform of an error that nobody takes: as for one that a listener of an event throws. */
export function reportUncaught (error: unknown): void {
  const { reportError } = globalThis as { reportError?: (error: unknown) => void }
  if (reportError === undefined) console.error(error)
  else reportError(error)
}
