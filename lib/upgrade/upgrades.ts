import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { FastifyReply, FastifyRequest, HookHandlerDoneFunction } from 'fastify'
import type { Slot } from '../core/admission.js'
import type { LocalHub } from '../core/hub.js'
import { negotiate, parseSubprotocols } from '../core/subprotocol.js'
import type { Identity } from '../core/types.js'
import {
  FST_HUB_ADMIT_TIMEOUT, FST_HUB_BAD_HANDSHAKE, FST_HUB_DRAINING, FST_HUB_NO_SUBPROTOCOL,
  FST_HUB_ORIGIN_DENIED, FST_HUB_OVERLOADED, FST_HUB_UPGRADE_REQUIRED
} from '../errors.js'
import type { ResolvedOptions } from '../options.js'
import type { SocketTransport } from '../transports/socket-transport.js'
import { letResponseFinish } from '../transports/websocket-server.js'
import { checkHandshake, only, SEVERAL } from './handshake.js'
import { checkIdentity, toRefusal } from './identity.js'
import { refuse, type RefusalError } from './refusal.js'
import { responseHeaderLines } from './response-headers.js'
import { UpgradeGuard } from './upgrade-guard.js'

/** One upgrade, up to the 101. */
interface Upgrade {
  readonly guard: UpgradeGuard
  /** Refuses it, wherever it is. */
  readonly giveUp: (reason: Error) => void
  readonly answer: Answer
  /** The hooks have let it in: an answer that begins now is the 101. */
  admitted: boolean
  /** null before it has been asked for. */
  slot: Slot | null
  ip: string | null
  subprotocol: string | null
  identity: Identity
  headerLines: readonly string[]
}

/**
 * The way of an upgrade through Fastify: onRequest admits, the last preHandler identifies, the handler takes the socket
 * over. Whatever happens on the way, the end of the raw socket gives the slot back.
 */
export class Upgrades {
  readonly #hub: LocalHub
  readonly #options: ResolvedOptions
  readonly #pending = new WeakMap<IncomingMessage, Upgrade>()
  /** Those that wait for a function of `origins`, a slot, a hook or `identify`. */
  readonly #underWay = new Set<Upgrade>()

  constructor (hub: LocalHub, options: ResolvedOptions) {
    this.#hub = hub
    this.#options = options
    // The node drains: a hook that never ends must not hold it up.
    hub.onDrain(() => {
      for (const upgrade of this.#underWay) upgrade.giveUp(new FST_HUB_DRAINING())
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
  identify (request: FastifyRequest, reply: FastifyReply, done: HookHandlerDoneFunction): void {
    this.#identify(request, reply).then((admitted) => { if (admitted) done() }, done)
  }

  async #identify (request: FastifyRequest, reply: FastifyReply): Promise<boolean> {
    const upgrade = this.#pending.get(request.raw)
    if (upgrade?.slot?.state !== 'held') return false
    const { answer } = upgrade
    try {
      const identity = this.#options.identify === undefined ? {} : await this.#runIdentify(request, reply)
      if (answer.begun) this.#settle(upgrade)
      if (answer.begun || upgrade.slot.state !== 'held') return false
      upgrade.identity = checkIdentity(identity, this.#hub.clock.now())
      if (this.#hub.admission.draining) throw new FST_HUB_DRAINING()
      upgrade.headerLines = responseHeaderLines(reply)
    } catch (error) {
      // It has answered, or left, before it failed.
      if (answer.begun || upgrade.slot.state !== 'held') return false
      this.refuse(request, reply, error, (refusal) => { reply.send(refusal) })
      return false
    }
    upgrade.admitted = true
    return true
  }

  /** The 101 of a request is about to go out. @returns its header lines */
  switching (request: IncomingMessage): readonly string[] {
    const upgrade = this.#pending.get(request)
    upgrade?.guard.switching()
    return upgrade?.headerLines ?? []
  }

  /** The route's handler: the 101 is out. */
  complete (transport: SocketTransport, request: FastifyRequest): void {
    const upgrade = this.#pending.get(request.raw) as Upgrade & { slot: Slot }
    upgrade.guard.stop()
    this.#pending.delete(request.raw)
    this.#underWay.delete(upgrade)
    const { slot, identity, ip, subprotocol } = upgrade
    transport.attach(this.#hub.accept(transport, { slot, identity, ip, subprotocol }))
  }

  async #runIdentify (request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    try {
      return await this.#options.identify?.(request, reply)
    } catch (error) {
      throw toRefusal(error)
    }
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
      if (error === null) held()
      else this.refuse(request, reply, error, done)
    })
    const upgrade = this.#begin(request, reply, socket)
    upgrade.slot = slot
    upgrade.ip = ip
    upgrade.subprotocol = subprotocol
    const held = (): void => {
      upgrade.guard.start(this.#options.deadlines.admit)
      done()
    }
    if (slot.state === 'held') held()
  }

  /** From here on, the upgrade is watched. */
  #begin (request: FastifyRequest, reply: FastifyReply, socket: Duplex): Upgrade {
    const over = (): void => {
      this.#underWay.delete(upgrade)
      upgrade.slot?.release()
    }
    const answer = watchAnswer(reply)
    const giveUp = (reason: Error): void => {
      // A hook has answered, or taken the socket over: a second answer would be mixed into its own.
      if (answer.begun && !upgrade.admitted) return this.#settle(upgrade)
      over()
      if (upgrade.admitted) socket.destroy()
      else this.refuse(request, reply, reason, (error) => { reply.send(error) })
    }
    const guard = new UpgradeGuard(socket, this.#hub.wheel, { onGone: over, onTimeout: () => { giveUp(new FST_HUB_ADMIT_TIMEOUT()) } })
    const upgrade: Upgrade = { guard, giveUp, answer, admitted: false, slot: null, ip: null, subprotocol: null, identity: {}, headerLines: [] }
    letResponseFinish(socket)
    this.#pending.set(request.raw, upgrade)
    this.#underWay.add(upgrade)
    return upgrade
  }

  /** Leaves only the chosen subprotocol in the raw header: ws would answer with the first that was offered. */
  #negotiate ({ headers }: IncomingMessage): string | null {
    const header = headers['sec-websocket-protocol']
    const offered = header === undefined ? new Set<string>() : parseSubprotocols(header)
    if (offered === null) throw new FST_HUB_BAD_HANDSHAKE('malformed Sec-WebSocket-Protocol')
    const { subprotocols, requireSubprotocol } = this.#options
    const chosen = negotiate(subprotocols, offered)
    if (chosen === null && requireSubprotocol) throw new FST_HUB_NO_SUBPROTOCOL(subprotocols.join(', '))
    if (chosen === null) delete headers['sec-websocket-protocol']
    else headers['sec-websocket-protocol'] = chosen
    return chosen
  }

  /** An answer is on its way. */
  #settle (upgrade: Upgrade): void {
    upgrade.guard.settle()
    this.#underWay.delete(upgrade)
  }

  /** The first refusal stands: from then on, neither the deadline nor a drain gives another. */
  refuse (request: FastifyRequest, reply: FastifyReply, error: unknown, answer: (error: Error) => void): void {
    const upgrade = this.#pending.get(request.raw)
    if (upgrade !== undefined) this.#settle(upgrade)
    const refusal = error as RefusalError
    this.#hub.refuse(refusal)
    // A failure of the application, not of the client: Fastify logs it as an error.
    if (refusal.statusCode === 500 || refusal.statusCode === undefined) answer(refusal)
    else refuse(request, reply, refusal, answer)
  }
}

interface Answer { readonly begun: boolean }

/** Notices that a reply is sent: `reply.sent` is true only when asynchronous onSend hooks have ended, too. */
function watchAnswer (reply: FastifyReply): Answer {
  let begun = false
  for (const method of ['send', 'hijack'] as const) {
    const original = reply[method].bind(reply) as (payload?: unknown) => FastifyReply
    reply[method] = (payload?: unknown) => {
      begun = true
      return original(payload)
    }
  }
  return { get begun () { return begun || reply.sent } }
}

/** The socket of an upgrade, or null when its client has left. Not request.raw.socket: injectWS has none there. */
function openSocket ({ raw }: FastifyReply): Duplex | null {
  const socket = raw.socket as Duplex | null
  if (socket === null || socket.readable) return socket
  // A FIN that came during a hook before ours has not ended it: the server's half is still open.
  socket.destroy()
  return null
}
