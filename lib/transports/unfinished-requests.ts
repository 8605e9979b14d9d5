import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import type { Clock } from '../core/ports.js'

/** The connections of a server of Node, as it keeps them. */
interface Connections {
  /** Those whose request, or its headers, should be complete by now. */
  expired (headersTimeout: number, requestTimeout: number): ReadonlyArray<{ readonly socket: Socket | null }>
}

/**
 * From the moment at which a server closes: ends sockets whose request does not come in `headersTimeout`, or `requestTimeout`.
 * Node looks for them as long as the server listens, and no longer: then it waits for each until its peer ends it, so that
 * half a request would keep the app from closing for good. Where Node keeps its connections in another way, so it stays.
 */
export function endUnfinishedRequests (server: Server, clock: Clock): void {
  if (!server.listening) return
  const connections = connectionsOf(server)
  if (connections === null) return
  const { connectionsCheckingInterval: interval } = server as Server & { connectionsCheckingInterval: number }
  const looks = clock.every(interval, () => {
    for (const { socket } of connections.expired(server.headersTimeout, server.requestTimeout)) socket?.destroy()
  })
  server.once('close', () => { looks.cancel() })
}

function connectionsOf (server: Server): Connections | null {
  const symbol = Object.getOwnPropertySymbols(server).find(({ description }) => description === 'http.server.connections')
  const connections = symbol === undefined ? null : (server as Server & Record<symbol, unknown>)[symbol] as Partial<Connections> | null
  return typeof connections?.expired === 'function' ? connections as Connections : null
}
