import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { FastifyReply, FastifyRequest, HookHandlerDoneFunction } from 'fastify'
import type { WebSocket } from 'ws'
import type { Slot } from '../core/admission.js'
import type { LocalHub } from '../core/hub.js'
import type { OriginMatcher } from '../core/origin.js'
import { negotiate, parseSubprotocols } from '../core/subprotocol.js'
import { Timeout } from '../core/timing-wheel.js'
import type { Identity } from '../core/types.js'
import {
  FST_HUB_ADMIT_TIMEOUT, FST_HUB_BAD_HANDSHAKE, FST_HUB_DRAINING, FST_HUB_NO_SUBPROTOCOL,
  FST_HUB_ORIGIN_DENIED, FST_HUB_UPGRADE_REQUIRED
} from '../errors.js'
import type { ResolvedOptions } from '../options.js'
import { WebSocketTransport } from '../transports/websocket.js'
import { checkHandshake, values } from './handshake.js'
import { checkIdentity, toRefusal } from './identity.js'
import { refuse, type RefusalError } from './refusal.js'
import { responseHeaderLines } from './response-headers.js'

/** One upgrade, from its slot to the 101. */
interface Upgrade {
  readonly slot: Slot
  readonly subprotocol: string | null
  readonly ip: string | null
  readonly stopWatching: () => void
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
  readonly #allowed: OriginMatcher<FastifyRequest>
  readonly #pending = new WeakMap<IncomingMessage, Upgrade>()
  /** Ends each upgrade that is waiting for a slot, a hook or `identify`. */
  readonly #underWay = new Set<(reason: Error) => void>()

  constructor (hub: LocalHub, options: ResolvedOptions, allowed: OriginMatcher<FastifyRequest>) {
    this.#hub = hub
    this.#options = options
    this.#allowed = allowed
  }

  /** onRequest of the hub's routes. Cheap checks come before expensive ones. */
  admit (request: FastifyRequest, reply: FastifyReply, done: HookHandlerDoneFunction): void {
    const failed = (error: unknown): void => { this.#refuse(request, reply, error, done) }
    try {
      if (!request.ws) throw new FST_HUB_UPGRADE_REQUIRED('this is a WebSocket')
      checkHandshake(request.raw)
      if (this.#hub.admission.draining) throw new FST_HUB_DRAINING()
      const allowed = this.#isOriginAllowed(request)
      if (allowed instanceof Promise) this.#awaitOrigin(request, reply, allowed, done)
      else this.#takeSlot(request, reply, allowed, done)
    } catch (error) {
      failed(error)
    }
  }

  /** The last preHandler. Whoever left meanwhile is not identified. */
  async identify (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> {
    const upgrade = this.#pending.get(request.raw)
    if (upgrade === undefined || upgrade.slot.state !== 'held') return reply.hijack()
    try {
      const identity = this.#options.identify === undefined ? {} : await this.#runIdentify(request, reply)
      if (reply.sent || upgrade.slot.state !== 'held') return reply.sent ? reply : reply.hijack()
      upgrade.identity = checkIdentity(identity)
      if (this.#hub.admission.draining) throw new FST_HUB_DRAINING()
      upgrade.headerLines = responseHeaderLines(reply)
    } catch (error) {
      if (reply.sent) return reply
      this.#refuse(request, reply, error, (refusal) => { reply.send(refusal) })
      return reply
    }
    return undefined
  }

  /** Refuses what is under way: the node drains, and a hook that never ends must not hold it up. */
  drain (): void {
    for (const giveUp of this.#underWay) giveUp(new FST_HUB_DRAINING())
  }

  /** Header lines for the 101 of one request. */
  headerLines (request: IncomingMessage): readonly string[] {
    return this.#pending.get(request)?.headerLines ?? []
  }

  /** The route's handler: the 101 is out. */
  complete (ws: WebSocket, request: FastifyRequest): void {
    const upgrade = this.#pending.get(request.raw) as Upgrade
    upgrade.stopWatching()
    this.#pending.delete(request.raw)
    const { slot, identity, ip, subprotocol } = upgrade
    const transport = new WebSocketTransport(ws)
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
    if (Array.isArray(request.raw.rawHeaders) && values(request.raw, 'origin').length > 1) return false
    const failed = (error: unknown): false => {
      request.log.error({ err: error }, "a function in 'origins' failed")
      return false
    }
    try {
      const allowed = this.#allowed(origin, request.host, request)
      return typeof allowed === 'boolean' ? allowed : allowed.catch(failed)
    } catch (error) {
      return failed(error)
    }
  }

  #awaitOrigin (request: FastifyRequest, reply: FastifyReply, allowed: Promise<boolean>, done: HookHandlerDoneFunction): void {
    const socket = openSocket(reply)
    if (socket === null) return
    let over = false
    const guard = this.#guard(request, reply, socket, () => { over = true })
    guard.start()
    allowed.then((answer) => {
      guard.stop()
      if (!over) this.#takeSlot(request, reply, answer, done)
    }).catch((error: unknown) => { this.#refuse(request, reply, error, done) })
  }

  #takeSlot (request: FastifyRequest, reply: FastifyReply, allowed: boolean, done: HookHandlerDoneFunction): void {
    const failed = (error: unknown): void => { this.#refuse(request, reply, error, done) }
    if (!allowed) throw new FST_HUB_ORIGIN_DENIED()
    const subprotocol = this.#negotiate(request.raw)
    const socket = openSocket(reply)
    if (socket === null) return
    // None with injectWS, on a Unix domain socket, and when the peer has reset the connection meanwhile.
    const ip = request.raw.socket === undefined ? null : request.ip as string | undefined ?? null
    const held = (): void => {
      guard.start()
      done()
    }
    const slot = this.#hub.admission.acquire(ip, (error) => {
      if (error === null) held()
      else failed(error)
    })
    const guard = this.#guard(request, reply, socket, () => { slot.release() })
    this.#pending.set(request.raw, { slot, subprotocol, ip, stopWatching: guard.stop, identity: {}, headerLines: [] })
    if (slot.state === 'held') held()
  }

  /** Calls `onOver` when the client leaves, and when the upgrade is given up: by the deadline, once started, or a drain. */
  #guard (request: FastifyRequest, reply: FastifyReply, socket: Duplex, onOver: () => void): { start: () => void, stop: () => void } {
    const { admit } = this.#options.deadlines
    const giveUp = (reason: Error): void => {
      over()
      if (reply.sent) socket.destroy()
      else this.#refuse(request, reply, reason, (error) => { reply.send(error) })
    }
    const deadline = new Timeout(this.#hub.wheel, () => { giveUp(new FST_HUB_ADMIT_TIMEOUT()) })
    const forget = (): void => {
      deadline.cancel()
      this.#underWay.delete(giveUp)
    }
    const over = (): void => {
      forget()
      onOver()
    }
    const stopWatching = watchSocket(socket, over)
    this.#underWay.add(giveUp)
    return {
      start: () => { if (admit > 0) deadline.start(admit) },
      stop: () => {
        forget()
        stopWatching()
      }
    }
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

  #refuse (request: FastifyRequest, reply: FastifyReply, error: unknown, answer: (error: Error) => void): void {
    const refusal = error as RefusalError
    this.#hub.refuse(refusal.code ?? String(refusal.statusCode))
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

/**
 * Calls back when a socket ends during an upgrade. Neither onResponse nor onRequestAbort tells of it, and 'close' comes
 * only after the hook that is running: so 'end' destroys it.
 */
function watchSocket (socket: Duplex, onGone: () => void): () => void {
  const onEnd = (): void => { socket.destroy() }
  socket.once('close', onGone)
  socket.once('end', onEnd)
  return () => {
    socket.removeListener('close', onGone)
    socket.removeListener('end', onEnd)
  }
}
