import { noFanOut } from '../../lib/core/fan-out.js'
import type { Broker, BrokerListener, Publication } from '../../lib/core/ports.js'
import type { PublishResult, StreamPosition } from '../../lib/core/types.js'

type History = Awaited<ReturnType<Broker['history']>>

/** A broker with one room, which stands where the test says, and whose log answers what the test says. */
export class ToldBroker implements Broker {
  /** Where the node stands in the room. */
  position: StreamPosition
  readonly #listener: BrokerListener
  readonly #answer: (since: StreamPosition | undefined) => History | Promise<History>
  /** Positions behind which the log was asked for. */
  readonly asked: Array<StreamPosition | undefined> = []

  constructor (listener: BrokerListener, position: StreamPosition, answer: (since: StreamPosition | undefined) => History | Promise<History>) {
    this.#listener = listener
    this.position = position
    this.#answer = answer
  }

  /** The next publications come; each is the number of its offset. */
  deliver (count: number): void {
    const { epoch, offset } = this.position
    this.position = { epoch, offset: offset + count }
    this.#listener.onPublications('a', publicationsBehind(offset, offset + count))
  }

  /** The log goes on in another epoch. */
  turn (epoch: string): void {
    this.position = { ...this.position, epoch }
    this.#listener.onEpoch('a', epoch)
  }

  async subscribe (): Promise<StreamPosition> { return { ...this.position } }

  async unsubscribe (): Promise<void> {}

  async publish (): Promise<PublishResult> { return noFanOut() }

  async history (_room: string, since: StreamPosition | undefined): Promise<History> {
    this.asked.push(since)
    return await this.#answer(since)
  }

  async close (): Promise<void> {}
}

export const publicationsBehind = (offset: number, last: number): Publication[] => Array.from({ length: last - offset }, (_, i) => ({ offset: offset + 1 + i, payload: String(offset + 1 + i), options: {} }))
