import { encodeFrame } from '../protocol/frame.js'
import type { HubConnection } from './connection.js'
import type { FanOut, Publication } from './ports.js'
import { queueKey } from './send-queue.js'

/** Sends one publication of a room to each target, encoded once. */
export function fanOut (room: string, targets: Iterable<HubConnection>, { payload, options }: Publication, counts: FanOut): void {
  const frame = encodeFrame(payload)
  const { except, overflow } = options
  const key = queueKey(room, options.key ?? null)
  for (const target of targets) {
    if (except?.has(target.id) !== true) target.deliver(frame, overflow, key, counts)
  }
}
