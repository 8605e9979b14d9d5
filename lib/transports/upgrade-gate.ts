import { EventEmitter } from 'node:events'
import { STATUS_CODES, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { FST_HUB_DRAINING } from '../errors.js'

/** The answer of a server that is closing: Fastify's own comes before any hook, without Retry-After, and leaves the socket open. */
const closing = new FST_HUB_DRAINING()
const CLOSING = JSON.stringify({ statusCode: closing.statusCode, code: closing.code, error: STATUS_CODES[closing.statusCode], message: closing.message })
const RESPONSE = [
  `HTTP/1.1 ${closing.statusCode} ${STATUS_CODES[closing.statusCode]}`,
  'Connection: close',
  'Retry-After: 1',
  'Content-Type: application/json; charset=utf-8',
  `Content-Length: ${Buffer.byteLength(CLOSING)}`,
  '',
  CLOSING
].join('\r\n')

/** What Node keeps on the socket of a request: the response that is being written. */
interface Answering { _httpMessage?: ServerResponse | null, destroySoon?: () => void }

/** What a hub tells the gate of its server. */
export interface GateMember {
  /** Whether it wants this upgrade dispatched. One that no hub claims is left to the server's other listeners, if there are any. */
  claims (request: IncomingMessage): boolean
  /** Ends its connections and what is under way. Called again for each hub of the server. */
  drain (): Promise<void>
  /** An upgrade that came too late for its own answer was refused. */
  onRefused (error: Error & { code: string, statusCode: number }): void
}

const gates = new WeakMap<Server, UpgradeGate>()

/**
 * The one 'upgrade' listener of a server. @fastify/websocket listens to an emitter of ours instead of the server, so
 * that each upgrade is dispatched once however often it is registered, one that belongs to another library is left to
 * it, and one that comes while the server closes gets an answer and no longer holds the close.
 */
export class UpgradeGate {
  readonly #server: Server
  /** A listener that all sockets share: what an established WebSocket keeps counts a hundred thousand times. */
  readonly #forget: (this: Duplex) => void
  /** The emitter of the first registration dispatches for all: Fastify has one router. */
  #dispatcher: EventEmitter | null = null
  readonly #members: GateMember[] = []
  /** Sockets that are no WebSocket yet. */
  readonly #owned = new Set<Duplex>()
  #closing = false
  #closingSince = 0
  readonly #onUpgrade = (request: IncomingMessage, socket: Duplex & Answering, head: Buffer): void => {
    const member = this.#members.find((one) => one.claims(request))
    // Where nobody else is there to answer, Fastify's 404 is better than silence, and silence would hold the close.
    if (member === undefined && this.#server.listenerCount('upgrade') > 1) return
    const earlier = socket._httpMessage ?? null
    // A handshake that was sent behind another request can not be answered before that one is.
    if (earlier !== null) this.#awaitEarlier(earlier, socket)
    else if (this.#closing) this.#refuse(member, socket)
    else this.#dispatch(request, socket, head)
  }

  #refuse (member: GateMember | undefined, socket: Duplex): void {
    // Node has taken its own error listener off: a reset now would be an uncaught exception.
    socket.on('error', destroy)
    socket.end(RESPONSE, () => { socket.destroy() })
    member?.onRefused(closing)
  }

  #awaitEarlier (earlier: ServerResponse, socket: Duplex & Answering): void {
    this.#own(socket)
    socket.on('error', destroy)
    earlier.once('finish', () => { this.#endUnlessReleased(socket) })
  }

  #dispatch (request: IncomingMessage, socket: Duplex & Answering, head: Buffer): void {
    this.#own(socket)
    this.#dispatcher?.emit('upgrade', request, socket, head)
    socket._httpMessage?.once('finish', () => { this.#endUnlessReleased(socket) })
  }

  /**
   * Owns the socket until it is a WebSocket: Node has taken its own listeners and timers off, and @fastify/websocket ends
   * it only where its hooks have run. They have not when an earlier hook of the app answered, or the URL is malformed.
   */
  #own (socket: Duplex): void {
    this.#owned.add(socket)
    socket.on('end', destroy)
    socket.on('close', this.#forget)
  }

  #endUnlessReleased (socket: Duplex & Answering): void {
    if (this.#owned.has(socket)) socket.destroySoon?.()
  }

  /**
   * The 101 is about to go out. ws puts on a listener of its own then, and Node keeps room for twenty where two have been
   * at once: a hundred and fifty bytes for each connection.
   */
  switching (socket: Duplex): void { socket.removeListener('end', destroy) }

  /** It is a WebSocket now. */
  release (socket: Duplex): void {
    this.#owned.delete(socket)
    socket.removeListener('end', destroy)
    socket.removeListener('close', this.#forget)
  }

  static of (server: Server): UpgradeGate {
    let gate = gates.get(server)
    if (gate === undefined) gates.set(server, gate = new UpgradeGate(server))
    return gate
  }

  private constructor (server: Server) {
    this.#server = server
    const owned = this.#owned
    this.#forget = function (this: Duplex) { owned.delete(this) }
  }

  /** What a registration of @fastify/websocket listens to. */
  emitter (): EventEmitter {
    const emitter = new EventEmitter()
    if (this.#dispatcher === null) {
      this.#dispatcher = emitter
      this.#server.on('upgrade', this.#onUpgrade)
    }
    return emitter
  }

  join (member: GateMember): void {
    this.#members.push(member)
  }

  /** Milliseconds since `close` was called first. */
  get closingFor (): number { return performance.now() - this.#closingSince }

  /**
   * From now on every upgrade that would have been dispatched is refused with 503: whoever else listens leaves ours alone.
   * All hubs of the server drain at the same time: Fastify runs their preClose hooks one after the other, and the time to
   * stop in is one for all.
   */
  async close (): Promise<void> {
    if (!this.#closing) this.#closingSince = performance.now()
    this.#closing = true
    // The @fastify/websocket that the app had registered itself has left the server without a listener.
    if (this.#server.listenerCount('upgrade') === 0) this.#server.on('upgrade', this.#onUpgrade)
    await Promise.all(this.#members.map(async (member) => { await member.drain() }))
    for (const socket of this.#owned) socket.destroy()
  }
}

function destroy (this: Duplex): void { this.destroy() }
