import type { LoopDelay } from './loop-delay.js'
import type { InboundMessage } from './message.js'
import { PeerRate, type PeerRateLimits } from './peer-rate.js'
import type { Clock } from './ports.js'
import { isThenable } from './thenable.js'

/** What all connections of a hub share for receiving. */
export interface InboundShared {
  readonly settings: { readonly maxPending: number, readonly rate: PeerRateLimits }
  readonly counters: { limited: number, throttled: number }
  readonly clock: Pick<Clock, 'monotonic'>
  readonly wheel: { readonly delay: Pick<LoopDelay, 'stalled' | 'stalledBefore'> }
}

/** What the way in of a connection needs from it. */
export interface InboundHost {
  readonly inboundShared: InboundShared
  /** The application's handler. What it throws or rejects with goes to `onFailure`. */
  handle (message: InboundMessage): unknown
  onFailure (error: unknown): void
  /** An asynchronous handler began, or ended. */
  onBusy (busy: boolean): void
  pause (): void
  resume (): void
  /** The peer is ahead of its rate of bytes: `unthrottle` is due in so many milliseconds. */
  onThrottled (wait: number): void
  /** The peer goes on sending more messages than it may. */
  onFlood (): void
}

/**
 * The way in of one connection: messages are handled in order, one at a time. While as many as `maxPending` wait, or the
 * peer is ahead of its rate of bytes, the socket is paused, so that TCP pushes back on the sender; what one read had already
 * brought in is still kept.
 */
export class Inbound {
  readonly #host: InboundHost
  /** null before it has sent anything, and again when it has been quiet for long enough. */
  #rate: PeerRate | null = null
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

  constructor (host: InboundHost) {
    this.#host = host
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

  /** Counts bytes that have come, also where nobody handles them: ahead of its rate, the peer is not read until `unthrottle`, whatever else happens. */
  spend (bytes: number, now: number): void {
    const wait = this.#rateAt(now).spend(bytes, now)
    if (wait === 0) return
    if (!this.#throttled) {
      this.#throttled = true
      this.#host.inboundShared.counters.throttled++
      this.#pause()
    }
    this.#host.onThrottled(wait)
  }

  /** Counts one message, or one ping or pong. @returns whether it is within the peer's rate of messages */
  take (now: number): boolean {
    const { settings: { rate: { violations } }, counters, wheel: { delay } } = this.#host.inboundShared
    const rate = this.#rateAt(now)
    if (rate.take(now, delay.stalled)) return true
    counters.limited++
    if (violations > 0 && rate.violations >= violations) this.#host.onFlood()
    return false
  }

  /** Forgets what a peer has used up that was quiet for long enough. */
  rest (now: number): void {
    if (this.#rate?.rested(now) === true) this.#rate = null
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
  get #maxPending (): number { return this.#host.inboundShared.settings.maxPending }

  #rateAt (now: number): PeerRate {
    const { settings, wheel: { delay } } = this.#host.inboundShared
    return (this.#rate ??= new PeerRate(settings.rate, now, delay.stalledBefore))
  }

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
    this.#rate?.pause(this.#host.inboundShared.clock.monotonic())
    this.#host.pause()
  }

  #resumeIfFree (): void {
    const isFree = this.#sealed || (this.#pending < this.#maxPending && !this.#held)
    if (!this.#paused || this.#throttled || !isFree) return
    this.#paused = false
    const { clock, wheel: { delay } } = this.#host.inboundShared
    this.#rate?.resume(clock.monotonic(), delay.stalled)
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
