import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { WebSocket } from 'ws'

/** What ws does when the 101 is out. It is not in its types. */
interface Settable { setSocket (socket: Duplex, head: Buffer, options: object): void }

/** Fields of ws. */
interface Internals { _socket: Duplex, readonly _extensions: object }

const kExpected = Symbol('fastify-hub.expected')

type Expected = Duplex & { [kExpected]?: boolean }

/**
 * The socket, on which the 101 is about to go out, is going to be taken from its WebSocket in the same turn, and nobody
 * looks at that in between.
 */
export function expect (socket: Duplex): void { (socket as Expected)[kExpected] = true }

/**
 * What a WebSocketServer makes in the place of WebSocket. ws gives each one a parser, which is a stream, a sender, and ten
 * listeners: a good part of what its upgrade costs, and for nothing where the socket is taken from it at once.
 */
export class LateWebSocket extends WebSocket {
  /** What came with the handshake; null when this is as ws makes them. */
  #head: Buffer | null = null

  /** Called by ws. */
  setSocket (socket: Duplex, head: Buffer, options: object): void {
    const internals = this as unknown as Internals
    if ((socket as Expected)[kExpected] === true && socket instanceof Socket && Object.keys(internals._extensions).length === 0) {
      this.#head = head
      internals._socket = socket
    } else {
      (WebSocket.prototype as unknown as Settable).setSocket.call(this, socket, head, options)
    }
  }

  /** @returns the socket of one that has been expected, in the state in which ws would have it; else null */
  release (): Socket | null {
    if (this.#head === null) return null
    const socket = (this as unknown as Internals)._socket as Socket
    socket.setTimeout(0)
    socket.setNoDelay()
    if (this.#head.length > 0) socket.unshift(this.#head)
    return socket
  }
}
