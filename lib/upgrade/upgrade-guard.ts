import type { Duplex } from 'node:stream'
import { Deadline, type TimingWheel } from '../core/timing-wheel.js'

export interface GuardListener {
  /** The client has left. */
  onGone (): void
  /** The deadline has passed. */
  onTimeout (): void
}

/** Whose socket it is. */
const kGuard = Symbol('fastify-hub.guard')

type Guarded = Duplex & { [kGuard]?: UpgradeGuard | undefined }

/**
 * Watches the raw socket and the deadline of one upgrade. Neither onResponse nor onRequestAbort tells that a client
 * left, and 'close' comes only after the hook that is running: so 'end' destroys the socket.
 */
export class UpgradeGuard extends Deadline {
  readonly #socket: Guarded
  readonly #wheel: TimingWheel
  readonly #listener: GuardListener

  constructor (socket: Duplex, wheel: TimingWheel, listener: GuardListener) {
    super()
    this.#socket = socket
    this.#wheel = wheel
    this.#listener = listener
    this.#socket[kGuard] = this
    socket.on('end', onEnd)
    socket.on('close', onClose)
  }

  /** @param ms 0 is no deadline */
  start (ms: number): void { if (ms > 0) this.#wheel.arm(this, ms) }

  /** An answer is on its way: the deadline is over, but the end of the socket still counts. */
  settle (): void { this.#wheel.disarm(this) }

  /** The 101 is about to go out: like UpgradeGate.switching. */
  switching (): void { this.#socket.removeListener('end', onEnd) }

  /** The socket has another owner. */
  stop (): void {
    this.settle()
    this.#socket[kGuard] = undefined
    this.#socket.removeListener('end', onEnd)
    this.#socket.removeListener('close', onClose)
  }

  override onDue (): void { this.#listener.onTimeout() }

  gone (): void {
    this.settle()
    this.#listener.onGone()
  }
}

/* Listeners that all sockets share: a closure for each event of each upgrade is work for the garbage collector. */

function onEnd (this: Duplex): void { this.destroy() }

function onClose (this: Guarded): void { this[kGuard]?.gone() }
