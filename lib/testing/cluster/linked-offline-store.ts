import type { Clock, OfflineListener, OfflineStore, StoredMessage } from '../../core/ports.js'
import { MemoryOfflineStore } from '../../memory/offline-store.js'
import type { Payload } from '../../protocol/frame.js'
import type { Link } from './link.js'

/** What all nodes keep for users. */
export class SharedOfflineStore implements OfflineListener {
  readonly store: MemoryOfflineStore
  readonly #listeners = new Set<OfflineListener>()
  /** Of the node that is calling. */
  #caller: OfflineListener | undefined

  constructor (clock: Clock, maxMessages: number) {
    this.store = new MemoryOfflineStore(clock, { maxMessages }, this)
  }

  attach (listener: OfflineListener): void { this.#listeners.add(listener) }

  detach (listener: OfflineListener): void { this.#listeners.delete(listener) }

  /** One call of a node, which takes effect within it. */
  call<T> (listener: OfflineListener, step: (store: OfflineStore) => T): T {
    this.#caller = listener
    try {
      return step(this.store)
    } finally {
      this.#caller = undefined
    }
  }

  /** One node is told: that which is calling, else the first. */
  onDropped (reason: 'evicted' | 'expired', count: number): void {
    const [first] = this.#listeners
    ;(this.#caller ?? first)?.onDropped(reason, count)
  }
}

/** The store as a node sees it, over its link. */
export class LinkedOfflineStore implements OfflineStore {
  readonly #link: Link
  readonly #shared: SharedOfflineStore
  readonly #listener: OfflineListener

  constructor (link: Link, shared: SharedOfflineStore, listener: OfflineListener) {
    this.#link = link
    this.#shared = shared
    this.#listener = listener
    shared.attach(listener)
  }

  async put (user: string, payload: Payload, ttl: number): Promise<string> {
    this.#link.check()
    return await this.#shared.call(this.#listener, async (store) => await store.put(user, payload, ttl))
  }

  async list (user: string, after: string | undefined, limit: number): Promise<readonly StoredMessage[]> {
    this.#link.check()
    return await this.#shared.call(this.#listener, async (store) => await store.list(user, after, limit))
  }

  async acknowledge (user: string, ids: readonly string[]): Promise<number> {
    this.#link.check()
    return await this.#shared.call(this.#listener, async (store) => await store.acknowledge(user, ids))
  }

  async close (): Promise<void> { this.#shared.detach(this.#listener) }
}
