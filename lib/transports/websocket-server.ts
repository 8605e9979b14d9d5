import type { IncomingMessage, Server } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import fastifyWebsocket, { type WebsocketPluginOptions } from '@fastify/websocket'
import type { FastifyInstance } from 'fastify'
import type { WebSocketServer } from 'ws'
import { describe } from '../core/describe.js'
import { FST_HUB_INVALID_OPTIONS } from '../errors.js'
import { LateWebSocket } from './late-websocket.js'
import { UpgradeGate } from './upgrade-gate.js'
import { socketOf } from './websocket.js'

export interface WebSocketServerConfig {
  /** Options of @fastify/websocket. */
  readonly websocket: WebsocketPluginOptions
  /** Bytes; 0 is no limit. */
  readonly maxMessageBytes: number
  /** Milliseconds that a closing handshake may take; 0 leaves ws's own. */
  readonly closeTimeout: number
  /** Whether messages are to be compressed. */
  readonly deflate: boolean
}

/**
 * permessage-deflate as it is negotiated (RFC 7692 section 7.1). No context takeover: nothing is kept between messages,
 * and a message that was compressed once serves every receiver. A client that insists on a smaller window of ours gets
 * its messages plain: ws would answer with 400 instead of declining.
 */
const NEGOTIATION = Object.freeze({ serverNoContextTakeover: true, clientNoContextTakeover: true })

/** What ws calls "no limit" is 0: as a number to compare with, it is the largest. */
const asLimit = (bytes: number): number => bytes === 0 ? Infinity : bytes

/**
 * Makes `{ websocket: true }` routes work on the instance: registers @fastify/websocket, or reuses what the app has.
 * @returns whether it was registered here, so that no `{ websocket: true }` route can be older
 * @throws FST_HUB_INVALID_OPTIONS when the one there lets larger messages through than `limits.maxMessageBytes`
 */
export async function provideWebSocketServer (app: FastifyInstance, { websocket, maxMessageBytes, closeTimeout, deflate }: WebSocketServerConfig): Promise<boolean> {
  if (app.hasDecorator('websocketServer')) {
    if (Object.keys(websocket).length > 0) throw new FST_HUB_INVALID_OPTIONS('websocket', 'nothing: @fastify/websocket is registered already, by the app or by another hub', describe(websocket))
    const theirs = asLimit(app.websocketServer.options.maxPayload ?? 0)
    const ours = asLimit(maxMessageBytes)
    if (theirs > ours) {
      throw new FST_HUB_INVALID_OPTIONS('limits.maxMessageBytes',
        `at least the maxPayload of the @fastify/websocket that is already registered (register it with { options: { maxPayload: ${maxMessageBytes} } }, or leave it to fastify-hub)`,
        `${maxMessageBytes} against ${theirs}`)
    }
    if (deflate && app.websocketServer.options.perMessageDeflate !== NEGOTIATION) {
      throw new FST_HUB_INVALID_OPTIONS('compression.level', '0: @fastify/websocket is registered already, by the app or by another hub, without compression of ours', 'more')
    }
    if (theirs < ours) app.log.warn({ maxPayload: theirs, maxMessageBytes }, 'the @fastify/websocket registered before fastify-hub refuses messages that limits.maxMessageBytes allows')
    return false
  }
  const gate = UpgradeGate.of(app.server)
  await app.register(fastifyWebsocket, {
    // It would close every socket at once, without a code.
    preClose: (done: () => void) => { done() },
    ...websocket,
    options: {
      ...closeTimeout > 0 && { closeTimeout },
      // Typed as the module that ws exports to require: the class with other exports on it.
      WebSocket: LateWebSocket as never,
      ...websocket.options,
      maxPayload: maxMessageBytes,
      perMessageDeflate: deflate ? NEGOTIATION : false,
      server: gate.emitter() as Server
    }
  })
  app.websocketServer.on('headers', (_headers, { socket }: { socket?: Socket }) => { if (socket !== undefined) gate.switching(socket) })
  app.websocketServer.on('connection', (ws) => { gate.release(socketOf(ws)) })
  listeners.set(app.websocketServer, app.websocketServer.listenerCount('connection'))
  return true
}

/** Of servers that were made here. */
const listeners = new WeakMap<WebSocketServer, number>()

/** How many of the 'connection' listeners of a server are ours; null for one that the app has made. */
export function ownListeners (server: WebSocketServer): number | null { return listeners.get(server) ?? null }

/** Adds header lines to the 101 of some requests. */
export function addHandshakeHeaders (app: FastifyInstance, linesOf: (request: IncomingMessage) => readonly string[]): void {
  app.websocketServer.on('headers', (headers: string[], request: IncomingMessage) => { headers.push(...linesOf(request)) })
}

/** The stream of injectWS. It counts corks by itself, and uncorking it leaves what the base class has counted. */
interface InjectedStream extends Duplex { _corked?: number, _writableState: { corked: number } }

/**
 * Lets a response on the stream of injectWS finish: Node ends one by setting the count of corks of the base class to 1
 * before it uncorks. Its last write would wait for ever: no 'finish', so no onResponse, and nobody would end the stream.
 */
export function letResponseFinish (socket: Duplex): void {
  const injected = socket as InjectedStream
  if (injected._corked === undefined) return
  const uncork = socket.uncork.bind(socket)
  socket.uncork = () => {
    injected._writableState.corked = 0
    uncork()
  }
}

/** Ends the WebSockets of other routes, with 1001 as a server that goes away (RFC 6455 section 7.4.1). */
export async function closeOtherSockets (server: WebSocketServer, timeout: number): Promise<void> {
  // First of all: an upgrade that is still in a hook would become a WebSocket that nobody closes any more.
  server.close()
  const clients = [...server.clients ?? []]
  await Promise.all(clients.map(async (ws) => {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => { ws.terminate() }, timeout)
      ws.once('close', () => {
        clearTimeout(timer)
        resolve()
      })
      ws.close(1001)
    })
  }))
}
