import type { Broker, BrokerListener, Clock, FanOut, HistoryPolicyOf, Publication, PublicationOptions } from '../../lib/core/ports.js'
import type { PublishResult, StreamPosition } from '../../lib/core/types.js'
import { MemoryBroker, MemoryBus } from '../../lib/memory/broker.js'
import type { Payload } from '../../lib/protocol/frame.js'

type History = Awaited<ReturnType<Broker['history']>>

/** A broker whose node hears of publications later than its log has them, and which takes its time to answer, as over a network. */
export class LateBroker implements Broker, BrokerListener {
  readonly #inner: MemoryBroker
  readonly #listener: BrokerListener
  #heard: Array<{ room: string, publications: readonly Publication[] }> = []
  #answers: Array<() => void> = []
  readonly #listening = new Set<string>()

  constructor (clock: Clock, listener: BrokerListener, policyOf: HistoryPolicyOf) {
    this.#listener = listener
    this.#inner = new MemoryBroker(new MemoryBus(clock, policyOf), this)
  }

  /** The node hears of the next `count` publications. */
  deliver (count = Infinity): void {
    const heard = this.#heard.splice(0, Math.min(count, this.#heard.length))
    for (const { room, publications } of heard) if (this.#listening.has(room)) this.#listener.onPublications(room, publications)
  }

  /** Answers that are under way arrive. */
  answer (): void {
    const answers = this.#answers
    this.#answers = []
    for (const answer of answers) answer()
  }

  onPublications (room: string, publications: readonly Publication[]): FanOut {
    this.#heard.push({ room, publications })
    return { sent: 0, queued: 0, dropped: 0, rejected: 0 }
  }

  onGap (room: string, from: StreamPosition, to: StreamPosition): void { this.#listener.onGap(room, from, to) }

  onEpoch (room: string, epoch: string): void { this.#listener.onEpoch(room, epoch) }

  async subscribe (room: string): Promise<StreamPosition> {
    this.#listening.add(room)
    const position = await this.#inner.subscribe(room)
    // What this node has not heard of yet still comes: its position is before that.
    const first = this.#heard.find((heard) => heard.room === room)?.publications[0]
    return { epoch: position.epoch, offset: first === undefined || first.offset === 0 ? position.offset : first.offset - 1 }
  }

  async unsubscribe (room: string): Promise<void> {
    this.#listening.delete(room)
    this.#heard = this.#heard.filter((heard) => heard.room !== room)
    await this.#inner.unsubscribe(room)
  }

  async publish (room: string, payload: Payload, options: PublicationOptions): Promise<PublishResult> {
    return await this.#inner.publish(room, payload, options)
  }

  async history (room: string, since: StreamPosition | undefined, limit: number): Promise<History> {
    const answer = this.#inner.history(room, since, limit)
    return await new Promise((resolve, reject) => { this.#answers.push(() => { answer.then(resolve, reject) }) })
  }

  async close (): Promise<void> { await this.#inner.close() }
}
