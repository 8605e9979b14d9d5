import { encodeFrame } from '../protocol/frame.js'
import type { HubConnection } from './connection.js'
import type { FanOut, Publication } from './ports.js'

/** Sends one publication to each target, encoded once. */
export function fanOut (targets: Iterable<HubConnection>, { payload, options }: Publication, counts: FanOut): void {
  const frame = encodeFrame(payload)
  const { except, overflow } = options
  for (const target of targets) {
    if (except?.has(target.id) !== true) target.deliver(frame, overflow, counts)
  }
}
