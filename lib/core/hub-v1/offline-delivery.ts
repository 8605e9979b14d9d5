import { FST_HUB_BROKER_UNAVAILABLE } from '../../errors.js'
import type { OfflineStore, StoredMessage } from '../ports.js'
import { Timeout, type TimingWheel } from '../timing-wheel.js'
import type { Endpoint } from './endpoint.js'

/** Messages that are asked for at once. */
const PAGE = 32

/** Milliseconds after which a store that was away is asked again: from half of them to one and a half, so that not all ask at once. */
const RETRY_MS = 10_000

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
  readonly #wheel: TimingWheel
  /** The last one that was sent. */
  #last: string | undefined
  #running: Promise<void> | null = null
  /** Something may have come since the store was asked. */
  #isMore = false
  /** Runs while the store is away; made when it is for the first time. */
  #retry: Timeout | null = null

  constructor (shared: OfflineShared, endpoint: Endpoint, user: string, wheel: TimingWheel) {
    this.#shared = shared
    this.#endpoint = endpoint
    this.#user = user
    this.#wheel = wheel
  }

  /**
   * Sends what is there, and what comes meanwhile. Resolves when it is all with the socket, or the connection has ended, or the
   * store has failed; one that is away is asked again later. Never rejects.
   */
  async deliver (): Promise<void> {
    this.#retry?.cancel()
    this.#isMore = true
    this.#running ??= this.#run()
    await this.#running
  }

  /** The peer has taken care of them. @throws what the store throws (as a rejection) */
  async acknowledge (ids: readonly string[]): Promise<void> {
    const { store, counters } = this.#shared
    counters.acknowledged += await store.acknowledge(this.#user, ids)
  }

  /** The connection has ended. */
  end (): void { this.#retry?.cancel() }

  async #run (): Promise<void> {
    try {
      while (this.#isMore) {
        this.#isMore = false
        const messages = await this.#shared.store.list(this.#user, this.#last, PAGE)
        for (const message of messages) if (!await this.#send(message)) return
        if (messages.length === PAGE) this.#isMore = true
      }
    } catch (error) {
      if (error instanceof FST_HUB_BROKER_UNAVAILABLE) this.#tryLater()
      else this.#shared.onError(error)
    } finally {
      // In the same turn as the last look at isMore: whoever comes now begins anew.
      this.#running = null
    }
  }

  #tryLater (): void {
    if (!this.#endpoint.connection.live) return
    this.#retry ??= new Timeout(this.#wheel, () => { this.deliver().catch((error: unknown) => { this.#shared.onError(error) }) })
    this.#retry.start(Math.round(RETRY_MS * (0.5 + Math.random())))
  }

  /** @returns false when the connection has ended */
  async #send ({ id, payload }: StoredMessage): Promise<boolean> {
    const { connection, codec } = this.#endpoint
    const frame = codec.direct(payload, id)
    while (connection.live) {
      if (connection.offer(frame)) {
        this.#shared.counters.delivered++
        this.#last = id
        return true
      }
      await this.#endpoint.progress()
    }
    return false
  }
}
