import type { Clock } from '../core/ports.js'
import { inBatches, type DirectoryStore, type EntryKey } from './directory-store.js'

interface Wanted {
  readonly entry: EntryKey
  readonly resolve: (wasThere: boolean) => void
  readonly reject: (error: unknown) => void
}

/** Removes entries. Those of one turn of the event loop go together: thousands of connections may end at once, and with a Redis that does not answer each call would have an end of its own. */
export class DirectoryRemovals {
  readonly #store: DirectoryStore
  readonly #clock: Clock
  /** Of this turn, by partition. */
  #wanted = new Map<number, Wanted[]>()

  constructor (store: DirectoryStore, clock: Clock) {
    this.#store = store
    this.#clock = clock
  }

  /** @returns whether this call removed it. @throws FST_HUB_BROKER_UNAVAILABLE (as a rejection) */
  async remove (entry: EntryKey): Promise<boolean> {
    return await new Promise<boolean>((resolve, reject) => {
      if (this.#wanted.size === 0) this.#clock.defer(() => { this.flush() })
      const partition = this.#store.partitionOf(entry)
      const others = this.#wanted.get(partition)
      if (others === undefined) this.#wanted.set(partition, [{ entry, resolve, reject }])
      else others.push({ entry, resolve, reject })
    })
  }

  /** Nobody waits for the end of the turn. */
  flush (): void {
    const wanted = this.#wanted
    this.#wanted = new Map()
    for (const batch of [...wanted.values()].flatMap(inBatches)) {
      this.#store.remove(batch.map(({ entry }) => entry)).then((wereThere) => {
        for (const [i, { resolve }] of batch.entries()) resolve(wereThere[i] === true)
      }, (error: unknown) => {
        for (const { reject } of batch) reject(error)
      })
    }
  }
}
