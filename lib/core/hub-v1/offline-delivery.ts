import type { OfflineStore } from '../ports.js'
import type { Endpoint } from './endpoint.js'

/** Messages that are asked for at once. */
const PAGE = 32

/** What is kept for users, and what has become of it. */
export interface OfflineShared {
  readonly store: OfflineStore
  readonly counters: { delivered: number, acknowledged: number }
  readonly onError: (error: unknown) => void
}

/** The way of one connection through what is kept for its user: oldest first, each once, no faster than the socket takes it. */
export class OfflineDelivery {
  readonly #shared: OfflineShared
  readonly #endpoint: Endpoint
  readonly #user: string
  /** The last one that was sent. */
  #last: string | undefined
  #running: Promise<void> | null = null
  /** Something has come since the store was asked. */
  #isMore = false
  #isParked = false
  #isEnded = false

  constructor (shared: OfflineShared, endpoint: Endpoint, user: string) {
    this.#shared = shared
    this.#endpoint = endpoint
    this.#user = user
  }

  /** Sends what is there. Resolves when it is on its way, or the socket is blocked; never rejects. */
  async deliver (): Promise<void> {
    this.#isMore = true
    this.#running ??= this.#run().catch(this.#shared.onError).finally(() => { this.#running = null })
    await this.#running
  }

  /** The peer has taken care of them. @throws what the store throws (as a rejection) */
  async acknowledge (ids: readonly string[]): Promise<void> {
    const { store, counters } = this.#shared
    counters.acknowledged += await store.acknowledge(this.#user, ids)
  }

  /** The socket takes more. */
  go (): void {
    if (!this.#isParked) return
    this.#isParked = false
    this.deliver().catch(this.#shared.onError)
  }

  end (): void { this.#isEnded = true }

  async #run (): Promise<void> {
    const { store, counters } = this.#shared
    const { connection, codec } = this.#endpoint
    while (this.#isMore && !this.#isEnded) {
      this.#isMore = false
      const messages = await store.list(this.#user, this.#last, PAGE)
      for (const { id, payload } of messages) {
        if (!connection.live) return
        if (!connection.offer(codec.direct(payload, id))) {
          this.#isParked = true
          return
        }
        counters.delivered++
        this.#last = id
      }
      if (messages.length === PAGE) this.#isMore = true
    }
  }
}
