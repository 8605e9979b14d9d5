import type { Duplex } from 'node:stream'
import { Timeout, type TimingWheel } from '../core/timing-wheel.js'

export interface GuardListener {
  /** The client has left. */
  onGone (): void
  /** The deadline has passed. */
  onTimeout (): void
}

/**
 * Watches the raw socket and the deadline of one upgrade. Neither onResponse nor onRequestAbort tells that a client
 * left, and 'close' comes only after the hook that is running: so 'end' destroys the socket.
 */
export class UpgradeGuard {
  readonly #socket: Duplex
  readonly #deadline: Timeout
  readonly #onEnd: () => void
  readonly #onClose: () => void

  constructor (socket: Duplex, wheel: TimingWheel, listener: GuardListener) {
    this.#socket = socket
    this.#deadline = new Timeout(wheel, () => { listener.onTimeout() })
    this.#onEnd = () => { socket.destroy() }
    this.#onClose = () => {
      this.#deadline.cancel()
      listener.onGone()
    }
    socket.once('end', this.#onEnd)
    socket.once('close', this.#onClose)
  }

  /** @param ms 0 is no deadline */
  start (ms: number): void { if (ms > 0) this.#deadline.start(ms) }

  /** An answer is on its way: the deadline is over, but the end of the socket still counts. */
  settle (): void { this.#deadline.cancel() }

  /** The 101 is about to go out: like UpgradeGate.switching. */
  switching (): void { this.#socket.removeListener('end', this.#onEnd) }

  /** The socket has another owner. */
  stop (): void {
    this.settle()
    this.#socket.removeListener('end', this.#onEnd)
    this.#socket.removeListener('close', this.#onClose)
  }
}
