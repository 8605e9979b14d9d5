import type { Server } from 'node:net'
import type { SocketFigures } from '../core/health.js'
import type { Clock } from '../core/ports.js'
import { FST_HUB_INVALID_OPTIONS } from '../errors.js'

/** What Node compares with maxConnections. Not public, but exact, and a listener on each socket would cost each connection memory. */
interface Counting { _connections?: number, maxConnections?: number }

const known = new WeakMap<Server, ServerSockets>()

/** The sockets of one server: counted and limited for all its hubs together. */
export class ServerSockets implements SocketFigures {
  readonly #server: Counting
  /** What a hub has set; 0 when none has. */
  #limit = 0
  dropped = 0
  droppedAt = -Infinity

  static of (server: Server, clock: Clock): ServerSockets {
    let sockets = known.get(server)
    if (sockets === undefined) known.set(server, sockets = new ServerSockets(server, clock))
    return sockets
  }

  private constructor (server: Server, clock: Clock) {
    this.#server = server as Counting
    server.on('drop', () => {
      this.dropped++
      this.droppedAt = clock.monotonic()
    })
  }

  get open (): number { return this.#server._connections ?? 0 }

  get limit (): number { return this.#server.maxConnections ?? 0 }

  /**
   * Lets at most that many sockets be open, unless the user has given the server a number.
   * @returns whether that many may be open now
   * @throws FST_HUB_INVALID_OPTIONS when another hub has set another limit
   */
  restrict (sockets: number): boolean {
    if (this.#limit > 0 && this.#limit !== sockets) {
      throw new FST_HUB_INVALID_OPTIONS('limits.sockets', `${this.#limit}, as another hub of this server has set it, or 0`, String(sockets))
    }
    if (this.#server.maxConnections === undefined) this.#server.maxConnections = this.#limit = sockets
    return this.limit === sockets
  }
}
