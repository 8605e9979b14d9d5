import type { ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { WebSocket, type ServerOptions, type WebSocketServer } from 'ws'
import { FrameParser } from '../protocol/frame-parser.js'
import { expect, LateWebSocket } from './late-websocket.js'
import { LeanTransport, type LeanShared } from './lean.js'
import { SharedRead } from './shared-read.js'
import type { SocketTransport } from './socket-transport.js'
import { ownListeners } from './websocket-server.js'
import { socketOf, WebSocketTransport } from './websocket.js'

const OPEN = 1

/** One buffer for all servers of the process: nothing stays in it. */
const sharedRead = SharedRead.create()

/** What ws puts on the socket of a WebSocket, by the names of its functions. */
const LISTENERS = { data: 'socketOnData', end: 'socketOnEnd', error: 'socketOnError', close: 'socketOnClose' } as const

const EVENTS = Object.keys(LISTENERS) as Array<keyof typeof LISTENERS>

/** With the defaults that ws puts in. */
interface CompleteOptions {
  readonly allowSynchronousEvents: boolean
  readonly closeTimeout: number
}

/** Takes WebSockets over from @fastify/websocket, in the turn of their 101, and leaves behind what the handshake needed. */
export class Handover {
  readonly #server: WebSocketServer
  /** Milliseconds that a peer may take to end its half of the socket, once both Close frames are there. */
  readonly #closeTimeout: number
  /** null where ws is used in a way that LeanTransport does not know. */
  readonly #lean: LeanShared | null
  /** The same on every socket: found on the first. */
  #marks: Marks | null = null

  /** @param deadline milliseconds from our Close frame to the end of the socket; 0: those that the server has, which is one for all hubs of the app */
  constructor (server: WebSocketServer, deadline: number) {
    this.#server = server
    const { allowSynchronousEvents, closeTimeout, ...options } = server.options as ServerOptions & CompleteOptions
    this.#closeTimeout = deadline || closeTimeout
    this.#lean = allowSynchronousEvents && isOfWs(options) ? { parser: new FrameParser(options), read: sharedRead, closeTimeout: this.#closeTimeout } : null
  }

  /** The 101 is about to go out. Where the app looks at each WebSocket, ws completes it first. */
  expect (socket: Duplex): void {
    if (this.#lean !== null && this.#server.listenerCount('connection') === ownListeners(this.#server)) expect(socket)
  }

  /** To be called from the handler of the route. */
  take (ws: WebSocket): SocketTransport {
    const socket = socketOf(ws)
    const released = this.#lean !== null && ws instanceof LateWebSocket ? ws.release() : null
    if (released !== null) this.#server.clients?.delete(ws)
    else this.#forget(ws)
    const { _httpMessage: response } = socket as { _httpMessage?: ServerResponse | null }
    response?.detachSocket(socket as Socket)
    if (this.#lean !== null && released !== null) return new LeanTransport(released, this.#lean)
    const exclusive = this.#lean !== null && isAlone(ws)
    // What is compressed has to be inflated, which is what ws does.
    if (this.#lean === null || !exclusive || !(socket instanceof Socket) || ws.extensions !== '') return new WebSocketTransport(ws, exclusive, this.#closeTimeout)
    const marks = this.#marks ??= findMarks(ws, socket)
    if (marks === null || !bears(marks, ws, socket)) return new WebSocketTransport(ws, false, this.#closeTimeout)
    const { link, listeners } = marks
    ;(socket as Linked)[link] = undefined
    // Where two listeners have been at once, Node keeps room for twenty: 'end' has one of Node's already. And whether others
    // listen to 'data' is asked next.
    for (const event of ['end', 'data'] as const) socket.removeListener(event, listeners[event])
    const transport = new LeanTransport(socket, this.#lean)
    for (const event of ['error', 'close'] as const) socket.removeListener(event, listeners[event])
    return transport
  }

  /** Takes it out of the care of @fastify/websocket, whose preClose would close it without a code. */
  #forget (ws: WebSocket): void {
    const { clients, options } = this.#server
    // Put on just before its handler was called. It would destroy the socket before the Close frame with the reason is
    // out, and keep request and reply alive.
    const onError = ws.listeners('error').at(-1)
    if (onError !== undefined) ws.removeListener('error', onError as () => void)
    if (clients?.delete(ws) === true && isOfWs(options)) {
      // With the clients ws keeps a closure for each, to forget it: the first listener of all that can be put on a WebSocket.
      const [onClose] = ws.listeners('close')
      if (onClose !== undefined) ws.removeListener('close', onClose as () => void)
    }
  }
}

/** Whether its WebSockets are those of ws, and not of a class of the app. */
function isOfWs ({ WebSocket: Kind }: ServerOptions): boolean { return Kind === WebSocket || Kind === LateWebSocket }

/** Whether nobody else has an interest in a WebSocket. */
function isAlone (ws: WebSocket): boolean { return ws.readyState === OPEN && !ws.isPaused && ws.eventNames().length === 0 }

type Linked = Socket & Record<symbol, unknown>
type Event = keyof typeof LISTENERS
type Listener = () => void

/** What tells that a socket belongs to a WebSocket of ws. */
interface Marks { readonly link: symbol, readonly listeners: Readonly<Record<Event, Listener>> }

/** @returns null when they are not as we know them */
function findMarks (ws: WebSocket, socket: Socket): Marks | null {
  const link = Object.getOwnPropertySymbols(socket).find((symbol) => (socket as Linked)[symbol] === ws)
  const listeners = Object.entries(LISTENERS).map(([event, name]) => [event, socket.listeners(event).find((listener) => listener.name === name)])
  if (link === undefined || listeners.some(([, listener]) => listener === undefined)) return null
  return { link, listeners: Object.fromEntries(listeners) as Record<Event, Listener> }
}

function bears ({ link, listeners }: Marks, ws: WebSocket, socket: Socket): boolean {
  return (socket as Linked)[link] === ws && EVENTS.every((event) => socket.listenerCount(event, listeners[event]) === 1)
}
