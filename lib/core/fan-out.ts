import type { HubConnection } from './connection.js'
import { Encoded } from './encoded.js'
import type { FanOut, Publication } from './ports.js'
import { queueKey } from './send-queue.js'

export function noFanOut (): FanOut { return { sent: 0, queued: 0, dropped: 0, rejected: 0 } }

/**
 * Sends one publication of a room to each target, encoded once.
 * @param onBehind where the room's log has it: gets the targets that can have it from there, because their socket does not take it now
 */
export function fanOut (room: string, targets: Iterable<HubConnection>, publication: Publication, counts: FanOut, onBehind: ((target: HubConnection) => void) | null): void {
  const { offset, options: { except, overflow, key: ownKey } } = publication
  const encoded = new Encoded(room, publication)
  const key = queueKey(room, ownKey ?? null)
  for (const target of targets) {
    const { endpoint, codec } = target
    const isExcepted = except?.has(target.id) === true
    if (endpoint === null || offset === 0) {
      if (!isExcepted) target.deliver(encoded.frame(codec), overflow, key, counts)
    } else if (target.live) {
      const frame = isExcepted ? endpoint.skip(room, offset) : encoded.frame(codec)
      const counted = isExcepted ? noFanOut() : counts
      if (onBehind === null) {
        target.deliver(frame, overflow, key, counted)
      } else if (target.offer(frame)) {
        counted.sent++
      } else {
        counted.queued++
        onBehind(target)
      }
    }
  }
}
