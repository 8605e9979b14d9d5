import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import type { Clock } from '../core/ports.js'

/** Milliseconds for the handshake of TLS; then for the headers of a request, which get 408 within the sum of that and of how often Node looks. */
const HANDSHAKE_TIMEOUT = 10_000
const HEADERS_TIMEOUT = 10_000
const CONNECTIONS_CHECK = 5_000
const NODE_HANDSHAKE_TIMEOUT = 120_000
const NODE_HEADERS_TIMEOUT = 60_000
const NODE_CONNECTIONS_CHECK = 30_000

/** What a server of Node has, and its type does not tell. */
type NodeServer = Server & { connectionsCheckingInterval: number } & Record<symbol, unknown>

/** The connections of a server of Node, as it keeps them. */
interface Connections {
  /** Those whose request, or its headers, should be complete by now. */
  expired (headersTimeout: number, requestTimeout: number): ReadonlyArray<{ readonly socket: Socket | null }>
}

/** Fastify leaves what Node has. Values that the user has set, and a server that listens already, stay as they are. */
export function limitUnfinishedRequests (server: Server): void {
  const http = server as NodeServer
  if (http.headersTimeout === NODE_HEADERS_TIMEOUT) http.headersTimeout = HEADERS_TIMEOUT
  if (http.connectionsCheckingInterval === NODE_CONNECTIONS_CHECK) http.connectionsCheckingInterval = CONNECTIONS_CHECK
  // It holds while the server closes, too, which waits for those who have said nothing yet.
  const timeout = symbolOf(server, 'handshake-timeout')
  if (timeout !== undefined && http[timeout] === NODE_HANDSHAKE_TIMEOUT) http[timeout] = HANDSHAKE_TIMEOUT
}

/**
 * Once a server that is about to close listens no more: ends sockets whose request does not come in `headersTimeout`, or
 * `requestTimeout`. Node looks for them until then, and no longer: it waits for each until its peer ends it, so that
 * half a request would keep the app from closing for good. Where Node keeps its connections in another way, so it stays.
 */
export function endUnfinishedRequests (server: Server, clock: Clock): void {
  if (!server.listening) return
  const connections = connectionsOf(server)
  if (connections === null) return
  const looks = clock.every((server as NodeServer).connectionsCheckingInterval, () => {
    // They have their 408 from Node.
    if (server.listening) return
    for (const { socket } of connections.expired(server.headersTimeout, server.requestTimeout)) socket?.destroy()
  })
  server.once('close', () => { looks.cancel() })
}

function connectionsOf (server: Server): Connections | null {
  const symbol = symbolOf(server, 'http.server.connections')
  const connections = symbol === undefined ? null : (server as NodeServer)[symbol] as Partial<Connections> | null
  return typeof connections?.expired === 'function' ? connections as Connections : null
}

function symbolOf (server: Server, description: string): symbol | undefined {
  return Object.getOwnPropertySymbols(server).find((symbol) => symbol.description === description)
}
