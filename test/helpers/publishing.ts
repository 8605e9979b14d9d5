import type { Broker } from '../../lib/core/ports.js'
import type { PublishResult, StreamPosition } from '../../lib/core/types.js'

/** Where a publication stands. @throws Error for one that has no position */
export function positionOf ({ epoch, offset }: Pick<PublishResult, 'epoch' | 'offset'>): StreamPosition {
  if (epoch === undefined || offset === undefined) throw new Error('it has no position')
  return { epoch, offset }
}

/** Publishes texts from `from` to `to`, one after the other. @returns where the last stands */
export async function publishNumbers (broker: Broker, room: string, from: number, to: number): Promise<StreamPosition> {
  let last = {}
  for (let i = from; i <= to; i++) last = await broker.publish(room, `${i}`, {})
  return positionOf(last)
}
