import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Slot } from '../core/admission.js'
import type { TimingWheel } from '../core/timing-wheel.js'
import type { Identity } from '../core/types.js'
import { watchAnswer, type Answer } from './answer.js'
import { UpgradeGuard, type GuardListener } from './upgrade-guard.js'

/** What becomes of an upgrade that nobody admitted. */
export interface UpgradeOwner {
  /** Its client has left. */
  onGone (upgrade: Upgrade): void
  /** It has taken too long. */
  onTimeout (upgrade: Upgrade): void
}

const NOBODY: Identity = Object.freeze({})
const NO_LINES: readonly string[] = Object.freeze([])
const kUpgrade = Symbol('fastify-hub.upgrade')

type Pending = IncomingMessage & { [kUpgrade]?: Upgrade | undefined }

/** One upgrade, up to the 101. A field of its request leads to it, which goes with the request. */
export class Upgrade implements GuardListener {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  readonly socket: Duplex
  readonly guard: UpgradeGuard
  readonly answer: Answer
  /** The hooks have let it in: an answer that begins now is the 101. */
  admitted = false
  /** null before it has been asked for. */
  slot: Slot | null = null
  ip: string | null = null
  subprotocol: string | null = null
  identity = NOBODY
  headerLines = NO_LINES
  readonly #owner: UpgradeOwner

  /** From here on, it is watched. */
  constructor (owner: UpgradeOwner, request: FastifyRequest, reply: FastifyReply, socket: Duplex, wheel: TimingWheel) {
    this.#owner = owner
    this.request = request
    this.reply = reply
    this.socket = socket
    this.answer = watchAnswer(reply)
    this.guard = new UpgradeGuard(socket, wheel, this)
    ;(request.raw as Pending)[kUpgrade] = this
  }

  /** The one of a request, unless it is another owner's: an app may have several hubs. */
  static of (request: IncomingMessage, owner: UpgradeOwner): Upgrade | undefined {
    const upgrade = (request as Pending)[kUpgrade]
    if (upgrade === undefined || upgrade.#owner !== owner) return undefined
    return upgrade
  }

  /** It is a connection now. */
  complete (): void {
    this.guard.stop()
    ;(this.request.raw as Pending)[kUpgrade] = undefined
  }

  /* ---- GuardListener ---- */

  onGone (): void { this.#owner.onGone(this) }

  onTimeout (): void { this.#owner.onTimeout(this) }
}
