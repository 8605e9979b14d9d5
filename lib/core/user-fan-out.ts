import type { Payload } from '../protocol/frame.js'
import type { HubConnection } from './connection.js'
import { Encoded } from './encoded.js'
import { noFanOut } from './fan-out.js'
import { EVERYONE } from './ports.js'
import { queueKey } from './send-queue.js'
import type { SendOptions } from './types.js'

/** Sends to connections of a user, encoded once. @returns how many took it */
export function sendToAll (connections: Iterable<HubConnection>, payload: Payload, { overflow, key }: SendOptions): number {
  const encoded = new Encoded(EVERYONE, { offset: 0, payload })
  const keyOfQueue = queueKey(EVERYONE, key ?? null)
  const counts = noFanOut()
  for (const connection of connections) connection.deliver(encoded.frame(connection.codec), overflow, keyOfQueue, counts)
  return counts.sent + counts.queued
}

/** Something was stored for a user: its connections that can acknowledge it get it from there. @returns how many those are */
export function fetchForAll (connections: Iterable<HubConnection>, report: (error: unknown, connection: HubConnection) => void): number {
  let count = 0
  for (const connection of connections) {
    const offline = connection.endpoint?.offline
    if (offline === undefined || offline === null || !connection.live) continue
    count++
    offline.deliver().catch((error: unknown) => { report(error, connection) })
  }
  return count
}
