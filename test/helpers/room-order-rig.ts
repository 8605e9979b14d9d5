import type { FanOut, Publication } from '../../lib/core/ports.js'
import type { StreamPosition } from '../../lib/core/types.js'
import type { Comparison } from '../../lib/redis/positions.js'
import { RoomOrder } from '../../lib/redis/room-order.js'

export const publication = (offset: number): Publication => ({ offset, payload: `${offset}`, options: {} })
export const publications = (from: number, to: number): Publication[] => Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => publication(from + i))

export interface OrderRig {
  readonly order: RoomOrder
  /** Offsets that went on, and gaps as `from-to`, in order; `|` begins a new epoch, `>` one that goes on. */
  readonly story: Array<number | string>
  readonly missing: boolean[]
  /** How often Redis was to be asked about another epoch. */
  readonly turns: { count: number }
  /** By offset: what became of it, for whoever asked. */
  readonly results: Map<number, FanOut>
  readonly reply: (offsets: number | readonly number[], epoch?: string) => void
}

/** The order of a room, and what it makes happen. @param start null: it is not known yet */
export function orderRig (start: StreamPosition | null = { epoch: 'a', offset: 0 }): OrderRig {
  const story: OrderRig['story'] = []
  const missing: boolean[] = []
  const turns = { count: 0 }
  const results: OrderRig['results'] = new Map()
  const order = new RoomOrder({
    deliver: (list) => {
      story.push(...list.map(({ offset }) => offset))
      return { sent: list.length, queued: 0, dropped: 0, rejected: 0 }
    },
    gap: (from, to) => { story.push(from.epoch === to.epoch ? `${from.offset + 1}-${to.offset}` : `| ${to.offset}`) },
    goesOn: (epoch) => { story.push(`> ${epoch}`) },
    turned: () => { turns.count++ },
    missing: (now) => { missing.push(now) }
  })
  if (start !== null) order.begin(start)
  return {
    order,
    story,
    missing,
    turns,
    results,
    reply: (offsets, epoch = 'a') => {
      order.fromReply(epoch, [offsets].flat().map((offset) => ({
        publication: publication(offset),
        done: (local) => {
          if (results.has(offset)) throw new Error(`told twice of ${offset}`)
          results.set(offset, local)
        }
      })))
    }
  }
}

/** What Redis says of a room. @param held -1: what was known is not of it */
export const standing = (known: string, epoch: string, offset: number, held: number, start = 0): Comparison => ({ known, position: { epoch, offset }, sequence: 0, held, start })
