import type { BrokerListener, FanOut, Publication } from '../../lib/core/ports.js'
import type { StreamPosition } from '../../lib/core/types.js'
import type { Payload } from '../../lib/protocol/frame.js'

export interface Heard { room: string, offset: number, payload: Payload, options: Publication['options'] }

/** A hub's side of a broker, that only listens. */
export class FakeListener implements BrokerListener {
  readonly heard: Heard[] = []
  readonly gaps: Array<{ room: string, from: StreamPosition, to: StreamPosition }> = []
  readonly epochs: Array<{ room: string, epoch: string }> = []
  /** What the fan-out on this node is said to have done with each publication. */
  answer: FanOut = { sent: 0, queued: 0, dropped: 0, rejected: 0 }
  /** Runs with each publication, before it is answered. */
  then: ((heard: Heard) => void) | null = null
  #waiting: Array<{ count: number, resolve: () => void }> = []

  onPublications (room: string, publications: readonly Publication[]): FanOut {
    for (const { offset, payload, options } of publications) {
      const heard = { room, offset, payload, options }
      this.heard.push(heard)
      this.then?.(heard)
    }
    this.#waiting = this.#waiting.filter(({ count, resolve }) => {
      if (this.heard.length < count) return true
      resolve()
      return false
    })
    return this.answer
  }

  onGap (room: string, from: StreamPosition, to: StreamPosition): void { this.gaps.push({ room, from, to }) }

  onEpoch (room: string, epoch: string): void { this.epochs.push({ room, epoch }) }

  /** Resolves when it has heard that many publications in all: other nodes hear of them later. */
  async atLeast (count: number): Promise<void> {
    if (this.heard.length >= count) return
    await new Promise<void>((resolve) => { this.#waiting.push({ count, resolve }) })
  }

  /** What it heard of a room. */
  of (room: string): Heard[] { return this.heard.filter((one) => one.room === room) }

  texts (room: string): unknown[] { return this.of(room).map(({ payload }) => payload) }
}
