import type { Broker, BrokerListener, Clock, HistoryPolicy, HistoryPolicyOf, PublicationOptions, Publication } from '../../lib/core/ports.js'
import type { PublishResult, StreamPosition } from '../../lib/core/types.js'
import { MemoryBroker, MemoryBus } from '../../lib/memory/broker.js'
import type { Payload } from '../../lib/protocol/frame.js'

interface Pending { readonly room: string, readonly succeed: () => Promise<void>, readonly fail: (error: Error) => void }

/** What a broker has to keep unless the test says otherwise. */
export const NO_HISTORY: HistoryPolicy = { size: 0, ttl: 0, mode: 'log' }

/** A MemoryBroker far away: while `slow`, each `subscribe` takes effect at once, and answers when the test says so. */
export class FakeBroker implements Broker {
  slow = false
  readonly pending: Pending[] = []
  /** What was called, in order. */
  readonly calls: string[] = []
  /** Errors of the next calls to unsubscribe. */
  readonly failures: Error[] = []
  readonly listener: BrokerListener
  readonly #inner: MemoryBroker

  /** @param policyOf default: no history */
  constructor (clock: Clock, listener: BrokerListener, policyOf: HistoryPolicyOf = () => NO_HISTORY) {
    this.listener = listener
    this.#inner = new MemoryBroker(new MemoryBus(clock, policyOf), listener)
  }

  async subscribe (room: string): Promise<StreamPosition> {
    this.calls.push(`subscribe ${room}`)
    const answer = this.#inner.subscribe(room)
    if (!this.slow) return await answer
    return await new Promise<StreamPosition>((resolve, reject) => {
      this.pending.push({ room, succeed: async () => { resolve(await answer) }, fail: reject })
    })
  }

  async unsubscribe (room: string): Promise<void> {
    this.calls.push(`unsubscribe ${room}`)
    await this.#inner.unsubscribe(room)
    const failure = this.failures.shift()
    if (failure !== undefined) throw failure
  }

  async publish (room: string, payload: Payload, options: PublicationOptions): Promise<PublishResult> {
    return await this.#inner.publish(room, payload, options)
  }

  async history (room: string, since: StreamPosition | undefined, limit: number): Promise<{ position: StreamPosition, publications: readonly Publication[], recovered: boolean }> {
    return await this.#inner.history(room, since, limit)
  }

  async close (): Promise<void> {
    this.calls.push('close')
    await this.#inner.close()
  }
}
