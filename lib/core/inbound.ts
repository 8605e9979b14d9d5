import type { InboundMessage } from './message.js'
import { isThenable } from './thenable.js'

/** What the way in of a connection needs from it. */
export interface InboundHost {
  /** The application's handler. What it throws or rejects with goes to `onFailure`. */
  handle (message: InboundMessage): unknown
  onFailure (error: unknown): void
  /** An asynchronous handler began, or ended. */
  onBusy (busy: boolean): void
  pause (): void
  resume (): void
}

/**
 * The way in of one connection: messages are handled in order, one at a time. While as many as `maxPending` wait, or the
 * peer is ahead of its rate of bytes, the socket is paused, so that TCP pushes back on the sender; what one read had already
 * brought in is still kept.
 */
export class Inbound {
  readonly #host: InboundHost
  readonly #maxPending: number
  /** null when none does: most connections are idle. */
  #waiting: InboundMessage[] | null = null
  /** Until what `begin` runs first has ended: the connection is not ready for messages yet. */
  #held = true
  #busy = false
  #paused = false
  /** The peer is ahead of its rate. */
  #throttled = false
  #sealed = false
  /** A synchronous handler is running: what it causes to be received waits for its turn. */
  #pumping = false
  #idle: (() => void) | null = null

  constructor (host: InboundHost, maxPending: number) {
    this.#host = host
    this.#maxPending = maxPending
  }

  /** Whether the socket is paused. */
  get paused (): boolean { return this.#paused }

  /** Whether messages wait for the first task of `begin`. */
  get held (): boolean { return this.#held }

  receive (message: InboundMessage): void {
    if (this.#sealed) return
    if (this.#waiting === null) this.#waiting = [message]
    else this.#waiting.push(message)
    this.#pump()
    if (!this.#sealed && this.#pending >= this.#maxPending) this.#pause()
  }

  /** Reads no more until `unthrottle`, whatever else happens. @returns whether that is new */
  throttle (): boolean {
    if (this.#throttled) return false
    this.#throttled = true
    this.#pause()
    return true
  }

  unthrottle (): void {
    this.#throttled = false
    this.#resumeIfFree()
  }

  /** Runs `first`, then handles what has been received, and what comes; nothing of it where `first` fails. */
  begin (first: () => unknown): void {
    this.#pumping = true
    this.#run(first)
    this.#pumping = false
    if (!this.#busy) this.#held = false
    this.#pump()
  }

  /**
   * Takes no new messages; what waits is still handled. The socket is read again, for the peer's Close has to be seen: at
   * the peer's rate, or being closed would free it from that.
   */
  seal (): void {
    this.#sealed = true
    this.#resumeIfFree()
  }

  /** Forgets what waits; nothing more is handled. */
  stop (): void {
    this.seal()
    this.#waiting = null
    this.#settleIdle()
  }

  /** Does not wait any longer for a handler that is running. */
  abandon (): void {
    this.#busy = false
    this.stop()
  }

  /** Calls back when nothing is being handled and nothing waits. For the end of the connection: once. */
  whenIdle (fn: () => void): void {
    this.#idle = fn
    this.#settleIdle()
  }

  get #pending (): number { return this.#waiting?.length ?? 0 }

  #pump (): void {
    if (this.#pumping) return
    this.#pumping = true
    while (!this.#held && !this.#busy) {
      const message = this.#waiting?.shift()
      if (message === undefined) break
      if (this.#pending === 0) this.#waiting = null
      this.#run(message)
    }
    this.#pumping = false
    this.#resumeIfFree()
    this.#settleIdle()
  }

  #pause (): void {
    if (this.#paused) return
    this.#paused = true
    this.#host.pause()
  }

  #resumeIfFree (): void {
    const isFree = this.#sealed || (this.#pending < this.#maxPending && !this.#held)
    if (!this.#paused || this.#throttled || !isFree) return
    this.#paused = false
    this.#host.resume()
  }

  #run (task: InboundMessage | (() => unknown)): void {
    try {
      const result = typeof task === 'function' ? task() : this.#host.handle(task)
      if (isThenable(result)) this.#await(result)
    } catch (error) {
      this.#failed(error)
    }
  }

  #failed (error: unknown): void {
    this.#host.onFailure(error)
    // To the host the end of the connection itself is no failure; but nobody has let it in.
    if (this.#held) this.stop()
  }

  #await (result: PromiseLike<unknown>): void {
    this.#busy = true
    this.#host.onBusy(true)
    const settled = (): void => {
      if (!this.#busy) return
      this.#busy = this.#held = false
      this.#host.onBusy(false)
      this.#pump()
    }
    // A thenable may throw in `then`, or call back twice: a promise made of it does neither.
    Promise.resolve(result).then(settled, (error: unknown) => {
      this.#failed(error)
      settled()
    })
  }

  #settleIdle (): void {
    if (this.#idle === null || this.#busy || this.#pumping || this.#waiting !== null) return
    const idle = this.#idle
    this.#idle = null
    idle()
  }
}
