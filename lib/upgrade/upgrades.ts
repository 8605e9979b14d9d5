import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { FastifyReply, FastifyRequest, HookHandlerDoneFunction } from 'fastify'
import type { WebSocket } from 'ws'
import type { Slot } from '../core/admission.js'
import { checkIdentity } from '../core/identity.js'
import type { LocalHub } from '../core/hub.js'
import { negotiate, parseSubprotocols } from '../core/subprotocol.js'
import { isThenable } from '../core/thenable.js'
import {
  FST_HUB_ADMIT_TIMEOUT, FST_HUB_BAD_HANDSHAKE, FST_HUB_DRAINING, FST_HUB_NO_SUBPROTOCOL,
  FST_HUB_ORIGIN_DENIED, FST_HUB_OVERLOADED, FST_HUB_UPGRADE_REQUIRED
} from '../errors.js'
import type { ResolvedOptions } from '../options.js'
import type { Handover } from '../transports/handover.js'
import { letResponseFinish } from '../transports/websocket-server.js'
import { checkHandshake, only, SEVERAL } from './handshake.js'
import { toRefusal } from './identity.js'
import { refuse, type RefusalError } from './refusal.js'
import { responseHeaderLines } from './response-headers.js'
import { Upgrade, type UpgradeOwner } from './upgrade.js'

const NONE_OFFERED: ReadonlySet<string> = new Set<string>()
const NO_LINES: readonly string[] = []

/**
 * The way of an upgrade through Fastify: onRequest admits, the last preHandler identifies, the handler takes the socket
 * over. Whatever happens on the way, the end of the raw socket gives the slot back.
 */
export class Upgrades implements UpgradeOwner {
  readonly #hub: LocalHub
  readonly #handover: Handover
  readonly #options: ResolvedOptions
  /** Those that wait for a function of `origins`, a slot, a hook or `identify`. */
  readonly #underWay = new Set<Upgrade>()

  constructor (hub: LocalHub, handover: Handover, options: ResolvedOptions) {
    this.#hub = hub
    this.#handover = handover
    this.#options = options
    // The node drains: a hook that never ends must not hold it up.
    hub.onDrain(() => {
      for (const upgrade of this.#underWay) this.#giveUp(upgrade, new FST_HUB_DRAINING())
    })
  }

  /** onRequest of the hub's routes. Cheap checks come before expensive ones. */
  admit (request: FastifyRequest, reply: FastifyReply, done: HookHandlerDoneFunction): void {
    const failed = (error: unknown): void => { this.refuse(request, reply, error, done) }
    try {
      if (!request.ws) throw new FST_HUB_UPGRADE_REQUIRED('this is a WebSocket')
      checkHandshake(request.raw)
      if (this.#hub.admission.draining) throw new FST_HUB_DRAINING()
      if (this.#hub.overloaded) throw new FST_HUB_OVERLOADED()
      const allowed = this.#isOriginAllowed(request)
      if (allowed instanceof Promise) this.#awaitOrigin(request, reply, allowed, done)
      else this.#takeSlot(request, reply, allowed, done)
    } catch (error) {
      failed(error)
    }
  }

  /** The last preHandler. `done` is called when the 101 may go out; whoever left meanwhile is not identified. */
  identify (request: FastifyRequest, done: HookHandlerDoneFunction): void {
    const upgrade = Upgrade.of(request.raw, this)
    if (upgrade?.slot?.state !== 'held') return
    let admitted: boolean | Promise<boolean>
    try {
      admitted = this.#identify(upgrade)
    } catch (error) {
      return done(error as Error)
    }
    if (typeof admitted !== 'boolean') admitted.then((later) => { if (later) done() }, done)
    else if (admitted) done()
  }

  /** Without a promise where `identify` makes none: what it answers is then known before the next client is looked at. */
  #identify (upgrade: Upgrade): boolean | Promise<boolean> {
    let answer: unknown
    try {
      answer = this.#options.identify === undefined ? {} : this.#options.identify(upgrade.request, upgrade.reply)
      if (isThenable(answer)) {
        return Promise.resolve(answer).then((identity) => this.#identified(upgrade, identity), (error: unknown) => this.#unidentified(upgrade, toRefusal(error)))
      }
    } catch (error) {
      return this.#unidentified(upgrade, toRefusal(error))
    }
    return this.#identified(upgrade, answer)
  }

  #identified (upgrade: Upgrade, identity: unknown): boolean {
    if (upgrade.answer.begun) this.#settle(upgrade)
    if (this.#isOver(upgrade)) return false
    try {
      upgrade.identity = checkIdentity(identity, this.#hub.clock.now())
      if (this.#hub.admission.draining) throw new FST_HUB_DRAINING()
      upgrade.headerLines = responseHeaderLines(upgrade.reply)
    } catch (error) {
      return this.#unidentified(upgrade, error)
    }
    upgrade.admitted = true
    return true
  }

  #unidentified (upgrade: Upgrade, error: unknown): false {
    const { request, reply } = upgrade
    // Else it has answered, or left, before it failed.
    if (!this.#isOver(upgrade)) this.refuse(request, reply, error, (refusal) => { reply.send(refusal) })
    return false
  }

  /** Whether it has been answered, or its client has left. */
  #isOver ({ answer, slot }: Upgrade): boolean { return answer.begun || slot?.state !== 'held' }

  /** The 101 of a request is about to go out. @returns its header lines */
  switching (request: IncomingMessage): readonly string[] {
    const upgrade = Upgrade.of(request, this)
    if (upgrade === undefined) return NO_LINES
    upgrade.guard.switching()
    this.#handover.expect(upgrade.socket)
    return upgrade.headerLines
  }

  /** The route's handler: the 101 is out. */
  complete (ws: WebSocket, request: FastifyRequest): void {
    const transport = this.#handover.take(ws)
    const upgrade = Upgrade.of(request.raw, this) as Upgrade & { slot: Slot }
    upgrade.complete()
    this.#underWay.delete(upgrade)
    this.#hub.accept(transport, upgrade)
  }

  #isOriginAllowed (request: FastifyRequest): boolean | Promise<boolean> {
    const { headers } = request.raw
    const { origin } = headers
    if (origin === undefined) return this.#options.allowMissingOrigin
    if (Array.isArray(request.raw.rawHeaders) && only(request.raw, 'origin') === SEVERAL) return false
    const failed = (error: unknown): false => {
      request.log.error({ err: error }, "a function in 'origins' failed")
      return false
    }
    try {
      const allowed = this.#options.isOriginAllowed(origin, request.host, request)
      return typeof allowed === 'boolean' ? allowed : allowed.catch(failed)
    } catch (error) {
      return failed(error)
    }
  }

  #awaitOrigin (request: FastifyRequest, reply: FastifyReply, allowed: Promise<boolean>, done: HookHandlerDoneFunction): void {
    const socket = openSocket(reply)
    if (socket === null) return
    const upgrade = this.#begin(request, reply, socket)
    upgrade.guard.start(this.#options.deadlines.admit)
    allowed.then((answer) => {
      upgrade.guard.stop()
      if (this.#underWay.delete(upgrade)) this.#takeSlot(request, reply, answer, done)
    }).catch((error: unknown) => { this.refuse(request, reply, error, done) })
  }

  #takeSlot (request: FastifyRequest, reply: FastifyReply, allowed: boolean, done: HookHandlerDoneFunction): void {
    if (!allowed) throw new FST_HUB_ORIGIN_DENIED()
    const subprotocol = this.#negotiate(request.raw)
    const socket = openSocket(reply)
    if (socket === null) return
    // None with injectWS, on a Unix domain socket, and when the peer has reset the connection meanwhile.
    const ip = request.raw.socket === undefined ? null : request.ip as string | undefined ?? null
    const slot = this.#hub.admission.acquire(ip, (error) => {
      if (error === null) this.#held(upgrade, done)
      else this.refuse(request, reply, error, done)
    })
    const upgrade = this.#begin(request, reply, socket)
    upgrade.slot = slot
    upgrade.ip = ip
    upgrade.subprotocol = subprotocol
    if (slot.state === 'held') this.#held(upgrade, done)
  }

  #held (upgrade: Upgrade, done: HookHandlerDoneFunction): void {
    upgrade.guard.start(this.#options.deadlines.admit)
    done()
  }

  /** From here on, the upgrade is watched. */
  #begin (request: FastifyRequest, reply: FastifyReply, socket: Duplex): Upgrade {
    const upgrade = new Upgrade(this, request, reply, socket, this.#hub.wheel)
    letResponseFinish(socket)
    this.#underWay.add(upgrade)
    return upgrade
  }

  /* ---- UpgradeOwner ---- */

  onGone (upgrade: Upgrade): void {
    this.#underWay.delete(upgrade)
    upgrade.slot?.release()
  }

  onTimeout (upgrade: Upgrade): void { this.#giveUp(upgrade, new FST_HUB_ADMIT_TIMEOUT()) }

  /** Refuses it, wherever it is. */
  #giveUp (upgrade: Upgrade, reason: Error): void {
    const { request, reply, socket, answer, admitted } = upgrade
    // A hook has answered, or taken the socket over: a second answer would be mixed into its own.
    if (answer.begun && !admitted) return this.#settle(upgrade)
    this.onGone(upgrade)
    if (admitted) socket.destroy()
    else this.refuse(request, reply, reason, (error) => { reply.send(error) })
  }

  /** Leaves only the chosen subprotocol in the raw header: ws would answer with the first that was offered. */
  #negotiate ({ headers }: IncomingMessage): string | null {
    const header = headers['sec-websocket-protocol']
    const offered = header === undefined ? NONE_OFFERED : parseSubprotocols(header)
    if (offered === null) throw new FST_HUB_BAD_HANDSHAKE('malformed Sec-WebSocket-Protocol')
    const { subprotocols, requireSubprotocol } = this.#options
    const chosen = negotiate(subprotocols, offered)
    if (chosen === null && requireSubprotocol) throw new FST_HUB_NO_SUBPROTOCOL(subprotocols.join(', '))
    if (chosen !== null) headers['sec-websocket-protocol'] = chosen
    else if (header !== undefined) delete headers['sec-websocket-protocol']
    return chosen
  }

  /** An answer is on its way. */
  #settle (upgrade: Upgrade): void {
    upgrade.guard.settle()
    this.#underWay.delete(upgrade)
  }

  /** The first refusal stands: from then on, neither the deadline nor a drain gives another. */
  refuse (request: FastifyRequest, reply: FastifyReply, error: unknown, answer: (error: Error) => void): void {
    const upgrade = Upgrade.of(request.raw, this)
    if (upgrade !== undefined) this.#settle(upgrade)
    const refusal = error as RefusalError
    this.#hub.refuse(refusal)
    // A failure of the application, not of the client: Fastify logs it as an error.
    if (refusal.statusCode === 500 || refusal.statusCode === undefined) answer(refusal)
    else refuse(request, reply, refusal, answer)
  }
}

/** The socket of an upgrade, or null when its client has left. Not request.raw.socket: injectWS has none there. */
function openSocket ({ raw }: FastifyReply): Duplex | null {
  const socket = raw.socket as Duplex | null
  if (socket === null || socket.readable) return socket
  // A FIN that came during a hook before ours has not ended it: the server's half is still open.
  socket.destroy()
  return null
}
