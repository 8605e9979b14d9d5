import { MultiMap } from '../core/multi-map.js'
import type { Directory, DirectoryEntry } from '../core/ports.js'

/** The directory of the hubs of one process. Keeps the entries it is given, no copies. */
export class MemoryDirectory implements Directory {
  readonly #byId = new Map<string, DirectoryEntry>()
  readonly #byUser = new MultiMap<DirectoryEntry>()

  async add (entry: DirectoryEntry): Promise<void> {
    this.#byId.set(entry.id, entry)
    if (entry.user !== null) this.#byUser.add(entry.user, entry)
  }

  async remove (id: string): Promise<boolean> {
    const entry = this.#byId.get(id)
    if (entry === undefined) return false
    this.#byId.delete(id)
    if (entry.user !== null) this.#byUser.delete(entry.user, entry)
    return true
  }

  async user (user: string): Promise<readonly DirectoryEntry[]> {
    return [...this.#byUser.get(user)]
  }

  async close (): Promise<void> {
    this.#byId.clear()
    this.#byUser.clear()
  }
}
